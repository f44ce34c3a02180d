"""Containments in the store: fold their records, and write the next ones.

A containment belongs to its workload; incidents refer to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from incident.actions.changes import parse_change
from incident.actions.snapshot import Snapshot, SnapshotPart, snapshot_json, snapshot_parts
from incident.case_file.journal import Journal, ObjectStore, Record
from incident.case_file.paths import (
    containment_folder,
    containments_folder,
    parse_containment_path,
)
from incident.model import (
    Change,
    Finding,
    GiveUp,
    Json,
    JsonObject,
    Workload,
    WorkloadConfiguration,
)
from incident.model.concurrency import gather_all
from incident.model.json_text import time_text
from incident.notification.synthetic_finding import DRILL_ID_PREFIX

#: Records after which the attempt that a snapshot was taken for is over.
_ATTEMPT_END_KINDS = frozenset({"written", "abandoned"})
#: Records after which an attempt does not count: not sent, or undone by us.
_VOID_ATTEMPT_KINDS = frozenset({"abandoned", "write-undone"})


@dataclass(frozen=True, slots=True)
class Containment:
    """One containment of one workload, folded from its records.

    Attributes:
        folder: Its path in the store.
        number: Counts the workload's containments from 1.
        snapshots: Oldest first, without those of abandoned attempts and without the changes that
            an attempt did not send.
        written_snapshot: The snapshot of the last recorded write; None before any.
        written_at: When that write was recorded.
        written_generation: The generation that it made, if Cloud Run returned one.
        verified: Whether that write was verified.
        annotated: Whether the workload's annotation names the incident.
        incidents: The incidents that refer to it.
        findings: The ids of their findings.
        releasing: Whether a release was started, and not cancelled.
        released: Whether it was released.
        last_number: Number of the last record.
        pending_snapshot: The newest snapshot, if no record says how its attempt ended.
        not_restored: What the release did not restore, as sentences.
    """

    folder: str
    number: int
    snapshots: tuple[Snapshot, ...]
    written_snapshot: Snapshot | None
    written_at: datetime | None
    written_generation: int | None
    verified: bool
    annotated: bool
    incidents: frozenset[str]
    findings: frozenset[str]
    releasing: bool
    released: bool
    last_number: int
    pending_snapshot: Snapshot | None
    not_restored: tuple[str, ...] = ()

    @property
    def uid(self) -> str:
        """Unique id of the contained workload; empty where there is no snapshot."""
        return self.snapshots[-1].uid if self.snapshots else ""

    @property
    def is_drill(self) -> bool:
        """Whether only drills refer to it, and no finding does."""
        return bool(self.findings) and all(
            each.startswith(DRILL_ID_PREFIX) for each in self.findings
        )

    @property
    def effective_snapshot(self) -> Snapshot | None:
        """The snapshot that a release restores: that of the write that took effect.

        After a crash between a write and its record it is the newest one.
        """
        return self.written_snapshot if self.pending_snapshot is None else self.pending_snapshot

    @property
    def irreversible_changes(self) -> tuple[Change, ...]:
        """The changes of all attempts that cannot be undone, each once."""
        done = [change for snapshot in self.snapshots for change in snapshot.changes]
        return tuple({(c.kind, c.target): c for c in done if not c.reversible}.values())

    def snapshot_in_effect(self, configuration: WorkloadConfiguration) -> Snapshot | None:
        """The snapshot of the last write, if the workload still is as that write left it.

        An attempt without a record of its end counts as a write only if the workload was changed
        since its snapshot was taken.
        """
        pending = self.pending_snapshot
        if pending and pending.was_changed(configuration) and pending.is_in_effect(configuration):
            return pending
        return (
            self.written_snapshot
            if self.written_snapshot and self.written_snapshot.is_in_effect(configuration)
            else None
        )


@dataclass(frozen=True, slots=True)
class ContainmentHistory:
    """All containments of one workload, oldest first.

    Attributes:
        containments: The containments as recorded.
        uid: Unique id of the current workload of that name; empty where it is unknown.
    """

    containments: tuple[Containment, ...] = ()
    uid: str = ""

    def for_workload(self, configuration: WorkloadConfiguration | None) -> ContainmentHistory:
        """The history for the workload with this configuration."""
        return self if configuration is None else self.for_uid(configuration.uid)

    def for_uid(self, uid: str) -> ContainmentHistory:
        """The history for the workload with this unique id."""
        return replace(self, uid=uid)

    @property
    def current(self) -> Containment | None:
        """The containment in effect; None if released, or if a workload was recreated since."""
        last = self.containments[-1] if self.containments else None
        if last is None or last.released:
            return None
        return None if self.uid and last.uid and last.uid != self.uid else last

    @property
    def next_number(self) -> int:
        """Number of the containment that the next write belongs to."""
        if self.current:
            return self.current.number
        return self.containments[-1].number + 1 if self.containments else 1

    @property
    def released_findings(self) -> frozenset[str]:
        """Findings whose containment was released."""
        return frozenset(
            finding
            for containment in self.containments
            if containment.released
            for finding in containment.findings
        )


@dataclass(frozen=True, slots=True)
class ContainmentRecords:
    """The containments of one workload in the store."""

    store: ObjectStore
    workload: Workload
    run_id: str
    clock: Callable[[], datetime]

    def _journal(self, number: int) -> Journal:
        folder = containment_folder(self.workload, number)
        return Journal(self.store, folder, self.run_id, self.clock)

    async def history(self) -> ContainmentHistory:
        """All containments of the workload so far.

        Raises:
            Retry: The store does not answer.
            GiveUp: A record cannot be read.
        """
        paths = await self.store.list(f"{containments_folder(self.workload)}/")
        numbers = sorted(
            {found.number for path in paths if (found := parse_containment_path(path))}
        )
        return ContainmentHistory(tuple(await gather_all(*map(self._read_containment, numbers))))

    async def _read_containment(self, number: int) -> Containment:
        journal = self._journal(number)
        records = await journal.records()
        try:
            return containment_from_records(journal.folder, number, records)
        except (KeyError, TypeError, ValueError) as error:
            raise GiveUp(
                f"cannot read the records of {journal.folder}: one is incomplete"
                f" ({error!r}). Somebody else wrote to the store: find out who, move the object"
                " away, and contain the incident with `cloud-run-responder contain`"
            ) from error

    async def store_snapshot(  # noqa: PLR0913 - all that its record says
        self,
        history: ContainmentHistory,
        changes: tuple[Change, ...],
        configuration: WorkloadConfiguration,
        incident: str,
        finding: Finding,
        *,
        actions: Iterable[str] = (),
    ) -> Snapshot | None:
        """Store what the writes will overwrite; None when another process was first.

        Args:
            history: The workload's containments.
            changes: What is to be written.
            configuration: The workload's settings as read.
            incident: The incident's id.
            finding: Its finding.
            actions: Names of the actions whose goals are to be reached.
        """
        current, began_at = history.current, self.clock()
        earlier = current.effective_snapshot if current else None
        number = (current.last_number if current else 0) + 1
        snapshot = Snapshot(
            number=number,
            run_id=self.run_id,
            recorded_at=self.clock(),
            incident=incident,
            uid=configuration.uid,
            generation=configuration.generation,
            parts=snapshot_parts(changes, configuration, earlier),
            actions=tuple(dict.fromkeys((*actions, *(earlier.actions if earlier else ())))),
        )
        body: dict[str, Json] = {
            "incident": incident,
            "finding": finding.finding_id,
            "workload": self.workload.resource_name,
            "began_at": time_text(began_at),
            **snapshot_json(snapshot),
        }
        journal = self._journal(history.next_number)
        return snapshot if await journal.create(number, "snapshot", body) else None

    async def add_record(
        self, history: ContainmentHistory, after: int, kind: str, body: JsonObject
    ) -> int:
        """Add a record to the current or next containment; returns the record's number."""
        return await self._journal(history.next_number).append(after, kind, body)

    def current_folder(self, history: ContainmentHistory) -> str:
        """Path of the current or next containment."""
        return self._journal(history.next_number).folder


def containment_from_records(folder: str, number: int, records: tuple[Record, ...]) -> Containment:
    """Fold the records of one containment."""
    kinds = [record.kind for record in records]
    void = {record.body.get("snapshot") for record in records if record.kind in _VOID_ATTEMPT_KINDS}
    unsent = {
        r.body.get("snapshot"): _ints(r.body.get("unsent")) for r in records if r.kind == "written"
    }
    snapshots = tuple(
        parse_snapshot(record).without_unsent(unsent.get(record.number, ()))
        for record in records
        if record.kind == "snapshot" and record.number not in void
    )
    writes = [r for r in records if r.kind == "written" and r.body.get("snapshot") not in void]
    by_number = {snapshot.number: snapshot for snapshot in snapshots}
    last_written = _int_or_none(writes[-1].body.get("snapshot")) if writes else None
    closed = {
        record.body.get("snapshot") for record in records if record.kind in _ATTEMPT_END_KINDS
    }
    # The snapshot of the last write replaces older ones.
    pending = [i for i in snapshots if i.number not in closed and i.number > (last_written or 0)]
    last_write = writes[-1].number if writes else 0
    return Containment(
        folder=folder,
        number=number,
        snapshots=snapshots,
        written_snapshot=by_number.get(last_written) if last_written else None,
        written_at=writes[-1].recorded_at if writes else None,
        written_generation=_int_or_none(writes[-1].body.get("generation")) if writes else None,
        verified=any(r.kind == "verified" and r.number > last_write for r in records),
        annotated="annotated" in kinds,
        incidents=frozenset(str(r.body["incident"]) for r in records if "incident" in r.body),
        findings=frozenset(str(r.body["finding"]) for r in records if "finding" in r.body),
        releasing=_release_in_progress(records),
        released="released" in kinds,
        last_number=records[-1].number if records else 0,
        pending_snapshot=pending[-1] if pending else None,
        not_restored=_not_restored(records),
    )


def _release_in_progress(records: tuple[Record, ...]) -> bool:
    """Whether a release was started, and not cancelled before it wrote anything."""
    cancelled = {r.body.get("release_started") for r in records if r.kind == "release-cancelled"}
    return any(r.kind == "release-started" and r.number not in cancelled for r in records)


def _not_restored(records: tuple[Record, ...]) -> tuple[str, ...]:
    """What the last record of a release names."""
    bodies = [record.body for record in records if record.kind == "released"]
    texts = bodies[-1].get("not_restored") if bodies else ()
    return tuple(map(str, texts)) if isinstance(texts, list) else ()


def _int_or_none(value: Json) -> int | None:
    return value if isinstance(value, int) else None


def _ints(value: Json) -> tuple[int, ...]:
    return tuple(n for n in value if isinstance(n, int)) if isinstance(value, list) else ()


async def released_by(store: ObjectStore, folder: Json) -> str | None:
    """Who released a containment; None where nobody did, or there is no containment.

    Args:
        store: Where its records are.
        folder: Its path, as an outcome has it.

    Raises:
        Retry: The store does not answer.
        GiveUp: A record cannot be read.
    """
    containment = parse_containment_path(folder)
    if containment is None:
        return None
    records = await Journal(store, containment.folder, run_id="", clock=datetime.now).records()
    operators = [record.body.get("by") for record in records if record.kind == "released"]
    return str(operators[-1]) if operators else None


def parse_snapshot(record: Record) -> Snapshot:
    """The snapshot in a record.

    Raises:
        KeyError, TypeError, ValueError: The record lacks what it must say.
    """
    body: Any = record.body
    return Snapshot(
        number=record.number,
        run_id=record.run_id,
        recorded_at=record.recorded_at,
        incident=body["incident"],
        uid=body["uid"],
        generation=body["generation"],
        parts=tuple(_parse_part(value) for value in body["changes"]),
        actions=tuple(map(str, body.get("actions", ()))),
    )


def _parse_part(value: Any) -> SnapshotPart:
    return SnapshotPart(parse_change(value), value["restores"], value["carried"])
