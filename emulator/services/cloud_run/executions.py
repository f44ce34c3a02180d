"""Cloud Run executions and tasks: get, list, run, cancel."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

import grpc
from google.cloud import run_v2
from google.longrunning import operations_pb2

from emulator.api import proto_json
from emulator.api.errors import ApiError, invalid_argument
from emulator.api.list_pages import newest_first
from emulator.api.resource_names import last_segment
from emulator.services.cloud_logging.activity_log import current_caller
from emulator.services.cloud_run.get_and_list import ResourceApi, ResourceTable
from emulator.services.cloud_run.write_operations import WriteOperations, check_etag
from emulator.services.gate import Method, method
from emulator.world.cloud_run import execution_phases, resources
from emulator.world.cloud_run.execution_phases import UNFINISHED, Phase
from emulator.world.cloud_run.job_rules import MAX_TASKS
from emulator.world.state import World

GRPC_SERVICE = "google.cloud.run.v2.Executions"
_SUFFIX_LENGTH = 5


class Executions:
    """The executions of all jobs of one world."""

    def __init__(self, writes: WriteOperations) -> None:
        api: ResourceApi[run_v2.Execution] = ResourceApi(
            GRPC_SERVICE,
            run_v2.GetExecutionRequest,
            run_v2.ListExecutionsRequest,
            lambda page, token: run_v2.ListExecutionsResponse(
                executions=page, next_page_token=token
            ),
            parent_collections=("jobs",),
        )
        self._writes = writes
        self._world = writes.world
        self._table = ResourceTable(
            self._world, "EXECUTION", self._world.executions, api, newest_first
        )

    def methods(self) -> list[Method]:
        """The methods of `google.cloud.run.v2.Executions`."""
        return [
            *self._table.methods(),
            method(
                f"/{GRPC_SERVICE}/CancelExecution",
                run_v2.CancelExecutionRequest,
                self.cancel,
                writes_to=self._target,
            ),
        ]

    async def cancel(self, request: run_v2.CancelExecutionRequest) -> operations_pb2.Operation:
        """Tells an execution to stop; harmless for one that is stopping already."""
        key = self._writes.take_quota(request.name)
        stored = self._table.get(request.name)
        check_etag(stored, request.etag)
        if execution_phases.phase_of(stored) not in UNFINISHED:
            raise ApiError(
                grpc.StatusCode.FAILED_PRECONDITION,
                f"Execution '{last_segment(stored.name)}' has completed and cannot be cancelled.",
            )
        execution = proto_json.copy(stored)
        if not execution_phases.is_cancelling(stored):
            execution_phases.begin_cancellation(execution)
        if request.validate_only:
            return self._writes.finished(key, execution)
        self._world.executions[key] = execution
        return self._writes.started(key, execution_phases.cancellation_progress)

    def _target(self, request: run_v2.CancelExecutionRequest) -> str:
        return "" if request.validate_only else self._world.canonical(request.name)


def task_methods(world: World) -> list[Method]:
    """The methods of `google.cloud.run.v2.Tasks`: by index in lists."""
    api: ResourceApi[run_v2.Task] = ResourceApi(
        "google.cloud.run.v2.Tasks",
        run_v2.GetTaskRequest,
        run_v2.ListTasksRequest,
        lambda page, token: run_v2.ListTasksResponse(tasks=page, next_page_token=token),
        parent_collections=("executions",),
    )
    return ResourceTable(world, "TASK", world.tasks, api, _by_index).methods()


def new_execution(job: run_v2.Job, overrides: run_v2.RunJobRequest.Overrides) -> run_v2.Execution:
    """The execution that a job starts when it is run."""
    now = resources.current_time()
    letters = resources.name_suffix(uuid.uuid4(), length=_SUFFIX_LENGTH)
    count = overrides.task_count or job.template.task_count
    if not 0 < count <= MAX_TASKS:
        raise invalid_argument(f"overrides.task_count must be from 1 to {MAX_TASKS}")
    parallelism = min(job.template.parallelism or count, count)
    execution = run_v2.Execution(
        name=f"{job.name}/executions/{last_segment(job.name)}-{letters}",
        job=last_segment(job.name),
        creator=current_caller(),
        labels=job.template.labels,
        annotations=job.template.annotations,
        launch_stage=job.launch_stage,
        task_count=count,
        parallelism=parallelism,
        running_count=parallelism,
        template=_with_overrides(job.template.template, overrides),
        create_time=now,
        start_time=now,
    )
    execution_phases.fill_output_fields(execution, Phase.RUNNING)
    return execution


def _with_overrides(
    template: run_v2.TaskTemplate, overrides: run_v2.RunJobRequest.Overrides
) -> run_v2.TaskTemplate:
    """A template with the arguments, the environment and the timeout of one run."""
    result = proto_json.copy(template)
    if proto_json.unwrap(overrides).HasField("timeout"):
        result.timeout = overrides.timeout
    for override in overrides.container_overrides:
        container = _container(result, override.name)
        if override.args or override.clear_args:
            container.args = override.args
        names = {variable.name for variable in override.env}
        kept = [variable for variable in container.env if variable.name not in names]
        container.env = [*kept, *override.env]
    return result


def _container(template: run_v2.TaskTemplate, name: str) -> run_v2.Container:
    found = [c for c in template.containers if not name or c.name == name]
    if len(found) != 1:
        raise invalid_argument(f"container_overrides: {name!r} is not one container of the job")
    return found[0]


def _by_index(tasks: Sequence[run_v2.Task]) -> list[run_v2.Task]:
    return sorted(tasks, key=lambda task: task.index)
