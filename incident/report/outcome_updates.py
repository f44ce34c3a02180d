"""Update the outcome of an incident: duplicate, released, expired. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from incident.model import ChangeState, Status, Verdict
from incident.model.outcome import Outcome

_WRITTEN_STATES = (ChangeState.VERIFIED, ChangeState.UNVERIFIED, ChangeState.APPLIED)


def duplicate_outcome(current: Outcome) -> Outcome:
    """The outcome of a duplicate delivery: nothing was done."""
    reason = f"this event was handled already: its incident is done, as {current.status.value!r}"
    return replace(
        current,
        status=Status.DUPLICATE,
        decision=replace(current.decision, reasons=(reason,)),
        changes=(),
        timings_ms={},
    )


def has_active_containment(current: Outcome) -> bool:
    """Whether a release would end a containment of this incident.

    False for a held incident, and for a failed one whose writes were all refused.
    """
    if current.status is not Status.FAILED:
        return current.status in (Status.CONTAINED, Status.RESTRICTED, Status.UNVERIFIED)
    return any(change.state in _WRITTEN_STATES for change in current.changes)


def released_outcome(current: Outcome, by: str, irreversible: Sequence[str] = ()) -> Outcome:
    """The outcome after a release.

    Args:
        current: The outcome before.
        by: Who released it.
        irreversible: What could not be restored, and what to do about it.
    """
    reasons = (f"released by {by}", *irreversible, *current.decision.reasons)
    return replace(
        current,
        status=Status.RELEASED,
        decision=replace(current.decision, reasons=reasons),
        drains_until=None,
        starts_until=None,
        approval_expires=None,
    )


def expired_outcome(current: Outcome, reason: str) -> Outcome:
    """The outcome of an incident whose plan expired without approval."""
    reasons = merged_reasons([reason], current)
    return replace(
        current,
        status=Status.EXPIRED,
        approval_expires=None,
        decision=replace(current.decision, verdict=Verdict.HOLD, reasons=reasons),
    )


def merged_reasons(reasons: Iterable[str], earlier: Outcome) -> tuple[str, ...]:
    """New reasons, then the earlier ones, each once."""
    return tuple(dict.fromkeys((*reasons, *earlier.decision.reasons)))
