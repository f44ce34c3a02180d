"""Undo our own write when a release has begun meanwhile.

A release always wins, also over a write that was in flight when it began.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from incident.actions.disable_service_account import enabling_change
from incident.actions.fields import (
    field_to_restore,
    field_with_default,
    normalize_field,
    to_snake_case,
)
from incident.actions.masked_changes import details_for_changes, names_in_changes
from incident.actions.snapshot import Snapshot, SnapshotPart
from incident.case_file.containments import Containment, ContainmentRecords
from incident.case_file.journal import Journal, Record
from incident.containment.not_restored import NotRestored, merged_parts, refused_parts
from incident.containment.restored_values import without_parts
from incident.investigation.workload_reader import read_workload
from incident.model import (
    Change,
    ChangeKind,
    Conflict,
    GiveUp,
    Json,
    JsonObject,
    Retry,
    WorkloadConfiguration,
)
from incident.model.ports import CloudRunPort
from incident.model.retrying import Backoff

_BACKOFF = Backoff(first_s=0.4, longest_s=1.6, attempts=4)


async def undo_if_released(
    number: int, containment_records: ContainmentRecords, cloud_run: CloudRunPort
) -> str | None:
    """Right after our own write: undo it if somebody has begun a release meanwhile.

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
    cloud_run: CloudRunPort,
) -> str:
    """Undo the write after a snapshot, as far as it is still in effect, and record that.

    After a release, what it restored is written; before that, what our own snapshot has.
    Somebody else's later change of a field is left alone.

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
    """The values to restore: what a release has restored, or else the snapshot's."""
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
    cloud_run: CloudRunPort,
) -> bool:
    """Write the earlier values; False if our write is not in effect any more.

    What Google refuses because it does not exist any more is left out.
    """
    if part.change.kind is ChangeKind.CANCELLATION:
        return False
    refused: tuple[NotRestored, ...] = ()
    for attempt in range(1, _BACKOFF.attempts + 1):
        configuration = await read_workload(
            containment_records.workload,
            details_for_changes([part.change]),
            cloud_run,
            names_in_changes([part.change]),
        )
        values = without_parts(wanted, configuration, refused)
        change = _reverse_change(part.change, values, configuration)
        if change is None:
            return False
        try:
            await cloud_run.write(change, validate_only=False)
        except Conflict:
            await _BACKOFF.pause(attempt)
        except GiveUp as error:
            more = refused_parts(change, error, configuration.kind)
            if not more:
                raise
            refused = merged_parts(refused, more)
        else:
            return True
    raise Retry(
        f"cannot undo our write to {part.change.target}: {_BACKOFF.attempts} attempts met other"
        " changes to it. The next patrol tries again"
    )


def _reverse_change(
    change: Change, wanted: JsonObject, configuration: WorkloadConfiguration
) -> Change | None:
    """The write that undoes what of a change is still in effect; None if nothing is."""
    if change.kind is ChangeKind.SERVICE_ACCOUNT:
        return enabling_change(change, configuration, "undo")
    policy = change.kind is ChangeKind.IAM_POLICY
    if policy:
        raw: Json = list(configuration.access.raw) if configuration.access else []
        now: dict[str, Json] = {"bindings": raw}
    else:
        now = {name: field_with_default(configuration.fields, name) for name in change.after}
    # The version of an IAM policy's form is never undone.
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
    form = configuration.access.form if policy and configuration.access else {}
    return replace(
        change,
        action="undo",
        mask=change.mask if policy else tuple(map(to_snake_case, after)),
        before={name: now[name] for name in after},
        after={**after, **form},
        stops=False,
        etag=configuration.access.etag if configuration.access else "",
    )


def _same_value(name: str, one: Json, other: Json, configuration: WorkloadConfiguration) -> bool:
    return normalize_field(name, one, configuration.kind) == normalize_field(
        name, other, configuration.kind
    )
