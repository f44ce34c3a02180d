"""Deliver the notifications that the function's own writes cause."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from emulator.runner.function_process import FunctionProcess
from emulator.runner.run_result import Renotification
from emulator.services.pubsub.push import Delivery
from emulator.services.security_center.notifications import Notifications

# An incident writes to its finding twice; many more renotifications are a loop.
_MAX_RENOTIFICATIONS = 20


async def deliver_renotifications(
    notifications: Notifications,
    function: FunctionProcess,
    push: Callable[[bytes, int], Awaitable[tuple[Delivery, ...]]],
) -> tuple[tuple[Renotification, ...], bool]:
    """Deliver renotifications one after another, until no more arrive.

    Call it after the run's own deliveries, so that each log line belongs to a known delivery.

    Args:
        notifications: The notifications so far; more may arrive meanwhile.
        function: The function to deliver to.
        push: Delivers one message, which is given with its number.

    Returns:
        The result of each, and whether they did not end.
    """
    renotifications: list[Renotification] = []
    while len(renotifications) < min(len(notifications.messages), _MAX_RENOTIFICATIONS):
        number, before = len(renotifications), len(function.logged_outcomes)
        deliveries = await push(notifications.messages[number], number)
        await function.wait_for_outcomes(before + len(deliveries))
        outcomes = function.logged_outcomes[before:]
        renotifications.append(Renotification(deliveries, outcomes[-1] if outcomes else None))
    return tuple(renotifications), len(notifications.messages) > len(renotifications)
