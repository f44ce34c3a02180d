"""Google's JSON APIs over HTTP: paged GET, and Cloud Run's regions.

For the few calls that Google's gRPC clients here do not have: they are not worth one more client
library.
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
_SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
_TIMEOUT_S = 15
_MAX_PAGES = 10_000
_OK = 200
LOCATIONS = Permission(
    "run.locations.list",
    GrantScope.PROJECT,
    "lists the regions that coverage checks where the inventory is off",
)
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


async def list_regions(project: str, settings: Settings) -> tuple[str, ...]:
    """The Cloud Run regions of a project, sorted; none where the API is disabled in it.

    The Admin API v2 does not list them, and its lists take no wildcard for the region; v1 does:
    ``GET /v1/projects/P/locations`` (reference of projects.locations.list).

    Args:
        project: Its id.
        settings: The process's settings, for the emulator's address.

    Raises:
        Retry: A transient failure.
        GiveUp: A permanent failure.
    """
    with google_call("list the regions of", f"projects/{project}", LOCATIONS):
        try:
            return await asyncio.to_thread(_read_regions, project, settings)
        except Forbidden as error:
            off = _API_DISABLED.search(str(error))
            if off and off[1] == project:
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
