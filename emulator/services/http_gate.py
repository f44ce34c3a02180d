"""HTTP requests through the same gate as the gRPC calls: recorded, delayed and failed alike."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from starlette.responses import Response

from emulator.api.errors import Refusal
from emulator.services.gate import Gate


async def answered(
    gate: Gate,
    method: str,
    handle: Callable[[], Awaitable[Response]],
    refused: Callable[[Refusal], Response],
) -> Response:
    """The answer to one request.

    Args:
        gate: What every call goes through.
        method: What the request is called in the record of calls.
        handle: Answers it, or raises a refusal.
        refused: How a refusal is told in this API.
    """
    try:
        return await gate.through(method, handle)
    except Refusal as refusal:
        return refused(refusal)
    except asyncio.CancelledError:
        # Only the end of the emulator cancels a request; nobody needs a traceback of it.
        return Response(status_code=503)
