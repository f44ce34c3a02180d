"""A recorded plan against the workload as it is now: what of it may still be written. Pure.

Whether policy and guards still want it is decided elsewhere, by making the plan anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from incident.actions.before_image import change_json, change_of
from incident.actions.fields import in_full, normal
from incident.actions.plan import in_effect
from incident.model import Change, ChangeKind, Json, Kind, Settings
from incident.redaction.compare import has_mark, reads_as

_EXACT = ("kind", "target", "stops", "reversible", "affected")
_OTHER = "the policy and the workload as they are now would make another plan"


@dataclass(frozen=True, slots=True)
class Recorded:
    """A plan that was made before, and all that may be written.

    Attributes:
        uid: Unique id of the workload that it was made for.
        changes: Its changes.
        closed: Whether none of them may be written any more.
    """

    uid: str
    changes: tuple[Change, ...]
    closed: bool = False

    def differences(self, fresh: Sequence[Change], settings: Settings) -> tuple[str, ...]:
        """Why the plan cannot be applied as it was recorded; empty where it can be.

        What is in effect already needs no write, whoever made it. All else must be as the plan
        found it, and policy and settings must come to the very same writes now.

        Args:
            fresh: The plan as it is made now.
            settings: The settings that it is made from.
        """
        if self.closed:
            return ("the plan has expired",)
        if settings.uid != self.uid:
            return ("the workload was deleted and made anew since the plan was made",)
        missing = [change for change in self.changes if not in_effect(change, settings)]
        told = [text for change in missing for text in _changed(change, settings)]
        other = [change for change in fresh if not self._planned(change, settings.kind)]
        told += [_begun(c) for c in other if c.kind is ChangeKind.CANCELLATION]
        if told:
            return tuple(told)
        kept = self.renewed(fresh, settings.kind)
        return (_OTHER,) if other or len(kept) < len(missing) else ()

    def renewed(self, fresh: Sequence[Change], kind: Kind) -> tuple[Change, ...]:
        """What is still to be written, as it was recorded, where nothing differs.

        The before-image is what is there now, and an edit of an IAM policy is of the version
        that is there now: another etag with the same bindings is the same policy. Of one that was
        recorded with marks, what is written is the plan as it is made now.
        """
        return tuple(
            replace(
                planned,
                before=made.before,
                after=made.after if has_mark([planned.after]) else planned.after,
                etag=made.etag,
                state=made.state,
                error=None,
            )
            for made in fresh
            if (planned := self._planned(made, kind))
        )

    def _planned(self, made: Change, kind: Kind) -> Change | None:
        return next((change for change in self.changes if _same(change, made, kind)), None)


def recorded_of(outcome: Any) -> Recorded:
    """The plan that an outcome shows.

    Raises:
        KeyError, TypeError, ValueError: It cannot be read back exactly.
    """
    changes, uid = outcome["changes"], outcome["workload"]["uid"]
    read = tuple(change_of(value) for value in changes)
    if not read or not uid or not isinstance(uid, str):
        raise ValueError("it names no change, or not the workload that it is for")
    if any(change.before.keys() != change.after.keys() for change in read):
        raise ValueError("a change does not say what is there before it and after it")
    if [change_json(change) for change in read] != list(changes):
        raise ValueError("it does not read back as it was written")
    return Recorded(uid, read)


def _changed(change: Change, settings: Settings) -> Iterator[str]:
    """What a change touches and is not as the plan found it; what is as wanted is no matter."""
    kind = settings.kind
    for name, before in change.before.items():
        match change.kind:
            case ChangeKind.FIELDS:
                now = in_full(settings.fields, name)
            case ChangeKind.IAM_POLICY if settings.access and name == "bindings":
                now = list(settings.access.raw)
            case _:
                continue
        wanted = change.after[name]
        if not any(_alike(name, recorded, now, kind) for recorded in (before, wanted)):
            yield f"{name} of {change.target} changed since the plan was made"


def _begun(change: Change) -> str:
    return f"the execution {change.target.rpartition('/')[2]} began since the plan was made"


def _same(one: Change, other: Change, kind: Kind) -> bool:
    """Whether a recorded change of a workload and another one write the same."""
    if any(getattr(one, name) != getattr(other, name) for name in _EXACT):
        return False
    if set(one.mask) != set(other.mask) or set(one.after) != set(other.after):
        return False
    return all(_alike(name, value, other.after[name], kind) for name, value in one.after.items())


def _alike(name: str, recorded: Json, now: Json, kind: Kind) -> bool:
    """Whether a field is as it was recorded; an IAM policy may be recorded with marks."""
    if has_mark(recorded):
        return reads_as(normal(name, recorded, kind), normal(name, now, kind))
    return normal(name, recorded, kind) == normal(name, now, kind)
