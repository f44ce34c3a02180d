"""Cloud Run jobs: update and run."""

from __future__ import annotations

import grpc
from google.cloud import run_v2
from google.longrunning import operations_pb2

from emulator.api.errors import ApiError
from emulator.api.resource_names import last_segment
from emulator.services.cloud_run import executions
from emulator.services.cloud_run.get_and_list import ResourceApi
from emulator.services.cloud_run.workload_updates import (
    COMMON_MUTABLE_FIELDS,
    UpdateRequest,
    WorkloadApi,
    Workloads,
)
from emulator.services.cloud_run.write_operations import WriteOperations, check_etag
from emulator.services.gate import Method, method
from emulator.world.cloud_run import execution_phases, job_rules

GRPC_SERVICE = "google.cloud.run.v2.Jobs"
# Setting one of these starts an execution.
_TOKENS = ("start_execution_token", "run_execution_token")
# There is no mask in the request: an update is a full replacement.
_API: WorkloadApi[run_v2.Job] = WorkloadApi(
    collection="jobs",
    resource_api=ResourceApi(
        GRPC_SERVICE,
        run_v2.GetJobRequest,
        run_v2.ListJobsRequest,
        lambda page, token: run_v2.ListJobsResponse(jobs=page, next_page_token=token),
    ),
    update_request=run_v2.UpdateJobRequest,
    request_field="job",
    mutable_fields=COMMON_MUTABLE_FIELDS | set(_TOKENS),
    max_name_length=63,
)


class Jobs(Workloads[run_v2.Job]):
    """Cloud Run jobs of one world."""

    def __init__(self, writes: WriteOperations) -> None:
        super().__init__(writes, _API)

    def methods(self) -> list[Method]:
        """Get, list, update, and run."""
        request = run_v2.RunJobRequest
        run = method(f"/{GRPC_SERVICE}/RunJob", request, self.run, writes_to=lambda _: "")
        return [*super().methods(), run]

    async def run(self, request: run_v2.RunJobRequest) -> operations_pb2.Operation:
        """Starts an execution, which runs until it is cancelled."""
        key = self._writes.take_quota(request.name)
        job = self._table.get(request.name)
        check_etag(job, request.etag)
        execution = executions.new_execution(job, request.overrides)
        execution_key = f"{key}/executions/{last_segment(execution.name)}"
        if request.validate_only:
            return self._writes.finished(execution_key, execution)
        self._world.executions[execution_key] = execution
        self._world.tasks |= {
            self._world.canonical(task.name): task for task in execution_phases.new_tasks(execution)
        }
        job.execution_count += 1
        job.latest_created_execution = execution_phases.execution_reference(execution)
        return self._writes.started(execution_key, execution_phases.run_progress, reconcile=False)

    def apply_rules(
        self, before: run_v2.Job, after: run_v2.Job, change: UpdateRequest[run_v2.Job]
    ) -> None:
        """Fills in defaults, checks the template."""
        job_rules.apply_job_defaults(after, self._world.projects)
        job_rules.check_job_template(after)
        for token in _TOKENS:
            if getattr(change.sent, token) not in ("", getattr(before, token)):
                text = f"The emulator does not start executions by {token}; call RunJob."
                raise ApiError(grpc.StatusCode.UNIMPLEMENTED, text)

    def on_create(self, workload: run_v2.Job) -> None:
        """A job has nothing for good: no address."""

    def on_template_change(self, workload: run_v2.Job) -> None:
        """A job has no revisions: the next execution takes its template as it is."""
