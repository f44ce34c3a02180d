"""The emulator: gRPC and HTTP servers on loopback over one world."""

from __future__ import annotations

import asyncio
import functools
import json
import time
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, Self

import grpc
import grpc.aio

from emulator.api import proto_json
from emulator.api.errors import ApiError, write_conflict
from emulator.api.resource_names import last_segment
from emulator.server.control_endpoints import ControlEndpoints
from emulator.server.http_routes import service_routes
from emulator.server.http_server import HttpServer
from emulator.services.asset_inventory import AssetInventory
from emulator.services.cloud_logging import activity_log
from emulator.services.cloud_logging.list_entries import Logging
from emulator.services.cloud_run import admin_api
from emulator.services.cloud_run.reconciliation import Reconciler
from emulator.services.gate import Call, Gate, Hook, Method, Write
from emulator.services.pubsub.publish import Publisher
from emulator.services.security_center.list_findings import FindingsService
from emulator.services.security_center.notifications import Notifications
from emulator.services.security_center.update_findings import FindingWrites
from emulator.services.service_accounts import ServiceAccountAdmin
from emulator.world.state import World

_GRPC_OPTIONS = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.so_reuseport", 0),
)


class Emulator:
    """A small Google Cloud that runs while its context is entered.

    Attributes:
        world: What exists, live.
        calls: Every gRPC call that arrived, in order.
        writes: The mutating ones of them in full, refused ones too. Publishing a message is not
            among them: it shows in the world.
        grpc_address: Where gRPC is spoken, `127.0.0.1:PORT`; set on entering.
        http_address: Where HTTP is spoken; set on entering.
        gate: What every call passes through.
        notifications: What Security Command Center notifies of again.
    """

    def __init__(self, world: World, *, hook: Hook | None = None) -> None:
        self.world = world
        self.calls: list[Call] = []
        self.writes: list[Write] = []
        self.grpc_address = ""
        self.http_address = ""
        self.gate = Gate(world, hook)
        self.notifications = Notifications()
        self._reconciler = Reconciler(world)
        self._methods = {method.name: method for method in self._all_methods()}
        self._writes_in_flight: set[str] = set()
        self._answering: set[asyncio.Task[Any]] = set()

    @property
    def environment(self) -> str:
        """The addresses as one line of JSON: the value of `RESPONDER_EMULATOR`."""
        return json.dumps({"grpc": self.grpc_address, "http": self.http_address})

    async def __aenter__(self) -> Self:
        self._server = grpc.aio.server(options=_GRPC_OPTIONS)
        self._server.add_generic_rpc_handlers((_Dispatcher(self),))
        port = self._server.add_insecure_port("127.0.0.1:0")
        self._http_server = HttpServer(
            [
                *ControlEndpoints(self.world, self.calls, self.writes).routes(),
                *service_routes(self.gate, self.world),
            ]
        )
        self.http_address = await self._http_server.start()
        await self._server.start()
        self.grpc_address = f"127.0.0.1:{port}"
        self._reconciler.resume()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._reconciler.stop()
        await self._server.stop(grace=None)
        await self._http_server.stop()
        # Calls that were still waiting have been cancelled; let them end before the loop may.
        await asyncio.gather(*self._answering, return_exceptions=True)

    def _all_methods(self) -> list[Method]:
        """Everything that is implemented."""
        return [
            *admin_api.cloud_run_methods(self.world, self._reconciler),
            *FindingsService(self.world).methods(),
            *FindingWrites(self.world, self.notifications.add).methods(),
            *Logging(self.world).methods(),
            *Publisher(self.world).methods(),
            *AssetInventory(self.world).methods(),
            *ServiceAccountAdmin(self.world).methods(),
        ]

    def find_method(self, name: str) -> Method | None:
        """The method of a name, `None` for one that is not implemented."""
        return self._methods.get(name)

    async def answer_unimplemented(
        self, name: str, context: grpc.aio.ServicerContext[Any, Any]
    ) -> None:
        """Answers a call of a method that is not implemented."""
        self._track(asyncio.current_task())
        self.calls.append(Call(name, time.monotonic()))

        async def refuse() -> None:
            message = f"The emulator does not implement {name}."
            raise ApiError(grpc.StatusCode.UNIMPLEMENTED, message)

        try:
            await self.gate.handle_call(name, refuse)
        except ApiError as refusal:
            await context.abort(refusal.code, refusal.message)

    async def answer(
        self, method: Method, request: Any, context: grpc.aio.ServicerContext[Any, Any]
    ) -> Any:
        """Answers one call and remembers it."""
        self._track(asyncio.current_task())
        activity_log.set_caller(context)
        call = Call(method.name, time.monotonic())
        self.calls.append(call)
        position = len(self.writes)
        if method.writes_to:
            self.writes.append(Write.from_request(call, request))
        code = grpc.StatusCode.UNKNOWN
        try:
            response = await self._handle(method, request)
            code = grpc.StatusCode.OK
        except ApiError as refusal:
            code = refusal.code
            if method.writes_to:  # before the answer is on its way
                self.writes[position] = self.writes[position].with_code(code.name)
            await context.abort(refusal.code, refusal.message)
        except asyncio.CancelledError:
            code = grpc.StatusCode.CANCELLED
            raise
        finally:
            if method.writes_to:
                self.writes[position] = self.writes[position].with_code(code.name)
        return response

    def _track(self, task: asyncio.Task[Any] | None) -> None:
        if task:
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)

    async def _handle(self, method: Method, request: Any) -> Any:
        """Passes a call through the gate; of two writes to one resource at once, one conflicts."""
        target = method.writes_to(request) if method.writes_to else ""
        raced = target in self._writes_in_flight
        version = self.world.generation(target)
        if target and not raced:
            self._writes_in_flight.add(target)

        async def handle() -> Any:
            if raced and version:
                raise write_conflict(last_segment(target), version)
            answer = await method.handle(request)
            activity_log.record_call(method, request, self.world)
            return answer

        try:
            return await self.gate.handle_call(method.name, handle)
        finally:
            if not raced:
                self._writes_in_flight.discard(target)


class _Dispatcher(grpc.GenericRpcHandler):
    """Finds what answers a call, whatever the service."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """The handler of a method; every method has one."""
        name = handler_call_details.method
        method = self._emulator.find_method(name)
        if method is None:
            return grpc.stream_stream_rpc_method_handler(
                _unimplemented_handler(self._emulator, name)
            )
        return grpc.unary_unary_rpc_method_handler(
            functools.partial(self._emulator.answer, method),
            request_deserializer=method.parse,
            response_serializer=proto_json.serialize,
        )


def _unimplemented_handler(emulator: Emulator, name: str) -> Any:
    async def refuse(
        _: AsyncIterator[bytes], context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[bytes]:
        await emulator.answer_unimplemented(name, context)
        yield b""

    return refuse
