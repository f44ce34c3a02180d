"""The result of a containment: its status by changes and goal; annotate and record it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from incident.actions import masked_changes
from incident.actions.changes import INCIDENT_ANNOTATION, NOT_ANNOTATED, with_state
from incident.actions.goal import Goal, UnmetGoal
from incident.actions.snapshot import Snapshot
from incident.containment.attempt import Attempt
from incident.containment.containment_result import ContainmentResult, PendingAnnotation
from incident.containment.read_back import Reading, SentWrites, not_refused
from incident.containment.write import status_of_changes
from incident.investigation.workload_reader import read_workload
from incident.model import (
    Change,
    ChangeKind,
    ChangeState,
    CutList,
    GiveUp,
    IncidentError,
    Json,
    Listing,
    Reason,
    Status,
    Template,
    WorkloadConfiguration,
)
from incident.model.json_text import time_text
from incident.model.retrying import Backoff

#: How often a record about a write is tried: a store that refuses must not hide the write.
RECORD_BACKOFF = Backoff(first_s=0.2, longest_s=1.0, attempts=3)
#: Changes of an IAM policy take 2 minutes as a rule, and up to 7 or more
#: (https://cloud.google.com/iam/docs/access-change-propagation).
IAM_PROPAGATION = timedelta(minutes=7)


async def conclude_writes(
    sent: SentWrites,
    reading: Reading,
    goal: Goal,
    attempt: Attempt,
) -> ContainmentResult:
    """Judge what was written by the last reading, annotate the workload, and record it."""
    rechecked = replace(sent, failed=await _recheck_cancellations(sent.failed, attempt))
    result = containment_result(rechecked, reading, goal, attempt)
    if sent.snapshot is None:
        return result
    unverified = [c.error for c in result.changes if c.state is ChangeState.UNVERIFIED]
    unverified += [each.text for each in not_refused(reading.unmet_goals, result.changes)]
    kind = "unverified" if unverified else "verified"
    details: dict[str, Json] = {"began_at": time_text(reading.began_at)}
    if unverified:
        details["reason"] = unverified[0]
    number, problems = await record_after_write(
        attempt, sent.last_number, kind, sent.snapshot, **details
    )
    result = with_problems(result, problems)
    if kind == "verified" and result.status in (Status.CONTAINED, Status.RESTRICTED):
        annotation = _pending_annotation(reading.configuration, sent.snapshot, number, attempt)
        return replace(result, annotation=annotation)
    return result


def containment_result(
    sent: SentWrites,
    reading: Reading,
    goal: Goal,
    attempt: Attempt,
) -> ContainmentResult:
    """The result of what was written, by one reading of the workload."""
    read_changes = [
        with_state(change, ChangeState.UNVERIFIED, why)
        if why
        else with_state(change, ChangeState.VERIFIED)
        for change, why in zip(sent.changes, reading.unmet_changes, strict=True)
    ]
    changes = sorted((*read_changes, *sent.failed), key=lambda change: not change.stops)
    unreached = _unreached_goals(changes, attempt, reading.configuration or attempt.configuration)
    status = _status(changes, goal, reading.unmet_goals, unreached)
    known = {reason.text for reason in attempt.decision.reasons}
    starts_until = _starts_until(changes, sent, attempt)
    return ContainmentResult(
        status=status,
        decision=attempt.decision,
        changes=tuple(changes),
        containment_folder=attempt.records.current_folder(attempt.history)
        if sent.snapshot
        else None,
        stopped_at=sent.written_at if status is Status.CONTAINED else None,
        verified_at=attempt.process.clock() if status is Status.CONTAINED else None,
        starts_until=starts_until,
        reasons=(
            *(Reason(text, "access") for text in unreached if text not in known),
            *_reasons(sent, reading, changes, starts_until),
        ),
        alarm=any(change.state is not ChangeState.VERIFIED for change in changes)
        or bool(reading.unmet_goals)
        or status is not Status.CONTAINED,
    )


def _unreached_goals(
    changes: Sequence[Change], attempt: Attempt, configuration: WorkloadConfiguration
) -> tuple[str, ...]:
    """What keeps the workload from a goal; as planned where its IAM policy was not read again."""
    if configuration.access is None:
        return attempt.decision.unreached
    return masked_changes.unreached_goals(masked_changes.actions_behind(changes), configuration)


def _status(
    changes: Sequence[Change],
    goal: Goal,
    unmet: Sequence[UnmetGoal],
    unreached: Sequence[str],
) -> Status:
    """The status by changes and goal. A goal that was not reached is never called reached."""
    stopped = goal.stops and not any(each.stops for each in unmet)
    status = status_of_changes(changes, unreached, stopped=stopped)
    lost = not_refused(unmet, changes)
    if status is Status.CONTAINED and lost:
        # Nothing of a service runs, even if it may be called; a job can be started at any time.
        job = any("/jobs/" in change.target for change in changes)
        return Status.UNVERIFIED if job or any(each.stops for each in lost) else status
    if status is Status.RESTRICTED and lost and not any(each.stops for each in lost):
        return Status.UNVERIFIED
    return status


def _starts_until(changes: Sequence[Change], sent: SentWrites, attempt: Attempt) -> datetime | None:
    """Until when a job may be started in spite of our change of its IAM policy."""
    edited = any(
        change.kind is ChangeKind.IAM_POLICY
        and "/jobs/" in change.target
        and change.state is ChangeState.VERIFIED
        for change in changes
    )
    if not edited or sent.written_at is None:
        return None
    until = sent.written_at + IAM_PROPAGATION
    return until if until > attempt.process.clock() else None


def _reasons(
    sent: SentWrites,
    reading: Reading,
    changes: Sequence[Change],
    starts_until: datetime | None,
) -> tuple[Reason, ...]:
    """What a person should know of the reading."""
    refused_or_unverified = {c.error for c in changes if c.error}
    found = [
        Reason(each.text, "settings")
        for each in reading.unmet_goals
        if each.text not in refused_or_unverified
    ]
    if not sent.exact:
        text = (
            "another change came between reading and writing: the snapshot may lack it;"
            " the audit log has it"
        )
        found.append(Reason(text, "settings"))
    if starts_until:
        text = (
            f"until about {starts_until:%Y-%m-%d %H:%M:%S} UTC an execution may still be started:"
            " changes of an IAM policy take up to 7 minutes. The patrol checks the job again"
        )
        found.append(Reason(text, "access"))
    return tuple(found)


async def record_after_write(
    attempt: Attempt,
    after: int,
    kind: str,
    snapshot: Snapshot,
    **details: Json,
) -> tuple[int, tuple[Reason, ...]]:
    """Add a record once something was written. A store that refuses must not hide the write.

    Returns:
        The number of the containment's last record, and why the record is missing if it is.

    Raises:
        Retry: The store does not answer.
    """
    try:
        number = await RECORD_BACKOFF.retry(
            lambda: attempt.add_record(after, kind, snapshot, **details), on=GiveUp
        )
    except GiveUp as error:
        reason = Reason(f"the record {kind!r} could not be stored: {error}", "case-file")
        return after, (reason,)
    return number, ()


def with_cut_list(result: ContainmentResult, listed: Listing[Template] | None) -> ContainmentResult:
    """The result; with a list of revisions that was cut, nothing is called contained.

    Args:
        result: What was written and read back.
        listed: The revisions that were read as evidence; None where they do not matter.
    """
    stopped = result.status in (Status.CONTAINED, Status.ALREADY_CONTAINED)
    if not stopped or not isinstance(listed, CutList):
        return result
    text = f"its settings show that it is stopped, but not all was read: {listed.reason}"
    return replace(
        result,
        status=Status.UNVERIFIED,
        reasons=(*result.reasons, Reason(text, "settings")),
        alarm=True,
    )


def with_problems(result: ContainmentResult, problems: tuple[Reason, ...]) -> ContainmentResult:
    """The result with what went wrong beside the write: a person must look at it."""
    if not problems:
        return result
    return replace(result, reasons=(*result.reasons, *problems), alarm=True)


async def _recheck_cancellations(
    failed: tuple[Change, ...], attempt: Attempt
) -> tuple[Change, ...]:
    """The refused changes; a cancellation of an execution that was over counts as verified."""
    cancelled = [change for change in failed if change.kind is ChangeKind.CANCELLATION]
    if not cancelled:
        return failed
    needs, named = (
        masked_changes.details_for_changes(cancelled),
        masked_changes.names_in_changes(cancelled),
    )
    try:
        configuration = await read_workload(
            attempt.workload, needs, attempt.process.cloud_run, named
        )
    except IncidentError:
        return failed
    return tuple(
        with_state(change, ChangeState.VERIFIED)
        if change in cancelled and masked_changes.why_not_in_effect(change, configuration) is None
        else change
        for change in failed
    )


def _pending_annotation(
    configuration: WorkloadConfiguration | None,
    snapshot: Snapshot,
    last_number: int,
    attempt: Attempt,
) -> PendingAnnotation | None:
    """The annotation that is still to be written, where the write was this incident's."""
    not_annotated = attempt.workload.kind in NOT_ANNOTATED
    if configuration is None or not_annotated or snapshot.incident != attempt.incident:
        return None
    if INCIDENT_ANNOTATION in configuration.annotations:
        return None
    return PendingAnnotation(configuration, attempt.history, snapshot.number, last_number)
