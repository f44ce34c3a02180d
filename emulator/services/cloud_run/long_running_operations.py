"""Long-running operations (`google.longrunning.Operations`).

An operation is never stored as done: it is done when the resource that it is about has got there.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grpc
from google.longrunning import operations_pb2
from google.rpc import status_pb2

from emulator.api import list_pages, proto_json
from emulator.api.errors import not_found
from emulator.api.resource_names import parent_name, segment_after
from emulator.services.gate import Method, method
from emulator.world.cloud_run.operation_progress import OperationProgress
from emulator.world.state import World

_POLL_S = 0.01
_DEFAULT_WAIT_S = 30.0
_PAGE = 100


@dataclass(frozen=True, slots=True)
class _Operation:
    """A write and what it waits for.

    Attributes:
        name: Name of the operation.
        key: The resource in the world.
        progress: Reads off the resource how far it has got.
        result: The resource as answered by a write that had nothing to wait for.
    """

    name: str
    key: str
    progress: Callable[[Any], OperationProgress]
    result: Any | None = None


class Operations:
    """The operations of one world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._started: dict[str, _Operation] = {}

    def start(
        self, key: str, progress: Callable[[Any], OperationProgress]
    ) -> operations_pb2.Operation:
        """The operation of a write to a resource, just stored in the world."""
        return self._store(_Operation(_name(key), key, progress))

    def finished(self, key: str, result: Any) -> operations_pb2.Operation:
        """The operation of a write that changed nothing, finished with this resource."""
        return self._store(_Operation(_name(result.name), key, _already_done, result))

    def methods(self) -> list[Method]:
        """The methods of `google.longrunning.Operations`."""
        service = "/google.longrunning.Operations"
        return [
            method(f"{service}/GetOperation", operations_pb2.GetOperationRequest, self.get),
            method(f"{service}/WaitOperation", operations_pb2.WaitOperationRequest, self.wait),
            method(f"{service}/ListOperations", operations_pb2.ListOperationsRequest, self.list),
        ]

    async def get(self, request: operations_pb2.GetOperationRequest) -> operations_pb2.Operation:
        """An operation as it stands."""
        return self._as_operation(self._find(request.name))

    async def wait(self, request: operations_pb2.WaitOperationRequest) -> operations_pb2.Operation:
        """An operation when it is done, or as it stands after the timeout that was asked for."""
        started = self._find(request.name)
        limit = request.timeout.ToTimedelta().total_seconds() if request.HasField("timeout") else 0
        end = time.monotonic() + (limit or _DEFAULT_WAIT_S)
        while not (operation := self._as_operation(started)).done and time.monotonic() < end:  # noqa: ASYNC110  many things end it
            await asyncio.sleep(_POLL_S)
        return operation

    async def list(
        self, request: operations_pb2.ListOperationsRequest
    ) -> operations_pb2.ListOperationsResponse:
        """The operations of a location, oldest first."""
        where = self._world.canonical(request.name).removesuffix("/operations")
        found = [o for name, o in self._started.items() if parent_name(name) == where]
        length = list_pages.clamp_page_size(request.page_size, default=_PAGE, maximum=_PAGE)
        page, token = list_pages.paginate(
            found,
            size=length,
            token=request.page_token,
            query=where,
            rules=self._world.pages,
            key=lambda started: started.name,
        )
        return operations_pb2.ListOperationsResponse(
            operations=[self._as_operation(started) for started in page], next_page_token=token
        )

    def _store(self, started: _Operation) -> operations_pb2.Operation:
        self._started[self._world.canonical(started.name)] = started
        return self._as_operation(started)

    def _find(self, name: str) -> _Operation:
        started = self._started.get(self._world.canonical(name))
        if started is None:
            raise not_found(f"Operation '{name}' not found.")
        return started

    def _as_operation(self, started: _Operation) -> operations_pb2.Operation:
        resource = started.result or self._world.resource(started.key)
        progress = started.progress(resource)
        operation = operations_pb2.Operation(name=started.name, done=progress.done)
        operation.metadata.Pack(proto_json.unwrap(resource))
        if progress.done and progress.error:
            # Cloud Run ends such an operation with this code; clients show the condition's text.
            code = grpc.StatusCode.FAILED_PRECONDITION.value[0]
            operation.error.CopyFrom(status_pb2.Status(code=code, message=progress.error))
        elif progress.done:
            operation.response.Pack(proto_json.unwrap(resource))
        return operation


def _name(resource: str) -> str:
    project, location = segment_after(resource, "projects"), segment_after(resource, "locations")
    return f"projects/{project}/locations/{location}/operations/{uuid.uuid4()}"


def _already_done(_: Any) -> OperationProgress:
    return OperationProgress(done=True)
