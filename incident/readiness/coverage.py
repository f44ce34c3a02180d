"""For which workloads enforcing would fail, and why: asked before a finding comes. Writes nothing.

For each workload the policy is asked about a finding that nobody reported, its actions are planned,
and Google is asked whether it would let us. Listing what there is, and who asks, is for others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Protocol, TypeVar

from incident.actions.catalogue import ACTIONS
from incident.actions.plan import ContainmentPlan, details_for_steps, plan_changes
from incident.investigation.workload_reader import WorkloadReader, add_needs
from incident.model import (
    Change,
    ChangeKind,
    Denied,
    Finding,
    GiveUp,
    IncidentError,
    Json,
    Kind,
    ListedWorkload,
    Retry,
    Workload,
    WorkloadConfiguration,
)
from incident.model.concurrency import gather_all
from incident.notification.synthetic_finding import synthetic_finding
from incident.policy.resolve import Policy, Resolution, Subject, resolve

T = TypeVar("T")

_FINDING = "coverage"


class CoverageStatus(StrEnum):
    """What enforcing would come to."""

    ENFORCEABLE = "enforceable"
    HELD = "held"
    FAILS = "would-fail"


class EnforcingCloudRun(WorkloadReader, Protocol):
    """Cloud Run, as the one who would enforce sees it."""

    async def write(self, change: Change, *, validate_only: bool) -> int | None:
        """Send one change; here it is only validated."""

    async def missing_permissions(self, workload: Workload, change: ChangeKind) -> tuple[str, ...]:
        """Which permissions on the workload we do not have for a kind of change to it."""


class WorkloadLister(Protocol):
    """Cloud Run, as the one who looks for workloads sees it."""

    async def list_workloads(
        self, project: str, region: str, kind: Kind
    ) -> tuple[ListedWorkload, ...]:
        """The workloads of a kind in a region."""


@dataclass(frozen=True, slots=True)
class ProjectRef:
    """A project to look at.

    Attributes:
        id: Its id.
        number: Its number, where it was told: only a policy that names numbers needs it.
        folders: Numbers of the folders above it, nearest first; None where they were not told.
    """

    id: str
    number: str | None = None
    folders: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class WorkloadCoverage:
    """One workload.

    Attributes:
        workload: Which.
        status: What enforcing would come to.
        reasons: Why, where it would not work; empty where it would.
        rule: The rule that applies; None where none does.
        mode: How far the policy goes for it today; None where that is not known.
        actions: What would be done.
        limits: What else to know: it is not watched, it is a function's, it is in other regions.
    """

    workload: Workload
    status: CoverageStatus
    reasons: tuple[str, ...] = ()
    rule: str | None = None
    mode: str | None = None
    actions: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()

    @property
    def json(self) -> dict[str, Json]:
        """The same for scripts."""
        return {
            "workload": self.workload.resource_name,
            "cover": self.status.value,
            "reasons": [*self.reasons],
            "rule": self.rule,
            "mode": self.mode,
            "actions": [*self.actions],
            "limits": [*self.limits],
        }


@dataclass(frozen=True, slots=True)
class UnlistedWorkloads:
    """A part of a project that could not be listed, with the reason."""

    project: str
    region: str
    kind: Kind
    reason: str


@dataclass(frozen=True, slots=True)
class UnreadResource:
    """What could not be read on the way to workloads, so that some may be lacking.

    Attributes:
        resource: ``organizations/N``, ``folders/N`` or ``projects/P``.
        what: What of it.
        reason: Why.
    """

    resource: str
    what: str
    reason: str


class RequestPacer:
    """How fast Google is asked.

    Cloud Run takes 60 writes a minute for each project and region, those that only validate among
    them. Half of that is left to deployments, and to a containment that may come at any moment.
    """

    def __init__(
        self,
        interval_s: float = 2.0,
        pauses_s: tuple[float, ...] = (2.0, 15.0, 45.0),
        at_once: int = 8,
    ) -> None:
        """Ask at this pace.

        Args:
            interval_s: Seconds between two writes in one project and region.
            pauses_s: How long to wait, time after time, when Google does not answer as it should,
                for want of quota above all: that is full again after a minute.
            at_once: How many workloads are looked at side by side.
        """
        self._interval_s = interval_s
        self._pauses_s = pauses_s
        self._next: dict[tuple[str, str], float] = {}
        self.concurrency = asyncio.Semaphore(at_once)

    async def wait_turn(self, workload: Workload) -> None:
        """Wait for the next write that may go to the workload's project and region."""
        key = (workload.project, workload.location)
        now = asyncio.get_running_loop().time()
        at = max(now, self._next.get(key, now))
        self._next[key] = at + self._interval_s
        if at > now:
            await asyncio.sleep(at - now)

    async def with_retries(self, call: Callable[[], Awaitable[T]]) -> T:
        """Ask, and again after a pause where time may heal it.

        Raises:
            Retry: It has not healed.
            GiveUp: It will not.
        """
        for pause in self._pauses_s:
            try:
                return await call()
            except Retry:
                await asyncio.sleep(pause)
        return await call()


@dataclass(frozen=True, slots=True)
class CoverageCheck:
    """Looks at workloads, one by one.

    Attributes:
        policy: What may be done.
        category: The finding type that is asked about.
        cloud_run: Cloud Run, as whoever would enforce sees it.
        now: When the finding would be detected.
        pacer: How fast Google is asked.
    """

    policy: Policy
    category: str
    cloud_run: EnforcingCloudRun
    now: datetime
    pacer: RequestPacer

    async def check(self, workload: Workload, listed: ListedWorkload) -> WorkloadCoverage:
        """What enforcing would come to for one workload; what is not known counts as failing."""
        limits = _limits(listed)
        async with self.pacer.concurrency:
            try:
                return replace(await self._check(workload), limits=limits)
            except IncidentError as error:
                return WorkloadCoverage(
                    workload, CoverageStatus.FAILS, (str(error),), limits=limits
                )

    async def _check(self, workload: Workload) -> WorkloadCoverage:
        configuration = await self.pacer.with_retries(
            lambda: self.cloud_run.configuration(workload)
        )
        finding = self._synthetic_finding(workload, configuration)
        subject = Subject(workload, self.category, finding.source_id, configuration.labels)
        resolution = resolve(self.policy, subject)
        result = WorkloadCoverage(
            workload,
            CoverageStatus.ENFORCEABLE,
            rule=resolution.rule,
            mode=resolution.mode.value if resolution.rule else None,
            actions=tuple(" or ".join(step) for step in resolution.steps),
        )
        if resolution.holds:
            reasons = tuple(hold.text for hold in resolution.holds)
            return replace(result, status=CoverageStatus.HELD, reasons=reasons)
        needs = details_for_steps(resolution.steps, workload.kind)
        configuration = await self.pacer.with_retries(
            lambda: add_needs(configuration, workload, needs, self.cloud_run)
        )
        planned = plan_changes(resolution.steps, configuration, finding)
        if planned.applicable:
            reasons = await self._refusals(
                workload, planned, _change_kinds(resolution, configuration, finding)
            )
        else:
            reasons = (f"no configured action fits: {'; '.join(planned.not_applicable)}",)
        return replace(result, status=CoverageStatus.FAILS, reasons=reasons) if reasons else result

    def _synthetic_finding(
        self, workload: Workload, configuration: WorkloadConfiguration
    ) -> Finding:
        sources = tuple(self.policy.sources)
        synthetic = synthetic_finding(workload, _FINDING, self.category, self.now, sources=sources)
        return replace(synthetic, revision=configuration.latest_ready_revision or None)

    async def _refusals(
        self, workload: Workload, planned: ContainmentPlan, kinds: Iterable[ChangeKind]
    ) -> tuple[str, ...]:
        """Why Google would refuse, by every kind of change that the actions may come to."""
        refusals: list[str] = []
        for kind in kinds:
            change = next((each for each in planned.changes if each.kind is kind), None)
            refusals += await self._ask_google(workload, kind, change)
        return tuple(dict.fromkeys(refusals))

    async def _ask_google(
        self, workload: Workload, kind: ChangeKind, change: Change | None
    ) -> tuple[str, ...]:
        """Ask for the permissions; and where all are there, have the change itself validated."""
        missing = await self.pacer.with_retries(
            lambda: self.cloud_run.missing_permissions(workload, kind)
        )
        if missing:
            return (f"lacks {', '.join(missing)} on the {workload.kind}",)
        if change is None or kind is ChangeKind.IAM_POLICY:
            return ()  # nothing that could be validated
        try:
            await self.pacer.with_retries(lambda: self._validate(change, workload))
        except Denied as error:
            text = (
                f"denied, though every permission on the {workload.kind} itself is there: one on"
                f" its runtime service account or on its image's repository is lacking. {error}"
            )
            return (text,)
        except GiveUp as error:
            return (str(error),)
        return ()

    async def _validate(self, change: Change, workload: Workload) -> None:
        await self.pacer.wait_turn(workload)
        await self.cloud_run.write(change, validate_only=True)


async def find_workloads(
    project: ProjectRef, regions: Iterable[str], cloud_run: WorkloadLister, pacer: RequestPacer
) -> tuple[tuple[tuple[Workload, ListedWorkload], ...], tuple[UnlistedWorkloads, ...]]:
    """Every workload of a project, region by region and kind by kind, and what could not be listed.

    The lists of services and of worker pools take no wildcard for the region (the reference of
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
    """The workload of a name that Cloud Run itself tells: projects/P/locations/L/services/S."""
    _, _, _, location, collection, name = listed.name.split("/")
    kind = next(kind for kind in Kind if kind.collection == collection)
    return Workload(kind, location, name, project.id, project.number, project.folders)


def _change_kinds(
    resolution: Resolution, configuration: WorkloadConfiguration, finding: Finding
) -> tuple[ChangeKind, ...]:
    """Every kind of change that the actions may come to, also where none is needed at the moment.

    Of a step's alternatives the first that fits counts.
    """
    made: dict[ChangeKind, None] = {}
    for step in resolution.steps:
        fitting = [
            name for name in step if plan_changes(((name,),), configuration, finding).applicable
        ]
        for name in fitting[:1]:
            made |= dict.fromkeys(ACTIONS[name].change_kinds[configuration.kind])
    return tuple(made)


def _limits(listed: ListedWorkload) -> tuple[str, ...]:
    limits = []
    if listed.threat_detection_enabled is False:
        limits.append("Cloud Run Threat Detection is off for it: no finding will come")
    if listed.is_function:
        limits.append("a Cloud Function runs on it: deploying that again may lift a containment")
    if listed.regions:
        where = ", ".join(listed.regions)
        limits.append(f"multi-region, in {where}: only the finding's region is contained")
    return tuple(limits)
