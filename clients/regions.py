"""The regions of Cloud Run that a project sees.

The Admin API v2 does not tell them, and its lists take no wildcard for the region; v1 does tell
(`GET /v1/projects/P/locations`, the reference of projects.locations.list).
"""

from __future__ import annotations

import asyncio
from typing import Any

import google.auth
from google.api_core.exceptions import ServiceUnavailable, from_http_response
from google.auth.credentials import AnonymousCredentials
from google.auth.transport.requests import AuthorizedSession

from clients.errors import calling
from clients.permissions import Permission, Scope
from clients.settings import Settings

LOCATIONS = Permission(
    "run.locations.list", Scope.PROJECT, "tells the regions that coverage looks in"
)
_HOST = "https://run.googleapis.com"
_SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
_TIMEOUT_S = 15
_OK = 200


async def regions_of(project: str, settings: Settings) -> tuple[str, ...]:
    """The regions in which a project may have Cloud Run workloads, in order.

    Raises:
        Retry: Time may heal it.
        GiveUp: It will not.
    """
    with calling("list the regions of", f"projects/{project}", LOCATIONS):
        return await asyncio.to_thread(_read, project, settings)


def _read(project: str, settings: Settings) -> tuple[str, ...]:
    host, session = _session(settings)
    found: list[str] = []
    token = ""
    with session:
        while True:
            address = f"{host}/v1/projects/{project}/locations"
            try:
                answer = session.get(address, params={"pageToken": token}, timeout=_TIMEOUT_S)
                page = answer.json() if answer.status_code == _OK else {}
            except (OSError, ValueError) as error:
                raise ServiceUnavailable(str(error)) from error  # type: ignore[no-untyped-call]
            if answer.status_code != _OK:
                raise from_http_response(answer)  # type: ignore[no-untyped-call]
            found += [str(each["locationId"]) for each in page.get("locations", ())]
            token = page.get("nextPageToken", "")
            if not token:
                return tuple(sorted(set(found)))


def _session(settings: Settings) -> tuple[str, Any]:
    if settings.emulator:
        session: Any = AuthorizedSession(AnonymousCredentials())  # type: ignore[no-untyped-call]
        session.trust_env = False  # a proxy has no business before a loopback address
        return f"http://{settings.emulator.http}", session
    own, _ = google.auth.default(scopes=_SCOPES)
    return _HOST, AuthorizedSession(own)  # type: ignore[no-untyped-call]
