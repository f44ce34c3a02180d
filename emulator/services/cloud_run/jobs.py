"""Cloud Run jobs: their settings, and starting executions of them."""

from __future__ import annotations

import grpc
from google.cloud import run_v2
from google.longrunning import operations_pb2

from emulator.api.errors import Refusal
from emulator.api.resource_names import last
from emulator.services.cloud_run import executions
from emulator.services.cloud_run.get_and_list import Calls
from emulator.services.cloud_run.workload_updates import COMMON, Change, Kind, Workloads
from emulator.services.cloud_run.write_operations import Writes, check_etag
from emulator.services.gate import Method, method
from emulator.world.cloud_run import execution_phases, job_rules

SERVICE = "google.cloud.run.v2.Jobs"
# Setting one of these starts an execution.
_TOKENS = ("start_execution_token", "run_execution_token")
# There is no mask in the request: an update is a full replacement.
_KIND: Kind[run_v2.Job] = Kind(
    collection="jobs",
    calls=Calls(
        SERVICE,
        run_v2.GetJobRequest,
        run_v2.ListJobsRequest,
        lambda page, token: run_v2.ListJobsResponse(jobs=page, next_page_token=token),
    ),
    update=run_v2.UpdateJobRequest,
    field="job",
    mutable=COMMON | set(_TOKENS),
    longest=63,
)


class Jobs(Workloads[run_v2.Job]):
    """Cloud Run jobs of one world."""

    def __init__(self, writes: Writes) -> None:
        super().__init__(writes, _KIND)

    def methods(self) -> list[Method]:
        """Get, list, update, and run."""
        request = run_v2.RunJobRequest
        run = method(f"/{SERVICE}/RunJob", request, self.run, writes_to=lambda _: "")
        return [*super().methods(), run]

    async def run(self, request: run_v2.RunJobRequest) -> operations_pb2.Operation:
        """Starts an execution, which runs until it is cancelled."""
        key = self._writes.admit(request.name)
        job = self._shelf.one(request.name)
        check_etag(job, request.etag)
        execution = executions.of_job(job, request.overrides)
        execution_key = f"{key}/executions/{last(execution.name)}"
        if request.validate_only:
            return self._writes.answered(execution_key, execution)
        self._world.executions[execution_key] = execution
        self._world.tasks |= {
            self._world.canonical(task.name): task for task in execution_phases.tasks_of(execution)
        }
        job.execution_count += 1
        job.latest_created_execution = execution_phases.reference_to(execution)
        return self._writes.begun(execution_key, execution_phases.end, reconcile=False)

    def settle(self, before: run_v2.Job, after: run_v2.Job, change: Change[run_v2.Job]) -> None:
        """Fills in defaults, checks the template."""
        job_rules.apply_defaults(after, self._world.projects)
        job_rules.check_template(after)
        for token in _TOKENS:
            if getattr(change.sent, token) not in ("", getattr(before, token)):
                text = f"The emulator does not start executions by {token}; call RunJob."
                raise Refusal(grpc.StatusCode.UNIMPLEMENTED, text)

    def appear(self, workload: run_v2.Job) -> None:
        """A job has nothing for good: no address."""

    def renew(self, workload: run_v2.Job) -> None:
        """A job has no revisions: the next execution takes its template as it is."""
