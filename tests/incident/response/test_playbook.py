"""The playbook that the policy names: used for every status, replaced where it is broken."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from commands import cli
from incident.model.outcome import Outcome
from tests.support.environment import deliver_and_log, policy_yaml, responder_environment
from tests.support.patrol import deploy, run_patrol, with_automatic_scaling

OWN = """\
tasks:
  - id: call
    title: Call the desk
    what: "{{ workload.name }} is {{ incident.status }}."
    why: They answer at night.
    commands: gcloud run services describe {{ workload.name }} {{ run.place }}
without_workload:
  - id: look
    title: Look
    what: Look at it.
    why: Nothing else is known.
"""
BROKEN = OWN.replace("workload.name", "workload.nmae", 1)


def naming(playbook: str) -> str:
    """A policy that names a playbook."""
    return policy_yaml(extra=f"playbook: {playbook}\n")


def task_ids(outcome: Outcome) -> list[str]:
    """The ids of the tasks left to people."""
    assert outcome.assessment
    return [task.id for task in outcome.assessment.playbook.people]


@pytest.mark.parametrize("form", ["{}/own.yaml", "file://{}/own.yaml", "own.yaml"])
async def test_the_policy_may_name_a_playbook(tmp_path: Path, form: str) -> None:
    """By path, by address, or beside the policy; a later status is filled into it as well."""
    (tmp_path / "own.yaml").write_text(OWN)
    text = naming(form.format(tmp_path))
    async with responder_environment(tmp_path, policy_text=text) as env:
        outcome = (await env.deliver()).outcome
        await deploy(env, with_automatic_scaling)
        await run_patrol(env.later(900))
        (path,) = env.stored_objects(f"incidents/{outcome.incident}/*-unverified.json")
        later = Outcome.from_json(env.read_record(path)["outcome"])
    for each, status in ((outcome, "contained"), (later, "unverified")):
        assert each.assessment
        (task,) = each.assessment.playbook.people
        assert (task.id, task.text) == ("call", f"storefront is {status}.")
        assert str(task.command).startswith("gcloud run services describe storefront --region=")
    assert outcome.gaps == ()


@pytest.mark.parametrize(
    ("text", "why"), [(BROKEN, "task call"), ("tasks: []", "tasks"), (None, "nothing is there")]
)
async def test_the_shipped_playbook_replaces_a_broken_one(
    tmp_path: Path, text: str | None, why: str
) -> None:
    """An ERROR and a gap say why; the incident is answered all the same."""
    if text is not None:
        (tmp_path / "own.yaml").write_text(text)
    async with responder_environment(tmp_path, policy_text=naming("own.yaml")) as env:
        result, output = await deliver_and_log(env)
    assert result
    assert result.outcome.status == "contained"
    assert task_ids(result.outcome)[0] == "notify"
    (gap,) = result.outcome.gaps
    assert gap.collector == "playbook"
    assert why in gap.reason
    lines = [json.loads(line) for line in output.splitlines()]
    errors = [line["message"] for line in lines if line["severity"] == "ERROR"]
    assert any(why in error and "shipped playbook is used" in error for error in errors)


def check(policy: Path, *options: str) -> tuple[int, str]:
    """Exit status and output of ``policy check``."""
    answer = CliRunner().invoke(cli, ["policy", "check", str(policy), *options])
    return answer.exit_code, answer.output


def test_policy_check_checks_the_playbook_that_it_names(tmp_path: Path) -> None:
    """Each mistake is named with its task."""
    policy, playbook = tmp_path / "policy.yaml", tmp_path / "own.yaml"
    policy.write_text(naming("own.yaml"))
    code, output = check(policy)
    assert (code, "nothing is there" in output) == (1, True)
    playbook.write_text(BROKEN)
    code, output = check(policy)
    assert code == 1
    assert "Cannot use the playbook own.yaml" in output
    assert "task call" in output
    code, output = check(policy, "--json")
    assert json.loads(output)["valid"] is False
    playbook.write_text(OWN)
    assert check(policy) == (0, f"{policy} is valid\n")
