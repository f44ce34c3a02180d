"""The activity log: every accepted write of Cloud Run, with who made it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from google.cloud import run_v2

from tests.support.environment import SERVICE, Road, policy, road
from tests.support.patrol import SOMEBODY, automatic, deploy


def made(way: Road) -> list[tuple[str, str]]:
    """Who called what, of the entries that the emulator has written itself."""
    entries = way.emulator.world.dump()["logEntries"]
    assert isinstance(entries, list)
    own = [e["protoPayload"] for e in entries if "protoPayload" in e]
    return [
        (p["authenticationInfo"]["principalEmail"], p["methodName"].rpartition(".")[2])
        for p in own
        if p["requestMetadata"].get("callerIp") == "192.0.2.201"
    ]


async def test_writes_are_written_down_with_their_caller(tmp_path: Path) -> None:
    """By default the nameless one; what only asks or is refused leaves nothing."""
    async with road(tmp_path, rules=policy("dry-run")) as way:
        await way.deliver()
        assert made(way) == []
        await deploy(way, automatic)
        assert made(way) == [(SOMEBODY, "UpdateService")]
        assert way.emulator.world.services[SERVICE].last_modifier == SOMEBODY
        way.policy(policy())
        await way.deliver()
        assert made(way)[1:] == [("caller@emulator.example.com", "UpdateService")] * 2


async def test_an_entry_reads_as_googles_do(tmp_path: Path) -> None:
    """Filed under the whole service, by the name of the project's id."""
    async with road(tmp_path) as way:
        await deploy(way, lambda service: setattr(service, "ingress", run_v2.IngressTraffic(2)))
        entries: Any = way.emulator.world.dump()["logEntries"]
        entry = entries[-1]
        assert entry["logName"].endswith("logs/cloudaudit.googleapis.com%2Factivity")
        assert entry["resource"]["type"] == "cloud_run_revision"
        assert entry["resource"]["labels"]["service_name"] == "storefront"
        assert entry["protoPayload"]["resourceName"] == SERVICE
