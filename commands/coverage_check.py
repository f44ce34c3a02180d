"""Find the workloads of projects, folders and organizations, and check coverage of each.

Cloud Asset Inventory lists them in one paged search. Where it may not be asked, the regions of a
single project are listed instead; for a folder or organization there is no substitute.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from clients import Clients, Settings, connect
from clients.rest import list_regions
from commands.shared import operator_email
from incident.decision.process import read_policy
from incident.investigation.affected import InventorySearch
from incident.model import (
    Denied,
    IncidentError,
    InvalidPolicy,
    Kind,
    ListedWorkload,
    Workload,
    cut_reason,
    found_in,
)
from incident.model.concurrency import gather_all
from incident.readiness.coverage import CoverageCheck, CoverageStatus, WorkloadCoverage
from incident.readiness.request_pacer import RequestPacer
from incident.redaction.redactor import Redactor
from incident.report.terminal import escape_unprintable
from wiring import build_process


@dataclass(frozen=True, slots=True)
class CoverageRequest:
    """What to check.

    Attributes:
        scopes: ``projects/P``, ``folders/N`` and ``organizations/N``.
        regions: Regions; empty for all.
        category: The finding type to check for.
        account: The service account to impersonate; empty for the caller's own credentials.
    """

    scopes: tuple[str, ...]
    regions: tuple[str, ...]
    category: str
    account: str


@dataclass(frozen=True, slots=True)
class Unread:
    """What could not be read, so that workloads may be missing.

    Attributes:
        place: ``organizations/N``, ``folders/N``, ``projects/P`` or ``projects/P/locations/L``.
        what: What of it was to be read.
        reason: Why it could not be read.
    """

    place: str
    what: str
    reason: str


@dataclass(frozen=True, slots=True)
class CoverageReport:
    """Result of ``coverage``.

    Attributes:
        asked_as: Email address of the credentials that were checked.
        workloads: Coverage of each workload.
        unread: What could not be read.
        without_inventory: The projects whose regions were listed instead, with the reason.
    """

    asked_as: str
    workloads: tuple[WorkloadCoverage, ...]
    unread: tuple[Unread, ...] = ()
    without_inventory: tuple[tuple[str, str], ...] = ()

    def redacted(self, redactor: Redactor) -> CoverageReport:
        """The report with redacted reasons, which quote Google's error messages."""
        workloads = (
            replace(
                each,
                reasons=tuple(map(redactor.text, each.reasons)),
                limits=tuple(map(redactor.text, each.limits)),
            )
            for each in self.workloads
        )
        return replace(
            self,
            workloads=tuple(workloads),
            unread=tuple(replace(each, reason=redactor.text(each.reason)) for each in self.unread),
            without_inventory=tuple((p, redactor.text(r)) for p, r in self.without_inventory),
        )

    @property
    def summary(self) -> dict[str, int]:
        """Counts by status."""
        counts = Counter(each.status for each in self.workloads)
        return {
            "projects": len({each.workload.project for each in self.workloads}),
            "workloads": len(self.workloads),
            **{cover.value: counts[cover] for cover in CoverageStatus},
            "unread": len(self.unread),
        }

    @property
    def passed(self) -> bool:
        """Whether enforcing would fail nowhere, and everything could be read."""
        return not self.unread and not any(
            each.status is CoverageStatus.FAILS for each in self.workloads
        )


async def check_coverage(
    request: CoverageRequest,
    settings: Settings,
    clients: Clients,
    pacer: RequestPacer,
    progress: Callable[[str], object] = lambda _: None,
) -> CoverageReport:
    """Check every workload in the requested scopes.

    Raises:
        InvalidPolicy: The policy is missing or invalid.
        Retry: A service does not answer; try again later.
        GiveUp: There are no credentials.
    """
    policy = await read_policy(build_process(settings, clients))
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
        search = WorkloadSearch(settings, clients, pacer, request.regions)
        progress(f"searching {', '.join(request.scopes)}")
        results = await gather_all(*map(search.find, request.scopes))
        found = _distinct(each for result in results for each in result.workloads)
        check = CoverageCheck(
            policy,
            request.category,
            asking.cloud_run,
            datetime.now(UTC),
            pacer,
            InventorySearch(clients.inventory),
        )
        done = 0

        async def check_one(workload: Workload, listed: ListedWorkload) -> WorkloadCoverage | None:
            nonlocal done
            covered = await check.check(workload, listed)
            done += 1
            progress(f"asked about {done} of {len(found)} workloads, as {escape_unprintable(by)}")
            return covered

        covered = await gather_all(*(check_one(*each) for each in found))
    finally:
        await asking.close()
    return CoverageReport(
        by,
        tuple(each for each in covered if each is not None),
        tuple(unread for result in results for unread in result.unread),
        tuple(each for result in results for each in result.without_inventory),
    )


FoundWorkload = tuple[Workload, ListedWorkload]


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The workloads of one scope, what could not be read, and why the inventory was not used."""

    workloads: tuple[FoundWorkload, ...] = ()
    unread: tuple[Unread, ...] = ()
    without_inventory: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class WorkloadSearch:
    """Finds workloads by the inventory, or in the regions of one project.

    Attributes:
        settings: The process's settings.
        clients: The caller's clients.
        pacer: Limits the rate of requests.
        regions: Regions to keep; empty for all.
    """

    settings: Settings
    clients: Clients
    pacer: RequestPacer
    regions: tuple[str, ...]

    async def find(self, scope: str) -> SearchResult:
        """The workloads of ``projects/P``, ``folders/N`` or ``organizations/N``."""
        inventory = self.clients.inventory
        try:
            listing = await self.pacer.with_retries(lambda: inventory.workloads(scope))
        except Denied as error:
            if not scope.startswith("projects/"):
                return SearchResult(unread=(Unread(scope, "its inventory", str(error)),))
            found = await self._find_in_regions(scope.removeprefix("projects/"))
            return replace(found, without_inventory=((scope, str(error)),))
        except IncidentError as error:
            return SearchResult(unread=(Unread(scope, "its inventory", str(error)),))
        cut = cut_reason(listing)
        return SearchResult(
            tuple(
                (each.workload, each.listed)
                for each in found_in(listing)
                if not self.regions or each.workload.location in self.regions
            ),
            (Unread(scope, "the rest of its inventory", cut),) if cut else (),
        )

    async def _find_in_regions(self, project: str) -> SearchResult:
        """List each region's workloads; lists of services and pools take no wildcard for it."""
        regions = self.regions
        try:
            if not regions:
                regions = await self.pacer.with_retries(
                    lambda: list_regions(project, self.settings)
                )
        except IncidentError as error:
            unread = Unread(f"projects/{project}", "its regions", str(error))
            return SearchResult(unread=(unread,))
        answers = await gather_all(
            *(self._list(project, region, kind) for region in regions for kind in Kind)
        )
        return SearchResult(
            tuple(each for answer in answers for each in answer.workloads),
            tuple(each for answer in answers for each in answer.unread),
        )

    async def _list(self, project: str, region: str, kind: Kind) -> SearchResult:
        cloud_run = self.clients.cloud_run
        async with self.pacer.concurrency:
            try:
                listed = await self.pacer.with_retries(
                    lambda: cloud_run.list_workloads(project, region, kind)
                )
            except IncidentError as error:
                place = f"projects/{project}/locations/{region}"
                return SearchResult(unread=(Unread(place, kind.collection, str(error)),))
        workloads = ((Workload.from_resource_name(each.name), each) for each in listed)
        return SearchResult(tuple((workload, each) for workload, each in workloads if workload))


def _distinct(found: Iterable[FoundWorkload]) -> Sequence[FoundWorkload]:
    """Each workload once: scopes may overlap."""
    return list({workload.resource_name: (workload, each) for workload, each in found}.values())
