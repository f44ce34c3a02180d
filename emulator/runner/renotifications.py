"""Deliver the notifications that the function's own writes cause."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from emulator.runner.function_process import FunctionProcess
from emulator.runner.run_result import Renotification
from emulator.services.pubsub.push import Delivery
from emulator.services.security_center.notifications import Notifications

# Two writes to a finding are two of them; with more than these the function loops.
_MAX_RENOTIFICATIONS = 20


async def deliver_renotifications(
    notifications: Notifications,
    function: FunctionProcess,
    push: Callable[[bytes, int], Awaitable[tuple[Delivery, ...]]],
) -> tuple[tuple[Renotification, ...], bool]:
    """Delivers one after the other, until nothing more comes of it.

    After the deliveries, so that each line of the function's log is known to belong to one.

    Args:
        notifications: What is notified of; more may come while this goes on.
        function: Who is told.
        push: Delivers one message, which is given with its number.

    Returns:
        What came of each, and whether there was no end of them.
    """
    renotifications: list[Renotification] = []
    while len(renotifications) < min(len(notifications.messages), _MAX_RENOTIFICATIONS):
        number, before = len(renotifications), len(function.logged_outcomes)
        deliveries = await push(notifications.messages[number], number)
        await function.wait_for_outcomes(before + len(deliveries))
        outcomes = function.logged_outcomes[before:]
        renotifications.append(Renotification(deliveries, outcomes[-1] if outcomes else None))
    return tuple(renotifications), len(notifications.messages) > len(renotifications)
