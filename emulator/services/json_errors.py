"""Answers of Google's JSON APIs: a refusal as they put it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import grpc
from starlette.responses import JSONResponse, Response

from emulator.api.errors import Refusal
from emulator.services import http_gate
from emulator.services.gate import Gate

_STATUS = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.UNAVAILABLE: 503,
}


async def answered(gate: Gate, method: str, handle: Callable[[], Awaitable[Response]]) -> Response:
    """The answer to one call, named as in faults."""
    return await http_gate.answered(gate, method, handle, _refused)


def _refused(refusal: Refusal) -> Response:
    status = _STATUS.get(refusal.code, 500)
    error = {"code": status, "status": refusal.code.name, "message": refusal.message}
    return JSONResponse({"error": error}, status_code=status)
