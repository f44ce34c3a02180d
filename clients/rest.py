"""Google's JSON APIs over HTTP: paged GET, Cloud Run's regions, Resource Manager's projects.

For the few calls that Google's gRPC clients here do not have: three calls are not worth one more
client library.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Generator, Mapping
from typing import Any

import google.auth
from google.api_core.exceptions import (
    FailedPrecondition,
    Forbidden,
    ServiceUnavailable,
    from_http_response,
)
from google.auth.credentials import AnonymousCredentials
from google.auth.transport.requests import AuthorizedSession

from clients.errors import google_call
from clients.settings import Settings
from incident.model import GrantScope, Permission

_RUN_HOST = "https://run.googleapis.com"
_RESOURCE_MANAGER_HOST = "https://cloudresourcemanager.googleapis.com"
_SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
_TIMEOUT_S = 15
_MAX_PAGES = 10_000
_OK = 200
LOCATIONS = Permission(
    "run.locations.list", GrantScope.PROJECT, "lists the regions that coverage checks"
)
_PROJECTS = Permission(
    "resourcemanager.projects.list",
    GrantScope.HIERARCHY,
    "finds the projects that coverage checks",
)
_FOLDERS = Permission(
    "resourcemanager.folders.list",
    GrantScope.HIERARCHY,
    "finds the folders below, and their projects",
)
_FOLDER = Permission(
    "resourcemanager.folders.get", GrantScope.HIERARCHY, "reads the parent of a folder"
)
#: What walking the folder hierarchy needs.
WALK_PERMISSIONS = (_PROJECTS, _FOLDERS, _FOLDER)
# Google's message for a disabled API, with the project: for user credentials it may be the quota
# project.
_API_DISABLED = re.compile(r"has not been used in project (\S+) before or it is disabled")


def response_pages(
    host: str, path: str, settings: Settings, parameters: Mapping[str, str] | None = None
) -> Generator[Any]:
    """All pages of an answer; an answer without paging is one page.

    An endless list is an error, so that a part of it is never taken for all.

    Args:
        host: Scheme and host; with the emulator, its own address is used instead.
        path: The URL path.
        settings: The process's settings, for the emulator's address.
        parameters: The query parameters.

    Raises:
        GoogleAPICallError: As Google's own clients raise it; FailedPrecondition after so many
            pages that the list cannot be genuine.
    """
    address, session = _session(host, settings)
    token = ""
    with session:
        for _ in range(_MAX_PAGES):
            query = {**(parameters or {}), **({"pageToken": token} if token else {})}
            try:
                answer = session.get(f"{address}{path}", params=query, timeout=_TIMEOUT_S)
                page = answer.json() if answer.status_code == _OK else {}
            except (OSError, ValueError) as error:
                raise ServiceUnavailable(str(error)) from error  # type: ignore[no-untyped-call]
            if answer.status_code != _OK:
                raise from_http_response(answer)  # type: ignore[no-untyped-call]
            yield page
            token = str(page.get("nextPageToken", ""))
            if not token:
                return
        text = f"{path} has more than {_MAX_PAGES} pages"
        raise FailedPrecondition(text)  # type: ignore[no-untyped-call]


def _session(host: str, settings: Settings) -> tuple[str, Any]:
    if settings.emulator:
        session: Any = AuthorizedSession(AnonymousCredentials())  # type: ignore[no-untyped-call]
        session.trust_env = False  # no proxy before a loopback address
        return f"http://{settings.emulator.http}", session
    own, _ = google.auth.default(scopes=_SCOPES)
    return host, AuthorizedSession(own)  # type: ignore[no-untyped-call]


async def list_regions(
    project: str, settings: Settings, number: str | None = None
) -> tuple[str, ...]:
    """The Cloud Run regions of a project, sorted; none where the API is disabled in it.

    The Admin API v2 does not list them, and its lists take no wildcard for the region; v1 does:
    ``GET /v1/projects/P/locations`` (reference of projects.locations.list).

    Args:
        project: Its id.
        settings: The process's settings, for the emulator's address.
        number: Its number, if known: Google's errors name a project by it.

    Raises:
        Retry: A transient failure.
        GiveUp: A permanent failure.
    """
    with google_call("list the regions of", f"projects/{project}", LOCATIONS):
        try:
            return await asyncio.to_thread(_read_regions, project, settings)
        except Forbidden as error:
            off = _API_DISABLED.search(str(error))
            if off and off[1] in (project, number):
                return ()
            raise


def _read_regions(project: str, settings: Settings) -> tuple[str, ...]:
    path = f"/v1/projects/{project}/locations"
    locations = [
        each
        for page in response_pages(_RUN_HOST, path, settings)
        for each in page.get("locations", ())
    ]
    return tuple(sorted({str(each["locationId"]) for each in locations}))


class ResourceManager:
    """Resource Manager v3: folders and projects, one level at a time.

    Raises, from every method:
        Retry: A transient failure.
        GiveUp: A permanent failure.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def projects(self, parent: str) -> tuple[tuple[str, str], ...]:
        """Id and number of each active project directly below a folder or organization."""
        with google_call("list the projects of", parent, _PROJECTS):
            items = await self._children("projects", parent)
        return tuple((str(each["projectId"]), _number(each["name"])) for each in items)

    async def folders(self, parent: str) -> tuple[str, ...]:
        """The number of each active folder directly below a folder or organization."""
        with google_call("list the folders of", parent, _FOLDERS):
            items = await self._children("folders", parent)
        return tuple(_number(each["name"]) for each in items)

    async def parent_of(self, folder: str) -> str:
        """The parent of a folder given by number: ``folders/N`` or ``organizations/N``."""
        with google_call("read", f"folders/{folder}", _FOLDER):
            (answer,) = await asyncio.to_thread(self._read, f"/v3/folders/{folder}", {})
        return str(answer["parent"])

    async def _children(self, what: str, parent: str) -> list[Any]:
        answers = await asyncio.to_thread(self._read, f"/v3/{what}", {"parent": parent})
        found = [each for page in answers for each in page.get(what, ())]
        return [each for each in found if each.get("state") == "ACTIVE"]

    def _read(self, path: str, parameters: dict[str, str]) -> list[Any]:
        return list(response_pages(_RESOURCE_MANAGER_HOST, path, self._settings, parameters))


def _number(name: str) -> str:
    return name.rpartition("/")[2]
