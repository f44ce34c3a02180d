"""Carrying incidents on when their containment does not stand any more, or stands again.

Every incident of a containment is told; one that is open, released or waits for a person is
left as it is.
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
    outcome: JsonObject, changes: Sequence[Change], reason: str, unreached: Sequence[str] = ()
) -> JsonObject | None:
    """An incident's outcome with its changes as they stand now; None where nothing is new.

    ``unverified`` says of a containment that was undone just what it is: written, and not seen
    in effect. Where restrictions still hold it is ``restricted``; where it is stopped,
    ``contained``.
    """
    status = status_of_changes(changes, unreached)
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
) -> None:
    """Carry one incident on, once: of several patrols one writes the record.

    Args:
        context: What the round works with.
        incident: The incident's id.
        changes: The containment's changes as they stand now, as they may be told.
        reason: What happened, for people; redacted.
        redactor: Redacts what goes wrong meanwhile.
        unreached: What keeps the workload from the goal of an action.

    Raises:
        Retry: The store does not answer.
        GiveUp: A record cannot be read.
    """
    journal = context.journal(case_file_folder(INCIDENTS, incident))
    summary = CaseSummary(incident, journal.folder, await journal.records())
    if summary.outcome is None or summary.status not in list(_UPDATABLE_STATUSES):
        return
    outcome = updated_outcome(summary.outcome, changes, reason, unreached)
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
    """Say of an incident whose containment was taken back meanwhile that it was.

    A release records itself and then carries incidents on; we carry one on and then look for a
    release: whoever comes second has the last word, and it is the release's.
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
    """Whether an earlier patrol told of this change that it was undone."""
    return str(change.get("error") or "").startswith(DRIFT_PREFIX)


def _state_and_error(change: JsonObject) -> JsonObject:
    return {"state": change["state"], "error": change["error"]}
