"""Taking our own write back, when a person turns out to have begun a release meanwhile.

Writes to a workload for this one reason only: a release is never fought, not even by a write
that was on its way when it began.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

from incident.actions.fields import (
    field_to_restore,
    field_with_default,
    normalize_field,
    to_snake_case,
)
from incident.actions.plan import details_for_changes
from incident.actions.snapshot import Snapshot, SnapshotPart
from incident.case_file.containments import Containment, ContainmentRecords
from incident.case_file.journal import Journal, Record
from incident.investigation.workload_reader import WorkloadReader, read_workload
from incident.model import (
    Change,
    ChangeKind,
    Conflict,
    Json,
    JsonObject,
    Retry,
    WorkloadConfiguration,
)

_MAX_ATTEMPTS = 4
_BACKOFF_S = 0.3


class UndoClient(WorkloadReader, Protocol):
    """What taking back needs of Cloud Run."""

    async def write(self, change: Change, *, validate_only: bool) -> int | None:
        """Send one change."""


async def undo_if_released(
    number: int, containment_records: ContainmentRecords, cloud_run: UndoClient
) -> str | None:
    """Right after our own write: take it back, if somebody has begun a release meanwhile.

    Args:
        number: Which containment of the workload was written to.
        containment_records: The workload's containments, in the run that wrote.
        cloud_run: Cloud Run.

    Returns:
        What was done, in words; None where no release was begun, or nothing was written.

    Raises:
        Retry: Time may heal it; the next patrol sees it and tries again.
        GiveUp: Google refuses.
    """
    history = await containment_records.history()
    for containment in history.containments:
        release_begun = containment.releasing or containment.released
        own_snapshots = [
            snapshot
            for snapshot in containment.snapshots
            if snapshot.run_id == containment_records.run_id
        ]
        if containment.number == number and release_begun and own_snapshots:
            return await undo_write(containment, own_snapshots[-1], containment_records, cloud_run)
    return None


async def undo_write(
    containment: Containment,
    snapshot: Snapshot,
    containment_records: ContainmentRecords,
    cloud_run: UndoClient,
) -> str:
    """Undo what the write after an image did, as far as it is still there, and record that.

    Where the release is through, what it restored is written; before that, what our own image
    says was there. Somebody else's later change of a field is left alone.

    Returns:
        What was done, in words.

    Raises:
        Retry: Time may heal it; the next patrol sees it and tries again.
        GiveUp: Google refuses.
    """
    journal = Journal(
        containment_records.store,
        containment.folder,
        containment_records.run_id,
        containment_records.clock,
    )
    records = await journal.records()
    own_parts = [part for part in snapshot.parts if not part.carried_over]
    done = [
        part.change.action
        for part in own_parts
        if await _undo_part(part, _values_before(part, records), containment_records, cloud_run)
    ]
    irreversible = [part.change.target for part in own_parts if not part.change.reversible]
    text = f"took back {', '.join(done)}" if done else "nothing of it was in effect any more"
    if irreversible:
        text += f"; cannot take back the cancellation of {', '.join(irreversible)}"
    last_number = max((record.number for record in records), default=0)
    body: dict[str, Json] = {"snapshot": snapshot.number, "by": "patrol", "done": text}
    await journal.append(last_number, "write-undone", body)
    return text


def _values_before(part: SnapshotPart, records: tuple[Record, ...]) -> JsonObject:
    """What is to be there: what a release has restored, or else what was there before us."""
    wanted = dict(part.change.before)
    for record in records:
        restores = record.body.get("restores")
        if record.kind == "released" and isinstance(restores, Mapping):
            wanted |= {name: restores[name] for name in wanted if name in restores}
    return wanted


async def _undo_part(
    part: SnapshotPart,
    wanted: JsonObject,
    containment_records: ContainmentRecords,
    cloud_run: UndoClient,
) -> bool:
    """Write back what was there; False where our write is not there any more."""
    if part.change.kind is ChangeKind.CANCELLATION:
        return False
    for attempt in range(_MAX_ATTEMPTS):
        configuration = await read_workload(
            containment_records.workload, details_for_changes([part.change]), cloud_run
        )
        change = _reverse_change(part.change, wanted, configuration)
        if change is None:
            return False
        try:
            await cloud_run.write(change, validate_only=False)
        except Conflict:
            await asyncio.sleep(_BACKOFF_S * (attempt + 1))
        else:
            return True
    raise Retry(
        f"cannot take back our write to {part.change.target}: {_MAX_ATTEMPTS} attempts met other"
        " changes to it. The next patrol tries again"
    )


def _reverse_change(
    change: Change, wanted: JsonObject, configuration: WorkloadConfiguration
) -> Change | None:
    """The write that takes a change back, of what is still as it left it; None for nothing."""
    policy = change.kind is ChangeKind.IAM_POLICY
    if policy:
        raw: Json = list(configuration.access.raw) if configuration.access else []
        now: dict[str, Json] = {"bindings": raw}
    else:
        now = {name: field_with_default(configuration.fields, name) for name in change.after}
    # The form of an IAM policy, its version, is nobody's to take back.
    names = [name for name in change.after if name in now]
    unchanged = [
        name for name in names if _same_value(name, now[name], change.after[name], configuration)
    ]
    after = {
        name: field_to_restore(name, wanted[name], configuration.kind)
        for name in unchanged
        if name in wanted
    }
    if not after:
        return None
    return replace(
        change,
        action="undo",
        mask=change.mask if policy else tuple(map(to_snake_case, after)),
        before={name: now[name] for name in after},
        after=after,
        stops=False,
        etag=configuration.access.etag if configuration.access else "",
    )


def _same_value(name: str, one: Json, other: Json, configuration: WorkloadConfiguration) -> bool:
    return normalize_field(name, one, configuration.kind) == normalize_field(
        name, other, configuration.kind
    )
