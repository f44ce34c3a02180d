"""ContainmentResult: what was written to the workload, and what was read back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from incident.case_file.containments import ContainmentHistory
from incident.model import Change, Decision, Reason, Status, WorkloadConfiguration


@dataclass(frozen=True, slots=True)
class PendingAnnotation:
    """The annotation that names the incident on a workload, to be written after verification.

    Attributes:
        configuration: The workload's settings as read back.
        history: Its containments.
        snapshot: Number of the snapshot of the write.
        last_number: Number of the containment's last record.
    """

    configuration: WorkloadConfiguration
    history: ContainmentHistory
    snapshot: int
    last_number: int


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
        annotation: The annotation that is still to be written; None for none.
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
    annotation: PendingAnnotation | None = None
