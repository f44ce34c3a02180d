"""Every project below a folder or an organization, found level by level."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from incident.model import IncidentError
from incident.model.concurrency import gather_all
from incident.readiness.coverage import ProjectRef, RequestPacer, UnreadResource

T = TypeVar("T")


class ResourceHierarchy(Protocol):
    """Folders and projects, one level at a time."""

    async def projects(self, parent: str) -> tuple[tuple[str, str], ...]:
        """Id and number of each project right below ``folders/N`` or ``organizations/N``."""

    async def folders(self, parent: str) -> tuple[str, ...]:
        """The number of each folder right below."""

    async def parent_of(self, folder: str) -> str:
        """What a folder lies in: ``folders/N`` or ``organizations/N``."""


@dataclass(frozen=True, slots=True)
class FoundProjects:
    """What lies below.

    Attributes:
        projects: Every project that could be found, with its number and its folders.
        unread: What could not be read, so that projects may be lacking.
    """

    projects: tuple[ProjectRef, ...] = ()
    unread: tuple[UnreadResource, ...] = ()


@dataclass(frozen=True, slots=True)
class ProjectFinder:
    """One walk through folders.

    Attributes:
        hierarchy: Where they are read from.
        pacer: How fast.
        progress: Told where we are.
    """

    hierarchy: ResourceHierarchy
    pacer: RequestPacer
    progress: Callable[[str], object] = lambda _: None

    async def find(self, top: str, ancestors: tuple[str, ...] | None = None) -> FoundProjects:
        """Everything below, however deep.

        Args:
            top: ``organizations/N`` or ``folders/N``.
            ancestors: Numbers of the folders above ``top``, nearest first, where somebody knows
                them:
                a person may be allowed to read a folder and not what is above it.
        """
        kind, _, number = top.partition("/")
        if kind == "organizations":
            return await self._search(top, ())
        if ancestors is not None:
            return await self._search(top, (number, *ancestors))
        above, unread = await self._ancestors(number)
        found = await self._search(top, above)
        return FoundProjects(found.projects, (*unread, *found.unread))

    async def _ancestors(
        self, number: str
    ) -> tuple[tuple[str, ...] | None, tuple[UnreadResource, ...]]:
        """A folder and those above it, nearest first; None where these cannot be told."""
        found = [number]
        while True:
            resource = f"folders/{found[-1]}"
            answer = await self._request(
                "what is above it", resource, self.hierarchy.parent_of, found[-1]
            )
            if isinstance(answer, UnreadResource):
                return None, (answer,)
            kind, _, last = answer.partition("/")
            if kind != "folders":
                return tuple(found), ()
            found.append(last)

    async def _search(self, resource: str, folders: tuple[str, ...] | None) -> FoundProjects:
        self.progress(f"looking for projects in {resource}")
        projects, below = await gather_all(
            self._request("its projects", resource, self.hierarchy.projects, resource),
            self._request("its folders", resource, self.hierarchy.folders, resource),
        )
        unread = tuple(each for each in (projects, below) if isinstance(each, UnreadResource))
        here = () if isinstance(projects, UnreadResource) else projects
        deeper = await gather_all(
            *(
                self._search(f"folders/{each}", None if folders is None else (each, *folders))
                for each in (() if isinstance(below, UnreadResource) else below)
            )
        )
        found = tuple(ProjectRef(name, number, folders) for name, number in here)
        return FoundProjects(
            (*found, *(project for each in deeper for project in each.projects)),
            (*unread, *(missed for each in deeper for missed in each.unread)),
        )

    async def _request(
        self, what: str, resource: str, call: Callable[[str], Awaitable[T]], about: str
    ) -> T | UnreadResource:
        async with self.pacer.concurrency:
            try:
                return await self.pacer.with_retries(lambda: call(about))
            except IncidentError as error:
                return UnreadResource(resource, what, str(error))
