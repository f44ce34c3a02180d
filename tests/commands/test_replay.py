"""``replay`` and ``permissions`` as an operator runs them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from clients import Settings, connect
from commands import cli
from commands.permission_catalogue import Role
from commands.replay import dry_run_outcome
from incident.model import Mode
from tests.support.constants import SERVICE, TOPIC
from tests.support.environment import ResponderEnvironment, policy_yaml, responder_environment
from tests.support.findings import encode, sample_notification
from tests.support.worlds import world_around
from tests.test_cli import run_command


async def replayed(env: ResponderEnvironment, folder: Path, *options: str) -> tuple[int, str, str]:
    """Replay the environment's finding as a process, in an environment that enforces."""
    finding, rules = folder / "finding.json", folder / "policy.yaml"
    finding.write_bytes(encode(env.notification))
    assert env.settings.now
    arguments = ("replay", str(finding), "--policy", str(rules), *options)
    now = env.settings.now.isoformat()
    return await run_command(env, *arguments, mode="enforce", topic=TOPIC, now=now)


async def test_a_replay_is_a_dry_run_whatever_policy_and_environment_say(tmp_path: Path) -> None:
    """The plan is there, field for field; no workload, topic or store of the responder's is."""
    async with responder_environment(tmp_path, after_s=30) as env:
        before = env.service
        code, out, err = await replayed(env, tmp_path, "--json")
        assert code == 0, err
        outcome: Any = json.loads(out)
        assert (outcome["status"], outcome["mode"]) == ("planned", "dry-run")
        assert "a replay is never more than a dry run" in outcome["decision"]["reasons"]
        assert outcome["changes"][0]["state"] == "validated"
        assert env.service == before
        assert all(write.validate_only for write in env.emulator.writes)
        assert not env.stored_objects()
        assert not env.emulator.world.dump().get("published")
        assert "/dry-runs/" in outcome["links"]["case_file"]
        records = Path(outcome["links"]["case_file"].removeprefix("file://"))
        assert (records / "1000-done.json").exists()


async def test_a_replay_writes_its_report_into_an_empty_folder(tmp_path: Path) -> None:
    """A folder that holds something is refused; a missing permission fails the command."""
    fault = {"method": "GetService", "code": "PERMISSION_DENIED"}
    async with responder_environment(
        tmp_path, world=world_around(sample_notification(), faults=[fault])
    ) as env:
        store = tmp_path / "mine"
        code, out, err = await replayed(env, tmp_path, "--store", str(store))
        assert (code, "\nFAILED" in out) == (1, True)
        assert "permission run.services.get is missing" in " ".join(out.split())
        assert f"records: {store.as_uri()}" in err
        code, out, err = await replayed(env, tmp_path, "--store", str(store))
        assert (code, out) == (2, "")
        assert "is not empty" in err


async def test_the_clients_of_a_replay_write_nothing_even_for_an_unfinished_containment(
    tmp_path: Path,
) -> None:
    """A replay writes nothing, even if the store has an unfinished write."""
    async with responder_environment(tmp_path) as env:
        await env.deliver()
        env.emulator.world.services[SERVICE].annotations.clear()
        for path in env.stored_objects("**/*.json"):
            if path.endswith(("done.json", "concluded.json", "verified.json", "annotated.json")):
                (tmp_path / "store" / path).unlink()
        del env.emulator.writes[:]
        settings: Settings = env.settings.model_copy(update={"mode": Mode.DRY_RUN})
        clients = await connect(settings, dry_run=True)
        outcome = await dry_run_outcome(encode(env.notification), settings, clients)
        assert outcome.status == "contained"
        assert not env.emulator.writes


@pytest.mark.parametrize("content", ["", "{}", "not JSON \x1b[31m"])
def test_what_is_no_finding_is_a_clear_error(tmp_path: Path, content: str) -> None:
    """One sentence, no traceback, nothing started."""
    finding = tmp_path / "finding.json"
    finding.write_text(content)
    result = CliRunner().invoke(cli, ["replay", str(finding)])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("Error: ")
    assert "\x1b" not in result.stderr
    assert CliRunner().invoke(cli, ["replay", str(tmp_path / "none.json")]).exit_code == 2


def test_permissions_are_printed_for_a_policy(tmp_path: Path) -> None:
    """Permissions are listed by role and scope with reasons; an invalid policy is an error."""
    file = tmp_path / "policy.yaml"
    file.write_text(policy_yaml())
    result = CliRunner().invoke(cli, ["permissions", "--policy", str(file), "--json"])
    reported: Any = json.loads(result.stdout)
    roles = {each["role"]: each["permissions"] for each in reported["roles"]}
    assert (result.exit_code, reported["function"]) == (0, "actor")
    assert list(roles) == list(map(str, Role))
    (update,) = (p for p in roles["actor"] if p["permission"] == "run.services.update")
    assert (update["scope"], bool(update["reasons"])) == ("workload", True)
    assert "run.workerpools.update" not in result.stdout
    environment = {"RESPONDER_POLICY": str(file)}
    result = CliRunner().invoke(cli, ["permissions"], env=environment)
    assert (result.exit_code, "needs the role actor" in result.stdout) == (0, True)
    result = CliRunner().invoke(cli, ["permissions"])
    assert "run.workerpools.update" in result.stdout
    file.write_text("mode: enfroce\n")
    result = CliRunner().invoke(cli, ["permissions", "--policy", str(file)])
    assert (result.exit_code, "policy.yaml:1:7" in result.stderr) == (1, True)
