"""Cloud Run locations, by the Admin API v1 over HTTP."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from emulator.api.method_names import LIST_LOCATIONS
from emulator.api.resource_names import segment_after
from emulator.services.gate import Gate
from emulator.services.json_errors import gate_json_request
from emulator.world.state import World

#: Where people expect a region though nothing runs there.
_DEFAULT_REGIONS = ("europe-west1", "us-central1")


class LocationsApi:
    """`GET /v1/projects/P/locations`: the regions in which the world has anything, and two more."""

    def __init__(self, gate: Gate, world: World) -> None:
        self._gate = gate
        self._world = world

    def routes(self) -> list[Route]:
        """The route, to be placed before those of Cloud Storage, which take every path."""
        return [Route("/v1/projects/{project}/locations", self.answer, methods=["GET"])]

    async def answer(self, request: Request) -> Response:
        """All regions on one page."""
        project = request.path_params["project"]

        async def handle() -> Response:
            tables = self._world.tables()
            kinds = ("services", "jobs", "workerPools", "instances")
            there = {segment_after(name, "locations") for kind in kinds for name in tables[kind]}
            names = sorted(there.union(_DEFAULT_REGIONS))
            locations = [
                {"name": f"projects/{project}/locations/{name}", "locationId": name}
                for name in names
            ]
            return JSONResponse({"locations": locations})

        return await gate_json_request(self._gate, LIST_LOCATIONS, handle)
