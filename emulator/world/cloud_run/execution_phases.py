"""State machine of executions and their tasks.

Pure. Nothing runs here: an execution that was started runs until it is cancelled.
"""

from __future__ import annotations

import datetime as dt
from enum import StrEnum

import grpc
from google.cloud import run_v2
from google.rpc import status_pb2

from emulator.api import proto_json
from emulator.api.resource_names import last_segment
from emulator.world.cloud_run import resources
from emulator.world.cloud_run.operation_progress import OperationProgress
from emulator.world.cloud_run.resources import State

Reason = run_v2.Condition.ExecutionReason
Status = run_v2.ExecutionReference.CompletionStatus
ExecutionOrTask = run_v2.Execution | run_v2.Task

COMPLETED = "Completed"
SIGTERM = 15


class Phase(StrEnum):
    """How far an execution or a task has got."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


# The field of an execution that counts its tasks in a phase. Pending ones are not counted.
COUNT_FIELDS = {
    Phase.RUNNING: "running_count",
    Phase.SUCCEEDED: "succeeded_count",
    Phase.FAILED: "failed_count",
    Phase.CANCELLED: "cancelled_count",
}
UNFINISHED = (Phase.PENDING, Phase.RUNNING)
# What has got here had a container. One that was cancelled may have waited until then.
_HAD_CONTAINER = (Phase.RUNNING, Phase.SUCCEEDED, Phase.FAILED)
_CONDITIONS = {
    Phase.PENDING: (State.CONDITION_PENDING, None),
    Phase.RUNNING: (State.CONDITION_RECONCILING, None),
    Phase.SUCCEEDED: (State.CONDITION_SUCCEEDED, None),
    Phase.FAILED: (State.CONDITION_FAILED, Reason.NON_ZERO_EXIT_CODE),
    Phase.CANCELLED: (State.CONDITION_FAILED, Reason.CANCELLED),
}
_REFERENCES = {
    Phase.PENDING: Status.EXECUTION_PENDING,
    Phase.RUNNING: Status.EXECUTION_RUNNING,
    Phase.SUCCEEDED: Status.EXECUTION_SUCCEEDED,
    Phase.FAILED: Status.EXECUTION_FAILED,
    Phase.CANCELLED: Status.EXECUTION_CANCELLED,
}


def completed_condition(resource: ExecutionOrTask) -> run_v2.Condition:
    """The condition that says how far a resource has got; an empty one if it has none."""
    found = [c for c in resource.conditions if c.type_ == COMPLETED]
    return found[0] if found else run_v2.Condition()


def phase_of(resource: ExecutionOrTask) -> Phase:
    """How far an execution or a task has got, by its condition."""
    condition = completed_condition(resource)
    if condition.state == State.CONDITION_SUCCEEDED:
        return Phase.SUCCEEDED
    if condition.state == State.CONDITION_FAILED:
        is_cancelled = condition.execution_reason == Reason.CANCELLED
        return Phase.CANCELLED if is_cancelled else Phase.FAILED
    return Phase.PENDING if condition.state == State.CONDITION_PENDING else Phase.RUNNING


def enter_phase(resource: ExecutionOrTask, phase: Phase, since: dt.datetime) -> None:
    """Puts an execution or a task into a phase, with what goes along for both."""
    state, reason = _CONDITIONS[phase]
    _set_completed_condition(resource, state, since, reason)
    resource.reconciling = phase in UNFINISHED
    proto_json.set_timestamp(resource, "update_time", since)
    if phase is Phase.RUNNING:
        proto_json.set_timestamp_if_unset(resource, "start_time", since)
    elif phase is not Phase.PENDING:
        proto_json.set_timestamp_if_unset(resource, "completion_time", since)


def _set_completed_condition(
    resource: ExecutionOrTask,
    state: int,
    since: dt.datetime,
    reason: int | None = None,
    message: str = "",
) -> None:
    """Replaces the condition that says how far a resource has got; the others stay."""
    condition = resources.condition(COMPLETED, state, since, message)
    if reason is not None:
        condition.execution_reason = Reason(reason)
    others = [c for c in resource.conditions if c.type_ != COMPLETED]
    resource.conditions = [condition, *others]


def is_cancelling(execution: run_v2.Execution) -> bool:
    """Whether an execution is cancelled and has not stopped yet."""
    is_over = phase_of(execution) not in UNFINISHED
    return not is_over and completed_condition(execution).execution_reason == Reason.CANCELLING


def begin_cancellation(execution: run_v2.Execution) -> None:
    """Tells an execution to stop: it is cancelling from now on."""
    now = resources.current_time()
    _set_completed_condition(execution, State.CONDITION_RECONCILING, now, Reason.CANCELLING)
    execution.reconciling = True
    proto_json.set_timestamp(execution, "update_time", now)
    execution.etag = resources.make_etag(execution.etag, "cancelling", now)


def fail_cancellation(execution: run_v2.Execution, message: str) -> None:
    """A cancellation failed: the execution runs as before, and says why."""
    _set_completed_condition(
        execution, State.CONDITION_RECONCILING, resources.current_time(), message=message
    )


def finish_cancellation(
    execution: run_v2.Execution, tasks: list[run_v2.Task], now: dt.datetime
) -> None:
    """Ends an execution and those of its tasks that had not ended."""
    for task in tasks:
        if phase_of(task) in UNFINISHED:
            cancel_task(task, now)
    over = execution.succeeded_count + execution.failed_count
    execution.cancelled_count = execution.task_count - over
    execution.running_count = 0
    enter_phase(execution, Phase.CANCELLED, now)


def cancel_task(task: run_v2.Task, now: dt.datetime) -> None:
    """Ends a task from outside; one whose container ran was sent a signal."""
    if phase_of(task) is Phase.RUNNING:
        task.last_attempt_result = attempt_result(Phase.CANCELLED)
    enter_phase(task, Phase.CANCELLED, now)
    task.etag = resources.make_etag(task.etag, "cancelled", now)


def attempt_result(phase: Phase) -> run_v2.TaskAttemptResult:
    """How the last container of a task ended that is in one of the last three phases."""
    if phase is Phase.CANCELLED:
        code, text = grpc.StatusCode.CANCELLED.value[0], "The task was cancelled."
        status = status_pb2.Status(code=code, message=text)
        return run_v2.TaskAttemptResult(status=status, term_signal=SIGTERM)
    if phase is Phase.FAILED:
        code, text = grpc.StatusCode.UNKNOWN.value[0], "The container exited with an error."
        status = status_pb2.Status(code=code, message=text)
        return run_v2.TaskAttemptResult(status=status, exit_code=1)
    return run_v2.TaskAttemptResult(status=status_pb2.Status())


def update_job_reference(job: run_v2.Job, execution: run_v2.Execution) -> None:
    """Makes a job say how its latest execution is doing, if this is that one."""
    reference = job.latest_created_execution
    if last_segment(reference.name) != last_segment(execution.name):
        return
    job.latest_created_execution = execution_reference(execution, name=reference.name)


def execution_reference(
    execution: run_v2.Execution, *, name: str = ""
) -> run_v2.ExecutionReference:
    """What a job says of an execution; by its short name, unless another spelling is wanted."""
    reference = run_v2.ExecutionReference(
        name=name or last_segment(execution.name),
        completion_status=_REFERENCES[phase_of(execution)],
    )
    for field in ("create_time", "completion_time"):
        if proto_json.unwrap(execution).HasField(field):
            proto_json.set_timestamp(reference, field, proto_json.timestamp_of(execution, field))
    return reference


def run_progress(execution: run_v2.Execution) -> OperationProgress:
    """How far the operation is that started an execution.

    Cloud Run's ends without an error when the execution was cancelled, as people found out who
    had taken that for a success.
    """
    current_phase = phase_of(execution)
    failed = current_phase is Phase.FAILED
    message = completed_condition(execution).message or "The execution has failed."
    return OperationProgress(done=current_phase not in UNFINISHED, error=message if failed else "")


def cancellation_progress(execution: run_v2.Execution) -> OperationProgress:
    """How far the operation is that cancels an execution."""
    if is_cancelling(execution):
        return OperationProgress(done=False)
    failed = phase_of(execution) in UNFINISHED
    return OperationProgress(
        done=True, error=completed_condition(execution).message if failed else ""
    )


def new_tasks(execution: run_v2.Execution) -> list[run_v2.Task]:
    """The tasks of an execution that has just been started: as many running as may at once."""
    running = execution.running_count
    return [
        new_task(execution, index, Phase.RUNNING if index < running else Phase.PENDING)
        for index in range(execution.task_count)
    ]


def new_task(execution: run_v2.Execution, index: int, phase: Phase) -> run_v2.Task:
    """One task of an execution, in a phase."""
    name = f"{execution.name}/tasks/{last_segment(execution.name)}-task{index}"
    task = run_v2.Task(name=name, index=index)
    if phase is not Phase.PENDING:
        proto_json.set_timestamp(task, "start_time", _start_time(execution))
    fill_task(task, execution, phase)
    return task


def fill_task(task: run_v2.Task, execution: run_v2.Execution, phase: Phase) -> None:
    """Fills what a task leaves out: its template's settings, and what its phase implies."""
    if not task.containers:
        merged = proto_json.to_json(execution.template) | proto_json.to_json(task)
        proto_json.unwrap(task).CopyFrom(
            proto_json.unwrap(proto_json.from_json(run_v2.Task, merged))
        )
    task.job = task.job or execution.job
    task.execution = task.execution or last_segment(execution.name)
    proto_json.set_timestamp_if_unset(
        task, "create_time", proto_json.timestamp_of(execution, "create_time")
    )
    if phase in _HAD_CONTAINER:
        proto_json.set_timestamp_if_unset(task, "start_time", _start_time(execution))
    if phase not in UNFINISHED:
        proto_json.set_timestamp_if_unset(task, "completion_time", _task_end_time(execution, task))
    _fill_attempt_result(task, phase)
    fill_output_fields(task, phase)


def _fill_attempt_result(task: run_v2.Task, phase: Phase) -> None:
    """Fills how the last container ended, unless there never was one."""
    fields = proto_json.unwrap(task)
    if fields.HasField("start_time"):
        proto_json.set_timestamp_if_unset(
            task, "scheduled_time", proto_json.timestamp_of(task, "start_time")
        )
        if phase not in UNFINISHED and not fields.HasField("last_attempt_result"):
            task.last_attempt_result = attempt_result(phase)
    if phase is Phase.FAILED:
        # It is tried again as long as that is allowed.
        task.retried = task.retried or task.max_retries


def fill_output_fields(resource: ExecutionOrTask, phase: Phase) -> None:
    """Fills the output-only fields that executions and tasks both have; their times are set."""
    since = _latest_time(resource)
    resource.uid = resource.uid or resources.make_uid(resource.name)
    resource.generation = resource.generation or 1
    resource.observed_generation = resource.observed_generation or resource.generation
    resource.etag = resource.etag or resources.make_etag(resource.name, resource.generation)
    resource.reconciling = phase in UNFINISHED
    proto_json.set_timestamp_if_unset(resource, "update_time", since)
    if not resource.conditions and phase is not Phase.PENDING:
        started = resources.condition("Started", State.CONDITION_SUCCEEDED, since)
        resource.conditions = [started]
    if not completed_condition(resource).type_:
        state, reason = _CONDITIONS[phase]
        _set_completed_condition(resource, state, since, reason)


def _start_time(execution: run_v2.Execution) -> dt.datetime:
    created = proto_json.timestamp_of(execution, "create_time")
    return max(created, proto_json.timestamp_of(execution, "start_time"))


def _task_end_time(execution: run_v2.Execution, task: run_v2.Task) -> dt.datetime:
    """When a task ended: with its execution, or as soon as it began while that goes on."""
    ended = proto_json.timestamp_of(execution, "completion_time")
    return max(
        ended,
        proto_json.timestamp_of(task, "start_time"),
        proto_json.timestamp_of(task, "create_time"),
    )


def _latest_time(resource: ExecutionOrTask) -> dt.datetime:
    fields = ("create_time", "start_time", "completion_time")
    return max(proto_json.timestamp_of(resource, field) for field in fields)
