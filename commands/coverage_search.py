"""Find the workloads of projects, folders and organizations, and check coverage of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from clients import Clients, Settings, connect
from clients.rest import ResourceManager, list_regions
from commands.shared import operator_email
from incident.model import IncidentError, InvalidPolicy, ListedWorkload, Workload
from incident.model.concurrency import gather_all
from incident.readiness.coverage import CoverageCheck, CoverageStatus, WorkloadCoverage
from incident.readiness.workload_search import (
    FoundProjects,
    ProjectFinder,
    ProjectRef,
    RequestPacer,
    UnlistedWorkloads,
    UnreadResource,
    find_workloads,
)
from incident.redaction.redactor import Redactor
from incident.report.terminal import escape_unprintable
from incident.response.incident_session import read_policy
from wiring import build_ports


@dataclass(frozen=True, slots=True)
class CoverageRequest:
    """What to check.

    Attributes:
        projects: Projects.
        parents: Folders and organizations, whose projects at any depth are checked too.
        ancestors: Numbers of the folders above the folders in ``parents``, nearest first; None to
            read them.
        regions: Regions; empty for all regions of each project.
        category: The finding type to check for.
        account: The service account to impersonate; empty for the caller's own credentials.
    """

    projects: tuple[ProjectRef, ...]
    regions: tuple[str, ...]
    category: str
    account: str
    parents: tuple[str, ...] = ()
    ancestors: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class CoverageReport:
    """Result of ``coverage``.

    Attributes:
        asked_as: Email address of the credentials that were checked.
        workloads: Coverage of each workload.
        unlisted: Workloads that could not be listed.
        projects: Number of projects found.
        unread: Folders and projects that could not be read.
    """

    asked_as: str
    workloads: tuple[WorkloadCoverage, ...]
    unlisted: tuple[UnlistedWorkloads, ...]
    projects: int = 0
    unread: tuple[UnreadResource, ...] = ()

    def redacted(self, redactor: Redactor) -> CoverageReport:
        """The report with redacted reasons, which quote Google's error messages."""
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
        """Counts by status."""
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
        """Whether enforcing would fail nowhere, and everything could be read."""
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
    """Check every workload of the requested projects.

    Raises:
        InvalidPolicy: The policy is missing or invalid.
        Retry: A service does not answer; try again later.
        GiveUp: There are no credentials.
    """
    policy = await read_policy(build_ports(clients))
    if isinstance(policy, InvalidPolicy):
        raise policy
    by = request.account or operator_email(settings)
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
    """Clients, request rate and progress callback of the search."""

    settings: Settings
    clients: Clients
    pacer: RequestPacer
    progress: Callable[[str], object]


@dataclass(frozen=True, slots=True)
class ProjectResult:
    """Workloads of one project, and what could not be read."""

    workloads: tuple[tuple[Workload, ListedWorkload], ...] = ()
    unlisted: tuple[UnlistedWorkloads, ...] = ()
    unread: tuple[UnreadResource, ...] = ()


async def _find_projects(request: CoverageRequest, walk: ProjectFinder) -> FoundProjects:
    """The named projects and those below the named folders, each once."""
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
    """List a project's workloads; the project is unread if its regions are unknown."""

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
