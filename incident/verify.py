"""Reading back: a write that was accepted is not a containment until it is seen in effect."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Protocol

from incident import containment
from incident.model import Change, GiveUp, Retry, Settings, Workload

_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 2.0


class Reading(Protocol):
    """What verifying needs of Cloud Run."""

    async def settings(self, workload: Workload) -> Settings:
        """The workload's settings as they are now."""


async def verify(
    change: Change, workload: Workload, run: Reading, patience: timedelta
) -> tuple[Settings | None, str | None]:
    """Read until the change is in effect.

    Returns:
        The settings as read last, and why the change is not in effect when time is up; None
        when it is.
    """
    settings: Settings | None = None
    reason: str | None = "the workload was not read back in time"
    pause = _FIRST_PAUSE_S
    try:
        async with asyncio.timeout(patience.total_seconds()):
            while True:
                try:
                    settings = await run.settings(workload)
                    reason = containment.lacking(change, workload.kind, settings)
                except Retry as error:
                    reason = str(error)
                if reason is None:
                    return settings, None
                await asyncio.sleep(pause)
                pause = min(pause * 1.5, _LONGEST_PAUSE_S)
    except TimeoutError:
        return settings, reason
    except GiveUp as error:
        return settings, str(error)


def annotated(settings: Settings, key: str, value: str) -> Change:
    """The write that leaves a word on the workload for whoever finds it down."""
    before = dict(settings.annotations)
    return Change(
        action="annotate",
        target=settings.name,
        mask=("annotations",),
        before={"annotations": before},
        after={"annotations": {**before, key: value}},
        stops=False,
        reversible=True,
    )
