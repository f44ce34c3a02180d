"""Coverage of folders and organizations: every level, and what could not be read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from clients import connect
from clients.hierarchy import Hierarchy
from commands.surveying import Found, Wanted, survey
from incident.policy.resolve import CATEGORY
from incident.readiness.coverage import Pace
from incident.readiness.projects import Walk
from tests.support.environment import Road, World, road, sample, service_of, world_around

#: Project to the folders above it, nearest first: 1 has 2 and 3, 3 has 4, and 4 has 5.
PLACES = {
    "loose": (),
    "top": ("1",),
    "two-a": ("2", "1"),
    "two-b": ("2", "1"),
    "two-c": ("2", "1"),
    "deep": ("5", "4", "3", "1"),
}


def tree(**changes: Any) -> World:
    """A world with a service in each of these projects."""
    world = world_around(sample(), **changes)
    service = service_of(world)
    world["projects"] = [
        {"projectId": name, "projectNumber": str(900 + at), "folders": list(above)}
        for at, (name, above) in enumerate(PLACES.items())
    ]
    world["services"] = [
        {**service, "name": service["name"].replace("example-shop-prod", name)} for name in PLACES
    ]
    world["revisions"] = []
    del world["findings"]
    return world


def fault(method: str, code: str = "PERMISSION_DENIED", **more: Any) -> World:
    """A method that fails."""
    return {"method": method, "code": code, **more}


RULES = "contain: {service: [scale-to-zero]}\nprotect: [{folders: ['%s']}]\n"


async def walked(
    way: Road, top: str, above: tuple[str, ...] | None = None
) -> tuple[Found, list[str]]:
    """What is found below, in no time, and what was said meanwhile."""
    clients = await connect(way.settings, rehearsing=True)
    said: list[str] = []
    try:
        wanted = Wanted((), ("europe-west1",), CATEGORY, "", (top,), above)
        pace = Pace(interval_s=0, pauses_s=(0,))
        return await survey(wanted, way.settings, clients, pace, said.append), said
    finally:
        await clients.close()


def covers(found: Found) -> dict[str, str]:
    """What enforcing would come to, by project."""
    return {str(each.workload.project_id): each.cover.value for each in found.covered}


@pytest.mark.parametrize(
    ("top", "expected"),
    [
        ("organizations/123", {*PLACES}),
        ("folders/1", {*PLACES} - {"loose"}),
        ("folders/2", {"two-a", "two-b", "two-c"}),
        ("folders/3", {"deep"}),
    ],
)
async def test_every_level_below_is_walked_through(
    tmp_path: Path, top: str, expected: set[str]
) -> None:
    """Page by page, telling where it is; each project with its number and all its folders."""
    async with road(tmp_path, world=tree(), rules=RULES % "4") as way:
        found, said = await walked(way, top)
        assert (found.good, found.projects) == (True, len(expected))
        want = {name: "held" if "4" in PLACES[name] else "enforceable" for name in expected}
        assert covers(found) == want
        assert f"looking for projects in {top}" in said
        assert said[-1].startswith(f"asked about {len(expected)} of {len(expected)} workloads")
        below = await Walk(Hierarchy(way.settings), Pace()).below(top)
        assert {(p.id, p.number, p.folders) for p in below.projects} == {
            (name, str(900 + at), above)
            for at, (name, above) in enumerate(PLACES.items())
            if name in expected
        }


@pytest.mark.parametrize(
    ("method", "after", "lost", "lacking"),
    [
        ("ListProjects", 0, ("folders/1", "its projects"), {"top"}),
        ("ListFolders", 0, ("folders/1", "its folders"), {*PLACES} - {"loose", "top"}),
    ],
)
async def test_what_cannot_be_read_is_said_and_the_rest_is_looked_at(
    tmp_path: Path, method: str, after: int, lost: tuple[str, str], lacking: set[str]
) -> None:
    """A level that is denied hides what is below it; the answer is not good."""
    broken = fault(method, times=1, after=after)
    async with road(tmp_path, world=tree(faults=[broken]), rules=RULES % "9") as way:
        found, _ = await walked(way, "folders/1")
        (unread,) = found.unread
        assert (unread.place, unread.what) == lost
        assert "is missing. Grant it on the organization or folder" in unread.reason
        assert not found.good
        assert {*covers(found)} == {*PLACES} - {"loose"} - lacking


async def test_what_is_above_a_folder_is_asked_for_or_told(tmp_path: Path) -> None:
    """Where it is neither, what the policy names by folder counts as protected."""
    denied = tree(faults=[fault("GetFolder")])
    async with road(tmp_path, world=denied, rules=RULES % "9") as way:
        found, _ = await walked(way, "folders/3")
        (unread,) = found.unread
        assert (unread.place, unread.what) == ("folders/3", "what is above it")
        assert covers(found) == {"deep": "held"}
        assert "counts as protected" in " ".join(found.covered[0].reasons)
        found, _ = await walked(way, "folders/3", ("1",))
        assert (found.good, covers(found)) == (True, {"deep": "enforceable"})
    async with road(tmp_path, world=tree(), rules=RULES % "1") as way:
        assert covers((await walked(way, "folders/3"))[0]) == {"deep": "held"}


async def test_a_quota_on_the_way_is_waited_for(tmp_path: Path) -> None:
    """What time heals is asked again."""
    busy = [fault(name, "RESOURCE_EXHAUSTED", times=1) for name in ("ListProjects", "ListFolders")]
    async with road(tmp_path, world=tree(faults=busy), rules=RULES % "9") as way:
        found, _ = await walked(way, "organizations/123")
        assert (found.good, found.projects) == (True, len(PLACES))
