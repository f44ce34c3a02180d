"""Snapshot: what a write overwrites and a release restores. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from incident.actions.changes import change_json
from incident.actions.fields import RUNNING, field_mask, normalize_field
from incident.actions.masked_changes import in_effect
from incident.actions.require_authentication import add_missing_callers, bindings_in
from incident.model import (
    Change,
    ChangeKind,
    Json,
    JsonObject,
    WorkloadConfiguration,
)


@dataclass(frozen=True, slots=True)
class SnapshotPart:
    """One change of an attempt, and what a release restores for it.

    Attributes:
        change: The change; its ``before`` is as read.
        restores: What a release writes back, by the names of ``change.before``. Traffic that
            was not set is empty here, so that the release does not set it either.
        carried_over: Whether an earlier attempt of the same containment made it.
    """

    change: Change
    restores: JsonObject
    carried_over: bool = False


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What an attempt will overwrite, stored before it is sent.

    Attributes:
        number: Its record's number; the write's record names it.
        run_id: The run that took it.
        recorded_at: When it was taken.
        incident: The incident that it was taken for.
        uid: The workload's unique id: one that is recreated under the same name has another.
        generation: The workload's generation when it was read.
        parts: The changes to be sent, stopping ones first, and after them those of earlier
            attempts of the containment that are still in effect.
        unsent: Changes that were never sent, and so have no effect.
        actions: Names of the actions whose goals the containment is to reach.
    """

    number: int
    run_id: str
    recorded_at: datetime
    incident: str
    uid: str
    generation: int
    parts: tuple[SnapshotPart, ...]
    unsent: tuple[Change, ...] = ()
    actions: tuple[str, ...] = ()

    @property
    def changes(self) -> tuple[Change, ...]:
        """All changes of the containment, this attempt included."""
        return tuple(part.change for part in self.parts)

    @property
    def restores(self) -> JsonObject:
        """The workload's fields that a release writes back."""
        return _merged(part.restores for part in self._field_parts)

    @property
    def written(self) -> JsonObject:
        """The same fields as the writes leave them."""
        return _merged(part.change.after for part in self._field_parts)

    @property
    def _field_parts(self) -> tuple[SnapshotPart, ...]:
        return tuple(part for part in self.parts if part.change.kind is ChangeKind.FIELDS)

    def without_unsent(self, unsent: Iterable[int]) -> Snapshot:
        """The snapshot of what was sent: without the changes at these indexes."""
        unsent_indexes = frozenset(unsent)
        return replace(
            self,
            parts=tuple(p for at, p in enumerate(self.parts) if at not in unsent_indexes),
            unsent=tuple(p.change for at, p in enumerate(self.parts) if at in unsent_indexes),
        )

    def is_in_effect(self, configuration: WorkloadConfiguration) -> bool:
        """Whether the changes that stop it are still in effect; without such, whether all are."""
        stopping = [change for change in self.changes if change.stops]
        relevant = stopping or self.changes
        return bool(relevant) and all(in_effect(change, configuration) for change in relevant)

    def was_changed(self, configuration: WorkloadConfiguration) -> bool:
        """Whether anything was changed since the snapshot was taken."""
        sent = [part.change for part in self.parts if not part.carried_over]
        return any(_was_changed(change, self.generation, configuration) for change in sent)

    def took_effect(self, index: int, configuration: WorkloadConfiguration) -> bool:
        """Whether the change at an index was made since the snapshot, and is in effect."""
        change = self.changes[index]
        return _was_changed(change, self.generation, configuration) and in_effect(
            change, configuration
        )


def snapshot_parts(
    changes: Sequence[Change],
    configuration: WorkloadConfiguration,
    effective_snapshot: Snapshot | None,
) -> tuple[SnapshotPart, ...]:
    """The parts of a new attempt's snapshot.

    A release must never restore what the responder itself wrote, and somebody may have undone
    only a part of a containment. So where a field still has the value of our last write, the
    value before that write is restored. Changes of earlier attempts that this one does not
    touch are carried over.
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
            # Somebody restored one of the members that we removed: the others are still missing.
            read, before = bindings_in(restores), bindings_in(old.restores)
            restores["bindings"] = list(
                add_missing_callers(read, before, bindings_in(old.change.after), configuration.kind)
            )
    return restores


def _carried_over(old: SnapshotPart, changes: Sequence[Change]) -> SnapshotPart | None:
    """The rest of an earlier part that no new change touches."""
    same = [c for c in changes if (c.kind, c.target) == (old.change.kind, old.change.target)]
    touched = {name for change in same for name in change.after}
    names = [name for name in old.change.after if name not in touched]
    if not names:
        return None
    change = replace(
        old.change,
        before={name: old.change.before[name] for name in names},
        after={name: old.change.after[name] for name in names},
        mask=field_mask(names) if old.change.mask else (),
    )
    return SnapshotPart(change, {name: old.restores[name] for name in names}, carried_over=True)


def _was_changed(change: Change, generation: int, configuration: WorkloadConfiguration) -> bool:
    match change.kind:
        case ChangeKind.FIELDS if RUNNING in change.after:
            return in_effect(change, configuration)
        case ChangeKind.FIELDS:
            # The generation counts everybody's changes; ours must be in effect besides.
            return configuration.generation > generation
        case ChangeKind.IAM_POLICY:
            return configuration.access is not None and configuration.access.etag != change.etag
        case ChangeKind.CANCELLATION | ChangeKind.SERVICE_ACCOUNT:
            return in_effect(change, configuration)


def snapshot_json(snapshot: Snapshot) -> dict[str, Any]:
    """The parts of a snapshot, as its record has them."""
    return {
        "uid": snapshot.uid,
        "generation": snapshot.generation,
        "actions": [*snapshot.actions],
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
