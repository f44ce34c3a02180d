"""``drill`` and ``coverage`` as an operator runs them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from commands import cli
from commands.catalogue import Role, catalogue
from emulator.services.gate import Moment
from incident.case_file.index import Cases
from incident.model import Kind
from incident.readiness.drill import Exercise
from incident.readiness.drill_plan import prepare
from tests.clients.test_permissions import NEEDED
from tests.support.environment import SERVICE, policy, road, sample, world_around
from tests.support.manual_containment import person
from tests.support.model import workload
from tests.support.releases import comparable, dumped, rich_world, rules
from tests.test_cli import run


async def test_a_drill_asks_and_one_that_died_is_released_by_its_id(tmp_path: Path) -> None:
    """Without the service's name nothing is written; `release` finds the drill's containment."""
    world = rich_world(Kind.SERVICE)
    async with road(tmp_path, world=world, rules=rules(Kind.SERVICE)) as way, person(way) as me:
        before = dumped(way)
        there = {"policy": way.settings.policy}
        short = ("storefront", "--project", "example-shop-prod", "--region", "europe-west1")
        code, out, err = await run(way, "drill", *short, **there)
        assert (code, out, way.containing) == (1, "", [])
        assert "-   tag: known-good" in err
        assert "Type the service's name to stop it" in err
        code, out, err = await run(way, "drill", SERVICE, "--yes", "--json", **there)
        told = json.loads(out)
        assert (code, told["result"], told["workload"]) == (0, "passed", SERVICE), err
        assert f"if interrupted, run python cli.py release {told['drill']}" in err
        drill = await prepare(workload(), me.standing, me.outside, me.name)
        await Exercise(drill).contain()
        assert comparable(dumped(way), Kind.SERVICE) != comparable(before, Kind.SERVICE)
        code, _, err = await run(way, "release", drill.id, "--yes")
        assert (code, "read back as it was before" in err) == (0, True), err
        assert comparable(dumped(way), Kind.SERVICE) == comparable(before, Kind.SERVICE)
        drills = (await Cases(me.outside.store).all(drills=True)).cases
        assert {case.incident: case.status for case in drills} == {
            told["drill"]: "released",
            drill.id: "released",
        }
        assert not (await Cases(me.outside.store).all()).cases


async def test_coverage_tells_what_would_fail_as_whom(tmp_path: Path) -> None:
    """Where something would fail the status is 1."""
    denied = {"method": "UpdateService", "code": "PERMISSION_DENIED"}
    world = world_around(sample(), faults=[denied])
    async with road(tmp_path, world=world, rules=policy("dry-run")) as way:
        arguments = ("--project", "example-shop-prod", "--as", "responder@example.com")
        code, out, err = await run(way, "coverage", *arguments, policy=way.settings.policy)
        assert (code, err) == (1, "")
        assert "lacks run.services.update" in " ".join(out.split())
        assert "asked as responder@example.com" in out
        assert "1 workloads in 1 projects: 0 enforceable, 1 would fail, 0 protected" in out
        assert not way.emulator.writes


async def test_coverage_of_a_folder_says_what_it_could_not_read(tmp_path: Path) -> None:
    """In both forms; a surveyor's role is enough for looking, where the questions are another's."""
    world = world_around(sample(), faults=[{"method": "ListFolders", "code": "PERMISSION_DENIED"}])
    (project,) = world["projects"]
    folder, *above = project["folders"]
    moments: list[Moment] = []
    async with road(tmp_path, world=world, rules=policy("dry-run"), hook=moments.append) as way:
        arguments = ("coverage", "--folder", folder, "--above", *(above or ("none",)))
        code, out, err = await run(way, *arguments, "--json", policy=way.settings.policy)
        told = json.loads(out)
        assert (code, err) == (1, "")
        (unread,) = told["unread"]
        assert (unread["place"], unread["what"]) == (f"folders/{folder}", "its folders")
        assert told["summary"]["projects"] == told["summary"]["enforceable"] == 1
        surveyor = {grant.name for grant in catalogue({}, announces=False)[Role.SURVEYOR]}
        over_grpc = {m.method for m in moments if m.method.startswith("/")}
        assert {name for m in over_grpc if "/List" in m for name in NEEDED[m]} <= surveyor


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("drill", "storefront"), "a short name needs --project and --region"),
        (("drill", SERVICE, "--region", "r"), "a full name needs neither"),
        (("drill", "projects/p/services/s"), "expected projects/P/locations/L/services/S"),
        (("drill", SERVICE.replace("services", "jobs")), "cannot be given back"),
        (("drill", f"{SERVICE}/revisions/r"), "expected projects/P/locations/L/services/S"),
        (("coverage",), "name a project"),
        (("coverage", "--project", "210987654321"), "is no project id"),
        (("coverage", "--project", "example-shop-prod=x"), "is no project id"),
        (("coverage", "--folder", "x"), "--folder wants a number"),
        (("coverage", "--organization", "x"), "--organization wants a number"),
        (("coverage", "--folder", "1", "--above", "x"), "--above wants a number, or `none` alone"),
        (("coverage", "--folder", "1", "--above", "1", "--above", "none"), "--above wants"),
    ],
)
def test_wrong_use_is_told(arguments: tuple[str, ...], why: str) -> None:
    """Before anything is connected to."""
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 2
    assert why in " ".join(result.output.split())
