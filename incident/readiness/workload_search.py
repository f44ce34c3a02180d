"""Find the projects below a folder or organization, and the workloads of a project.

Requests are paced to leave quota for deployments and containments.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from incident.model import IncidentError, Kind, ListedWorkload, Retry, Workload
from incident.model.concurrency import gather_all

T = TypeVar("T")


class ResourceHierarchy(Protocol):
    """Lists folders and projects, one level at a time."""

    async def projects(self, parent: str) -> tuple[tuple[str, str], ...]:
        """Id and number of each project right below ``folders/N`` or ``organizations/N``."""

    async def folders(self, parent: str) -> tuple[str, ...]:
        """Number of each folder right below the parent."""

    async def parent_of(self, folder: str) -> str:
        """Parent of a folder: ``folders/N`` or ``organizations/N``."""


@dataclass(frozen=True, slots=True)
class FoundProjects:
    """Result of a search for projects.

    Attributes:
        projects: The projects found, with their numbers and folders.
        unread: What could not be read; projects below it are missing.
    """

    projects: tuple[ProjectRef, ...] = ()
    unread: tuple[UnreadResource, ...] = ()


@dataclass(frozen=True, slots=True)
class ProjectFinder:
    """Searches folders for projects.

    Attributes:
        hierarchy: Lists folders and projects.
        pacer: Limits the rate of requests.
        progress: Called with a line for each folder.
    """

    hierarchy: ResourceHierarchy
    pacer: RequestPacer
    progress: Callable[[str], object] = lambda _: None

    async def find(self, top: str, ancestors: tuple[str, ...] | None = None) -> FoundProjects:
        """Find all projects below a folder or organization, at any depth.

        Args:
            top: ``organizations/N`` or ``folders/N``.
            ancestors: Numbers of the folders above ``top``, nearest first; None to read them,
                which takes the permission to read the folders above.
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
        """A folder and those above it, nearest first; None if these cannot be read."""
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


class WorkloadLister(Protocol):
    """Lists workloads of Cloud Run."""

    async def list_workloads(
        self, project: str, region: str, kind: Kind
    ) -> tuple[ListedWorkload, ...]:
        """List the workloads of a kind in a region."""


@dataclass(frozen=True, slots=True)
class ProjectRef:
    """A project to search.

    Attributes:
        id: The project's id.
        number: The project's number; None if unknown. Only a policy that names numbers needs it.
        folders: Numbers of the folders above it, nearest first; None if unknown.
    """

    id: str
    number: str | None = None
    folders: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class UnlistedWorkloads:
    """Workloads of a project, region and kind that could not be listed, with the reason."""

    project: str
    region: str
    kind: Kind
    reason: str


@dataclass(frozen=True, slots=True)
class UnreadResource:
    """A resource that could not be read, so that workloads may be missing.

    Attributes:
        resource: ``organizations/N``, ``folders/N`` or ``projects/P``.
        what: What of it was to be read.
        reason: Why it could not be read.
    """

    resource: str
    what: str
    reason: str


class RequestPacer:
    """Limits the rate of requests to Google.

    Cloud Run's quota is 60 writes per minute for each project and region, validate-only writes
    included. Half of it is left for deployments and containments.
    """

    def __init__(
        self,
        interval_s: float = 2.0,
        pauses_s: tuple[float, ...] = (2.0, 15.0, 45.0),
        at_once: int = 8,
    ) -> None:
        """Set the rate.

        Args:
            interval_s: Seconds between two writes in one project and region.
            pauses_s: Pauses before each retry, in seconds. Together they exceed the minute after
                which a quota is available again.
            at_once: How many workloads are checked concurrently.
        """
        self._interval_s = interval_s
        self._pauses_s = pauses_s
        self._next: dict[tuple[str, str], float] = {}
        self.concurrency = asyncio.Semaphore(at_once)

    async def wait_turn(self, workload: Workload) -> None:
        """Wait until the next write to the workload's project and region is allowed."""
        key = (workload.project, workload.location)
        now = asyncio.get_running_loop().time()
        at = max(now, self._next.get(key, now))
        self._next[key] = at + self._interval_s
        if at > now:
            await asyncio.sleep(at - now)

    async def with_retries(self, call: Callable[[], Awaitable[T]]) -> T:
        """Make a call, and retry transient faults after pauses.

        Raises:
            Retry: The fault persists.
            GiveUp: The fault is permanent.
        """
        for pause in self._pauses_s:
            try:
                return await call()
            except Retry:
                await asyncio.sleep(pause)
        return await call()


async def find_workloads(
    project: ProjectRef, regions: Iterable[str], cloud_run: WorkloadLister, pacer: RequestPacer
) -> tuple[tuple[tuple[Workload, ListedWorkload], ...], tuple[UnlistedWorkloads, ...]]:
    """List the workloads of a project by region and kind, and what could not be listed.

    Lists of services and worker pools accept no wildcard for the region (reference of
    ListServicesRequest and ListWorkerPoolsRequest).
    """

    async def list_one(region: str, kind: Kind) -> tuple[ListedWorkload, ...] | UnlistedWorkloads:
        async with pacer.concurrency:
            try:
                return await pacer.with_retries(
                    lambda: cloud_run.list_workloads(project.id, region, kind)
                )
            except IncidentError as error:
                return UnlistedWorkloads(project.id, region, kind, str(error))

    answers = await gather_all(*(list_one(region, kind) for region in regions for kind in Kind))
    lists = [answer for answer in answers if not isinstance(answer, UnlistedWorkloads)]
    found = tuple((_workload(project, each), each) for some in lists for each in some)
    return found, tuple(answer for answer in answers if isinstance(answer, UnlistedWorkloads))


def _workload(project: ProjectRef, listed: ListedWorkload) -> Workload:
    """The workload of a name from Cloud Run's list: projects/P/locations/L/services/S."""
    _, _, _, location, collection, name = listed.name.split("/")
    kind = next(kind for kind in Kind if kind.collection == collection)
    return Workload(kind, location, name, project.id, project.number, project.folders)
