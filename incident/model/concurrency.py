"""Run awaitables concurrently; cancel the rest when one fails. Compute in threads, few at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, ParamSpec, TypeVar, overload

P = ParamSpec("P")
T = TypeVar("T")
T1 = TypeVar("T1")
T2 = TypeVar("T2")
T3 = TypeVar("T3")
T4 = TypeVar("T4")
T5 = TypeVar("T5")
T6 = TypeVar("T6")

#: More would be no faster, as one computes at a time, and each holds what it works on.
_COMPUTING = ThreadPoolExecutor(2, thread_name_prefix="compute")


async def compute(work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """The result of work that takes the processor, such as redacting megabytes, in a thread.

    Two at a time in a process, whatever comes at once; other incidents on the loop go on.
    """
    call = partial(work, *args, **kwargs)
    return await asyncio.get_running_loop().run_in_executor(_COMPUTING, call)


@overload
async def gather_all(first: Awaitable[T1], second: Awaitable[T2], /) -> tuple[T1, T2]: ...


@overload
async def gather_all(
    first: Awaitable[T1], second: Awaitable[T2], third: Awaitable[T3], /
) -> tuple[T1, T2, T3]: ...


@overload
async def gather_all(
    first: Awaitable[T1],
    second: Awaitable[T2],
    third: Awaitable[T3],
    fourth: Awaitable[T4],
    /,
) -> tuple[T1, T2, T3, T4]: ...


@overload
async def gather_all(
    first: Awaitable[T1],
    second: Awaitable[T2],
    third: Awaitable[T3],
    fourth: Awaitable[T4],
    fifth: Awaitable[T5],
    /,
) -> tuple[T1, T2, T3, T4, T5]: ...


@overload
async def gather_all(
    first: Awaitable[T1],
    second: Awaitable[T2],
    third: Awaitable[T3],
    fourth: Awaitable[T4],
    fifth: Awaitable[T5],
    sixth: Awaitable[T6],
    /,
) -> tuple[T1, T2, T3, T4, T5, T6]: ...


@overload
async def gather_all(*awaitables: Awaitable[T]) -> tuple[T, ...]: ...


async def gather_all(*awaitables: Awaitable[Any]) -> tuple[Any, ...]:
    """The results in order, or the first failure once all the others have ended.

    ``asyncio.gather`` would leave the others running after a failure, and a task group would
    wrap the failure, whose type says what to do about it.
    """
    tasks = [asyncio.ensure_future(awaitable) for awaitable in awaitables]
    try:
        return tuple(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
