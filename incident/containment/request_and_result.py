"""ContainmentRequest, ContainmentTools and ContainmentResult; the ports of a containment."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from incident.actions.snapshot import Snapshot
from incident.case_file.containments import ContainmentHistory, ContainmentRecords
from incident.decision.guards import GuardBlock
from incident.investigation.workload_reader import WorkloadReader
from incident.model import (
    Change,
    ChangeKind,
    Decision,
    Finding,
    Json,
    Reason,
    Status,
    Workload,
    WorkloadConfiguration,
)


class WorkloadWriter(Protocol):
    """Writes to workloads."""

    async def write(self, change: Change, *, validate_only: bool) -> int | None:
        """Send one change; returns the generation that it made, where the answer has one."""


class ValidationClient(WorkloadWriter, Protocol):
    """What validating a change needs of Cloud Run."""

    async def missing_permissions(self, workload: Workload, change: ChangeKind) -> tuple[str, ...]:
        """The permissions on the workload that a kind of change needs and we lack."""


class WorkloadClient(WorkloadReader, WorkloadWriter, Protocol):
    """What releasing or undoing a containment needs of Cloud Run: to read and to write."""


class ContainmentClient(WorkloadClient, ValidationClient, Protocol):
    """What containing needs of Cloud Run: to read, to validate and to write."""


@dataclass(frozen=True, slots=True)
class ContainmentRequest:
    """What is known when containing begins, and again at each new attempt.

    Attributes:
        incident: The incident's id.
        finding: The finding as SCC lists it.
        workload: What is to be contained.
        configuration: Its settings as read, with all details that its changes need.
        history: Its containments.
        decision: What is to be done.
    """

    incident: str
    finding: Finding
    workload: Workload
    configuration: WorkloadConfiguration
    history: ContainmentHistory
    decision: Decision


@dataclass(frozen=True, slots=True)
class ContainmentTools:
    """What containing works with.

    Attributes:
        cloud_run: Cloud Run.
        containment_records: The workload's containments in the store.
        reread: Reads the workload again, with all details that the policy's actions need now.
        decide_again: Applies policy and guards again, to settings and history read again.
        acquire_slot: Takes this hour's slots; returns which cap is reached, if one is.
        clock: The time.
        verify_timeout: How long a write may take until it is read back in effect.
        peer_wait: How long another process may leave its pending write without a record.
    """

    cloud_run: ContainmentClient
    containment_records: ContainmentRecords
    reread: Callable[[], Awaitable[tuple[WorkloadConfiguration, ContainmentHistory]]]
    decide_again: Callable[[WorkloadConfiguration, ContainmentHistory], Awaitable[Decision]]
    acquire_slot: Callable[[], Awaitable[GuardBlock | None]]
    clock: Callable[[], datetime]
    verify_timeout: timedelta
    peer_wait: timedelta

    async def add_record(
        self,
        request: ContainmentRequest,
        after: int,
        kind: str,
        snapshot: Snapshot,
        **details: Json,
    ) -> int:
        """Add a record about a snapshot to the containment; returns the record's number.

        Raises:
            Retry: The store does not answer.
            GiveUp: The store refuses.
        """
        body = {
            "incident": request.incident,
            "finding": request.finding.finding_id,
            "snapshot": snapshot.number,
            **details,
        }
        return await self.containment_records.add_record(request.history, after, kind, body)


@dataclass(frozen=True, slots=True)
class ContainmentResult:
    """What was written to the workload, and what was read back.

    Attributes:
        status: The status of the containment, which becomes the incident's.
        decision: The last decision: policy and guards may have lowered the first one.
        changes: The changes, each with its state, stopping ones first.
        containment_folder: The containment's path in the store; None when there is none.
        stopped_at: When the stopping write was accepted. Requests in flight may go on.
        verified_at: When the workload was read back as stopped.
        starts_until: Until when an execution of a job may still be started by whom our change
            of the IAM policy keeps out; None where there is no such change.
        reasons: Reasons to report besides the decision's.
        alarm: Whether a person must act now.
    """

    status: Status
    decision: Decision
    changes: tuple[Change, ...] = ()
    containment_folder: str | None = None
    stopped_at: datetime | None = None
    verified_at: datetime | None = None
    starts_until: datetime | None = None
    reasons: tuple[Reason, ...] = ()
    alarm: bool = False
