"""Pass HTTP requests through the same gate as gRPC calls."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from starlette.responses import Response

from emulator.api.errors import ApiError
from emulator.services.gate import Gate


async def gate_http_request(
    gate: Gate,
    method: str,
    handle: Callable[[], Awaitable[Response]],
    error_response: Callable[[ApiError], Response],
) -> Response:
    """The answer to one request.

    Args:
        gate: What every call goes through.
        method: What the request is called in the record of calls.
        handle: Answers it, or raises a refusal.
        error_response: How this API words an error.
    """
    try:
        return await gate.handle_call(method, handle)
    except ApiError as refusal:
        return error_response(refusal)
    except asyncio.CancelledError:
        # Only the end of the emulator cancels a request; nobody needs a traceback of it.
        return Response(status_code=503)
