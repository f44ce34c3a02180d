"""Carrying incidents on when their containment does not stand any more, or stands again.

Every incident of a containment is told; one that is open, released or waits for a person is
left as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from incident.actions.before_image import change_json
from incident.case_file.case_file import DONE
from incident.case_file.containments import released_by
from incident.case_file.index import Case
from incident.containment.write import status_of
from incident.model import Change, Json, JsonObject, Status
from incident.model.decision import UNDONE
from incident.patrol.context import Beat
from incident.redaction.redactor import Redactor
from incident.report.outcome import released
from incident.response.update import carry_on

_HOLDING = frozenset({Status.CONTAINED, Status.RESTRICTED, Status.UNVERIFIED})


def carried_on(outcome: JsonObject, changes: Sequence[Change], reason: str) -> JsonObject | None:
    """An incident's outcome with its changes as they stand now; None where nothing is new.

    ``unverified`` says of a containment that was undone just what it is: written, and not seen
    in effect. Where restrictions still hold it is ``restricted``; where it is stopped,
    ``contained``.
    """
    status = status_of(changes)
    told = outcome.get("changes")
    now = {_key(change_json(change)): change_json(change) for change in changes}
    earlier: Sequence[Json] = told if isinstance(told, list) else ()
    kept_changes: list[Json] = [
        {**each, **_state(now.pop(_key(each)))} if _key(each) in now else each
        for each in earlier
        if isinstance(each, Mapping) and (_key(each) in now or not _undone(each))
    ]
    merged: list[Json] = [*kept_changes, *now.values()]
    if (outcome.get("status"), list(earlier)) == (status.value, merged):
        return None
    decision = outcome.get("decision")
    kept = decision if isinstance(decision, Mapping) else {}
    before = kept.get("reasons")
    reasons: list[Json] = [reason, *(before if isinstance(before, list) else ())]
    return {
        **outcome,
        "status": status.value,
        "decision": {**kept, "reasons": reasons},
        "changes": merged,
    }


async def tell(
    beat: Beat, incident: str, changes: Sequence[Change], reason: str, hide: Redactor
) -> None:
    """Carry one incident on, once: of several patrols one writes the record.

    Args:
        beat: What the round works with.
        incident: The incident's id.
        changes: The containment's changes as they stand now, as they may be told.
        reason: What happened, for people; redacted.
        hide: Redacts what goes wrong meanwhile.

    Raises:
        Retry: The store does not answer.
        GiveUp: A record cannot be read.
    """
    journal = beat.journal(f"incidents/{incident}")
    case = Case(incident, journal.folder, await journal.records())
    if case.outcome is None or case.status not in list(_HOLDING):
        return
    outcome = carried_on(case.outcome, changes, reason)
    if outcome:
        last = max(case.records[-1].number, DONE)
        books, outside = beat.books, beat.outside
        await carry_on(journal.folder, outcome, books, outside, hide, after=last, once=True)
        await _unless_released(beat, case, outcome, hide)


async def _unless_released(beat: Beat, case: Case, outcome: JsonObject, hide: Redactor) -> None:
    """Say of an incident whose containment was taken back meanwhile that it was.

    A release records itself and then carries incidents on; we carry one on and then look for a
    release: whoever comes second has the last word, and it is the release's.
    """
    by = await released_by(beat.books.store, outcome.get("containment"))
    if by is not None:
        told = released(outcome, by)
        await carry_on(case.folder, told, beat.books, beat.outside, hide)


def _key(change: JsonObject) -> tuple[str, ...]:
    mask = change.get("mask")
    paths = mask if isinstance(mask, list) else ()
    return (str(change.get("kind")), str(change.get("target")), *map(str, paths))


def _undone(change: JsonObject) -> bool:
    """Whether an earlier patrol told of this change that it was undone."""
    return str(change.get("error") or "").startswith(UNDONE)


def _state(change: JsonObject) -> JsonObject:
    return {"state": change["state"], "error": change["error"]}
