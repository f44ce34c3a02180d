"""VirusTotal API v3 over HTTP: file reports."""

from __future__ import annotations

from typing import Final

import grpc
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from emulator.api.errors import ApiError, not_found
from emulator.api.method_names import GET_FILE_REPORT
from emulator.services.gate import Gate
from emulator.services.http_gate import gate_http_request
from emulator.world.state import World

_MISSING_KEY: Final = "AuthenticationRequiredError"
# Status and code of each refusal: https://docs.virustotal.com/reference/errors
_ERRORS = {
    grpc.StatusCode.INVALID_ARGUMENT: (400, "BadRequestError"),
    grpc.StatusCode.UNAUTHENTICATED: (401, "WrongCredentialsError"),
    grpc.StatusCode.PERMISSION_DENIED: (403, "ForbiddenError"),
    grpc.StatusCode.NOT_FOUND: (404, "NotFoundError"),
    grpc.StatusCode.RESOURCE_EXHAUSTED: (429, "QuotaExceededError"),
    grpc.StatusCode.UNAVAILABLE: (503, "TransientError"),
    grpc.StatusCode.DEADLINE_EXCEEDED: (504, "DeadlineExceededError"),
}
_OTHER = (500, "ServerError")


class VirusTotalApi:
    """The page of a file."""

    def __init__(self, gate: Gate, world: World) -> None:
        self._gate = gate
        self._world = world

    def routes(self) -> list[Route]:
        """The route, to be placed before those of Cloud Storage, which take every path."""
        return [Route("/api/v3/files/{digest}", self.report, methods=["GET"])]

    async def report(self, request: Request) -> Response:
        """The world's report on a file; any key is accepted."""
        if not request.headers.get("x-apikey", "").strip():
            return _json_error(401, _MISSING_KEY, "X-Apikey header is missing")
        digest = request.path_params["digest"]

        async def handle() -> Response:
            for known, answer in self._world.virustotal.items():
                if known.lower() == digest.lower():
                    return JSONResponse(answer)
            raise not_found(f'File "{digest}" not found')

        return await gate_http_request(self._gate, GET_FILE_REPORT, handle, _error_response)


def _error_response(refusal: ApiError) -> Response:
    return _json_error(*_ERRORS.get(refusal.code, _OTHER), refusal.message)


def _json_error(status: int, code: str, message: str) -> Response:
    return JSONResponse({"error": {"code": code, "message": message}}, status_code=status)
