"""Coverage of folders and organizations: every level, and what could not be read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from clients import connect
from clients.rest import ResourceManager
from commands.coverage_search import CoverageReport, CoverageRequest, check_coverage
from incident.policy.resolve import DEFAULT_CATEGORY
from incident.readiness.workload_search import ProjectFinder, RequestPacer
from tests.support.environment import JsonDict, ResponderEnvironment, responder_environment
from tests.support.findings import sample_notification
from tests.support.worlds import service_of, world_around

#: Project to the folders above it, nearest first: 1 has 2 and 3, 3 has 4, and 4 has 5.
PROJECT_FOLDERS = {
    "loose": (),
    "top": ("1",),
    "two-a": ("2", "1"),
    "two-b": ("2", "1"),
    "two-c": ("2", "1"),
    "deep": ("5", "4", "3", "1"),
}


def world_of_projects(**changes: Any) -> JsonDict:
    """A world with a service in each of these projects."""
    world = world_around(sample_notification(), **changes)
    service = service_of(world)
    world["projects"] = [
        {"projectId": name, "projectNumber": str(900 + at), "folders": list(above)}
        for at, (name, above) in enumerate(PROJECT_FOLDERS.items())
    ]
    world["services"] = [
        {**service, "name": service["name"].replace("example-shop-prod", name)}
        for name in PROJECT_FOLDERS
    ]
    world["revisions"] = []
    del world["findings"]
    return world


def fault(method: str, code: str = "PERMISSION_DENIED", **more: Any) -> JsonDict:
    """A method that fails."""
    return {"method": method, "code": code, **more}


RULES = "contain: {service: [scale-to-zero]}\nprotect: [{folders: ['%s']}]\n"


async def walk_projects(
    env: ResponderEnvironment, top: str, above: tuple[str, ...] | None = None
) -> tuple[CoverageReport, list[str]]:
    """Run the coverage check without pauses; returns the report and the progress lines."""
    clients = await connect(env.settings, dry_run=True)
    message: list[str] = []
    try:
        wanted = CoverageRequest((), ("europe-west1",), DEFAULT_CATEGORY, "", (top,), above)
        pace = RequestPacer(interval_s=0, pauses_s=(0,))
        return await check_coverage(wanted, env.settings, clients, pace, message.append), message
    finally:
        await clients.close()


def coverage_by_project(found: CoverageReport) -> dict[str, str]:
    """The result that enforcing would have, by project."""
    return {str(each.workload.project_id): each.status.value for each in found.workloads}


@pytest.mark.parametrize(
    ("top", "expected"),
    [
        ("organizations/123", {*PROJECT_FOLDERS}),
        ("folders/1", {*PROJECT_FOLDERS} - {"loose"}),
        ("folders/2", {"two-a", "two-b", "two-c"}),
        ("folders/3", {"deep"}),
    ],
)
async def test_every_level_below_is_surveyed(tmp_path: Path, top: str, expected: set[str]) -> None:
    """All pages are read, with progress; each project has its number and all its folders."""
    async with responder_environment(
        tmp_path, world=world_of_projects(), policy_text=RULES % "4"
    ) as env:
        found, message = await walk_projects(env, top)
        assert (found.passed, found.projects) == (True, len(expected))
        want = {
            name: "held" if "4" in PROJECT_FOLDERS[name] else "enforceable" for name in expected
        }
        assert coverage_by_project(found) == want
        assert f"looking for projects in {top}" in message
        assert message[-1].startswith(f"asked about {len(expected)} of {len(expected)} workloads")
        below = await ProjectFinder(ResourceManager(env.settings), RequestPacer()).find(top)
        assert {(p.id, p.number, p.folders) for p in below.projects} == {
            (name, str(900 + at), above)
            for at, (name, above) in enumerate(PROJECT_FOLDERS.items())
            if name in expected
        }


@pytest.mark.parametrize(
    ("method", "after", "lost", "lacking"),
    [
        ("ListProjects", 0, ("folders/1", "its projects"), {"top"}),
        ("ListFolders", 0, ("folders/1", "its folders"), {*PROJECT_FOLDERS} - {"loose", "top"}),
    ],
)
async def test_an_unreadable_level_is_reported_and_the_rest_is_surveyed(
    tmp_path: Path, method: str, after: int, lost: tuple[str, str], lacking: set[str]
) -> None:
    """A level that is denied hides what is below it; the answer is not good."""
    broken = fault(method, times=1, after=after)
    async with responder_environment(
        tmp_path, world=world_of_projects(faults=[broken]), policy_text=RULES % "9"
    ) as env:
        found, _ = await walk_projects(env, "folders/1")
        (unread,) = found.unread
        assert (unread.resource, unread.what) == lost
        assert "is missing. Grant it on the organization or folder" in unread.reason
        assert not found.passed
        assert {*coverage_by_project(found)} == {*PROJECT_FOLDERS} - {"loose"} - lacking


async def test_the_ancestors_of_a_folder_are_read_or_given(tmp_path: Path) -> None:
    """Where it is neither, what the policy names by folder counts as protected."""
    denied = world_of_projects(faults=[fault("GetFolder")])
    async with responder_environment(tmp_path, world=denied, policy_text=RULES % "9") as env:
        found, _ = await walk_projects(env, "folders/3")
        (unread,) = found.unread
        assert (unread.resource, unread.what) == ("folders/3", "what is above it")
        assert coverage_by_project(found) == {"deep": "held"}
        assert "counts as protected" in " ".join(found.workloads[0].reasons)
        found, _ = await walk_projects(env, "folders/3", ("1",))
        assert (found.passed, coverage_by_project(found)) == (True, {"deep": "enforceable"})
    async with responder_environment(
        tmp_path, world=world_of_projects(), policy_text=RULES % "1"
    ) as env:
        assert coverage_by_project((await walk_projects(env, "folders/3"))[0]) == {"deep": "held"}


async def test_a_quota_on_the_way_is_waited_for(tmp_path: Path) -> None:
    """What time heals is asked again."""
    busy = [fault(name, "RESOURCE_EXHAUSTED", times=1) for name in ("ListProjects", "ListFolders")]
    async with responder_environment(
        tmp_path, world=world_of_projects(faults=busy), policy_text=RULES % "9"
    ) as env:
        found, _ = await walk_projects(env, "organizations/123")
        assert (found.passed, found.projects) == (True, len(PROJECT_FOLDERS))
