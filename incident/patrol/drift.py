"""Detect drift: compare a containment's records with the workload's current settings. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from incident.actions.catalogue import ACTIONS
from incident.actions.changes import with_state
from incident.actions.disable_service_account import account_of
from incident.actions.masked_changes import in_effect, why_not_in_effect
from incident.actions.snapshot import Snapshot
from incident.case_file.journal import Record
from incident.case_file.paths import parse_containment_path, parse_record_name
from incident.model import (
    Change,
    ChangeKind,
    ChangeState,
    Json,
    WorkloadConfiguration,
)
from incident.redaction.redactor import Redactor

_STATE_KINDS = frozenset({"written", "verified", "unverified", "reverted"})
_OWN_WRITE_KINDS = frozenset({"written", "verified", "annotated"})
_MAX_VALUE_LENGTH = 300


@dataclass(frozen=True, slots=True)
class Drift:
    """One field, policy or execution that is not as our writes left it.

    Attributes:
        change: The change that it belongs to.
        field: Which field; ``executions`` for a job that runs again.
        as_written: What it was after our write.
        now: What it is.
    """

    change: Change
    field: str
    as_written: Json
    now: Json

    def redacted(self, redactor: Redactor) -> Drift:
        """The same drift, redacted: an IAM policy holds what anybody wrote into it."""
        if self.change.kind is not ChangeKind.IAM_POLICY:
            return self
        return replace(self, as_written=redactor.json(self.as_written), now=redactor.json(self.now))

    @property
    def text(self) -> str:
        """The drift in one line."""
        return f"{self.field}: {_shorten(self.as_written)} is now {_shorten(self.now)}"


@dataclass(frozen=True, slots=True)
class RecordedState:
    """The state of a containment by its records.

    Attributes:
        state_record: The newest record of its state; None before any write.
        incidents_updated: Whether the incidents were updated to that state, if they have to be.
    """

    state_record: Record | None
    incidents_updated: bool

    @property
    def reversion(self) -> Record | None:
        """The record of a reversion that is still the newest state; None if there is none."""
        return (
            self.state_record
            if self.state_record and self.state_record.kind == "reverted"
            else None
        )


def recorded_state(records: Sequence[Record]) -> RecordedState:
    """Fold the records of one containment, in order, into its state.

    Incidents are updated only on what departs from an ordinary containment: a reversion, and the
    state that follows a reversion or an unverified write.
    """
    state_records = [record for record in records if record.kind in _STATE_KINDS]
    newest = state_records[-1] if state_records else None
    if newest is None:
        return RecordedState(None, incidents_updated=True)
    departed = any(record.kind in ("reverted", "unverified") for record in state_records[:-1])
    update_needed = newest.kind == "reverted" or (newest.kind == "verified" and departed)
    updated = any(_is_update_of(record, newest) for record in records)
    return RecordedState(newest, incidents_updated=updated or not update_needed)


def record_reference(record: Record) -> Json:
    """How the record ``incidents-updated`` refers to a state record."""
    return [record.number, record.kind]


def _is_update_of(record: Record, state_record: Record) -> bool:
    return record.kind == "incidents-updated" and record.body.get(
        "state_record"
    ) == record_reference(state_record)


def last_own_write(records: Iterable[Record], snapshot: Snapshot) -> datetime:
    """Until when changes to the workload may be our own; later ones are somebody else's."""
    return max(
        (record.recorded_at for record in records if record.kind in _OWN_WRITE_KINDS),
        default=snapshot.recorded_at,
    )


def find_drift(snapshot: Snapshot, configuration: WorkloadConfiguration) -> tuple[Drift, ...]:
    """What is not as our writes left it, field by field.

    An execution that runs now undoes a containment which stopped the job, also one that found
    nothing running.
    """
    found: list[Drift] = []
    cancelled = [change for change in snapshot.changes if change.kind is ChangeKind.CANCELLATION]
    for change in snapshot.changes:
        if change.kind is ChangeKind.FIELDS:
            found += _drifted_fields(change, configuration)
        elif change.kind is ChangeKind.IAM_POLICY and not in_effect(change, configuration):
            access = configuration.access
            now = list(access.raw) if access else None
            found.append(Drift(change, "bindings", change.after.get("bindings"), now))
        elif change.kind is ChangeKind.SERVICE_ACCOUNT:
            found += _enabled_account(change, configuration)
    to_stay_stopped = cancelled or (snapshot.changes if is_stopped_without_change(snapshot) else ())
    if configuration.running and to_stay_stopped:
        names: list[Json] = [execution.short_name for execution in configuration.running]
        found.append(Drift(to_stay_stopped[0], "executions", [], names))
    return tuple(found)


def _enabled_account(change: Change, configuration: WorkloadConfiguration) -> list[Drift]:
    """The account of a change, if somebody enabled it. One that cannot be read is no drift."""
    account = configuration.account(account_of(change))
    if account is None or account.unread or account.disabled:
        return []
    return [Drift(change, "disabled", True, False)]


def is_stopped_without_change(snapshot: Snapshot) -> bool:
    """Whether the containment keeps a workload stopped in which nothing ran when it began."""
    stops = any(name in ACTIONS and ACTIONS[name].stops for name in snapshot.actions)
    return stops and not any(change.stops for change in snapshot.changes)


def _drifted_fields(change: Change, configuration: WorkloadConfiguration) -> list[Drift]:
    """The fields of one change that are no longer in effect."""
    return [
        Drift(change, name, change.after[name], configuration.fields.get(name))
        for name in change.after
        if not in_effect(replace(change, after={name: change.after[name]}), configuration)
    ]


def changes_with_state(
    snapshot: Snapshot, configuration: WorkloadConfiguration, drift: Sequence[Drift]
) -> tuple[Change, ...]:
    """The changes of a snapshot, each verified, or unverified with the drift that undid it."""
    reasons: dict[tuple[str, str, tuple[str, ...]], str] = {}
    for one in drift:
        same_kind = [c for c in snapshot.changes if c.kind is ChangeKind.CANCELLATION]
        for change in same_kind if one.field == "executions" else [one.change]:
            key = _change_key(change)
            reasons[key] = f"{reasons[key]}; {one.text}" if key in reasons else one.text
    return tuple(
        _change_with_state(change, reasons.get(_change_key(change)), configuration)
        for change in snapshot.changes
    )


def _change_with_state(
    change: Change, reason: str | None, configuration: WorkloadConfiguration
) -> Change:
    if reason:
        undone = with_state(change, ChangeState.UNVERIFIED, f"undone since: {reason}")
        return replace(undone, reverted=True)
    why = why_not_in_effect(change, configuration)
    return with_state(change, ChangeState.UNVERIFIED if why else ChangeState.VERIFIED, why)


def _change_key(change: Change) -> tuple[str, str, tuple[str, ...]]:
    return change.kind, change.target, change.mask


@dataclass(frozen=True, slots=True)
class RecordNames:
    """What the names of a containment's records say, without reading one.

    Attributes:
        number: The newest containment of the workload.
        ended: Whether it was released, or its workload is gone.
        written_after_release: Whether a write may have come after somebody began to release it.
    """

    number: int
    ended: bool
    written_after_release: bool


def containment_record_names(paths: Iterable[str]) -> RecordNames | None:
    """What the names of the records of a workload's containments say; None without any."""
    found = [
        (containment.number, name)
        for path in paths
        if (containment := parse_containment_path(path))
        and (name := parse_record_name(containment.name))
    ]
    if not found:
        return None
    newest = max(number for number, _ in found)
    numbers: dict[str, list[int]] = {}
    for number, name in found:
        if number == newest:
            numbers.setdefault(name.kind, []).append(name.number)
    intended = numbers.get("release-started", [])
    written, withdrawn = max(numbers.get("written", [0])), max(numbers.get("write-undone", [0]))
    return RecordNames(
        number=newest,
        ended="released" in numbers or "workload-deleted" in numbers,
        written_after_release=bool(intended) and written >= min(intended) and withdrawn < written,
    )


def _shorten(value: Json) -> str:
    text = json.dumps(value, ensure_ascii=False, sort_keys=True)
    return text if len(text) <= _MAX_VALUE_LENGTH else f"{text[:_MAX_VALUE_LENGTH]}…"
