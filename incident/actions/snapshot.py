"""Before-images: what an attempt will overwrite, and what a release would restore. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from incident.actions.changes import change_json
from incident.actions.fields import normalize_field, to_snake_case
from incident.actions.plan import in_effect
from incident.actions.require_authentication import add_missing_invokers, bindings_in
from incident.model import (
    Change,
    ChangeKind,
    Json,
    JsonObject,
    WorkloadConfiguration,
)


@dataclass(frozen=True, slots=True)
class SnapshotPart:
    """One change of an attempt, with what a release restores of it.

    Attributes:
        change: The change; its ``before`` is as read.
        restores: What a release writes back, under the names of ``change.before``. Traffic
            that was not set at all is empty here, so that it is not set again.
        carried_over: Whether an earlier attempt of the same containment made it.
    """

    change: Change
    restores: JsonObject
    carried_over: bool = False


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What an attempt will overwrite, kept before it is sent.

    Attributes:
        number: Its record's number; the write's record names it.
        run_id: The run that took it.
        recorded_at: When.
        incident: For which incident.
        uid: The workload's unique id: one made anew under the same name is another.
        generation: The workload's generation when it was read.
        parts: The changes that were to follow, stopping ones first, and after them what
            earlier attempts of the containment made and still holds.
        unsent: Changes that were to follow and certainly have no effect.
    """

    number: int
    run_id: str
    recorded_at: datetime
    incident: str
    uid: str
    generation: int
    parts: tuple[SnapshotPart, ...]
    unsent: tuple[Change, ...] = ()

    @property
    def changes(self) -> tuple[Change, ...]:
        """All changes that the containment comes to with this attempt."""
        return tuple(part.change for part in self.parts)

    @property
    def restores(self) -> JsonObject:
        """The workload's fields that a release writes back."""
        return _merged(part.restores for part in self._field_parts)

    @property
    def written(self) -> JsonObject:
        """The same fields as our writes leave them."""
        return _merged(part.change.after for part in self._field_parts)

    @property
    def _field_parts(self) -> tuple[SnapshotPart, ...]:
        return tuple(part for part in self.parts if part.change.kind is ChangeKind.FIELDS)

    def without_unsent(self, unsent: Iterable[int]) -> Snapshot:
        """The image of what was really sent: without the changes at these places."""
        unsent_indexes = frozenset(unsent)
        return replace(
            self,
            parts=tuple(p for at, p in enumerate(self.parts) if at not in unsent_indexes),
            unsent=tuple(p.change for at, p in enumerate(self.parts) if at in unsent_indexes),
        )

    def is_in_effect(self, configuration: WorkloadConfiguration) -> bool:
        """Whether the workload still is as our writes left it: what stops it, or all of it."""
        stopping = [change for change in self.changes if change.stops]
        relevant = stopping or self.changes
        return bool(relevant) and all(in_effect(change, configuration) for change in relevant)

    def was_changed(self, configuration: WorkloadConfiguration) -> bool:
        """Whether anything was changed at all since the image was taken."""
        sent = [part.change for part in self.parts if not part.carried_over]
        return any(_was_changed(change, self.generation, configuration) for change in sent)

    def took_effect(self, index: int, configuration: WorkloadConfiguration) -> bool:
        """Whether the change at a place was made since the image was taken, and holds."""
        change = self.changes[index]
        return _was_changed(change, self.generation, configuration) and in_effect(
            change, configuration
        )


def snapshot_parts(
    changes: Sequence[Change],
    configuration: WorkloadConfiguration,
    effective_snapshot: Snapshot | None,
) -> tuple[SnapshotPart, ...]:
    """The parts of a new attempt's image.

    A part never restores our own work: somebody may have undone only a part of a containment.
    Where a field still is as our last write left it, what it was before that write is what a
    release has to restore. What earlier attempts made and this one leaves alone is carried on.
    """
    earlier = effective_snapshot.parts if effective_snapshot else ()
    new = [
        SnapshotPart(change, _fields_to_restore(change, earlier, configuration))
        for change in changes
    ]
    carried = [
        part
        for old in earlier
        if (part := _carried_over(old, changes)) and in_effect(part.change, configuration)
    ]
    return (*new, *carried)


def _fields_to_restore(
    change: Change, earlier: Sequence[SnapshotPart], configuration: WorkloadConfiguration
) -> JsonObject:
    restores = dict(change.before)
    if "traffic" in restores and not configuration.fields.get("traffic"):
        restores["traffic"] = []
    for old in earlier:
        if (old.change.kind, old.change.target) != (change.kind, change.target):
            continue
        for name, value in change.before.items():
            written = old.change.after.get(name)
            same = normalize_field(name, value, configuration.kind) == normalize_field(
                name, written, configuration.kind
            )
            if name in old.restores and same:
                restores[name] = old.restores[name]
        if change.kind is ChangeKind.IAM_POLICY:
            # Somebody let one of those in again that we took out: the others are still missing.
            read, before = bindings_in(restores), bindings_in(old.restores)
            restores["bindings"] = list(
                add_missing_invokers(read, before, bindings_in(old.change.after))
            )
    return restores


def _carried_over(old: SnapshotPart, changes: Sequence[Change]) -> SnapshotPart | None:
    """What of an earlier part no new change touches."""
    same = [c for c in changes if (c.kind, c.target) == (old.change.kind, old.change.target)]
    touched = {name for change in same for name in change.after}
    names = [name for name in old.change.after if name not in touched]
    if not names:
        return None
    change = replace(
        old.change,
        before={name: old.change.before[name] for name in names},
        after={name: old.change.after[name] for name in names},
        mask=tuple(map(to_snake_case, names)) if old.change.mask else (),
    )
    return SnapshotPart(change, {name: old.restores[name] for name in names}, carried_over=True)


def _was_changed(change: Change, generation: int, configuration: WorkloadConfiguration) -> bool:
    match change.kind:
        case ChangeKind.FIELDS:
            # A generation counts every user's changes; ours must be there besides.
            return configuration.generation > generation
        case ChangeKind.IAM_POLICY:
            return configuration.access is not None and configuration.access.etag != change.etag
        case ChangeKind.CANCELLATION:
            return in_effect(change, configuration)


def snapshot_json(snapshot: Snapshot) -> dict[str, Any]:
    """What the record of an image says of its parts."""
    return {
        "uid": snapshot.uid,
        "generation": snapshot.generation,
        "changes": [
            {
                **change_json(part.change),
                "restores": part.restores,
                "carried": part.carried_over,
            }
            for part in snapshot.parts
        ],
    }


def _merged(many: Iterable[JsonObject]) -> JsonObject:
    merged: dict[str, Json] = {}
    for one in many:
        merged = {**one, **merged}
    return merged
