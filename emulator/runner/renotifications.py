"""Delivers what Security Command Center notifies of again, once a run's own deliveries are over."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from emulator.runner.function_process import Function
from emulator.runner.run_result import Renotification
from emulator.services.pubsub.push import Delivery
from emulator.services.security_center.notifications import Notifications

# Two writes to a finding are two of them; with more than these the function loops.
_MOST = 20


async def notify_again(
    notifications: Notifications,
    function: Function,
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
    notified: list[Renotification] = []
    while len(notified) < min(len(notifications.messages), _MOST):
        number, before = len(notified), len(function.said)
        deliveries = await push(notifications.messages[number], number)
        await function.told(before + len(deliveries))
        said = function.said[before:]
        notified.append(Renotification(deliveries, said[-1] if said else None))
    return tuple(notified), len(notifications.messages) > len(notified)
