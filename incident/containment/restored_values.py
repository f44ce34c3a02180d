"""What a release writes: the values of a snapshot, as far as they can be restored. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from incident.actions.action import Bindings
from incident.actions.changes import INCIDENT_ANNOTATION, NOT_ANNOTATED
from incident.actions.disable_service_account import account_of, enabling_change
from incident.actions.fields import (
    field_mask,
    field_to_restore,
    field_with_default,
    normalize_field,
    traffic_targets,
)
from incident.actions.require_authentication import (
    CALLER_BINDINGS_LABEL,
    bindings_in,
    caller_bindings,
    restore_callers,
    same_callers,
)
from incident.actions.snapshot import Snapshot, SnapshotPart
from incident.case_file.containments import Containment
from incident.containment.not_restored import (
    NotRestored,
    PartKind,
    bindings_now,
    bindings_without,
    names_of,
    traffic_without,
)
from incident.model import (
    UNKNOWN_FIELDS,
    Change,
    ChangeKind,
    Json,
    JsonObject,
    WorkloadConfiguration,
)

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


def restoring_changes(
    snapshot: Snapshot,
    current: Containment,
    configuration: WorkloadConfiguration,
    not_restored: Collection[NotRestored],
) -> tuple[Change, ...]:
    """The writes that restore what can be restored, in order.

    All fields in one, then the IAM policy, and the service account last.
    """
    found = [_restoring_field_change(snapshot, current, configuration, not_restored)]
    found += [
        _restoring_iam_change(part, configuration, not_restored) for part in iam_parts(snapshot)
    ]
    found += [
        enabling_change(part.change, configuration, RELEASE_ACTION)
        for part in account_parts(snapshot)
        if account_of(part.change) not in names_of(not_restored, PartKind.SERVICE_ACCOUNT)
    ]
    return tuple(change for change in found if change)


def _restoring_field_change(
    snapshot: Snapshot,
    current: Containment,
    configuration: WorkloadConfiguration,
    not_restored: Collection[NotRestored],
) -> Change | None:
    """The one masked write of all fields that are not as they were before."""
    expected = fields_to_restore(snapshot, current, configuration, not_restored)
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
        mask=field_mask(needed),
        before={name: current_value(name, configuration) for name in needed},
        after=needed,
        stops=False,
        reversible=True,
    )


def fields_to_restore(
    snapshot: Snapshot,
    current: Containment,
    configuration: WorkloadConfiguration,
    not_restored: Collection[NotRestored],
) -> dict[str, Json]:
    """The fields as they were before, as far as they can be, and the annotations without ours."""
    refused = names_of(not_restored, PartKind.FIELD)
    fields = {
        name: _value_to_restore(name, value, configuration, not_restored)
        for name, value in snapshot.restores.items()
    }
    own_key = configuration.annotations.get(INCIDENT_ANNOTATION)
    if own_key in current.incidents and configuration.kind not in NOT_ANNOTATED:
        # What others wrote there since, or under the same key, is theirs.
        others = {
            key: text
            for key, text in configuration.annotations.items()
            if key != INCIDENT_ANNOTATION
        }
        fields["annotations"] = others
    return {name: value for name, value in fields.items() if name not in refused}


def _value_to_restore(
    name: str,
    value: Json,
    configuration: WorkloadConfiguration,
    not_restored: Collection[NotRestored],
) -> Json:
    """A field as it was before; traffic without the revisions that do not exist any more."""
    if name == "traffic" and (gone := names_of(not_restored, PartKind.REVISION)):
        return traffic_without(value, current_value(name, configuration), gone)
    return field_to_restore(name, value, configuration.kind)


def without_parts(
    values: JsonObject, configuration: WorkloadConfiguration, parts: Collection[NotRestored]
) -> dict[str, Json]:
    """Values of fields, or of an IAM policy, without the parts that Google refuses."""
    reduced = dict(values)
    if "traffic" in reduced:
        now = current_value("traffic", configuration)
        gone = names_of(parts, PartKind.REVISION)
        reduced["traffic"] = traffic_without(reduced["traffic"], now, gone)
    if "bindings" in reduced:
        kept = bindings_without(bindings_in(reduced), parts, configuration.kind)
        reduced["bindings"] = list(kept)
    return reduced


def callers_to_restore(
    part: SnapshotPart,
    configuration: WorkloadConfiguration,
    not_restored: Collection[NotRestored],
) -> Bindings | None:
    """The bindings as they were before, as far as they can be; None if Google refuses the edit."""
    if names_of(not_restored, PartKind.IAM_POLICY):
        return None
    access, kind = configuration.access, configuration.kind
    wanted = bindings_now(bindings_in(part.restores), access.raw if access else (), kind)
    return bindings_without(wanted, not_restored, kind)


def _restoring_iam_change(
    part: SnapshotPart,
    configuration: WorkloadConfiguration,
    not_restored: Collection[NotRestored],
) -> Change | None:
    """The edit that restores the members that ours removed, and leaves other bindings alone."""
    access = configuration.access
    wanted = callers_to_restore(part, configuration, not_restored)
    if access is None or wanted is None or same_callers(access.raw, wanted, configuration.kind):
        return None
    # The version as before; what the locked client does not know as it is now.
    form = {name: value for name, value in access.form.items() if name == UNKNOWN_FIELDS}
    form |= {name: value for name, value in part.restores.items() if name == "version"}
    restored = restore_callers(access.raw, wanted, configuration.kind)
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


def iam_parts(snapshot: Snapshot | None) -> tuple[SnapshotPart, ...]:
    """The edit of the IAM policy in a snapshot, if it has one."""
    parts = snapshot.parts if snapshot else ()
    # There is one policy: its newest part has the edit that is in effect.
    return tuple(part for part in parts if part.change.kind is ChangeKind.IAM_POLICY)[:1]


def account_parts(snapshot: Snapshot | None) -> tuple[SnapshotPart, ...]:
    """The disabling of a service account in a snapshot, if it has one."""
    parts = snapshot.parts if snapshot else ()
    return tuple(part for part in parts if part.change.kind is ChangeKind.SERVICE_ACCOUNT)


def field_differences(
    snapshot: Snapshot,
    configuration: WorkloadConfiguration,
    not_restored: Collection[NotRestored],
) -> tuple[Difference, ...]:
    """The fields that are neither as our write left them nor as they were before."""
    found = []
    for name, value in snapshot.restores.items():
        now, kind = current_value(name, configuration), configuration.kind
        # As an unfinished release leaves it, too.
        restored = _value_to_restore(name, value, configuration, not_restored)
        known = [
            normalize_field(name, each, kind) for each in (snapshot.written[name], value, restored)
        ]
        if normalize_field(name, now, kind) not in known:
            found.append(Difference(name, snapshot.written[name], now))
    return tuple(found)


def caller_differences(
    snapshot: Snapshot,
    configuration: WorkloadConfiguration,
    not_restored: Collection[NotRestored],
) -> tuple[Difference, ...]:
    """The callers, if they are neither as our write left them nor as they were before."""
    found, kind = [], configuration.kind
    now = configuration.access.raw if configuration.access else ()
    for part in iam_parts(snapshot):
        as_written = bindings_now(bindings_in(part.change.after), now, kind)
        before = bindings_now(bindings_in(part.restores), now, kind)
        known = (as_written, before, bindings_without(before, not_restored, kind))
        if not any(same_callers(now, each, kind) for each in known):
            written, current = caller_bindings(as_written, kind), caller_bindings(now, kind)
            found.append(Difference(CALLER_BINDINGS_LABEL, list(written), list(current)))
    return tuple(found)


def _is_restored(name: str, wanted: Json, configuration: WorkloadConfiguration) -> bool:
    """Whether a field is as it was, traffic to the letter: target for target, or not set."""
    if name == "traffic":
        return traffic_targets(configuration.fields.get(name)) == traffic_targets(wanted)
    return normalize_field(
        name, current_value(name, configuration), configuration.kind
    ) == normalize_field(name, wanted, configuration.kind)


def current_value(name: str, configuration: WorkloadConfiguration) -> Json:
    """The current value of a field, or its default."""
    return (
        dict(configuration.annotations)
        if name == "annotations"
        else field_with_default(configuration.fields, name)
    )
