"""Errors of Google's JSON APIs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import grpc
from starlette.responses import JSONResponse, Response

from emulator.api.errors import ApiError
from emulator.services import http_gate
from emulator.services.gate import Gate

_HTTP_STATUS = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.UNAVAILABLE: 503,
}


async def gate_json_request(
    gate: Gate, method: str, handle: Callable[[], Awaitable[Response]]
) -> Response:
    """The answer to one call, named as in faults."""
    return await http_gate.gate_http_request(gate, method, handle, _error_response)


def _error_response(refusal: ApiError) -> Response:
    status = _HTTP_STATUS.get(refusal.code, 500)
    error = {"code": status, "status": refusal.code.name, "message": refusal.message}
    return JSONResponse({"error": error}, status_code=status)
