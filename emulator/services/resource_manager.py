"""Resource Manager API v3 over HTTP: projects and folders."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from emulator.api.errors import resource_not_found
from emulator.api.method_names import GET_FOLDER, LIST_FOLDERS, LIST_PROJECTS
from emulator.services.gate import Gate
from emulator.services.json_errors import gate_json_request
from emulator.world.state import World

#: What the topmost folders lie in, and projects without folders. A world does not name it: every
#: organization is asked about as this one.
_ORGANIZATION = "organizations/1"
# Few, so that a client that forgets the other pages is noticed.
_DEFAULT_PAGE_SIZE = 2


class ResourceManagerApi:
    """`GET /v3/projects`, `GET /v3/folders` and `GET /v3/folders/F`, after the world's projects."""

    def __init__(self, gate: Gate, world: World) -> None:
        self._gate = gate
        self._world = world

    def routes(self) -> list[Route]:
        """The routes, to be placed before those of Cloud Storage, which take every path."""
        return [
            Route("/v3/projects", self.projects, methods=["GET"]),
            Route("/v3/folders", self.folders, methods=["GET"]),
            Route("/v3/folders/{folder}", self.folder, methods=["GET"]),
        ]

    async def projects(self, request: Request) -> Response:
        """The projects right below `parent`, page by page."""
        parent = _parent(request)

        async def handle() -> Response:
            found = [
                {
                    "name": f"projects/{each.number}",
                    "projectId": each.project_id,
                    "state": "ACTIVE",
                    "parent": parent,
                }
                for each in self._world.projects.all
                if _parent_of(each.folders) == parent
            ]
            return _page(request, "projects", found)

        return await gate_json_request(self._gate, LIST_PROJECTS, handle)

    async def folders(self, request: Request) -> Response:
        """The folders right below `parent`, page by page."""
        parent = _parent(request)

        async def handle() -> Response:
            found = [
                {"name": name, "state": "ACTIVE", "parent": parent}
                for name, above in self._parents().items()
                if above == parent
            ]
            return _page(request, "folders", found)

        return await gate_json_request(self._gate, LIST_FOLDERS, handle)

    async def folder(self, request: Request) -> Response:
        """One folder, and what it lies in."""
        name = f"folders/{request.path_params['folder']}"

        async def handle() -> Response:
            above = self._parents().get(name)
            if above is None:
                raise resource_not_found("Folder", name)
            return JSONResponse({"name": name, "state": "ACTIVE", "parent": above})

        return await gate_json_request(self._gate, GET_FOLDER, handle)

    def _parents(self) -> dict[str, str]:
        """Every folder that a project names, with what it lies in."""
        return {
            f"folders/{number}": _parent_of(project.folders[at + 1 :])
            for project in self._world.projects.all
            for at, number in enumerate(project.folders)
        }


def _parent_of(folders: tuple[str, ...]) -> str:
    return f"folders/{folders[0]}" if folders else _ORGANIZATION


def _parent(request: Request) -> str:
    asked = request.query_params.get("parent", "")
    return _ORGANIZATION if asked.startswith("organizations/") else asked


def _page(request: Request, key: str, found: list[dict[str, str]]) -> Response:
    """One page; as Google's, it may be shorter than what was asked for."""
    at = int(request.query_params.get("pageToken") or 0)
    size = int(request.query_params.get("pageSize") or _DEFAULT_PAGE_SIZE)
    more = {"nextPageToken": str(at + size)} if at + size < len(found) else {}
    return JSONResponse({key: found[at : at + size], **more})
