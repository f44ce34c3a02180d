"""Update the outcome of an incident: duplicate, released, expired. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from incident.model import ChangeState, Json, Status, Verdict

_WRITTEN_STATES = (ChangeState.VERIFIED, ChangeState.UNVERIFIED, ChangeState.APPLIED)


def duplicate_outcome(current: Mapping[str, Json]) -> dict[str, Json]:
    """The outcome of a duplicate delivery: nothing was done."""
    reason = f"this event was handled already: its incident is done, as {current.get('status')!r}"
    decision = current.get("decision")
    kept = decision if isinstance(decision, Mapping) else {}
    return {
        **current,
        "status": Status.DUPLICATE.value,
        "decision": {**kept, "reasons": [reason]},
        "changes": [],
        "timings_ms": {},
    }


def has_active_containment(current: Mapping[str, Json]) -> bool:
    """Whether a release would end a containment of this incident.

    False for a held incident, and for a failed one whose writes were all refused.
    """
    status, changes = current.get("status"), current.get("changes")
    if status != Status.FAILED:
        return status in (Status.CONTAINED, Status.RESTRICTED, Status.UNVERIFIED)
    listed = changes if isinstance(changes, list) else ()
    states = [change.get("state") for change in listed if isinstance(change, Mapping)]
    return any(state in _WRITTEN_STATES for state in states)


def released_outcome(
    current: Mapping[str, Json], by: str, irreversible: Sequence[str] = ()
) -> dict[str, Json]:
    """The outcome after a release.

    Args:
        current: The outcome before.
        by: Who released it.
        irreversible: What could not be restored, and what to do about it.
    """
    decision = current.get("decision")
    kept = decision if isinstance(decision, Mapping) else {}
    earlier = kept.get("reasons")
    reasons = [f"released by {by}", *irreversible, *(earlier if isinstance(earlier, list) else ())]
    return {
        **current,
        "status": Status.RELEASED.value,
        "decision": {**kept, "reasons": reasons},
        "drains_until": None,
        "starts_until": None,
        "approval_expires": None,
    }


def expired_outcome(current: Mapping[str, Json], reason: str) -> dict[str, Json]:
    """The outcome of an incident whose plan expired without approval."""
    kept = current.get("decision")
    decision = kept if isinstance(kept, Mapping) else {}
    reasons = merged_reasons([reason], current)
    return {
        **current,
        "status": Status.EXPIRED.value,
        "approval_expires": None,
        "decision": {**decision, "verdict": Verdict.HOLD.value, "reasons": reasons},
    }


def merged_reasons(reasons: Json, earlier: Mapping[str, Json]) -> list[Json]:
    """New reasons, then the earlier ones, each once."""
    decision = earlier.get("decision")
    before = decision.get("reasons") if isinstance(decision, Mapping) else None
    lists = (each for each in (reasons, before) if isinstance(each, list))
    return list(dict.fromkeys(text for texts in lists for text in texts))
