"""Delete services, revisions and executions."""

from __future__ import annotations

from typing import Any

import grpc
from google.cloud import run_v2
from google.longrunning import operations_pb2

from emulator.api.errors import ApiError, resource_not_found
from emulator.api.resource_names import children_of, last_segment, parent_name
from emulator.services.cloud_run.get_and_list import ERROR_KINDS
from emulator.services.cloud_run.write_operations import WriteOperations, check_etag
from emulator.services.gate import Method, method
from emulator.world.cloud_run import execution_phases, traffic_split
from emulator.world.state import World


def deletion_methods(writes: WriteOperations) -> list[Method]:
    """DeleteService, DeleteRevision and DeleteExecution."""
    requests: dict[str, type[Any]] = {
        "services": run_v2.DeleteServiceRequest,
        "revisions": run_v2.DeleteRevisionRequest,
        "executions": run_v2.DeleteExecutionRequest,
    }
    return [
        _deletion(writes, collection, request, f"google.cloud.run.v2.{collection.capitalize()}")
        for collection, request in requests.items()
    ]


def _deletion(
    writes: WriteOperations, collection: str, request_type: type[Any], service: str
) -> Method:
    world = writes.world

    async def delete(request: Any) -> operations_pb2.Operation:
        key = writes.take_quota(request.name)
        found = world.resource(key)
        if found is None:
            raise resource_not_found(ERROR_KINDS[collection], request.name)
        check_etag(found, request.etag)
        _check_deletable(world, key, found)
        if not request.validate_only:
            _delete(world, key)
        return writes.finished(key, found)

    return method(
        f"/{service}/{request_type.__name__.removesuffix('Request')}",
        request_type,
        delete,
        writes_to=lambda request: "" if request.validate_only else world.canonical(request.name),
    )


def _check_deletable(world: World, key: str, resource: Any) -> None:
    """Refuses a revision that can receive traffic, and an execution that runs.

    A revision that is the only one or the latest cannot be deleted either (Cloud Run's page on
    managing revisions).
    """
    name = last_segment(key)
    if isinstance(resource, run_v2.Revision):
        owner: Any = world.resource(parent_name(key))
        named = {share.revision for share in traffic_split.split_of(owner)}
        latest = {
            last_segment(owner.latest_created_revision),
            last_segment(owner.latest_ready_revision),
        }
        if name in named | latest or len(children_of(parent_name(key), world.revisions)) == 1:
            raise _precondition(
                f"Revision '{name}' cannot be deleted: it is the latest one, or can receive"
                " traffic."
            )
    if (
        isinstance(resource, run_v2.Execution)
        and execution_phases.phase_of(resource) in execution_phases.UNFINISHED
    ):
        raise _precondition(f"Execution '{name}' has not completed and cannot be deleted.")


def _delete(world: World, key: str) -> None:
    """Take away a resource, what belongs to it, and its policy."""
    for table in world.tables().values():
        for name in [name for name in table if name == key or name.startswith(f"{key}/")]:
            del table[name]
    world.iam_policies.pop(key, None)


def _precondition(message: str) -> ApiError:
    return ApiError(grpc.StatusCode.FAILED_PRECONDITION, message)
