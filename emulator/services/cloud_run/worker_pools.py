"""Cloud Run worker pools: no address, no traffic, no tags, and a count that people set."""

from __future__ import annotations

from google.cloud import run_v2

from emulator.services.cloud_run import revisions
from emulator.services.cloud_run.get_and_list import Calls
from emulator.services.cloud_run.workload_updates import COMMON, Change, Kind, Workloads
from emulator.services.cloud_run.write_operations import Writes
from emulator.world.cloud_run import worker_pool_rules

SERVICE = "google.cloud.run.v2.WorkerPools"
_KIND: Kind[run_v2.WorkerPool] = Kind(
    collection="workerPools",
    calls=Calls(
        SERVICE,
        run_v2.GetWorkerPoolRequest,
        run_v2.ListWorkerPoolsRequest,
        lambda page, token: run_v2.ListWorkerPoolsResponse(
            worker_pools=page, next_page_token=token
        ),
    ),
    update=run_v2.UpdateWorkerPoolRequest,
    field="worker_pool",
    mutable=COMMON | {"description", "instance_splits", "scaling"},
)


class WorkerPools(Workloads[run_v2.WorkerPool]):
    """Cloud Run worker pools of one world."""

    def __init__(self, writes: Writes) -> None:
        super().__init__(writes, _KIND)

    def settle(
        self,
        before: run_v2.WorkerPool,
        after: run_v2.WorkerPool,
        change: Change[run_v2.WorkerPool],
    ) -> None:
        """Fills in defaults, checks the count, the splits and the template."""
        worker_pool_rules.apply_defaults(after, self._world.projects)
        worker_pool_rules.check_scaling(after)
        revisions.check(self._world, before, after, forced=change.new_revision)

    def appear(self, workload: run_v2.WorkerPool) -> None:
        """A worker pool has nothing for good: no address."""

    def renew(self, workload: run_v2.WorkerPool) -> None:
        """Makes the revision of a changed template, or one that is wanted all the same."""
        revisions.add(self._world, workload)
