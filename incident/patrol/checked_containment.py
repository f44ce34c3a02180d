"""One containment, with its records and its workload as read at one moment; its check result.

What is made of it is for the watch.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from incident.actions.goal import goal_details
from incident.actions.masked_changes import details_for_changes, names_in_changes
from incident.actions.snapshot import Snapshot
from incident.case_file.containments import Containment, containment_from_records
from incident.case_file.journal import Journal, Record
from incident.investigation.workload_reader import WorkloadReader, read_workload
from incident.model import Json, JsonObject, Missing, Workload, WorkloadConfiguration
from incident.patrol.attribution import Attribution
from incident.patrol.drift import Drift, RecordedState, find_drift, recorded_state
from incident.redaction.redactor import Redactor

_MISSING_RECHECK_S = 1.0


@dataclass(frozen=True, slots=True)
class CheckedContainment:
    """One containment, its records and its workload as read at one moment.

    Attributes:
        workload: What it holds.
        journal: Its records, as this round writes them.
        records: Those that were there.
        containment: What they come to.
        snapshot: The snapshot of the write that is in effect.
        redactor_of: Redacts what a workload's settings hold.
        configuration: The workload's settings; None if it was not found, or not read yet.
    """

    workload: Workload
    journal: Journal
    records: tuple[Record, ...]
    containment: Containment
    snapshot: Snapshot
    redactor_of: Callable[[Workload, WorkloadConfiguration | None], Redactor]
    configuration: WorkloadConfiguration | None = None

    @property
    def recorded_state(self) -> RecordedState:
        """The containment's state by its records."""
        return recorded_state(self.records)

    @property
    def redactor(self) -> Redactor:
        """Redacts what is reported about it."""
        return self.redactor_of(self.workload, self.configuration)

    @property
    def drift(self) -> tuple[Drift, ...]:
        """What is not as our writes left it."""
        return find_drift(self.snapshot, self.configuration) if self.configuration else ()

    @property
    def deleted(self) -> bool:
        """Whether the workload was deleted, or another one has its name."""
        held_uid = self.containment.uid
        return self.configuration is None or bool(held_uid and held_uid != self.configuration.uid)

    @property
    def replacement_uid(self) -> str | None:
        """Unique id of another workload under the same name; None if there is none."""
        return self.configuration.uid if self.deleted and self.configuration else None

    def as_check(
        self, state: CheckState, note: str = "", attribution: Attribution | None = None
    ) -> ContainmentCheck:
        """The result of the check, redacted."""
        redactor = self.redactor
        return ContainmentCheck(
            state=state,
            workload=self.workload.resource_name,
            containment=self.containment.folder,
            incidents=tuple(sorted(self.containment.incidents)),
            drift=tuple(one.redacted(redactor).text for one in self.drift)
            if not self.deleted
            else (),
            attribution=attribution,
            note=redactor.text(note),
        )

    async def with_current_workload(self, reader: WorkloadReader) -> CheckedContainment:
        """The same containment, with its workload read now.

        Raises:
            Retry: Time may heal it.
            GiveUp: The workload cannot be read.
        """
        changes = self.snapshot.changes
        needs = details_for_changes(changes) | goal_details(
            self.snapshot.actions, self.workload.kind
        )
        named = names_in_changes(changes)
        configuration: WorkloadConfiguration | None = None
        for pause in (_MISSING_RECHECK_S, 0.0):
            try:
                configuration = await read_workload(self.workload, needs, reader, named)
                break
            except Missing:
                # A workload that is recorded as deleted is never checked again: ask twice.
                await asyncio.sleep(pause)
        # An attempt whose answer was lost counts if the workload is as it left it.
        in_effect = self.containment.snapshot_in_effect(configuration) if configuration else None
        return replace(self, snapshot=in_effect or self.snapshot, configuration=configuration)

    async def reload(self, reader: WorkloadReader) -> CheckedContainment:
        """The same containment, with records and workload read again.

        Raises:
            Retry: Time may heal it.
            GiveUp: The workload or the records cannot be read.
        """
        records = await self.journal.records()
        containment = containment_from_records(
            self.journal.folder, self.containment.number, records
        )
        snapshot = containment.written_snapshot or self.snapshot
        reread = replace(self, records=records, containment=containment, snapshot=snapshot)
        return await reread.with_current_workload(reader)

    async def add_record(self, kind: str, body: JsonObject) -> None:
        """Add a record; of several patrols that add the same at once, one succeeds.

        Raises:
            Retry: The store does not answer.
        """
        await self.journal.create(self.records[-1].number + 1, kind, body)


class CheckState(StrEnum):
    """The state of a containment as a patrol found it."""

    IN_EFFECT = "in-effect"
    VERIFIED = "verified"
    PENDING = "pending"
    REVERTED = "reverted"
    REAPPLIED = "reapplied"
    DELETED = "deleted"
    UNDONE_FOR_RELEASE = "undone-for-release"
    RELEASING = "releasing"
    ATTEMPT_OPEN = "attempt-open"


@dataclass(frozen=True, slots=True)
class ContainmentCheck:
    """The result of checking one containment.

    Attributes:
        state: What it found.
        workload: Resource name of the workload.
        containment: The containment's folder.
        incidents: The incidents that refer to it.
        drift: What is not as we left it, a line each.
        attribution: Who undid it.
        note: What was done about it, or why nothing was.
        urgent: Whether a person must act now, whatever the state is.
        manifest_sha256: Digest of the manifest of what the patrol created for this containment.
    """

    state: CheckState
    workload: str
    containment: str = ""
    incidents: tuple[str, ...] = ()
    drift: tuple[str, ...] = ()
    attribution: Attribution | None = None
    note: str = ""
    urgent: bool = False
    manifest_sha256: str | None = None

    @property
    def alarm(self) -> bool:
        """Whether a person must act now."""
        return self.urgent or self.state in (
            CheckState.REVERTED,
            CheckState.REAPPLIED,
            CheckState.PENDING,
        )

    @property
    def json(self) -> dict[str, Json]:
        """The result for a log line."""
        return {
            "state": self.state.value,
            "workload": self.workload,
            "containment": self.containment or None,
            "incidents": [*self.incidents],
            "drift": [*self.drift],
            "by": self.attribution.json if self.attribution else None,
            "note": self.note,
            "case_file": self.containment or None,
            "manifest_sha256": self.manifest_sha256,
        }
