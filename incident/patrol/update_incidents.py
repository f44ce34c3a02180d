"""Update the incidents of a containment whose state changed.

An incident that is open, released or awaits a person stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from incident.case_file.case_file import CaseFile
from incident.case_file.containments import released_by
from incident.case_file.paths import INCIDENTS, case_file_folder
from incident.containment.write import status_of_changes
from incident.decision.process import Process
from incident.model import Change, Status
from incident.model.outcome import Outcome
from incident.patrol.context import PatrolContext
from incident.redaction.redactor import Redactor
from incident.report.outcome_updates import released_outcome
from incident.response.publish import publish

_UPDATABLE_STATUSES = frozenset({Status.CONTAINED, Status.RESTRICTED, Status.UNVERIFIED})


def updated_outcome(
    outcome: Outcome,
    changes: Sequence[Change],
    reason: str,
    unreached: Sequence[str] = (),
    *,
    stopped: bool = False,
) -> Outcome | None:
    """An incident's outcome with its changes as they are now; None if nothing is new.

    A reverted containment is ``unverified``: written, and not in effect. Where restrictions are
    still in effect it is ``restricted``; where the workload is stopped, ``contained``.
    """
    status = status_of_changes(changes, unreached, stopped=stopped)
    current = {_change_key(change): change for change in changes}
    kept_changes = [
        _with_current_state(each, current.pop(_change_key(each), None))
        for each in outcome.changes
        if _change_key(each) in current or not each.reverted
    ]
    merged = (*kept_changes, *current.values())
    if (outcome.status, outcome.changes) == (status, merged):
        return None
    reasons = (reason, *outcome.decision.reasons)
    decision = replace(outcome.decision, reasons=reasons)
    return replace(outcome, status=status, decision=decision, changes=merged)


async def update_incident(  # noqa: PLR0913 - one call of the patrol's
    context: PatrolContext,
    incident: str,
    changes: Sequence[Change],
    reason: str,
    redactor: Redactor,
    *,
    unreached: Sequence[str] = (),
    stopped: bool = False,
) -> None:
    """Update one incident, once: of several patrols one writes the record.

    Args:
        context: What the round works with.
        incident: The incident's id.
        changes: The containment's changes as they are now, redacted.
        reason: What happened, for people; redacted.
        redactor: Redacts what goes wrong meanwhile.
        unreached: What keeps the workload from the goal of an action.
        stopped: Whether the workload was read back as stopped although that needed no change.

    Raises:
        Retry: The store does not answer.
        GiveUp: A record cannot be read.
    """
    process = context.process
    case = await process.case_file(case_file_folder(INCIDENTS, incident))
    current = case.newest_outcome
    if current is None or current.status not in _UPDATABLE_STATUSES:
        return
    outcome = updated_outcome(current, changes, reason, unreached, stopped=stopped)
    if outcome:
        await publish(process, case, outcome, redactor, once=True)
        await _correct_if_released(process, case, outcome, redactor)


async def _correct_if_released(
    process: Process, case: CaseFile, outcome: Outcome, redactor: Redactor
) -> None:
    """Mark an incident as released if its containment was released meanwhile.

    A release records itself and then updates incidents; we update one and then read the records
    for a release: the second of the two writes ``released``.
    """
    by = await released_by(process.store, outcome.containment)
    if by is not None:
        await publish(process, await case.reload(), released_outcome(outcome, by), redactor)


def _change_key(change: Change) -> tuple[str, ...]:
    return (change.kind, change.target, *change.mask)


def _with_current_state(recorded: Change, current: Change | None) -> Change:
    if current is None:
        return recorded
    return replace(recorded, state=current.state, error=current.error, reverted=current.reverted)
