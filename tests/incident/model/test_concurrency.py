"""Side by side: results in order, the first failure as it is, and nobody left running."""

from __future__ import annotations

import asyncio

import pytest

from incident.model import Denied, Retry
from incident.model.concurrency import gather_all


async def value_after(seconds: float, value: str, log: list[str] | None = None) -> str:
    """A value, some time later; says in the log how it ended."""
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        if log is not None:
            log.append(f"{value} cancelled")
        raise
    return value


async def fail_after(error: Exception, seconds: float = 0) -> None:
    """Fail, some time later."""
    await asyncio.sleep(seconds)
    raise error


async def test_results_keep_the_order_of_the_arguments() -> None:
    """Whichever is fastest."""
    assert await gather_all(
        value_after(0.02, "a"), value_after(0, "b"), value_after(0.01, "c")
    ) == ("a", "b", "c")
    assert await gather_all() == ()


async def test_all_run_at_once() -> None:
    """Twenty that wait take as long as one."""
    async with asyncio.timeout(2):
        await gather_all(*(value_after(0.2, str(number)) for number in range(20)))


async def test_the_first_failure_is_raised_as_it_is() -> None:
    """Its type says what to do about it, so nothing is wrapped around it."""
    denied = Denied("no permission")
    with pytest.raises(Denied) as raised:
        await gather_all(value_after(0.01, "a"), fail_after(Retry("later"), 1), fail_after(denied))
    assert raised.value is denied


async def test_all_tasks_have_ended_after_a_failure() -> None:
    """When the failure is out, all the others have ended."""
    log: list[str] = []
    with pytest.raises(Retry):
        await gather_all(
            value_after(60, "a", log), fail_after(Retry("x"), 0.01), value_after(60, "b", log)
        )
    assert sorted(log) == ["a cancelled", "b cancelled"]
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_cancelling_the_caller_cancels_all_tasks() -> None:
    """A budget that runs out leaves nothing running behind the answer."""
    log: list[str] = []
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await gather_all(value_after(60, "a", log), value_after(60, "b", log))
    assert sorted(log) == ["a cancelled", "b cancelled"]


async def test_an_existing_task_can_be_awaited_too() -> None:
    """A future that was begun before is waited for like the others."""
    begun = asyncio.ensure_future(value_after(0.01, "a"))
    assert await gather_all(begun, value_after(0, "b")) == ("a", "b")
