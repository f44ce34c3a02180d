"""``drill`` and ``coverage`` as an operator runs them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from commands import cli
from commands.permission_catalogue import Role, permission_catalogue
from emulator.services.gate import CallPoint
from incident.case_file.index import CaseFileIndex
from incident.model import Kind
from incident.readiness.drill import DrillRun, drill_request
from incident.response.pipeline import propose
from tests.clients.test_permissions import PERMISSIONS_OF_METHODS
from tests.support.constants import SERVICE
from tests.support.environment import policy_yaml, responder_environment
from tests.support.findings import sample_notification
from tests.support.manual_containment import command_line_user
from tests.support.model import workload
from tests.support.releases import comparable_world, dump_world, enforcing_policy
from tests.support.worlds import rich_world, world_around
from tests.test_cli import run_command


async def test_a_drill_asks_and_an_interrupted_one_is_released_by_its_id(tmp_path: Path) -> None:
    """Without the service's name nothing is written; `release` finds the drill's containment."""
    world = rich_world(Kind.SERVICE)
    async with (
        responder_environment(
            tmp_path, world=world, policy_text=enforcing_policy(Kind.SERVICE)
        ) as env,
        command_line_user(env) as me,
    ):
        before = dump_world(env)
        there = {"policy": env.settings.policy}
        short = ("storefront", "--project", "example-shop-prod", "--region", "europe-west1")
        code, out, err = await run_command(env, "drill", *short, **there)
        assert (code, out, env.containment_writes) == (1, "", [])
        assert "-   tag: known-good" in err
        assert "Type its name" in err
        code, out, err = await run_command(env, "drill", SERVICE, "--yes", "--json", **there)
        reported = json.loads(out)
        assert (code, reported["result"], reported["workload"]) == (0, "passed", SERVICE), err
        assert f"if interrupted, run cloud-run-responder release {reported['drill']}" in err
        request = await drill_request(me.process, workload(), me.name)
        await DrillRun(me.process, request, await propose(me.process, request)).contain()
        assert comparable_world(dump_world(env), Kind.SERVICE) != comparable_world(
            before, Kind.SERVICE
        )
        code, _, err = await run_command(env, "release", request.incident, "--yes")
        assert (code, "Released and verified" in err) == (0, True), err
        assert comparable_world(dump_world(env), Kind.SERVICE) == comparable_world(
            before, Kind.SERVICE
        )
        drills = (await CaseFileIndex(me.process.store).list_all(drills=True)).summaries
        assert {case.incident: case.status for case in drills} == {
            reported["drill"]: "released",
            request.incident: "released",
        }
        assert not (await CaseFileIndex(me.process.store).list_all()).summaries


async def test_coverage_reports_what_would_fail_and_for_which_account(tmp_path: Path) -> None:
    """Where something would fail the status is 1."""
    denied = {"method": "UpdateService", "code": "PERMISSION_DENIED"}
    world = world_around(sample_notification(), faults=[denied])
    async with responder_environment(
        tmp_path, world=world, policy_text=policy_yaml("dry-run")
    ) as env:
        arguments = ("--project", "example-shop-prod", "--as", "responder@example.com")
        code, out, err = await run_command(env, "coverage", *arguments, policy=env.settings.policy)
        assert (code, err) == (1, "")
        assert "lacks run.services.update" in " ".join(out.split())
        assert "asked as responder@example.com" in out
        assert "1 workloads in 1 projects: 0 enforceable, 1 would fail, 0 protected" in out
        assert not env.emulator.writes


@pytest.mark.parametrize("enabled", [True, False])
async def test_coverage_of_a_project_needs_the_surveyors_role_only(
    tmp_path: Path, *, enabled: bool
) -> None:
    """By the inventory, and without it; the second is said in both output forms."""
    world = world_around(sample_notification(), inventory={"enabled": enabled})
    moments: list[CallPoint] = []
    async with responder_environment(
        tmp_path, world=world, policy_text=policy_yaml("dry-run"), hook=moments.append
    ) as env:
        arguments = ("coverage", "--project", "example-shop-prod")
        code, out, err = await run_command(env, *arguments, "--json", policy=env.settings.policy)
        reported = json.loads(out)
        assert (code, err, reported["unread"]) == (0, "", [])
        assert bool(reported["without_inventory"]) is not enabled
        assert reported["summary"]["projects"] == reported["summary"]["enforceable"] == 1
        _, out, _ = await run_command(env, *arguments, policy=env.settings.policy)
        assert ("listed region by region" in out) is not enabled
        surveyor = {
            grant.name for grant in permission_catalogue({}, announces=False)[Role.SURVEYOR]
        }
        over_grpc = {m.method for m in moments if m.method.startswith("/")}
        assert {
            name
            for m in over_grpc
            if "/List" in m or "/Search" in m
            for name in PERMISSIONS_OF_METHODS[m]
        } <= surveyor


async def test_coverage_of_a_folder_says_what_it_could_not_read(tmp_path: Path) -> None:
    """Status 1, with the place and the reason."""
    world = world_around(sample_notification(), inventory={"enabled": False})
    async with responder_environment(
        tmp_path, world=world, policy_text=policy_yaml("dry-run")
    ) as env:
        arguments = ("coverage", "--folder", "345678901234")
        code, out, _ = await run_command(env, *arguments, policy=env.settings.policy)
        assert code == 1
        assert "not read: its inventory of folders/345678901234, so workloads may be" in out


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("drill", "storefront"), "a short name needs --project and --region"),
        (("drill", SERVICE, "--region", "r"), "a full name needs neither"),
        (("drill", "projects/p/services/s"), "expected projects/P/locations/L/services/S"),
        (("drill", SERVICE.replace("services", "jobs")), "cannot be restored"),
        (("drill", f"{SERVICE}/revisions/r"), "expected projects/P/locations/L/services/S"),
        (("coverage",), "name a project"),
        (("coverage", "--project", "210987654321"), "is no project id"),
        (("coverage", "--folder", "x"), "--folder wants a number"),
        (("coverage", "--organization", "x"), "--organization wants a number"),
    ],
)
def test_wrong_usage_is_reported(arguments: tuple[str, ...], why: str) -> None:
    """Before anything is connected to."""
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 2
    assert why in " ".join(result.output.split())
