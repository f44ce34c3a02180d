"""The activity log: every accepted write of Cloud Run, with who made it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from google.cloud import run_v2

from tests.support.constants import SERVICE
from tests.support.environment import ResponderEnvironment, policy_yaml, responder_environment
from tests.support.patrol import OTHER_PRINCIPAL, deploy, with_automatic_scaling


def emulator_entries(env: ResponderEnvironment) -> list[tuple[str, str]]:
    """Who called what, of the entries that the emulator has written itself."""
    entries = env.emulator.world.dump()["logEntries"]
    assert isinstance(entries, list)
    own = [e["protoPayload"] for e in entries if "protoPayload" in e]
    return [
        (p["authenticationInfo"]["principalEmail"], p["methodName"].rpartition(".")[2])
        for p in own
        if p["requestMetadata"].get("callerIp") == "192.0.2.201"
    ]


async def test_writes_are_logged_with_their_caller(tmp_path: Path) -> None:
    """By default the nameless one; what only asks or is refused leaves nothing."""
    async with responder_environment(tmp_path, policy_text=policy_yaml("dry-run")) as env:
        await env.deliver()
        assert emulator_entries(env) == []
        await deploy(env, with_automatic_scaling)
        assert emulator_entries(env) == [(OTHER_PRINCIPAL, "UpdateService")]
        assert env.emulator.world.services[SERVICE].last_modifier == OTHER_PRINCIPAL
        env.write_policy(policy_yaml())
        await env.deliver()
        assert emulator_entries(env)[1:] == [("caller@emulator.example.com", "UpdateService")] * 2


async def test_an_entry_reads_as_googles_do(tmp_path: Path) -> None:
    """Filed under the whole service, by the name of the project's id."""
    async with responder_environment(tmp_path) as env:
        await deploy(env, lambda service: setattr(service, "ingress", run_v2.IngressTraffic(2)))
        entries: Any = env.emulator.world.dump()["logEntries"]
        entry = entries[-1]
        assert entry["logName"].endswith("logs/cloudaudit.googleapis.com%2Factivity")
        assert entry["resource"]["type"] == "cloud_run_revision"
        assert entry["resource"]["labels"]["service_name"] == "storefront"
        assert entry["protoPayload"]["resourceName"] == SERVICE
