"""For which workloads enforcing would fail: from folders to projects to workloads, and asked.

What is asked about one workload is the business of ``incident.readiness.coverage``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from clients import Clients, Settings, connect
from clients.caller_identity import whoami
from clients.rest import ResourceManager, list_regions
from incident.model import IncidentError, InvalidPolicy, ListedWorkload, Workload
from incident.model.concurrency import gather_all
from incident.readiness.coverage import (
    CoverageCheck,
    CoverageStatus,
    ProjectRef,
    RequestPacer,
    UnlistedWorkloads,
    UnreadResource,
    WorkloadCoverage,
    find_workloads,
)
from incident.readiness.projects import FoundProjects, ProjectFinder
from incident.redaction.redactor import Redactor
from incident.report.terminal import escape_unprintable
from incident.response.session import read_policy
from wiring import build_ports


@dataclass(frozen=True, slots=True)
class CoverageRequest:
    """What is looked at.

    Attributes:
        projects: Where.
        parents: Folders and organizations below all of whose projects are looked at as well.
        ancestors: Numbers of the folders above the folders of ``tops``, nearest first; None where
            they are to be asked for.
        regions: The regions; empty for every one that a project sees.
        category: The finding type that is asked about.
        account: The service account to ask as; empty to ask as ourselves.
    """

    projects: tuple[ProjectRef, ...]
    regions: tuple[str, ...]
    category: str
    account: str
    parents: tuple[str, ...] = ()
    ancestors: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class CoverageReport:
    """What came of it.

    Attributes:
        asked_as: Who asked.
        workloads: Every workload.
        unlisted: What could not be looked at in a project.
        projects: How many projects were found.
        unread: Folders and projects that could not be read.
    """

    asked_as: str
    workloads: tuple[WorkloadCoverage, ...]
    unlisted: tuple[UnlistedWorkloads, ...]
    projects: int = 0
    unread: tuple[UnreadResource, ...] = ()

    def redacted(self, redactor: Redactor) -> CoverageReport:
        """The same with reasons that may be told: Google's own words are in them."""
        workloads = (
            replace(
                each,
                reasons=_redacted_texts(each.reasons, redactor),
                limits=_redacted_texts(each.limits, redactor),
            )
            for each in self.workloads
        )
        unlisted = (replace(each, reason=redactor.text(each.reason)) for each in self.unlisted)
        unread = (replace(each, reason=redactor.text(each.reason)) for each in self.unread)
        return replace(
            self, workloads=tuple(workloads), unlisted=tuple(unlisted), unread=tuple(unread)
        )

    @property
    def summary(self) -> dict[str, int]:
        """How many there are of what."""
        counts = Counter(each.status for each in self.workloads)
        return {
            "projects": self.projects,
            "workloads": len(self.workloads),
            **{cover.value: counts[cover] for cover in CoverageStatus},
            "unlisted": len(self.unlisted),
            "unread": len(self.unread),
        }

    @property
    def passed(self) -> bool:
        """Whether enforcing would fail nowhere, as far as all of it could be looked at."""
        return not (self.unlisted or self.unread) and not any(
            c.status is CoverageStatus.FAILS for c in self.workloads
        )


def _redacted_texts(texts: Sequence[str], redactor: Redactor) -> tuple[str, ...]:
    return tuple(map(redactor.text, texts))


async def check_coverage(
    request: CoverageRequest,
    settings: Settings,
    clients: Clients,
    pacer: RequestPacer,
    progress: Callable[[str], object] = lambda _: None,
) -> CoverageReport:
    """Look at every workload of some projects.

    Raises:
        InvalidPolicy: There is no policy to ask.
        Retry: Time may heal it.
        GiveUp: There are no credentials.
    """
    policy = await read_policy(build_ports(clients))
    if isinstance(policy, InvalidPolicy):
        raise policy
    by = request.account or whoami(settings)
    asking = await connect(
        settings,
        dry_run=True,
        impersonate=request.account,
        observed_secrets=clients.observed_secrets,
    )
    try:
        projects = await _find_projects(
            request, ProjectFinder(ResourceManager(settings), pacer, progress)
        )
        results = await _search_projects(
            projects.projects, request, SearchContext(settings, clients, pacer, progress)
        )
        check = CoverageCheck(policy, request.category, asking.cloud_run, datetime.now(UTC), pacer)
        found = [each for one in results for each in one.workloads]
        done = 0

        async def check_one(at: int) -> WorkloadCoverage:
            nonlocal done
            covered = await check.check(*found[at])
            done += 1
            progress(f"asked about {done} of {len(found)} workloads, as {escape_unprintable(by)}")
            return covered

        covered = await gather_all(*map(check_one, range(len(found))))
    finally:
        await asking.close()
    return CoverageReport(
        by,
        tuple(covered),
        tuple(missed for one in results for missed in one.unlisted),
        len(projects.projects),
        (*projects.unread, *(missed for one in results for missed in one.unread)),
    )


@dataclass(frozen=True, slots=True)
class SearchContext:
    """What looking for workloads takes: with whom, how fast, and who is told."""

    settings: Settings
    clients: Clients
    pacer: RequestPacer
    progress: Callable[[str], object]


@dataclass(frozen=True, slots=True)
class ProjectResult:
    """What was found in one project, and what could not be looked at."""

    workloads: tuple[tuple[Workload, ListedWorkload], ...] = ()
    unlisted: tuple[UnlistedWorkloads, ...] = ()
    unread: tuple[UnreadResource, ...] = ()


async def _find_projects(request: CoverageRequest, walk: ProjectFinder) -> FoundProjects:
    """The projects that were named, and those that lie below what was named; each once."""
    found = [await walk.find(top, request.ancestors) for top in request.parents]
    every = (*request.projects, *(project for each in found for project in each.projects))
    projects = {project.id: project for project in every}
    return FoundProjects(tuple(projects.values()), tuple(m for each in found for m in each.unread))


async def _search_projects(
    projects: Sequence[ProjectRef], request: CoverageRequest, search: SearchContext
) -> Sequence[ProjectResult]:
    done = 0

    async def search_one(project: ProjectRef) -> ProjectResult:
        nonlocal done
        found = await _search_project(project, request, search)
        done += 1
        search.progress(f"looked for workloads in {done} of {len(projects)} projects")
        return found

    search.progress(f"looking for workloads in {len(projects)} projects")
    return await gather_all(*map(search_one, projects))


async def _search_project(
    project: ProjectRef, request: CoverageRequest, search: SearchContext
) -> ProjectResult:
    """Every workload of a project; where its regions cannot be told, it is unread."""

    async def regions() -> tuple[str, ...]:
        return request.regions or await list_regions(project.id, search.settings, project.number)

    try:
        async with search.pacer.concurrency:
            regions_found = await search.pacer.with_retries(regions)
    except IncidentError as error:
        return ProjectResult(
            unread=(UnreadResource(f"projects/{project.id}", "its regions", str(error)),)
        )
    return ProjectResult(
        *await find_workloads(project, regions_found, search.clients.cloud_run, search.pacer)
    )
