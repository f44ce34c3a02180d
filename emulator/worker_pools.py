"""Cloud Run worker pools: no address, no traffic, no tags, and a count that people set."""

from __future__ import annotations

import re
from typing import ClassVar

from google.cloud import run_v2
from google.longrunning import operations_pb2

from emulator import pool_state, revisions
from emulator.shelf import Calls, Shelf
from emulator.wire import Method, method
from emulator.workloads import Change, Workloads
from emulator.writing import Writes

SERVICE = "google.cloud.run.v2.WorkerPools"


class WorkerPools(Workloads[run_v2.WorkerPool]):
    """Cloud Run worker pools of one world."""

    mutable = frozenset(
        {
            "description",
            "labels",
            "annotations",
            "client",
            "client_version",
            "launch_stage",
            "binary_authorization",
            "template",
            "instance_splits",
            "scaling",
        }
    )
    name: ClassVar[re.Pattern[str]] = re.compile(
        r"projects/[^/]+/locations/[^/]+/workerPools/[a-z]([-a-z0-9]{0,47}[a-z0-9])?"
    )

    def __init__(self, writes: Writes) -> None:
        calls: Calls[run_v2.WorkerPool] = Calls(
            SERVICE,
            run_v2.GetWorkerPoolRequest,
            run_v2.ListWorkerPoolsRequest,
            lambda page, token: run_v2.ListWorkerPoolsResponse(
                worker_pools=page, next_page_token=token
            ),
        )
        shelf = Shelf(writes.world, "WORKER_POOL", writes.world.worker_pools, calls)
        super().__init__(shelf, writes)

    def methods(self) -> list[Method]:
        """The methods of `google.cloud.run.v2.WorkerPools` that are about pools."""
        return [
            *self._shelf.methods(),
            method(
                f"/{SERVICE}/UpdateWorkerPool",
                run_v2.UpdateWorkerPoolRequest,
                self.update,
                writes_to=lambda request: self.target(request, request.worker_pool),
            ),
        ]

    async def update(self, request: run_v2.UpdateWorkerPoolRequest) -> operations_pb2.Operation:
        """Changes a worker pool, or creates it where the request allows that."""
        return self.change(Change.of(request, request.worker_pool))

    def settle(
        self,
        before: run_v2.WorkerPool,
        after: run_v2.WorkerPool,
        change: Change[run_v2.WorkerPool],
    ) -> None:
        """Fills in defaults, checks the count, the splits and the template."""
        pool_state.apply_defaults(after, self._world.projects)
        pool_state.check_scaling(after)
        revisions.check(self._world, before, after, forced=change.new_revision)

    def renew(self, workload: run_v2.WorkerPool) -> None:
        """Makes the revision of a changed template, or one that is wanted all the same."""
        revisions.add(self._world, workload)
