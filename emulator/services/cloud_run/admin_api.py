"""Cloud Run Admin API v2: everything of it that is there, put together.

Each kind of resource has a module of its own.
"""

from __future__ import annotations

from emulator.services.cloud_run import executions, jobs, revisions, services, worker_pools
from emulator.services.cloud_run.executions import Executions
from emulator.services.cloud_run.get_and_list import KINDS
from emulator.services.cloud_run.iam_policies import IamPolicies
from emulator.services.cloud_run.jobs import Jobs
from emulator.services.cloud_run.long_running_operations import Operations
from emulator.services.cloud_run.reconciliation import Reconciler
from emulator.services.cloud_run.services import Services
from emulator.services.cloud_run.worker_pools import WorkerPools
from emulator.services.cloud_run.write_operations import Writes
from emulator.services.gate import Method
from emulator.world.state import World

# The gRPC services whose resources have policies, with the collections of these.
_GUARDED = {
    services.SERVICE: "services",
    jobs.SERVICE: "jobs",
    worker_pools.SERVICE: "workerPools",
}


def methods(world: World, reconciler: Reconciler) -> list[Method]:
    """Every method of Cloud Run. A new kind of resource adds its methods here."""
    operations = Operations(world)
    writes = Writes(world, reconciler, operations)
    policies = [
        IamPolicies(world, service, KINDS[collection], world.tables()[collection])
        for service, collection in _GUARDED.items()
    ]
    return [
        *Services(writes).methods(),
        *Jobs(writes).methods(),
        *WorkerPools(writes).methods(),
        *Executions(writes).methods(),
        *executions.task_methods(world),
        *revisions.methods(world),
        *(method for guarded in policies for method in guarded.methods()),
        *operations.methods(),
    ]
