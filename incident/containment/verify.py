"""Reading back: a write that was accepted is not a containment until it is seen in effect."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from incident.actions import plan
from incident.investigation.workload_reader import Looking, look
from incident.model import Change, GiveUp, Retry, Settings, Workload

_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 2.0
_UNREAD = "the workload was not read back in time"


async def verify(
    changes: Sequence[Change], workload: Workload, run: Looking, patience: timedelta
) -> tuple[Settings | None, tuple[str | None, ...]]:
    """Read until every change is in effect.

    Returns:
        The settings as read last, and for each change why it is not in effect when time is
        up; None for one that is.
    """
    settings: Settings | None = None
    reasons: tuple[str | None, ...] = (_UNREAD,) * len(changes)
    needs = plan.needed_by(changes)
    pause = _FIRST_PAUSE_S
    try:
        async with asyncio.timeout(patience.total_seconds()):
            while True:
                try:
                    settings = await look(workload, needs, run)
                    reasons = tuple(plan.lacking(each, settings) for each in changes)
                except Retry as error:
                    reasons = tuple(reason and str(error) for reason in reasons)
                if not any(reasons):
                    return settings, reasons
                await asyncio.sleep(pause)
                pause = min(pause * 1.5, _LONGEST_PAUSE_S)
    except TimeoutError:
        return settings, reasons
    except GiveUp as error:
        return settings, tuple(reason and str(error) for reason in reasons)
