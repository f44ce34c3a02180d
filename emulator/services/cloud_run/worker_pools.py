"""Cloud Run worker pools: get, list, update."""

from __future__ import annotations

from google.cloud import run_v2

from emulator.services.cloud_run import revisions
from emulator.services.cloud_run.get_and_list import ResourceApi
from emulator.services.cloud_run.workload_updates import (
    COMMON_MUTABLE_FIELDS,
    UpdateRequest,
    WorkloadApi,
    Workloads,
)
from emulator.services.cloud_run.write_operations import WriteOperations
from emulator.world.cloud_run import worker_pool_rules

GRPC_SERVICE = "google.cloud.run.v2.WorkerPools"
_API: WorkloadApi[run_v2.WorkerPool] = WorkloadApi(
    collection="workerPools",
    resource_api=ResourceApi(
        GRPC_SERVICE,
        run_v2.GetWorkerPoolRequest,
        run_v2.ListWorkerPoolsRequest,
        lambda page, token: run_v2.ListWorkerPoolsResponse(
            worker_pools=page, next_page_token=token
        ),
    ),
    update_request=run_v2.UpdateWorkerPoolRequest,
    request_field="worker_pool",
    mutable_fields=COMMON_MUTABLE_FIELDS | {"description", "instance_splits", "scaling"},
)


class WorkerPools(Workloads[run_v2.WorkerPool]):
    """Cloud Run worker pools of one world."""

    def __init__(self, writes: WriteOperations) -> None:
        super().__init__(writes, _API)

    def apply_rules(
        self,
        before: run_v2.WorkerPool,
        after: run_v2.WorkerPool,
        change: UpdateRequest[run_v2.WorkerPool],
    ) -> None:
        """Fills in defaults, checks the count, the splits and the template."""
        worker_pool_rules.apply_worker_pool_defaults(after, self._world.projects)
        worker_pool_rules.check_worker_pool_scaling(after)
        revisions.check_revisions(self._world, before, after, forced=change.new_revision)

    def on_create(self, workload: run_v2.WorkerPool) -> None:
        """A worker pool has no URL."""

    def on_template_change(self, workload: run_v2.WorkerPool) -> None:
        """Create the revision of a changed template, or one that the request forces."""
        revisions.add_revision(self._world, workload)
