"""Answers of Google's JSON APIs: through the gate, and a refusal as they put it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import grpc
from starlette.responses import JSONResponse, Response

from emulator.refusal import Refusal
from emulator.wire import Gate

_STATUS = {
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.UNAVAILABLE: 503,
}


async def answered(gate: Gate, name: str, handle: Callable[[], Awaitable[Response]]) -> Response:
    """The answer to one call, named as in faults."""
    try:
        return await gate.through(name, handle)
    except Refusal as refusal:
        status = _STATUS.get(refusal.code, 500)
        error = {"code": status, "status": refusal.code.name, "message": refusal.message}
        return JSONResponse({"error": error}, status_code=status)
    except asyncio.CancelledError:
        # Only the end of the emulator cancels a request; nobody needs a traceback of it.
        return Response(status_code=503)
