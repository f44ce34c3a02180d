"""Cloud Storage JSON API over HTTP: list objects by their exact names."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from emulator.api.errors import invalid_argument
from emulator.services.gate import Gate
from emulator.services.json_errors import gate_json_request
from emulator.services.storage.objects import MAX_PAGE_SIZE, BucketObjects, ListQuery


class StorageJsonApi:
    """`GET /storage/v1/b/BUCKET/o`: objects with name, size and generation, page by page."""

    def __init__(self, gate: Gate, objects: BucketObjects) -> None:
        self._gate = gate
        self._objects = objects

    def routes(self) -> list[Route]:
        """The route, to be placed before those of the XML API, which take every path."""
        return [Route("/storage/v1/b/{bucket}/o", self.answer, methods=["GET"])]

    async def answer(self, request: Request) -> Response:
        """One page, through the same gate as the lists of the XML API, and by the same name."""
        bucket = request.path_params["bucket"]

        async def handle() -> Response:
            found = self._objects.list(bucket, _query(request))
            items = [
                {"name": name, "size": str(len(each.data)), "generation": str(each.generation)}
                for name, each in found.objects
            ]
            page: dict[str, Any] = {"kind": "storage#objects", "items": items}
            if found.next_token:
                page["nextPageToken"] = found.next_token
            return JSONResponse(page)

        return await gate_json_request(self._gate, "storage.LIST", handle)


def _query(request: Request) -> ListQuery:
    params = request.query_params
    most = params.get("maxResults", str(MAX_PAGE_SIZE))
    if not (most.isascii() and most.isdecimal()):
        raise invalid_argument("maxResults is not a number.")
    return ListQuery(
        prefix=params.get("prefix", ""),
        start_offset=params.get("startOffset", ""),
        token=params.get("pageToken", ""),
        max_keys=int(most),
    )
