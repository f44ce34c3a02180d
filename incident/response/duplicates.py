"""Answer a delivery of an incident that is done: a duplicate, or an outcome to be logged again."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta

from incident.case_file.case_file import CaseFile
from incident.decision.context import ProcessContext
from incident.model import JsonObject
from incident.report.outcome_updates import duplicate_outcome
from incident.response.context import DeliveryResult

_POLL_S = 0.2
#: Gaps that make an outcome one that a person must look at.
_ALARM_GAPS = frozenset({"report", "write-back", "announcement"})


async def answer_duplicate(
    case: CaseFile, done: JsonObject, context: ProcessContext
) -> DeliveryResult:
    """The answer to a delivery of an incident that is done.

    Args:
        case: The case file, with the record of the outcome.
        done: The outcome.
        context: What holds for every incident.

    Returns:
        A duplicate where the outcome was logged, else the outcome, to be logged.

    Raises:
        Retry: The store does not answer.
    """
    if await _was_logged(case, context.peer_wait):
        return DeliveryResult(duplicate_outcome(done), case_file=case.folder)
    return repeated_result(case, done)


def repeated_result(case: CaseFile, done: JsonObject) -> DeliveryResult:
    """The result of the run that recorded the outcome, with the same severity."""
    gaps = done.get("gaps")
    found = gaps if isinstance(gaps, list) else ()
    missing = {str(gap.get("collector")) for gap in found if isinstance(gap, Mapping)}
    return DeliveryResult(
        done,
        alarm=case.alarm or bool(missing & _ALARM_GAPS),
        warning="webhook" in missing,
        contained_at=case.contained_at,
        case_file=case.folder,
        logged_record=case.logged_record(),
    )


async def _was_logged(case: CaseFile, peer_wait: timedelta) -> bool:
    """Whether the outcome was logged. A run that recorded it just now is waited for."""
    loop_time, clock = asyncio.get_running_loop().time, case.journal.clock
    recorded_at = next((r.recorded_at for r in case.known_records if r.kind == "done"), clock())
    until = loop_time() + peer_wait.total_seconds()
    while not case.has_record("logged"):
        if loop_time() >= until or clock() - recorded_at > peer_wait:
            return False
        await asyncio.sleep(_POLL_S)
        case = await case.reload()
    return True
