"""Reading back: a write that was accepted is not a containment until it is seen in effect."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from incident.actions import plan
from incident.investigation.workload_reader import WorkloadReader, read_workload
from incident.model import Change, GiveUp, Retry, Workload, WorkloadConfiguration

_FIRST_POLL_S = 0.2
_MAX_POLL_S = 2.0
_NOT_READ_BACK_TEXT = "the workload was not read back in time"


async def wait_until_in_effect(
    changes: Sequence[Change], workload: Workload, reader: WorkloadReader, limit: timedelta
) -> tuple[WorkloadConfiguration | None, tuple[str | None, ...]]:
    """Read until every change is in effect.

    Returns:
        The settings as read last, and for each change why it is not in effect when time is
        up; None for one that is.
    """
    configuration: WorkloadConfiguration | None = None
    reasons: tuple[str | None, ...] = (_NOT_READ_BACK_TEXT,) * len(changes)
    needs = plan.details_for_changes(changes)
    pause = _FIRST_POLL_S
    try:
        async with asyncio.timeout(limit.total_seconds()):
            while True:
                try:
                    configuration = await read_workload(workload, needs, reader)
                    reasons = tuple(plan.why_not_in_effect(each, configuration) for each in changes)
                except Retry as error:
                    reasons = tuple(reason and str(error) for reason in reasons)
                if not any(reasons):
                    return configuration, reasons
                await asyncio.sleep(pause)
                pause = min(pause * 1.5, _MAX_POLL_S)
    except TimeoutError:
        return configuration, reasons
    except GiveUp as error:
        return configuration, tuple(reason and str(error) for reason in reasons)
