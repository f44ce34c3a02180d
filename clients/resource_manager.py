"""Resource Manager: which projects and folders lie where. Only coverage asks.

Over HTTP (v3, the references of projects.list, folders.list and folders.get): three calls are not
worth one more client library.
"""

from __future__ import annotations

import asyncio
from typing import Any

from clients.errors import google_call
from clients.permissions import GrantScope, Permission
from clients.rest import response_pages
from clients.settings import Settings

_HOST = "https://cloudresourcemanager.googleapis.com"
_PROJECTS = Permission(
    "resourcemanager.projects.list",
    GrantScope.HIERARCHY,
    "finds the projects that coverage looks in",
)
_FOLDERS = Permission(
    "resourcemanager.folders.list",
    GrantScope.HIERARCHY,
    "finds the folders below, and so their projects",
)
_FOLDER = Permission(
    "resourcemanager.folders.get", GrantScope.HIERARCHY, "tells what lies above a folder"
)
#: What walking through folders needs.
WALK_PERMISSIONS = (_PROJECTS, _FOLDERS, _FOLDER)


class ResourceManager:
    """Folders and projects, one level at a time.

    Raises, from every method:
        Retry: Time may heal it.
        GiveUp: It will not.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def projects(self, parent: str) -> tuple[tuple[str, str], ...]:
        """Id and number of each project right below ``folders/N`` or ``organizations/N``."""
        with google_call("list the projects of", parent, _PROJECTS):
            items = await self._children("projects", parent)
        return tuple((str(each["projectId"]), _number(each["name"])) for each in items)

    async def folders(self, parent: str) -> tuple[str, ...]:
        """The number of each folder right below one, or below the organization."""
        with google_call("list the folders of", parent, _FOLDERS):
            items = await self._children("folders", parent)
        return tuple(_number(each["name"]) for each in items)

    async def parent_of(self, folder: str) -> str:
        """What a folder, by its number, lies in: ``folders/N`` or ``organizations/N``."""
        with google_call("read", f"folders/{folder}", _FOLDER):
            (answer,) = await asyncio.to_thread(self._read, f"/v3/folders/{folder}", {})
        return str(answer["parent"])

    async def _children(self, what: str, parent: str) -> list[Any]:
        answers = await asyncio.to_thread(self._read, f"/v3/{what}", {"parent": parent})
        found = [each for page in answers for each in page.get(what, ())]
        return [each for each in found if each.get("state") == "ACTIVE"]

    def _read(self, path: str, parameters: dict[str, str]) -> list[Any]:
        return list(response_pages(_HOST, path, self._settings, parameters))


def _number(name: str) -> str:
    return name.rpartition("/")[2]
