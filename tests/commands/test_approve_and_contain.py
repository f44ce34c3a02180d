"""`approve` and `contain` as processes: what they print, ask and end with."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

from incident.model import Kind
from tests.support.environment import ResponderEnvironment, policy_yaml, responder_environment
from tests.support.releases import contained_workload
from tests.test_cli import run_command


def command_settings(env: ResponderEnvironment, **later: float) -> dict[str, str]:
    """The policy and the time that the commands use."""
    assert env.settings.now
    then = env.settings.now + timedelta(**later)
    return {"policy": env.settings.policy, "now": then.isoformat()}


async def test_approve_json_is_one_object_with_plan_and_result(tmp_path: Path) -> None:
    """Nothing else on standard output; the plan for people goes to standard error."""
    async with responder_environment(tmp_path, policy_text=policy_yaml("approve")) as env:
        waiting = (await env.deliver()).outcome.to_json()
        incident = str(waiting["incident"])
        code, _, err = await run_command(env, "approve", incident, **command_settings(env))
        assert (code, env.containment_writes) == (2, [])
        assert "Pass --yes" in err
        code, out, err = await run_command(
            env, "approve", incident, "--yes", "--json", **command_settings(env)
        )
        assert code == 0, err
        reported = json.loads(out)
        assert (reported["incident"], reported["result"]["status"]) == (incident, "contained")
        assert "(emulator)" in reported["result"]["decision"]["reasons"][0]
        exact = ("target", "mask", "before", "after")
        assert [{key: c[key] for key in exact} for c in reported["plan"]["changes"]] == [
            {key: c[key] for key in exact} for c in reported["result"]["changes"]
        ]
        assert "-   tag: known-good" in err
        code, out, err = await run_command(
            env, "approve", incident, "--yes", "--json", **command_settings(env)
        )
        assert (code, json.loads(out)["result"]) == (1, None)
        assert "it is contained" in json.loads(out)["error"]
        assert "it is contained" in err
        code, _, err = await run_command(env, "release", incident, "--yes", **command_settings(env))
        assert code == 0, err
        code, out, _ = await run_command(env, "list", "--json")
        assert [row["status"] for row in json.loads(out)] == ["released"]


async def test_a_release_waits_by_the_clock_of_the_emulator(tmp_path: Path) -> None:
    """Within an hour of disabling the account it is refused; later it needs no --now."""
    async with contained_workload(tmp_path, Kind.SERVICE) as contained:
        env, incident = contained.env, str(contained.outcome["incident"])
        early, late = (command_settings(env, minutes=minutes) for minutes in (30, 90))
        before = contained.writes()
        code, _, err = await run_command(env, "release", incident, "--yes", **early)
        assert (code, contained.writes()) == (1, before), err
        assert "or now with --now" in err
        code, _, err = await run_command(env, "release", incident, "--yes", **late)
        assert (code, contained.is_restored()) == (0, True), err


async def test_contain_asks_for_confirmation_and_prints_the_result(tmp_path: Path) -> None:
    """Without an answer nothing is written; an action of another kind is wrong use."""
    async with responder_environment(tmp_path, policy_text=policy_yaml("approve")) as env:
        incident = str((await env.deliver()).outcome.incident)
        late = command_settings(env, hours=13)
        code, _, err = await run_command(env, "approve", incident, "--yes", **late)
        assert code == 1
        assert "its plan has expired" in err
        code, out, err = await run_command(env, "contain", incident, **late)
        assert code == 1
        assert "scale-to-zero on projects/example-shop-prod" in out
        assert "Scale storefront to 0 in example-shop-prod as " in err
        assert "Execution: Modified Malicious Binary Executed? It will be offline. [y/N]" in err
        code, _, err = await run_command(
            env, "contain", incident, "--action", "cancel-executions", **late
        )
        assert code == 2
        assert "cancel-executions does not fit a service" in err
        assert env.containment_writes == []
        code, _, err = await run_command(env, "contain", incident, "--yes", **late)
        assert code == 0, err
        assert f"{incident} is contained" in err
