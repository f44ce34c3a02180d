"""Serve HTTP on a free loopback port."""

from __future__ import annotations

import socket
from collections.abc import Sequence

import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from emulator.services.gate import set_access_token

_KEEP_ALIVE_S = 600


def _noting_access_tokens(app: ASGIApp) -> ASGIApp:
    """The application, with the access token of each request taken down before it."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        set_access_token(Headers(scope=scope).get("authorization", ""))
        await app(scope, receive, send)

    return answer


class HttpServer:
    """Serves routes on a free port of the loopback interface, on the loop that starts it."""

    def __init__(self, routes: Sequence[Route]) -> None:
        app = _noting_access_tokens(Starlette(routes=list(routes)))
        config = uvicorn.Config(
            app,
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            # Closing an idle connection that a client is about to use would fail its call.
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
