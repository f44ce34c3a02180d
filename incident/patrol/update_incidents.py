"""Update the incidents of a containment whose state changed.

An incident that is open, released or awaits a person stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from incident.actions.changes import change_json
from incident.case_file.containments import released_by
from incident.case_file.index import CaseSummary
from incident.case_file.paths import DONE_NUMBER, INCIDENTS, case_file_folder
from incident.containment.write import status_of_changes
from incident.model import Change, Json, JsonObject, Status
from incident.model.decision import DRIFT_PREFIX
from incident.patrol.context import PatrolContext
from incident.redaction.redactor import Redactor
from incident.report.outcome_updates import released_outcome
from incident.response.conclude import publish_update

_UPDATABLE_STATUSES = frozenset({Status.CONTAINED, Status.RESTRICTED, Status.UNVERIFIED})


def updated_outcome(
    outcome: JsonObject,
    changes: Sequence[Change],
    reason: str,
    unreached: Sequence[str] = (),
    *,
    stopped: bool = False,
) -> JsonObject | None:
    """An incident's outcome with its changes as they are now; None if nothing is new.

    A reverted containment is ``unverified``: written, and not in effect. Where restrictions are
    still in effect it is ``restricted``; where the workload is stopped, ``contained``.
    """
    status = status_of_changes(changes, unreached, stopped=stopped)
    recorded = outcome.get("changes")
    current = {_change_json_key(change_json(change)): change_json(change) for change in changes}
    earlier: Sequence[Json] = recorded if isinstance(recorded, list) else ()
    kept_changes: list[Json] = [
        {**each, **_state_and_error(current.pop(_change_json_key(each)))}
        if _change_json_key(each) in current
        else each
        for each in earlier
        if isinstance(each, Mapping)
        and (_change_json_key(each) in current or not _has_drifted(each))
    ]
    merged: list[Json] = [*kept_changes, *current.values()]
    if (outcome.get("status"), list(earlier)) == (status.value, merged):
        return None
    decision = outcome.get("decision")
    decision_fields = decision if isinstance(decision, Mapping) else {}
    before = decision_fields.get("reasons")
    reasons: list[Json] = [reason, *(before if isinstance(before, list) else ())]
    return {
        **outcome,
        "status": status.value,
        "decision": {**decision_fields, "reasons": reasons},
        "changes": merged,
    }


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
    journal = context.journal(case_file_folder(INCIDENTS, incident))
    summary = CaseSummary(incident, journal.folder, await journal.records())
    if summary.outcome is None or summary.status not in list(_UPDATABLE_STATUSES):
        return
    outcome = updated_outcome(summary.outcome, changes, reason, unreached, stopped=stopped)
    if outcome:
        last = max(summary.records[-1].number, DONE_NUMBER)
        records, ports = context.records, context.ports
        await publish_update(
            journal.folder, outcome, records, ports, redactor, after=last, once=True
        )
        await _correct_if_released(context, summary, outcome, redactor)


async def _correct_if_released(
    context: PatrolContext, summary: CaseSummary, outcome: JsonObject, redactor: Redactor
) -> None:
    """Mark an incident as released if its containment was released meanwhile.

    A release records itself and then updates incidents; we update one and then read the records
    for a release: the second of the two writes ``released``.
    """
    by = await released_by(context.records.store, outcome.get("containment"))
    if by is not None:
        corrected = released_outcome(outcome, by)
        await publish_update(summary.folder, corrected, context.records, context.ports, redactor)


def _change_json_key(change: JsonObject) -> tuple[str, ...]:
    mask = change.get("mask")
    paths = mask if isinstance(mask, list) else ()
    return (str(change.get("kind")), str(change.get("target")), *map(str, paths))


def _has_drifted(change: JsonObject) -> bool:
    """Whether an earlier patrol reported this change as undone."""
    return str(change.get("error") or "").startswith(DRIFT_PREFIX)


def _state_and_error(change: JsonObject) -> JsonObject:
    return {"state": change["state"], "error": change["error"]}
