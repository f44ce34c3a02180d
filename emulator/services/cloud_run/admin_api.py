"""All methods of the Cloud Run Admin API v2.

Each kind of resource has a module of its own.
"""

from __future__ import annotations

from emulator.services.cloud_run import (
    deletions,
    executions,
    jobs,
    revisions,
    services,
    worker_pools,
)
from emulator.services.cloud_run.executions import Executions
from emulator.services.cloud_run.get_and_list import ERROR_KINDS
from emulator.services.cloud_run.iam_policies import IamPolicies
from emulator.services.cloud_run.instances import Instances
from emulator.services.cloud_run.jobs import Jobs
from emulator.services.cloud_run.long_running_operations import Operations
from emulator.services.cloud_run.reconciliation import Reconciler
from emulator.services.cloud_run.services import Services
from emulator.services.cloud_run.worker_pools import WorkerPools
from emulator.services.cloud_run.write_operations import WriteOperations
from emulator.services.gate import Method
from emulator.world.state import World

# The gRPC services whose resources have policies, with the collections of these.
_WITH_IAM_POLICY = {
    services.GRPC_SERVICE: "services",
    jobs.GRPC_SERVICE: "jobs",
    worker_pools.GRPC_SERVICE: "workerPools",
}


def cloud_run_methods(world: World, reconciler: Reconciler) -> list[Method]:
    """Every method of Cloud Run. A new kind of resource adds its methods here."""
    operations = Operations(world)
    writes = WriteOperations(world, reconciler, operations)
    policies = [
        IamPolicies(world, service, ERROR_KINDS[collection], world.tables()[collection])
        for service, collection in _WITH_IAM_POLICY.items()
    ]
    return [
        *Services(writes).methods(),
        *Jobs(writes).methods(),
        *WorkerPools(writes).methods(),
        *Executions(writes).methods(),
        *Instances(writes).methods(),
        *executions.task_methods(world),
        *revisions.revision_methods(world),
        *deletions.deletion_methods(writes),
        *(method for guarded in policies for method in guarded.methods()),
        *operations.methods(),
    ]
