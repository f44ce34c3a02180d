"""What containing is given and what it gives back: the scene, the tools, the result."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from incident.actions.snapshot import Snapshot
from incident.case_file.containments import ContainmentHistory, ContainmentRecords
from incident.containment.validate import ValidationClient
from incident.decision.guards import GuardBlock
from incident.investigation.workload_reader import WorkloadReader
from incident.model import (
    Change,
    Decision,
    Finding,
    Json,
    Reason,
    Status,
    Workload,
    WorkloadConfiguration,
)


class ContainmentClient(ValidationClient, WorkloadReader, Protocol):
    """What containing needs of Cloud Run: to read, to validate and to write."""


@dataclass(frozen=True, slots=True)
class ContainmentRequest:
    """What is known when containing begins, and again at each new attempt.

    Attributes:
        incident: The incident's id.
        finding: The finding as SCC lists it.
        workload: What is to be contained.
        configuration: Its settings as read, with all that its changes need.
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
    """Capabilities.

    Attributes:
        cloud_run: Cloud Run.
        containment_records: The workload's containments in the store.
        reread: The workload read again, with all that the policy's actions need by now.
        decide_again: Policy and guards once more, for settings and history read again.
        acquire_slot: Claims this hour's slots, or says which cap stands against it.
        clock: Tells the time.
        verify_timeout: How long a write may take until it is seen in effect.
        peer_wait: How long another process may be silent about a write it is about to make.
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
        """Add a record of an attempt to the containment; returns its number.

        Raises:
            Retry: The store does not answer.
            GiveUp: It refuses.
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
    """What became of the workload.

    Attributes:
        status: The incident's status as far as containment goes.
        decision: The decision that held in the end: policy and guards may have lowered it.
        changes: The changes, each with how far it came, stopping ones first.
        containment_folder: The containment's path in the store; None when there is none.
        stopped_at: When the write that stopped it was accepted; what is in flight may
            outlive it.
        verified_at: When the workload was read back as stopped.
        reasons: What a person should know besides the decision's reasons.
        alarm: Whether a person must look now.
    """

    status: Status
    decision: Decision
    changes: tuple[Change, ...] = ()
    containment_folder: str | None = None
    stopped_at: datetime | None = None
    verified_at: datetime | None = None
    reasons: tuple[Reason, ...] = ()
    alarm: bool = False
