"""Side by side: results in order, the first failure as it is, and nobody left running."""

from __future__ import annotations

import asyncio

import pytest

from incident.model import Denied, Retry
from incident.model.concurrency import together


async def after(seconds: float, value: str, log: list[str] | None = None) -> str:
    """A value, some time later; says in the log how it ended."""
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        if log is not None:
            log.append(f"{value} cancelled")
        raise
    return value


async def failing(error: Exception, seconds: float = 0) -> None:
    """Fail, some time later."""
    await asyncio.sleep(seconds)
    raise error


async def test_results_come_in_the_order_of_the_questions() -> None:
    """Whoever is fastest."""
    assert await together(after(0.02, "a"), after(0, "b"), after(0.01, "c")) == ["a", "b", "c"]
    assert await together() == []


async def test_all_run_at_once() -> None:
    """Twenty that wait take as long as one."""
    async with asyncio.timeout(2):
        await together(*(after(0.2, str(number)) for number in range(20)))


async def test_the_first_failure_is_raised_as_it_is() -> None:
    """Its type says what to do about it, so nothing is wrapped around it."""
    denied = Denied("no permission")
    with pytest.raises(Denied) as raised:
        await together(after(0.01, "a"), failing(Retry("later"), 1), failing(denied))
    assert raised.value is denied


async def test_nobody_goes_on_after_a_failure() -> None:
    """When the failure is out, all the others have ended."""
    log: list[str] = []
    with pytest.raises(Retry):
        await together(after(60, "a", log), failing(Retry("x"), 0.01), after(60, "b", log))
    assert sorted(log) == ["a cancelled", "b cancelled"]
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_who_is_cancelled_takes_all_along() -> None:
    """A budget that runs out leaves nothing running behind the answer."""
    log: list[str] = []
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await together(after(60, "a", log), after(60, "b", log))
    assert sorted(log) == ["a cancelled", "b cancelled"]


async def test_a_task_of_the_callers_may_be_among_them() -> None:
    """A future that was begun before is waited for like the others."""
    begun = asyncio.ensure_future(after(0.01, "a"))
    assert await together(begun, after(0, "b")) == ["a", "b"]
