"""Control endpoints of the emulator: /world, /calls, /faults."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from emulator.services.gate import Call, Write
from emulator.world.document import json_document, world_parts
from emulator.world.document.json_document import BadWorld, JsonNode
from emulator.world.state import World


class ControlEndpoints:
    """What the emulator shows of itself, and how its faults and latency are set."""

    def __init__(self, world: World, calls: Sequence[Call], writes: Sequence[Write]) -> None:
        self._world = world
        self._calls = calls
        self._writes = writes

    def routes(self) -> list[Route]:
        """`/world`, `/calls` and `/faults`."""
        return [
            Route("/world", self.world, methods=["GET"]),
            Route("/calls", self.calls, methods=["GET"]),
            Route("/faults", self.faults, methods=["POST"]),
        ]

    async def world(self, _: Request) -> Response:
        """The state, in the form that `--world` reads."""
        return JSONResponse(self._world.dump())

    async def calls(self, _: Request) -> Response:
        """Every gRPC call so far, and the mutating ones in full."""
        calls = [asdict(call) for call in self._calls]
        writes = [asdict(write) for write in self._writes]
        return JSONResponse({"calls": calls, "writes": writes})

    async def faults(self, request: Request) -> Response:
        """Replaces the faults, the latency, or both; what the body leaves out stays."""
        world = self._world
        try:
            data = json_document.parse_json(await request.body(), source="POST /faults")
            body = JsonNode("POST /faults", data).json_object(allowed_keys=("faults", "latency"))
            latency = (
                world_parts.parse_latency(body.get("latency"))
                if "latency" in data
                else world.latency
            )
            faults = (
                world_parts.parse_faults(body.get("faults")) if "faults" in data else world.faults
            )
        except BadWorld as error:
            return JSONResponse({"error": str(error)}, status_code=400)
        world.latency, world.faults = latency, faults
        return JSONResponse({})
