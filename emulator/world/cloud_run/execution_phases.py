"""Executions and their tasks: which phase they are in, and how they get from one to the next.

Pure. Nothing runs here: an execution that was started runs until it is cancelled.
"""

from __future__ import annotations

import datetime as dt
from enum import StrEnum

import grpc
from google.cloud import run_v2
from google.rpc import status_pb2

from emulator.api import proto_json
from emulator.api.resource_names import last
from emulator.world.cloud_run import resources
from emulator.world.cloud_run.operation_progress import Progress
from emulator.world.cloud_run.resources import State

Reason = run_v2.Condition.ExecutionReason
Status = run_v2.ExecutionReference.CompletionStatus
Running = run_v2.Execution | run_v2.Task

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
COUNTS = {
    Phase.RUNNING: "running_count",
    Phase.SUCCEEDED: "succeeded_count",
    Phase.FAILED: "failed_count",
    Phase.CANCELLED: "cancelled_count",
}
UNFINISHED = (Phase.PENDING, Phase.RUNNING)
# What has got here had a container. One that was cancelled may have waited until then.
_RAN = (Phase.RUNNING, Phase.SUCCEEDED, Phase.FAILED)
_ENDS = {
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


def completed(resource: Running) -> run_v2.Condition:
    """The condition that says how far a resource has got; an empty one if it has none."""
    found = [c for c in resource.conditions if c.type_ == COMPLETED]
    return found[0] if found else run_v2.Condition()


def phase(resource: Running) -> Phase:
    """How far an execution or a task has got, by its condition."""
    condition = completed(resource)
    if condition.state == State.CONDITION_SUCCEEDED:
        return Phase.SUCCEEDED
    if condition.state == State.CONDITION_FAILED:
        is_cancelled = condition.execution_reason == Reason.CANCELLED
        return Phase.CANCELLED if is_cancelled else Phase.FAILED
    return Phase.PENDING if condition.state == State.CONDITION_PENDING else Phase.RUNNING


def enter(resource: Running, where: Phase, since: dt.datetime) -> None:
    """Puts an execution or a task into a phase, with what goes along for both."""
    state, reason = _ENDS[where]
    _say(resource, state, since, reason)
    resource.reconciling = where in UNFINISHED
    proto_json.set_moment(resource, "update_time", since)
    if where is Phase.RUNNING:
        proto_json.set_moment_if_unset(resource, "start_time", since)
    elif where is not Phase.PENDING:
        proto_json.set_moment_if_unset(resource, "completion_time", since)


def _say(
    resource: Running,
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
    """Whether an execution was told to stop and has not stopped yet."""
    is_over = phase(execution) not in UNFINISHED
    return not is_over and completed(execution).execution_reason == Reason.CANCELLING


def ask_to_stop(execution: run_v2.Execution) -> None:
    """Tells an execution to stop: it is cancelling from now on."""
    now = resources.now()
    _say(execution, State.CONDITION_RECONCILING, now, Reason.CANCELLING)
    execution.reconciling = True
    proto_json.set_moment(execution, "update_time", now)
    execution.etag = resources.etag(execution.etag, "cancelling", now)


def go_on(execution: run_v2.Execution, message: str) -> None:
    """A cancellation failed: the execution runs as before, and says why."""
    _say(execution, State.CONDITION_RECONCILING, resources.now(), message=message)


def cancel(execution: run_v2.Execution, tasks: list[run_v2.Task], now: dt.datetime) -> None:
    """Ends an execution and those of its tasks that had not ended."""
    for task in tasks:
        if phase(task) in UNFINISHED:
            cut_off(task, now)
    over = execution.succeeded_count + execution.failed_count
    execution.cancelled_count = execution.task_count - over
    execution.running_count = 0
    enter(execution, Phase.CANCELLED, now)


def cut_off(task: run_v2.Task, now: dt.datetime) -> None:
    """Ends a task from outside; one whose container ran was sent a signal."""
    if phase(task) is Phase.RUNNING:
        task.last_attempt_result = attempt(Phase.CANCELLED)
    enter(task, Phase.CANCELLED, now)
    task.etag = resources.etag(task.etag, "cancelled", now)


def attempt(where: Phase) -> run_v2.TaskAttemptResult:
    """How the last container of a task ended that is in one of the last three phases."""
    if where is Phase.CANCELLED:
        code, text = grpc.StatusCode.CANCELLED.value[0], "The task was cancelled."
        status = status_pb2.Status(code=code, message=text)
        return run_v2.TaskAttemptResult(status=status, term_signal=SIGTERM)
    if where is Phase.FAILED:
        code, text = grpc.StatusCode.UNKNOWN.value[0], "The container exited with an error."
        status = status_pb2.Status(code=code, message=text)
        return run_v2.TaskAttemptResult(status=status, exit_code=1)
    return run_v2.TaskAttemptResult(status=status_pb2.Status())


def refer(job: run_v2.Job, execution: run_v2.Execution) -> None:
    """Makes a job say how its latest execution is doing, if this is that one."""
    reference = job.latest_created_execution
    if last(reference.name) != last(execution.name):
        return
    job.latest_created_execution = reference_to(execution, name=reference.name)


def reference_to(execution: run_v2.Execution, *, name: str = "") -> run_v2.ExecutionReference:
    """What a job says of an execution; by its short name, unless another spelling is wanted."""
    reference = run_v2.ExecutionReference(
        name=name or last(execution.name), completion_status=_REFERENCES[phase(execution)]
    )
    for field in ("create_time", "completion_time"):
        if proto_json.raw(execution).HasField(field):
            proto_json.set_moment(reference, field, proto_json.moment(execution, field))
    return reference


def end(execution: run_v2.Execution) -> Progress:
    """How far the operation is that started an execution.

    Cloud Run's ends without an error when the execution was cancelled, as people found out who
    had taken that for a success.
    """
    where = phase(execution)
    failed = where is Phase.FAILED
    message = completed(execution).message or "The execution has failed."
    return Progress(done=where not in UNFINISHED, error=message if failed else "")


def cancellation(execution: run_v2.Execution) -> Progress:
    """How far the operation is that cancels an execution."""
    if is_cancelling(execution):
        return Progress(done=False)
    failed = phase(execution) in UNFINISHED
    return Progress(done=True, error=completed(execution).message if failed else "")


def tasks_of(execution: run_v2.Execution) -> list[run_v2.Task]:
    """The tasks of an execution that has just been started: as many running as may at once."""
    running = execution.running_count
    return [
        task_of(execution, index, Phase.RUNNING if index < running else Phase.PENDING)
        for index in range(execution.task_count)
    ]


def task_of(execution: run_v2.Execution, index: int, where: Phase) -> run_v2.Task:
    """One task of an execution, in a phase."""
    name = f"{execution.name}/tasks/{last(execution.name)}-task{index}"
    task = run_v2.Task(name=name, index=index)
    if where is not Phase.PENDING:
        proto_json.set_moment(task, "start_time", _started(execution))
    settle(task, execution, where)
    return task


def settle(task: run_v2.Task, execution: run_v2.Execution, where: Phase) -> None:
    """Fills what a task leaves out: its template's settings, and what its phase implies."""
    if not task.containers:
        merged = proto_json.to_json(execution.template) | proto_json.to_json(task)
        proto_json.raw(task).CopyFrom(proto_json.raw(proto_json.from_json(run_v2.Task, merged)))
    task.job = task.job or execution.job
    task.execution = task.execution or last(execution.name)
    proto_json.set_moment_if_unset(task, "create_time", proto_json.moment(execution, "create_time"))
    if where in _RAN:
        proto_json.set_moment_if_unset(task, "start_time", _started(execution))
    if where not in UNFINISHED:
        proto_json.set_moment_if_unset(task, "completion_time", _over(execution, task))
    _settle_attempt(task, where)
    complete(task, where)


def _settle_attempt(task: run_v2.Task, where: Phase) -> None:
    """Fills how the last container ended, unless there never was one."""
    fields = proto_json.raw(task)
    if fields.HasField("start_time"):
        proto_json.set_moment_if_unset(
            task, "scheduled_time", proto_json.moment(task, "start_time")
        )
        if where not in UNFINISHED and not fields.HasField("last_attempt_result"):
            task.last_attempt_result = attempt(where)
    if where is Phase.FAILED:
        # It is tried again as long as that is allowed.
        task.retried = task.retried or task.max_retries


def complete(resource: Running, where: Phase) -> None:
    """Fills the output-only fields that executions and tasks both have; their times are set."""
    since = _latest(resource)
    resource.uid = resource.uid or resources.uid(resource.name)
    resource.generation = resource.generation or 1
    resource.observed_generation = resource.observed_generation or resource.generation
    resource.etag = resource.etag or resources.etag(resource.name, resource.generation)
    resource.reconciling = where in UNFINISHED
    proto_json.set_moment_if_unset(resource, "update_time", since)
    if not resource.conditions and where is not Phase.PENDING:
        started = resources.condition("Started", State.CONDITION_SUCCEEDED, since)
        resource.conditions = [started]
    if not completed(resource).type_:
        state, reason = _ENDS[where]
        _say(resource, state, since, reason)


def _started(execution: run_v2.Execution) -> dt.datetime:
    created = proto_json.moment(execution, "create_time")
    return max(created, proto_json.moment(execution, "start_time"))


def _over(execution: run_v2.Execution, task: run_v2.Task) -> dt.datetime:
    """When a task ended: with its execution, or as soon as it began while that goes on."""
    ended = proto_json.moment(execution, "completion_time")
    return max(ended, proto_json.moment(task, "start_time"), proto_json.moment(task, "create_time"))


def _latest(resource: Running) -> dt.datetime:
    fields = ("create_time", "start_time", "completion_time")
    return max(proto_json.moment(resource, field) for field in fields)
