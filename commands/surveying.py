"""For which workloads enforcing would fail: from folders to projects to workloads, and asked.

What is asked about one workload is the business of ``incident.readiness.coverage``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from clients import Clients, Settings, connect
from clients.hierarchy import Hierarchy
from clients.identity import whoami
from clients.regions import regions_of
from incident.model import IncidentError, InvalidPolicy, Listed, Workload
from incident.model.concurrency import together
from incident.readiness.coverage import (
    Cover,
    Covered,
    Pace,
    Project,
    Survey,
    Unlisted,
    Unread,
    find,
)
from incident.readiness.projects import Below, Walk
from incident.redaction.redactor import Redactor
from incident.report.terminal import visible
from incident.response.session import read_policy
from wiring import outside_of


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is looked at.

    Attributes:
        projects: Where.
        tops: Folders and organizations below all of whose projects are looked at as well.
        above: Numbers of the folders above the folders of ``tops``, nearest first; None where
            they are to be asked for.
        regions: The regions; empty for every one that a project sees.
        category: The finding type that is asked about.
        account: The service account to ask as; empty to ask as ourselves.
    """

    projects: tuple[Project, ...]
    regions: tuple[str, ...]
    category: str
    account: str
    tops: tuple[str, ...] = ()
    above: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """What came of it.

    Attributes:
        by: Who asked.
        covered: Every workload.
        unlisted: What could not be looked at in a project.
        projects: How many projects were found.
        unread: Folders and projects that could not be read.
    """

    by: str
    covered: tuple[Covered, ...]
    unlisted: tuple[Unlisted, ...]
    projects: int = 0
    unread: tuple[Unread, ...] = ()

    def told(self, hide: Redactor) -> Found:
        """The same with reasons that may be told: Google's own words are in them."""
        covered = (
            replace(each, reasons=_hidden(each.reasons, hide), limits=_hidden(each.limits, hide))
            for each in self.covered
        )
        unlisted = (replace(each, reason=hide.text(each.reason)) for each in self.unlisted)
        unread = (replace(each, reason=hide.text(each.reason)) for each in self.unread)
        return replace(self, covered=tuple(covered), unlisted=tuple(unlisted), unread=tuple(unread))

    @property
    def summary(self) -> dict[str, int]:
        """How many there are of what."""
        counts = Counter(each.cover for each in self.covered)
        return {
            "projects": self.projects,
            "workloads": len(self.covered),
            **{cover.value: counts[cover] for cover in Cover},
            "unlisted": len(self.unlisted),
            "unread": len(self.unread),
        }

    @property
    def good(self) -> bool:
        """Whether enforcing would fail nowhere, as far as all of it could be looked at."""
        return not (self.unlisted or self.unread) and not any(
            c.cover is Cover.FAILS for c in self.covered
        )


def _hidden(texts: Sequence[str], hide: Redactor) -> tuple[str, ...]:
    return tuple(map(hide.text, texts))


async def survey(
    wanted: Wanted,
    settings: Settings,
    clients: Clients,
    pace: Pace,
    say: Callable[[str], object] = lambda _: None,
) -> Found:
    """Look at every workload of some projects.

    Raises:
        InvalidPolicy: There is no policy to ask.
        Retry: Time may heal it.
        GiveUp: There are no credentials.
    """
    policy = await read_policy(outside_of(clients))
    if isinstance(policy, InvalidPolicy):
        raise policy
    by = wanted.account or whoami(settings)
    asking = await connect(settings, rehearsing=True, account=wanted.account, heard=clients.heard)
    try:
        below = await _below(wanted, Walk(Hierarchy(settings), pace, say))
        searched = await _searched(below.projects, wanted, Search(settings, clients, pace, say))
        ask = Survey(policy, wanted.category, asking.run, datetime.now(UTC), pace)
        there = [each for one in searched for each in one.workloads]
        done = 0

        async def cover(at: int) -> Covered:
            nonlocal done
            covered = await ask.cover(*there[at])
            done += 1
            say(f"asked about {done} of {len(there)} workloads, as {visible(by)}")
            return covered

        covered = await together(*map(cover, range(len(there))))
    finally:
        await asking.close()
    return Found(
        by,
        tuple(covered),
        tuple(missed for one in searched for missed in one.unlisted),
        len(below.projects),
        (*below.unread, *(missed for one in searched for missed in one.unread)),
    )


@dataclass(frozen=True, slots=True)
class Search:
    """What looking for workloads takes: with whom, how fast, and who is told."""

    settings: Settings
    clients: Clients
    pace: Pace
    say: Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Searched:
    """What was found in one project, and what could not be looked at."""

    workloads: tuple[tuple[Workload, Listed], ...] = ()
    unlisted: tuple[Unlisted, ...] = ()
    unread: tuple[Unread, ...] = ()


async def _below(wanted: Wanted, walk: Walk) -> Below:
    """The projects that were named, and those that lie below what was named; each once."""
    found = [await walk.below(top, wanted.above) for top in wanted.tops]
    every = (*wanted.projects, *(project for each in found for project in each.projects))
    projects = {project.id: project for project in every}
    return Below(tuple(projects.values()), tuple(m for each in found for m in each.unread))


async def _searched(
    projects: Sequence[Project], wanted: Wanted, search: Search
) -> Sequence[Searched]:
    done = 0

    async def one(project: Project) -> Searched:
        nonlocal done
        found = await _search(project, wanted, search)
        done += 1
        search.say(f"looked for workloads in {done} of {len(projects)} projects")
        return found

    search.say(f"looking for workloads in {len(projects)} projects")
    return await together(*map(one, projects))


async def _search(project: Project, wanted: Wanted, search: Search) -> Searched:
    """Every workload of a project; where its regions cannot be told, it is unread."""

    async def regions() -> tuple[str, ...]:
        return wanted.regions or await regions_of(project.id, search.settings, project.number)

    try:
        async with search.pace.places:
            places = await search.pace.patiently(regions)
    except IncidentError as error:
        return Searched(unread=(Unread(f"projects/{project.id}", "its regions", str(error)),))
    return Searched(*await find(project, places, search.clients.run, search.pace))
