"""Cloud Run Admin API v2: everything of it that is there, put together.

Each kind of resource has a module of its own.
"""

from __future__ import annotations

from emulator import executions, jobs, revisions, services, worker_pools
from emulator.executions import Executions
from emulator.iam import IamPolicies
from emulator.jobs import Jobs
from emulator.operations import Operations
from emulator.reconciling import Reconciler
from emulator.services import Services
from emulator.shelf import KINDS
from emulator.wire import Method
from emulator.worker_pools import WorkerPools
from emulator.world import World
from emulator.writing import Writes

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
