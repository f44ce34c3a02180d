"""The operator's commands, as processes, on the store and the world that an incident left."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from grpc import StatusCode

from emulator.api.faults import Fault, Faults
from emulator.world.document.json_document import JsonNode
from emulator.world.document.world_parts import parse_faults
from tests.support.constants import CONTAINMENTS_FOLDER, REPOSITORY, SAMPLES_FOLDER
from tests.support.environment import ResponderEnvironment, policy_yaml, responder_environment
from tests.support.findings import sample_notification, similar_findings
from tests.support.forked_process import run_process
from tests.support.patrol import current_notification, deploy, with_automatic_scaling
from tests.support.worlds import two_findings_on_one_service


async def run_command(
    env: ResponderEnvironment | None, *arguments: str, **variables: str
) -> tuple[int, str, str]:
    """Run a command of the command line; its exit status, output and errors."""
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **variables}
    if env:
        emulator = env.settings.emulator
        assert emulator
        environment["RESPONDER_EMULATOR"] = emulator.model_dump_json()
        environment["RESPONDER_STORE"] = env.settings.store
    environment |= {f"RESPONDER_{name.upper()}": value for name, value in variables.items()}
    command = (sys.executable, str(REPOSITORY / "cli.py"), *arguments)
    return await run_process(command, environment, REPOSITORY)


def restorable_fields(env: ResponderEnvironment) -> dict[str, Any]:
    """What a release has to restore, and all else that a service is configured with."""
    output_only = {
        *("generation", "observedGeneration", "etag", "updateTime", "lastModifier"),
        *("conditions", "terminalCondition", "trafficStatuses", "reconciling"),
    }
    return {key: value for key, value in env.service.items() if key not in output_only}


async def test_release_restores_the_service_field_for_field(tmp_path: Path) -> None:
    """After contain and release the service is what it was, and every incident says so."""
    one, other, world = two_findings_on_one_service()
    async with responder_environment(tmp_path, notification=one, world=world) as env:
        before = restorable_fields(env)
        first: Any = (await env.deliver(one)).outcome.to_json()
        await env.deliver(other)
        assert restorable_fields(env) != before
        code, out, err = await run_command(env, "release", first["incident"], "--yes")
        assert (code, "Released and verified" in err) == (0, True), err
        assert "+   tag: known-good" in out
        assert restorable_fields(env) == before
        code, out, _ = await run_command(env, "list", "--json")
        assert [row["status"] for row in json.loads(out)] == ["released", "released"]
        findings: Any = env.emulator.world.dump()["findings"]
        reported_text = [
            entry["finding"].get("securityMarks", {}).get("marks", {}) for entry in findings
        ]
        assert [mark.get("responder-status") for mark in reported_text].count("released") == 2
        written = [path for path in env.stored_objects("incidents/*/1*-*.json") if "back" in path]
        assert len(written) == 2
        code, out, _ = await run_command(env, "release", first["incident"], "--yes")
        assert (code, "nothing to release" in out) == (0, True)
        again = similar_findings(sample_notification(), 1)[0]
        again["finding"]["eventTime"] = "2026-10-02T08:14:09Z"
        assert await env.status(again) in {"held", "retry"}


def scale_to_two(service: Any) -> None:
    """Somebody scales the service up again."""
    service.scaling.manual_instance_count = 2


async def test_release_refuses_to_overwrite_later_changes(tmp_path: Path) -> None:
    """Others' changes are overwritten only with --force; the error names who made them."""
    async with responder_environment(
        tmp_path, notification=current_notification(), now=None
    ) as env:
        before = restorable_fields(env)
        outcome: Any = (await env.deliver()).outcome.to_json()
        await deploy(env, scale_to_two, "scaling", by="somebody@example.com")
        code, out, err = await run_command(env, "release", outcome["incident"], "--yes", "--json")
        assert code == 1
        assert "somebody changed since it was contained" in err
        reported = json.loads(out)
        assert (reported["result"], reported["error"]) == (
            "refused",
            err.strip().removeprefix("Error: "),
        )
        assert [each["name"] for each in reported["changed_since"]] == ["scaling"]
        assert "somebody@example.com" in reported["changed_by"]
        assert env.service["scaling"]["manualInstanceCount"] == 2
        denied = {"method": "UpdateSecurityMarks", "code": "PERMISSION_DENIED"}
        env.emulator.world.faults = parse_faults(JsonNode("test", [denied]))
        code, _, err = await run_command(env, "release", outcome["incident"], "--yes", "--force")
        assert code == 0, err
        assert "Warning: write-back" in err
        assert "securitycenter.findingsecuritymarks.update" in err
        assert restorable_fields(env) == before


async def test_release_of_a_job_names_what_cannot_be_restored(tmp_path: Path) -> None:
    """--json prints one object; incidents that were not updated yet are updated later."""
    message = sample_notification("v1-job-execution")
    steps = "mode: enforce\ncontain: {job: [cancel-executions, require-authentication]}\n"
    async with responder_environment(tmp_path, notification=message, policy_text=steps) as env:
        outcome: Any = (await env.deliver()).outcome.to_json()
        incident = outcome["incident"]
        env.emulator.world.faults = Faults((Fault("SetIamPolicy", StatusCode.PERMISSION_DENIED),))
        code, out, err = await run_command(env, "release", incident, "--yes", "--json")
        reported = json.loads(out)
        assert (code, reported["result"]) == (1, "failed")
        assert "run.jobs.setIamPolicy" in reported["error"]
        assert [change["state"] for change in reported["changes"]] == ["failed"]
        env.emulator.world.faults = Faults()
        code, out, err = await run_command(env, "release", incident, "--yes", "--json")
        reported = json.loads(out)
        assert (code, reported["result"], reported["incidents"]) == (0, "released", [incident]), err
        assert [change["state"] for change in reported["changes"]] == ["verified"]
        assert "gcloud run jobs execute" in reported["not_restored"][0]["reason"]
        (record,) = (tmp_path / "store").glob(f"incidents/{incident}/*-released.json")
        reported_text = json.loads(record.read_bytes())["outcome"]
        assert "gcloud run jobs execute" in reported_text["decision"]["reasons"][1]
        # As a crash leaves it between the release and the update of the incident.
        record.unlink()
        (tmp_path / "store" / "incidents" / incident / "1000-done.json").unlink()
        code, out, err = await run_command(env, "release", incident)
        assert (code, "nothing to release" in out) == (0, True), err
        _, out, _ = await run_command(env, "show", incident, "--json")
        assert json.loads(out)["outcome"]["status"] == "released"


async def test_a_release_in_part_exits_with_1_and_names_what_is_missing(tmp_path: Path) -> None:
    """Plan, JSON, record and incident name the revision; the service runs, and it is released."""
    async with responder_environment(tmp_path) as env:
        before = restorable_fields(env)
        (tag,) = (target for target in before["traffic"] if target.get("tag"))
        outcome: Any = (await env.deliver()).outcome.to_json()
        revisions = env.emulator.world.revisions
        del revisions[next(name for name in revisions if name.endswith(tag["revision"]))]
        code, out, err = await run_command(env, "release", outcome["incident"])
        assert (code, f"its tag {tag['tag']} is not restored" in out) == (1, True), err
        code, out, err = await run_command(env, "release", outcome["incident"], "--yes", "--json")
        reported = json.loads(out)
        assert (code, reported["result"]) == (1, "released"), err
        assert "released storefront (service, example-shop-prod" in err
        (missing,) = reported["not_restored"]
        assert (missing["action"], missing["target"]) == ("release", tag["revision"])
        kept = [target for target in before["traffic"] if target != tag]
        assert restorable_fields(env) == before | {"traffic": kept}
        code, out, _ = await run_command(env, "show", outcome["incident"], "--json")
        assert json.loads(out)["outcome"]["status"] == "released"
        assert missing["reason"] in out
        code, out, _ = await run_command(env, "release", outcome["incident"], "--yes")
        assert (code, "nothing to release" in out) == (0, True)


async def test_a_release_that_is_not_confirmed_changes_nothing(tmp_path: Path) -> None:
    """It asks; without an answer it stops."""
    async with responder_environment(tmp_path) as env:
        outcome: Any = (await env.deliver()).outcome.to_json()
        stopped = restorable_fields(env)
        code, out, _ = await run_command(env, "release", outcome["incident"])
        assert code == 1
        assert "-   manualInstanceCount" in out or "scalingMode" in out
        assert restorable_fields(env) == stopped
        assert not env.stored_objects(f"{CONTAINMENTS_FOLDER}/**/*release*")


async def test_list_and_show_print_incident_statuses(tmp_path: Path) -> None:
    """By status and project; one of them whole; dry runs apart."""
    async with responder_environment(tmp_path, policy_text=policy_yaml("dry-run")) as env:
        await env.deliver()
        env.write_policy(policy_yaml())
        outcome: Any = (await env.deliver()).outcome.to_json()
        code, out, _ = await run_command(env, "list")
        assert code == 0
        assert outcome["incident"] in out
        for option, count in (("contained", 1), ("held", 0)):
            _, out, _ = await run_command(env, "list", "--status", option, "--json")
            assert len(json.loads(out)) == count
        _, out, _ = await run_command(env, "list", "--dry-runs", "--json")
        assert [row["status"] for row in json.loads(out)] == ["planned"]
        code, out, _ = await run_command(env, "show", outcome["incident"], "--json")
        reported = json.loads(out)
        assert reported["outcome"] == outcome
        assert [record["kind"] for record in reported["records"]][-2:] == ["done", "logged"]


@pytest.mark.parametrize("name", ["20261002-000000000000", "../../etc", "x"])
async def test_an_incident_that_does_not_exist_is_a_clear_error(tmp_path: Path, name: str) -> None:
    """What failed, on what, and what to do; no traceback."""
    (tmp_path / "store").mkdir()
    async with responder_environment(tmp_path) as env:
        code, out, err = await run_command(env, "show", name)
        assert (code, out) == (1, "")
        assert "cannot find incident" in err
        assert "Traceback" not in err


async def test_policy_check_says_what_would_apply_and_why(tmp_path: Path) -> None:
    """A valid file and a finding are explained; an error names its line."""
    file = tmp_path / "policy.yaml"
    file.write_text(policy_yaml(extra="protect: [{projects: [example-*]}]\n"))
    finding = str(SAMPLES_FOLDER / "cloud-run-service.json")
    code, out, _ = await run_command(
        None, "policy", "check", str(file), "--finding", finding, "--json"
    )
    reported = json.loads(out)
    assert code == 0
    assert reported["steps"] == [["scale-to-zero"]]
    assert "protect" in reported["holds"][0]
    file.write_text("mode: enfroce\n")
    code, _, err = await run_command(None, "policy", "check", str(file))
    assert code == 1
    assert "policy.yaml:1:7" in err


async def test_patrol_reports_reverted_containments(tmp_path: Path) -> None:
    """The exit status says whether all hold; without RESPONDER_MODE it writes nothing."""
    async with responder_environment(tmp_path) as env:
        outcome: Any = (await env.deliver()).outcome.to_json()
        environment = {"policy": str(tmp_path / "policy.yaml")}
        code, out, err = await run_command(env, "patrol", **environment)
        assert (code, out.strip()) == (0, "1 in-effect"), err
        env.write_policy(policy_yaml(extra="reapply_limit: 1\n"))
        await deploy(env, with_automatic_scaling)
        code, out, _ = await run_command(env, "patrol", **environment)
        assert code == 1
        assert "storefront (service, example-shop-prod, europe-west1): reverted" in out
        assert "RESPONDER_MODE allows no more than dry-run" in " ".join(out.split())
        code, out, _ = await run_command(env, "patrol", "--json", **environment)
        reported = json.loads(out)
        assert (code, reported["summary"]["reverted"]) == (1, 1)
        assert reported["containments"][0]["incidents"] == [outcome["incident"]]
        assert len(env.containment_writes) == 1
