"""Plan a release: writes, differences, irreversible changes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from incident.actions.changes import INCIDENT_ANNOTATION
from incident.actions.fields import (
    field_to_restore,
    field_with_default,
    normalize_field,
    to_snake_case,
    traffic_targets,
)
from incident.actions.masked_changes import details_for_changes
from incident.actions.require_authentication import (
    CALLER_BINDINGS_LABEL,
    bindings_in,
    caller_bindings,
    restore_callers,
    same_callers,
)
from incident.actions.snapshot import Snapshot, SnapshotPart
from incident.case_file.containments import Containment, ContainmentHistory, ContainmentRecords
from incident.investigation.workload_reader import WorkloadReader, read_workload
from incident.model import Change, ChangeKind, Json, Workload, WorkloadConfiguration, WorkloadDetail

RELEASE_ACTION = "release"


@dataclass(frozen=True, slots=True)
class Difference:
    """A field that is neither as our write left it nor as it was before: somebody changed it.

    Attributes:
        name: The field; of an IAM policy the part that we edited.
        as_written: How our write left it.
        now: How it is.
    """

    name: str
    as_written: Json
    now: Json


@dataclass(frozen=True, slots=True)
class ReleasePlan:
    """The plan of a release, for settings and records read at one moment.

    Attributes:
        workload: The contained workload.
        containment: The containment to release; None if nothing is contained.
        history: All containments of the workload.
        snapshot: What the release restores.
        changes: The writes that restore it, in their order: all fields in one, and after them
            the IAM policy, so that nobody is let in before the rest is as it was. Empty when
            all is as it was already.
        irreversible_changes: Changes of the containment that cannot be undone.
        differences: What somebody changed since.
        configuration: The workload's settings, as read.
    """

    workload: Workload
    containment: Containment | None
    history: ContainmentHistory
    snapshot: Snapshot | None
    changes: tuple[Change, ...]
    irreversible_changes: tuple[Change, ...]
    differences: tuple[Difference, ...]
    configuration: WorkloadConfiguration

    def change(self, kind: ChangeKind) -> Change | None:
        """The write of one kind, if one is needed."""
        return next((change for change in self.changes if change.kind is kind), None)


async def plan_release(
    workload: Workload, containment_records: ContainmentRecords, reader: WorkloadReader
) -> ReleasePlan:
    """Plan the release of a workload from its current settings. Writes nothing.

    Raises:
        Retry: Time may heal it.
        GiveUp: The workload or the records cannot be read.
    """
    history = await containment_records.history()
    containment = history.current
    policies = _iam_parts(containment.effective_snapshot if containment else None)
    configuration = await read_workload(
        workload, details_for_changes(part.change for part in policies), reader
    )
    history = history.for_workload(configuration)
    current = history.current
    snapshot = current.effective_snapshot if current else None
    if current is None or snapshot is None:
        return ReleasePlan(workload, None, history, None, (), (), (), configuration)
    return ReleasePlan(
        workload=workload,
        containment=current,
        history=history,
        snapshot=snapshot,
        changes=_restoring_changes(snapshot, current, configuration),
        irreversible_changes=current.irreversible_changes,
        differences=(
            *_field_differences(snapshot, configuration),
            *_caller_differences(snapshot, configuration),
        ),
        configuration=configuration,
    )


def not_restored_reason(
    plan: ReleasePlan, configuration: WorkloadConfiguration, kinds: Collection[ChangeKind]
) -> str | None:
    """Why a workload is not as it was before; None when it is.

    Compared field by field with the snapshot, whatever was written, and only after Cloud Run has
    observed the generation.

    Args:
        plan: What is to be restored.
        configuration: The workload as it is now.
        kinds: What to compare: fields, the IAM policy.
    """
    snapshot, current = plan.snapshot, plan.containment
    if snapshot is None or current is None:
        return None
    access, kind = configuration.access, configuration.kind
    for part in _iam_parts(snapshot) if ChangeKind.IAM_POLICY in kinds else ():
        if access is None or not same_callers(access.raw, bindings_in(part.restores), kind):
            return f"the {CALLER_BINDINGS_LABEL} do not read back as they were before"
    expected = (
        _fields_to_restore(snapshot, current, configuration) if ChangeKind.FIELDS in kinds else {}
    )
    if expected and configuration.observed_generation < configuration.generation:
        return "Cloud Run is still at work on it"
    for name, value in expected.items():
        current_value = _current_value(name, configuration)
        if normalize_field(name, current_value, configuration.kind) != normalize_field(
            name, value, configuration.kind
        ):
            return (
                _max_instances_lost(value, current_value)
                or f"{name} does not read back as it was before"
            )
    return None


def release_needs(plan: ReleasePlan) -> frozenset[WorkloadDetail]:
    """The details that reading back a release needs besides the workload's settings."""
    return details_for_changes(part.change for part in _iam_parts(plan.snapshot))


def _max_instances_lost(wanted: Json, now: Json) -> str | None:
    """A maximum of 0 lets nothing start, and may be what Cloud Run makes of a manual 0."""
    most = [
        value.get("maxInstanceCount") or 0 if isinstance(value, Mapping) else 0
        for value in (wanted, now)
    ]
    if not most[0] or most[1]:
        return None
    return (
        f"the maximum of instances reads back 0 where it was {most[0]}: nothing could start. Set"
        f" it manually (gcloud run services update --max={most[0]}), or release with --force"
    )


def _restoring_changes(
    snapshot: Snapshot, current: Containment, configuration: WorkloadConfiguration
) -> tuple[Change, ...]:
    found = [_restoring_field_change(snapshot, current, configuration)]
    found += [_restoring_iam_change(part, configuration) for part in _iam_parts(snapshot)]
    return tuple(change for change in found if change)


def _restoring_field_change(
    snapshot: Snapshot, current: Containment, configuration: WorkloadConfiguration
) -> Change | None:
    """The one masked write of all fields that are not as they were before."""
    expected = _fields_to_restore(snapshot, current, configuration)
    needed = {
        name: value
        for name, value in expected.items()
        if not _is_restored(name, value, configuration)
    }
    if not needed:
        return None
    return Change(
        action=RELEASE_ACTION,
        target=configuration.name,
        mask=tuple(map(to_snake_case, needed)),
        before={name: _current_value(name, configuration) for name in needed},
        after=needed,
        stops=False,
        reversible=True,
    )


def _fields_to_restore(
    snapshot: Snapshot, current: Containment, configuration: WorkloadConfiguration
) -> dict[str, Json]:
    """All fields as they were before, and the annotations without our own."""
    fields = {
        name: field_to_restore(name, value, configuration.kind)
        for name, value in snapshot.restores.items()
    }
    if configuration.annotations.get(INCIDENT_ANNOTATION) in current.incidents:
        # What others wrote there since, or under the same key, is theirs.
        others = {
            key: text
            for key, text in configuration.annotations.items()
            if key != INCIDENT_ANNOTATION
        }
        fields["annotations"] = others
    return fields


def _restoring_iam_change(
    part: SnapshotPart, configuration: WorkloadConfiguration
) -> Change | None:
    """The edit that restores the members that ours removed, and leaves other bindings alone."""
    access, earlier_bindings = configuration.access, bindings_in(part.restores)
    if access is None or same_callers(access.raw, earlier_bindings, configuration.kind):
        return None
    form = {name: value for name, value in part.restores.items() if name != "bindings"}
    restored = restore_callers(access.raw, earlier_bindings, configuration.kind)
    return Change(
        action=RELEASE_ACTION,
        target=configuration.name,
        mask=("bindings",),
        before={"bindings": list(access.raw)},
        after={"bindings": list(restored), **form},
        stops=False,
        reversible=True,
        kind=ChangeKind.IAM_POLICY,
        etag=access.etag,
    )


def _iam_parts(snapshot: Snapshot | None) -> tuple[SnapshotPart, ...]:
    parts = snapshot.parts if snapshot else ()
    # There is one policy: its newest part has the edit that is in effect.
    return tuple(part for part in parts if part.change.kind is ChangeKind.IAM_POLICY)[:1]


def _field_differences(
    snapshot: Snapshot, configuration: WorkloadConfiguration
) -> tuple[Difference, ...]:
    found = []
    for name, value in snapshot.restores.items():
        now, kind = _current_value(name, configuration), configuration.kind
        known = [
            normalize_field(name, snapshot.written[name], kind),
            normalize_field(name, value, kind),
        ]
        if normalize_field(name, now, kind) not in known:
            found.append(Difference(name, snapshot.written[name], now))
    return tuple(found)


def _caller_differences(
    snapshot: Snapshot, configuration: WorkloadConfiguration
) -> tuple[Difference, ...]:
    found, kind = [], configuration.kind
    now = configuration.access.raw if configuration.access else ()
    for part in _iam_parts(snapshot):
        as_written = bindings_in(part.change.after)
        if not any(
            same_callers(now, each, kind) for each in (as_written, bindings_in(part.restores))
        ):
            written, current = caller_bindings(as_written, kind), caller_bindings(now, kind)
            found.append(Difference(CALLER_BINDINGS_LABEL, list(written), list(current)))
    return tuple(found)


def _is_restored(name: str, wanted: Json, configuration: WorkloadConfiguration) -> bool:
    """Whether a field is as it was, traffic to the letter: target for target, or not set."""
    if name == "traffic":
        return traffic_targets(configuration.fields.get(name)) == traffic_targets(wanted)
    return normalize_field(
        name, _current_value(name, configuration), configuration.kind
    ) == normalize_field(name, wanted, configuration.kind)


def _current_value(name: str, configuration: WorkloadConfiguration) -> Json:
    return (
        dict(configuration.annotations)
        if name == "annotations"
        else field_with_default(configuration.fields, name)
    )
