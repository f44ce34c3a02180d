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
from incident.actions.plan import Plan, needed_for, plan
from incident.investigation.workload_reader import Looking, complete
from incident.model import (
    Change,
    ChangeKind,
    Denied,
    Finding,
    GiveUp,
    IncidentError,
    Json,
    Kind,
    Listed,
    Retry,
    Settings,
    Workload,
)
from incident.model.concurrency import together
from incident.notification.synthetic_finding import hypothetical
from incident.policy.resolve import Policy, Resolution, Subject, resolve

T = TypeVar("T")

_FINDING = "coverage"


class Cover(StrEnum):
    """What enforcing would come to."""

    ENFORCEABLE = "enforceable"
    HELD = "held"
    FAILS = "would-fail"


class Asking(Looking, Protocol):
    """Cloud Run, as the one who would enforce sees it."""

    async def write(self, change: Change, *, validate_only: bool) -> int | None:
        """Send one change; here it is only validated."""

    async def lacking(self, workload: Workload, change: ChangeKind) -> tuple[str, ...]:
        """Which permissions on the workload we do not have for a kind of change to it."""


class Listing(Protocol):
    """Cloud Run, as the one who looks for workloads sees it."""

    async def listed(self, project: str, region: str, kind: Kind) -> tuple[Listed, ...]:
        """The workloads of a kind in a region."""


@dataclass(frozen=True, slots=True)
class Project:
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
class Covered:
    """One workload.

    Attributes:
        workload: Which.
        cover: What enforcing would come to.
        reasons: Why, where it would not work; empty where it would.
        rule: The rule that applies; None where none does.
        mode: How far the policy goes for it today; None where that is not known.
        actions: What would be done.
        limits: What else to know: it is not watched, it is a function's, it is in other regions.
    """

    workload: Workload
    cover: Cover
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
            "cover": self.cover.value,
            "reasons": [*self.reasons],
            "rule": self.rule,
            "mode": self.mode,
            "actions": [*self.actions],
            "limits": [*self.limits],
        }


@dataclass(frozen=True, slots=True)
class Unlisted:
    """A part of a project that could not be listed, with the reason."""

    project: str
    region: str
    kind: Kind
    reason: str


@dataclass(frozen=True, slots=True)
class Unread:
    """What could not be read on the way to workloads, so that some may be lacking.

    Attributes:
        place: ``organizations/N``, ``folders/N`` or ``projects/P``.
        what: What of it.
        reason: Why.
    """

    place: str
    what: str
    reason: str


class Pace:
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
        self.places = asyncio.Semaphore(at_once)

    async def turn(self, workload: Workload) -> None:
        """Wait for the next write that may go to the workload's project and region."""
        key = (workload.project, workload.location)
        now = asyncio.get_running_loop().time()
        at = max(now, self._next.get(key, now))
        self._next[key] = at + self._interval_s
        if at > now:
            await asyncio.sleep(at - now)

    async def patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask, and again after a pause where time may heal it.

        Raises:
            Retry: It has not healed.
            GiveUp: It will not.
        """
        for pause in self._pauses_s:
            try:
                return await ask()
            except Retry:
                await asyncio.sleep(pause)
        return await ask()


@dataclass(frozen=True, slots=True)
class Survey:
    """Looks at workloads, one by one.

    Attributes:
        policy: What may be done.
        category: The finding type that is asked about.
        run: Cloud Run, as whoever would enforce sees it.
        now: When the finding would be detected.
        pace: How fast Google is asked.
    """

    policy: Policy
    category: str
    run: Asking
    now: datetime
    pace: Pace

    async def cover(self, workload: Workload, listed: Listed) -> Covered:
        """What enforcing would come to for one workload; what is not known counts as failing."""
        limits = _limits(listed)
        async with self.pace.places:
            try:
                return replace(await self._cover(workload), limits=limits)
            except IncidentError as error:
                return Covered(workload, Cover.FAILS, (str(error),), limits=limits)

    async def _cover(self, workload: Workload) -> Covered:
        settings = await self.pace.patiently(lambda: self.run.settings(workload))
        finding = self._finding(workload, settings)
        subject = Subject(workload, self.category, finding.source_id, settings.labels)
        said = resolve(self.policy, subject)
        told = Covered(
            workload,
            Cover.ENFORCEABLE,
            rule=said.rule,
            mode=said.mode.value if said.rule else None,
            actions=tuple(" or ".join(step) for step in said.steps),
        )
        if said.holds:
            reasons = tuple(hold.text for hold in said.holds)
            return replace(told, cover=Cover.HELD, reasons=reasons)
        needs = needed_for(said.steps, workload.kind)
        settings = await self.pace.patiently(lambda: complete(settings, workload, needs, self.run))
        planned = plan(said.steps, settings, finding)
        if planned.fits:
            reasons = await self._against(workload, planned, _kinds(said, settings, finding))
        else:
            reasons = (f"no configured action fits: {'; '.join(planned.misfits)}",)
        return replace(told, cover=Cover.FAILS, reasons=reasons) if reasons else told

    def _finding(self, workload: Workload, settings: Settings) -> Finding:
        sources = tuple(self.policy.sources)
        made_up = hypothetical(workload, _FINDING, self.category, self.now, sources=sources)
        return replace(made_up, revision=settings.latest_ready_revision or None)

    async def _against(
        self, workload: Workload, planned: Plan, kinds: Iterable[ChangeKind]
    ) -> tuple[str, ...]:
        """Why Google would refuse, by every kind of change that the actions may come to."""
        against: list[str] = []
        for kind in kinds:
            change = next((each for each in planned.changes if each.kind is kind), None)
            against += await self._ask(workload, kind, change)
        return tuple(dict.fromkeys(against))

    async def _ask(
        self, workload: Workload, kind: ChangeKind, change: Change | None
    ) -> tuple[str, ...]:
        """Ask for the permissions; and where all are there, have the change itself validated."""
        lacking = await self.pace.patiently(lambda: self.run.lacking(workload, kind))
        if lacking:
            return (f"lacks {', '.join(lacking)} on the {workload.kind}",)
        if change is None or kind is ChangeKind.IAM_POLICY:
            return ()  # nothing that could be validated
        try:
            await self.pace.patiently(lambda: self._validate(change, workload))
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
        await self.pace.turn(workload)
        await self.run.write(change, validate_only=True)


async def find(
    project: Project, regions: Iterable[str], run: Listing, pace: Pace
) -> tuple[tuple[tuple[Workload, Listed], ...], tuple[Unlisted, ...]]:
    """Every workload of a project, region by region and kind by kind, and what could not be listed.

    The lists of services and of worker pools take no wildcard for the region (the reference of
    ListServicesRequest and ListWorkerPoolsRequest).
    """

    async def one(region: str, kind: Kind) -> tuple[Listed, ...] | Unlisted:
        async with pace.places:
            try:
                return await pace.patiently(lambda: run.listed(project.id, region, kind))
            except IncidentError as error:
                return Unlisted(project.id, region, kind, str(error))

    answers = await together(*(one(region, kind) for region in regions for kind in Kind))
    lists = [answer for answer in answers if not isinstance(answer, Unlisted)]
    found = tuple((_workload(project, each), each) for some in lists for each in some)
    return found, tuple(answer for answer in answers if isinstance(answer, Unlisted))


def _workload(project: Project, listed: Listed) -> Workload:
    """The workload of a name that Cloud Run itself tells: projects/P/locations/L/services/S."""
    _, _, _, location, collection, name = listed.name.split("/")
    kind = next(kind for kind in Kind if kind.collection == collection)
    return Workload(kind, location, name, project.id, project.number, project.folders)


def _kinds(said: Resolution, settings: Settings, finding: Finding) -> tuple[ChangeKind, ...]:
    """Every kind of change that the actions may come to, also where none is needed at the moment.

    Of a step's alternatives the first that fits counts.
    """
    made: dict[ChangeKind, None] = {}
    for step in said.steps:
        fitting = [name for name in step if plan(((name,),), settings, finding).fits]
        for name in fitting[:1]:
            made |= dict.fromkeys(ACTIONS[name].makes[settings.kind])
    return tuple(made)


def _limits(listed: Listed) -> tuple[str, ...]:
    limits = []
    if listed.watched is False:
        limits.append("Cloud Run Threat Detection is off for it: no finding will come")
    if listed.function:
        limits.append("a Cloud Function runs on it: deploying that again may lift a containment")
    if listed.regions:
        where = ", ".join(listed.regions)
        limits.append(f"multi-region, in {where}: only the finding's region is contained")
    return tuple(limits)
