"""The regions of Cloud Run that a project sees.

The Admin API v2 does not tell them, and its lists take no wildcard for the region; v1 does tell
(`GET /v1/projects/P/locations`, the reference of projects.locations.list).
"""

from __future__ import annotations

import asyncio
import re

from google.api_core.exceptions import Forbidden

from clients.errors import google_call
from clients.permissions import GrantScope, Permission
from clients.rest import response_pages
from clients.settings import Settings

LOCATIONS = Permission(
    "run.locations.list", GrantScope.PROJECT, "tells the regions that coverage looks in"
)
_HOST = "https://run.googleapis.com"
# Google's words for an API that is off, and the project that it is off in: where a person's calls
# count on another project, it may be that one that is meant.
_API_DISABLED = re.compile(r"has not been used in project (\S+) before or it is disabled")


async def list_regions(
    project: str, settings: Settings, number: str | None = None
) -> tuple[str, ...]:
    """The regions in which a project may have Cloud Run workloads, in order.

    None at all where Cloud Run is switched off in it.

    Args:
        project: Its id.
        settings: Whether there is an emulator.
        number: Its number, where it is known: Google names the project by it.

    Raises:
        Retry: Time may heal it.
        GiveUp: It will not.
    """
    with google_call("list the regions of", f"projects/{project}", LOCATIONS):
        try:
            return await asyncio.to_thread(_read, project, settings)
        except Forbidden as error:
            off = _API_DISABLED.search(str(error))
            if off and off[1] in (project, number):
                return ()
            raise


def _read(project: str, settings: Settings) -> tuple[str, ...]:
    path = f"/v1/projects/{project}/locations"
    locations = [
        each for page in response_pages(_HOST, path, settings) for each in page.get("locations", ())
    ]
    return tuple(sorted({str(each["locationId"]) for each in locations}))
