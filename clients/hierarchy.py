"""Resource Manager: which projects and folders lie where. Only coverage asks.

Over HTTP (v3, the references of projects.list, folders.list and folders.get): three calls are not
worth one more client library.
"""

from __future__ import annotations

import asyncio
from typing import Any

from clients.errors import calling
from clients.permissions import Permission, Scope
from clients.rest import pages
from clients.settings import Settings

_HOST = "https://cloudresourcemanager.googleapis.com"
_PROJECTS = Permission(
    "resourcemanager.projects.list", Scope.HIERARCHY, "finds the projects that coverage looks in"
)
_FOLDERS = Permission(
    "resourcemanager.folders.list",
    Scope.HIERARCHY,
    "finds the folders below, and so their projects",
)
_FOLDER = Permission(
    "resourcemanager.folders.get", Scope.HIERARCHY, "tells what lies above a folder"
)
#: What walking through folders needs.
WALK = (_PROJECTS, _FOLDERS, _FOLDER)


class Hierarchy:
    """Folders and projects, one level at a time.

    Raises, from every method:
        Retry: Time may heal it.
        GiveUp: It will not.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def projects(self, parent: str) -> tuple[tuple[str, str], ...]:
        """Id and number of each project right below ``folders/N`` or ``organizations/N``."""
        with calling("list the projects of", parent, _PROJECTS):
            told = await self._below("projects", parent)
        return tuple((str(each["projectId"]), _number(each["name"])) for each in told)

    async def folders(self, parent: str) -> tuple[str, ...]:
        """The number of each folder right below one, or below the organization."""
        with calling("list the folders of", parent, _FOLDERS):
            told = await self._below("folders", parent)
        return tuple(_number(each["name"]) for each in told)

    async def above(self, folder: str) -> str:
        """What a folder, by its number, lies in: ``folders/N`` or ``organizations/N``."""
        with calling("read", f"folders/{folder}", _FOLDER):
            (told,) = await asyncio.to_thread(self._read, f"/v3/folders/{folder}", {})
        return str(told["parent"])

    async def _below(self, what: str, parent: str) -> list[Any]:
        answers = await asyncio.to_thread(self._read, f"/v3/{what}", {"parent": parent})
        found = [each for page in answers for each in page.get(what, ())]
        return [each for each in found if each.get("state") == "ACTIVE"]

    def _read(self, path: str, parameters: dict[str, str]) -> list[Any]:
        return list(pages(_HOST, path, self._settings, parameters))


def _number(name: str) -> str:
    return name.rpartition("/")[2]
