"""What enforcing came to: every change read back, told, and put on record.

Nothing is called contained here that was not seen in effect.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from incident.actions import plan
from incident.actions.changes import INCIDENT_ANNOTATION, annotation_change, with_state
from incident.actions.snapshot import Snapshot
from incident.containment.types import ContainmentRequest, ContainmentResult, ContainmentTools
from incident.containment.write import status_of_changes
from incident.investigation.workload_reader import WorkloadReader, read_workload
from incident.model import (
    Change,
    ChangeKind,
    ChangeState,
    GiveUp,
    IncidentError,
    Kind,
    Reason,
    Retry,
    Status,
    Workload,
    WorkloadConfiguration,
)


@dataclass(frozen=True, slots=True)
class SentWrites:
    """What was made of the decision, to be read back.

    Attributes:
        snapshot: The image of what was written; None when nothing was.
        failed: The changes that were refused.
        written_at: When the writes were accepted.
        last_number: Number of the containment's last record.
        exact: Whether nobody else wrote between reading and writing.
    """

    snapshot: Snapshot | None
    failed: tuple[Change, ...]
    written_at: datetime | None
    last_number: int
    exact: bool = True

    @property
    def changes(self) -> tuple[Change, ...]:
        """The changes that were written."""
        return self.snapshot.changes if self.snapshot else ()


async def read_back_writes(
    sent_writes: SentWrites, request: ContainmentRequest, tools: ContainmentTools
) -> ContainmentResult:
    """Read back what was written, and tell it change by change."""
    configuration: WorkloadConfiguration | None = None
    unmet: tuple[str | None, ...] = ()
    if sent_writes.changes:
        configuration, unmet = await wait_until_in_effect(
            sent_writes.changes, request.workload, tools.cloud_run, tools.verify_timeout
        )
    rechecked = replace(
        sent_writes, failed=await _recheck_cancellations(sent_writes.failed, request, tools)
    )
    result = containment_result(rechecked, unmet, request, tools, configuration)
    if sent_writes.snapshot is None:
        return result
    unverified = [c.error for c in result.changes if c.state is ChangeState.UNVERIFIED]
    if unverified:
        await tools.add_record(
            request,
            sent_writes.last_number,
            "unverified",
            sent_writes.snapshot,
            reason=unverified[0],
        )
        return result
    last_number = await tools.add_record(
        request, sent_writes.last_number, "verified", sent_writes.snapshot
    )
    if configuration is None or result.status not in (Status.CONTAINED, Status.RESTRICTED):
        return result
    reasons = await _annotate(configuration, sent_writes.snapshot, last_number, request, tools)
    return replace(result, reasons=(*reasons, *result.reasons))


def containment_result(
    sent_writes: SentWrites,
    unmet: tuple[str | None, ...],
    request: ContainmentRequest,
    tools: ContainmentTools,
    configuration: WorkloadConfiguration | None = None,
) -> ContainmentResult:
    """The result of the changes, each in effect or with the reason why it is not.

    Args:
        sent_writes: What was written and what was refused.
        unmet: Why each written change is not in effect; None where it is.
        request: The containment that was asked for.
        tools: The clock and the records.
        configuration: The workload as read back; None where nothing was read.
    """
    read_changes = [
        _with_read_back_state(change, why)
        for change, why in zip(sent_writes.changes, unmet, strict=True)
    ]
    changes = sorted((*read_changes, *sent_writes.failed), key=lambda change: not change.stops)
    unreached = _unreached_goals(changes, request, configuration or request.configuration)
    status = status_of_changes(changes, unreached)
    known = {reason.text for reason in request.decision.reasons}
    reasons = [Reason(text, "access") for text in unreached if text not in known]
    text = (
        "another change came between reading and writing: the before-image may lack it;"
        " the audit log has it"
    )
    return ContainmentResult(
        status=status,
        decision=request.decision,
        changes=tuple(changes),
        containment_folder=tools.containment_records.current_folder(request.history)
        if sent_writes.snapshot
        else None,
        stopped_at=sent_writes.written_at if status is Status.CONTAINED else None,
        verified_at=tools.clock() if status is Status.CONTAINED else None,
        reasons=(*reasons, *(() if sent_writes.exact else (Reason(text, "settings"),))),
        alarm=any(change.state is not ChangeState.VERIFIED for change in changes)
        or status is not Status.CONTAINED,
    )


def _unreached_goals(
    changes: Sequence[Change], request: ContainmentRequest, configuration: WorkloadConfiguration
) -> tuple[str, ...]:
    """What keeps the workload from a goal; as planned where its IAM policy was not read again."""
    if configuration.access is None:
        return request.decision.unreached
    return plan.unreached_goals(plan.actions_behind(changes), configuration)


def _with_read_back_state(change: Change, unmet: str | None) -> Change:
    """A change once it was read back."""
    if unmet:
        return with_state(change, ChangeState.UNVERIFIED, unmet)
    return with_state(change, ChangeState.VERIFIED)


async def _recheck_cancellations(
    failed: tuple[Change, ...], request: ContainmentRequest, tools: ContainmentTools
) -> tuple[Change, ...]:
    """What was refused; an execution that was over before it was cancelled is as wanted."""
    cancelled = [change for change in failed if change.kind is ChangeKind.CANCELLATION]
    if not cancelled:
        return failed
    needs, named = plan.details_for_changes(cancelled), plan.executions_of_changes(cancelled)
    try:
        configuration = await read_workload(request.workload, needs, tools.cloud_run, named)
    except IncidentError:
        return failed
    return tuple(
        with_state(change, ChangeState.VERIFIED)
        if change in cancelled and plan.why_not_in_effect(change, configuration) is None
        else change
        for change in failed
    )


async def _annotate(
    configuration: WorkloadConfiguration,
    snapshot: Snapshot,
    last_number: int,
    request: ContainmentRequest,
    tools: ContainmentTools,
) -> tuple[Reason, ...]:
    """Name the incident on the workload, for whoever finds it down. Information only."""
    job = configuration.kind is Kind.JOB  # a job can only be replaced as a whole
    if (
        job
        or snapshot.incident != request.incident
        or INCIDENT_ANNOTATION in configuration.annotations
    ):
        return ()
    change = annotation_change(configuration, request.incident)
    try:
        await tools.cloud_run.write(change, validate_only=False)
    except IncidentError as error:
        text = f"the workload does not name the incident: {error}"
        return (Reason(text, "settings"),)
    # A release takes our own key away again; what others wrote there is theirs.
    await tools.add_record(
        request, last_number, "annotated", snapshot, annotation=INCIDENT_ANNOTATION
    )
    return ()


_FIRST_POLL_S = 0.2


_MAX_POLL_S = 2.0


_NOT_READ_BACK_TEXT = "the workload was not read back in time"


async def wait_until_in_effect(
    changes: Sequence[Change], workload: Workload, reader: WorkloadReader, limit: timedelta
) -> tuple[WorkloadConfiguration | None, tuple[str | None, ...]]:
    """Read until every change is in effect.

    Returns:
        The settings as read last, and for each change why it is not in effect when time is
        up; None for one that is.
    """
    configuration: WorkloadConfiguration | None = None
    reasons: tuple[str | None, ...] = (_NOT_READ_BACK_TEXT,) * len(changes)
    needs, named = plan.details_for_changes(changes), plan.executions_of_changes(changes)
    pause = _FIRST_POLL_S
    try:
        async with asyncio.timeout(limit.total_seconds()):
            while True:
                try:
                    configuration = await read_workload(workload, needs, reader, named)
                    reasons = tuple(plan.why_not_in_effect(each, configuration) for each in changes)
                except Retry as error:
                    reasons = tuple(reason and str(error) for reason in reasons)
                if not any(reasons):
                    return configuration, reasons
                await asyncio.sleep(pause)
                pause = min(pause * 1.5, _MAX_POLL_S)
    except TimeoutError:
        return configuration, reasons
    except GiveUp as error:
        return configuration, tuple(reason and str(error) for reason in reasons)
