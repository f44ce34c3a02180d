"""Check a recorded plan against the current configuration. Pure.

Whether policy and guards still allow it is decided elsewhere, by planning again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from incident.actions.fields import field_with_default, normalize_field
from incident.actions.masked_changes import in_effect
from incident.model import Change, ChangeKind, Json, Kind, WorkloadConfiguration
from incident.model.outcome import Outcome
from incident.redaction.compare import has_mark, matches_recorded

_EXACT_ATTRIBUTES = ("kind", "target", "stops", "reversible", "affected_revision")
_DIFFERENT_PLAN = "the policy and the workload as they are now would make another plan"


@dataclass(frozen=True, slots=True)
class RecordedPlan:
    """A plan that was recorded earlier; nothing else may be written.

    Attributes:
        uid: Unique id of the workload that it was made for.
        changes: Its changes.
        expired: Whether it is too old to be applied.
    """

    uid: str
    changes: tuple[Change, ...]
    expired: bool = False

    def mismatches(
        self, current_plan: Sequence[Change], configuration: WorkloadConfiguration
    ) -> tuple[str, ...]:
        """Why the plan cannot be applied as recorded; empty where it can be.

        A change that is in effect already needs no write. The other fields must be unchanged
        since the plan was made, and planning again must give the same writes.

        Args:
            current_plan: The changes planned now.
            configuration: The settings that they are planned from.
        """
        if self.expired:
            return ("the plan has expired",)
        if configuration.uid != self.uid:
            return ("the workload was deleted and recreated since the plan was made",)
        missing = [change for change in self.changes if not in_effect(change, configuration)]
        reasons = [text for change in missing for text in _changed_fields(change, configuration)]
        other = [
            change
            for change in current_plan
            if not self._recorded_change(change, configuration.kind)
        ]
        reasons += [_started_since(c) for c in other if c.kind is ChangeKind.CANCELLATION]
        if reasons:
            return tuple(reasons)
        refreshed = self.refreshed(current_plan, configuration.kind)
        return (_DIFFERENT_PLAN,) if other or len(refreshed) < len(missing) else ()

    def refreshed(self, current_plan: Sequence[Change], kind: Kind) -> tuple[Change, ...]:
        """The recorded changes that still have to be written, with current ``before`` and etag.

        Another etag with the same bindings is the same IAM policy. Where the record is redacted,
        the change that is planned now is written instead.
        """
        return tuple(
            replace(
                planned,
                before=current.before,
                after=current.after if has_mark([planned.after]) else planned.after,
                etag=current.etag,
                state=current.state,
                error=None,
            )
            for current in current_plan
            if (planned := self._recorded_change(current, kind))
        )

    def _recorded_change(self, made: Change, kind: Kind) -> Change | None:
        return next((change for change in self.changes if _same_write(change, made, kind)), None)


def recorded_plan(outcome: Outcome) -> RecordedPlan:
    """The plan that an outcome shows.

    Raises:
        ValueError: It is incomplete or does not read back exactly.
    """
    if any(path.startswith(("changes", "workload")) for path in outcome.unreadable):
        raise ValueError("it does not read back as it was written")
    uid = outcome.workload.uid if outcome.workload else None
    if not outcome.changes or not uid:
        raise ValueError("it names no change, or not the workload that it is for")
    if any(change.before.keys() != change.after.keys() for change in outcome.changes):
        raise ValueError("a change does not say what is there before it and after it")
    return RecordedPlan(uid, outcome.changes)


def _changed_fields(change: Change, configuration: WorkloadConfiguration) -> Iterator[str]:
    """The fields that changed since the plan was made, except those with the desired value."""
    kind = configuration.kind
    for name, before in change.before.items():
        match change.kind:
            case ChangeKind.FIELDS:
                now = field_with_default(configuration.fields, name)
            case ChangeKind.IAM_POLICY if configuration.access and name == "bindings":
                now = list(configuration.access.raw)
            case _:
                continue
        wanted = change.after[name]
        if not any(_same_field(name, recorded, now, kind) for recorded in (before, wanted)):
            yield f"{name} of {change.target} changed since the plan was made"


def _started_since(change: Change) -> str:
    return f"the execution {change.target.rpartition('/')[2]} began since the plan was made"


def _same_write(one: Change, other: Change, kind: Kind) -> bool:
    """Whether a recorded change of a workload and another one write the same."""
    if any(getattr(one, name) != getattr(other, name) for name in _EXACT_ATTRIBUTES):
        return False
    if set(one.mask) != set(other.mask) or set(one.after) != set(other.after):
        return False
    return all(
        _same_field(name, value, other.after[name], kind) for name, value in one.after.items()
    )


def _same_field(name: str, recorded: Json, current: Json, kind: Kind) -> bool:
    """Whether a field has the recorded value; an IAM policy may be recorded redacted."""
    if has_mark(recorded):
        return matches_recorded(
            normalize_field(name, recorded, kind), normalize_field(name, current, kind)
        )
    return normalize_field(name, recorded, kind) == normalize_field(name, current, kind)
