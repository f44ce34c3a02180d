"""Plan a release: writes, differences, irreversible changes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from incident.actions.disable_service_account import TOKEN_LIFETIME, account_of
from incident.actions.fields import normalize_field, traffic_targets
from incident.actions.masked_changes import details_for_changes, names_in_changes
from incident.actions.require_authentication import (
    CALLER_BINDINGS_LABEL,
    bindings_in,
    same_callers,
)
from incident.actions.snapshot import Snapshot, SnapshotPart
from incident.case_file.containments import Containment, ContainmentHistory, ContainmentRecords
from incident.containment.not_restored import (
    NotRestored,
    PartKind,
    bindings_now,
    deleted_members,
    merged_parts,
    missing_revision,
    names_of,
)
from incident.containment.restored_values import (
    Difference,
    account_parts,
    caller_differences,
    callers_to_restore,
    current_value,
    field_differences,
    fields_to_restore,
    iam_parts,
    restoring_changes,
)
from incident.investigation.workload_reader import WorkloadReader, read_workload
from incident.model import (
    Change,
    ChangeKind,
    CutList,
    GiveUp,
    IncidentError,
    Json,
    Workload,
    WorkloadConfiguration,
    WorkloadDetail,
)

#: Why a workload is not read back as restored while Cloud Run reconciles it.
STILL_AT_WORK = "Cloud Run is still at work on it"


@dataclass(frozen=True, slots=True)
class ReleasePlan:
    """The plan of a release, for settings and records read at one moment.

    Attributes:
        workload: The contained workload.
        containment: The containment to release; None if nothing is contained.
        history: All containments of the workload.
        snapshot: What the release restores.
        changes: The writes that restore it, in their order: all fields in one, and after them
            the IAM policy, so that nobody is let in before the rest is as it was; the service
            account last. Empty when all is as it was already.
        irreversible_changes: Changes of the containment that cannot be undone.
        differences: What somebody changed since.
        configuration: The workload's settings, as read.
        not_restored: What of the snapshot does not exist any more, or Google refuses.
        refusal: Why Google refuses to validate the write of the fields; empty where it does not.
        old_tokens_until: Until when access tokens of the service account that were issued before
            the containment may be unexpired; None where the release does not enable one.
    """

    workload: Workload
    containment: Containment | None
    history: ContainmentHistory
    snapshot: Snapshot | None
    changes: tuple[Change, ...]
    irreversible_changes: tuple[Change, ...]
    differences: tuple[Difference, ...]
    configuration: WorkloadConfiguration
    not_restored: tuple[NotRestored, ...] = ()
    refusal: str = ""
    old_tokens_until: datetime | None = None

    def change(self, kind: ChangeKind) -> Change | None:
        """The write of one kind, if one is needed."""
        return next((change for change in self.changes if change.kind is kind), None)


async def plan_release(
    workload: Workload,
    containment_records: ContainmentRecords,
    reader: WorkloadReader,
    refused: Collection[NotRestored] = (),
) -> ReleasePlan:
    """Plan the release of a workload from its current settings. Writes nothing.

    Args:
        workload: The contained workload.
        containment_records: Its containments.
        reader: Cloud Run.
        refused: What Google has refused to restore.

    Raises:
        Retry: Time may heal it.
        GiveUp: The workload or the records cannot be read.
    """
    history = await containment_records.history()
    containment = history.current
    before = containment.effective_snapshot if containment else None
    parts = [part.change for part in (*iam_parts(before), *account_parts(before))]
    configuration = await read_workload(
        workload, details_for_changes(parts), reader, names_in_changes(parts)
    )
    history = history.for_workload(configuration)
    current = history.current
    snapshot = current.effective_snapshot if current else None
    if current is None or snapshot is None:
        return ReleasePlan(workload, None, history, None, (), (), (), configuration)
    not_restored = merged_parts(
        await _missing_revisions(workload, snapshot, configuration, reader),
        *(_deleted_members(part, configuration) for part in iam_parts(snapshot)),
        _missing_accounts(snapshot, configuration),
        refused,
    )
    changes = restoring_changes(snapshot, current, configuration, not_restored)
    enabled = any(change.kind is ChangeKind.SERVICE_ACCOUNT for change in changes)
    disabled_at = current.written_at or snapshot.recorded_at
    return ReleasePlan(
        workload=workload,
        containment=current,
        history=history,
        snapshot=snapshot,
        changes=changes,
        irreversible_changes=current.irreversible_changes,
        differences=(
            *field_differences(snapshot, configuration, not_restored),
            *caller_differences(snapshot, configuration, not_restored),
        ),
        configuration=configuration,
        not_restored=not_restored,
        old_tokens_until=disabled_at + TOKEN_LIFETIME if enabled else None,
    )


def _missing_accounts(
    snapshot: Snapshot, configuration: WorkloadConfiguration
) -> tuple[NotRestored, ...]:
    """The disabled service accounts that do not exist any more.

    Raises:
        GiveUp: An account cannot be read, so that it is not known whether it is to be enabled.
    """
    missing = []
    for part in account_parts(snapshot):
        email = account_of(part.change)
        account = configuration.account(email)
        if account is None or (account.unread and account.exists):
            raise GiveUp(account.unread if account else f"the service account {email} was not read")
        if not account.exists:
            text = f"the service account {email} does not exist any more"
            missing.append(NotRestored(PartKind.SERVICE_ACCOUNT, email, text))
    return tuple(missing)


async def _missing_revisions(
    workload: Workload,
    snapshot: Snapshot,
    configuration: WorkloadConfiguration,
    reader: WorkloadReader,
) -> tuple[NotRestored, ...]:
    """The revisions with traffic or a tag in the snapshot that do not exist any more.

    None where the list of revisions was cut or cannot be read: Google refuses the write then,
    and names the revision.
    """
    wanted = snapshot.restores.get("traffic")
    names = dict.fromkeys(str(t["revision"]) for t in traffic_targets(wanted) if t.get("revision"))
    if not names:
        return ()
    try:
        listed = await reader.revisions(workload, tuple(names))
    except IncidentError:
        return ()
    if isinstance(listed, CutList):
        return ()
    existing = {template.revision for template in listed}
    gone = [name for name in names if name not in existing]
    now = current_value("traffic", configuration)
    return tuple(missing_revision(name, wanted, now, gone) for name in gone)


def _deleted_members(
    part: SnapshotPart, configuration: WorkloadConfiguration
) -> tuple[NotRestored, ...]:
    now = configuration.access.raw if configuration.access else ()
    wanted = bindings_now(bindings_in(part.restores), now, configuration.kind)
    return deleted_members(wanted, now, configuration.kind)


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
    for part in iam_parts(snapshot) if ChangeKind.IAM_POLICY in kinds else ():
        wanted = callers_to_restore(part, configuration, plan.not_restored)
        if wanted is not None and (access is None or not same_callers(access.raw, wanted, kind)):
            return f"the {CALLER_BINDINGS_LABEL} do not read back as they were before"
    for part in account_parts(snapshot) if ChangeKind.SERVICE_ACCOUNT in kinds else ():
        email = account_of(part.change)
        account = configuration.account(email)
        left_out = email in names_of(plan.not_restored, PartKind.SERVICE_ACCOUNT)
        if not left_out and (account is None or account.unread or account.disabled):
            return f"the service account {email} does not read back as enabled"
    expected = (
        fields_to_restore(snapshot, current, configuration, plan.not_restored)
        if ChangeKind.FIELDS in kinds
        else {}
    )
    if expected and is_behind(configuration) and not has_failed(configuration):
        return STILL_AT_WORK
    for name, value in expected.items():
        now = current_value(name, configuration)
        if normalize_field(name, now, configuration.kind) != normalize_field(
            name, value, configuration.kind
        ):
            return _max_instances_lost(value, now) or f"{name} does not read back as it was before"
    return None


def is_behind(configuration: WorkloadConfiguration) -> bool:
    """Whether Cloud Run does not serve the current settings yet."""
    return configuration.observed_generation < configuration.generation


def has_failed(configuration: WorkloadConfiguration) -> bool:
    """Whether Cloud Run has given up bringing the workload to its current settings.

    It serves the last good ones then, and stays behind (Service.reconciling, API reference).
    """
    return not configuration.reconciling and configuration.condition == "CONDITION_FAILED"


def release_needs(plan: ReleasePlan) -> frozenset[WorkloadDetail]:
    """The details that reading back a release needs besides the workload's settings."""
    parts = (*iam_parts(plan.snapshot), *account_parts(plan.snapshot))
    return details_for_changes(part.change for part in parts)


def release_names(plan: ReleasePlan) -> frozenset[str]:
    """What reading back a release reads by name."""
    return names_in_changes(part.change for part in account_parts(plan.snapshot))


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
