"""The HTTP side of the emulator: its own pages, VirusTotal, and Cloud Storage."""

from __future__ import annotations

import socket
from dataclasses import asdict
from typing import TYPE_CHECKING

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from emulator import parts, reading
from emulator.hierarchy import HierarchySite
from emulator.reading import BadWorld, Place
from emulator.regions import RegionsSite
from emulator.storage import Objects
from emulator.storage_http import StorageSite
from emulator.storage_json import StorageJsonSite
from emulator.virustotal import VirusTotalSite

if TYPE_CHECKING:
    from emulator.server import Emulator

_KEEP_ALIVE_S = 600


class Pages:
    """What the emulator shows of itself, and how its faults and latency are set."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator

    def routes(self) -> list[Route]:
        """`/world`, `/calls` and `/faults`."""
        return [
            Route("/world", self.world, methods=["GET"]),
            Route("/calls", self.calls, methods=["GET"]),
            Route("/faults", self.faults, methods=["POST"]),
        ]

    async def world(self, _: Request) -> Response:
        """The state, in the form that `--world` reads."""
        return JSONResponse(self._emulator.world.dump())

    async def calls(self, _: Request) -> Response:
        """Every gRPC call so far, and the mutating ones in full."""
        calls = [asdict(call) for call in self._emulator.calls]
        writes = [asdict(write) for write in self._emulator.writes]
        return JSONResponse({"calls": calls, "writes": writes})

    async def faults(self, request: Request) -> Response:
        """Replaces the faults, the latency, or both; what the body leaves out stays."""
        world = self._emulator.world
        try:
            data = reading.parsed(await request.body(), source="POST /faults")
            body = Place("POST /faults", data).object(only=("faults", "latency"))
            latency = parts.latency(body.key("latency")) if "latency" in data else world.latency
            faults = parts.faults(body.key("faults")) if "faults" in data else world.faults
        except BadWorld as error:
            return JSONResponse({"error": str(error)}, status_code=400)
        world.latency, world.faults = latency, faults
        return JSONResponse({})


class WebServer:
    """Serves the pages on a free port of the loopback interface, on the loop that starts it."""

    def __init__(self, emulator: Emulator) -> None:
        objects = Objects()
        storage = StorageSite(emulator.gate, objects)
        names = StorageJsonSite(emulator.gate, objects)
        virustotal = VirusTotalSite(emulator.gate, emulator.world)
        regions = RegionsSite(emulator.gate, emulator.world)
        hierarchy = HierarchySite(emulator.gate, emulator.world)
        own = [*Pages(emulator).routes(), *regions.routes(), *hierarchy.routes()]
        routes = [*own, *virustotal.routes(), *names.routes(), *storage.routes()]
        app = Starlette(routes=routes)
        config = uvicorn.Config(
            app,
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            # A connection closed under a client that is about to use it is nobody's finding.
            timeout_keep_alive=_KEEP_ALIVE_S,
        )
        self._server = uvicorn.Server(config)

    async def start(self) -> str:
        """Starts to listen and returns the address.

        The server's own run loop is not used: it takes over the process's signals, and its
        clock ticks only ten times a second, which every stop would wait for.
        """
        listener = socket.create_server(("127.0.0.1", 0))
        # Connections inherit it. Without, a body waits for the acknowledgement of its headers,
        # which the other side puts off for 40 ms; asyncio does it for sockets of its own only.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        config = self._server.config
        config.load()
        self._server.lifespan = config.lifespan_class(config)
        await self._server.startup(sockets=[listener])
        host, port = listener.getsockname()
        return f"{host}:{port}"

    async def stop(self) -> None:
        """Stops listening and ends what is under way."""
        for server in self._server.servers:
            server.close()
        for connection in tuple(self._server.server_state.connections):
            connection.shutdown()
        for task in tuple(self._server.server_state.tasks):
            task.cancel()
