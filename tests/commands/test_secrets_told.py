"""What the commands say, and what they leave in the store, holds no secret of the workload."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from commands import cli
from incident.model import Kind
from tests.releases import contained, dumped, rich_world, rules, workload_in
from tests.road import SERVICE, Road, World, road

TOKEN = "ghp_" + "Fake0Fake1" * 3
KNOWN = "fake-setting-of-the-service-52"  # what the service has in its environment
NAMED = "fake-thing-under-a-telling-name"
ANNOTATIONS = {
    "example.com/note": f"token {TOKEN}",
    "example.com/api-token": NAMED,
    "example.com/copy": KNOWN,
    "example.com/long": "x" * 100_000,
}


def poisoned(**changes: Any) -> World:
    """A service whose environment and annotations hold secrets."""
    world = rich_world(Kind.SERVICE, annotations=dict(ANNOTATIONS), **changes)
    (container, *_) = workload_in(world, Kind.SERVICE)["template"]["containers"]
    container.setdefault("env", []).append({"name": "SETTING", "value": KNOWN})
    return world


async def invoked(way: Road, *arguments: str) -> tuple[int, str]:
    """A command of the command line in a thread of this process: its status and all it printed."""
    assert way.settings.emulator
    environment = {
        "RESPONDER_EMULATOR": way.settings.emulator.model_dump_json(),
        "RESPONDER_STORE": way.settings.store,
        "RESPONDER_POLICY": way.settings.policy,
    }
    runner = CliRunner(env=environment)
    result = await asyncio.to_thread(runner.invoke, cli, arguments)
    return result.exit_code, result.output


def leaked(way: Road, *printed: str, but: str = "no such record") -> set[str]:
    """Which secrets stand in what was printed and stored, before-images excepted."""
    stored = [data.decode() for path, data in way.stored().items() if but not in path]
    everything = "\n".join((*printed, *stored))
    return {secret for secret in (TOKEN, KNOWN, NAMED) if secret in everything}


@pytest.mark.parametrize("form", [(), ("--json",)])
async def test_a_release_tells_no_annotation_of_others(
    tmp_path: Path, form: tuple[str, ...]
) -> None:
    """Neither at the terminal nor on record; and all of them are there afterwards, untouched."""
    async with contained(tmp_path, Kind.SERVICE, world=poisoned()) as case:
        code, printed = await invoked(case.way, "release", case.outcome["incident"], "--yes", *form)
        assert (code, case.is_restored()) == (0, True), printed
        (record,) = case.records("released")
        (change,) = [c for c in record["changes"] if "annotations" in c["mask"]]
        ours = {"scc-responder-incident": case.outcome["incident"]}
        assert change["before"]["annotations"] == ours
        assert change["after"]["annotations"] == {}
        assert "scc-responder-incident" in printed
        assert len(printed) < 20_000
        assert leaked(case.way, printed) == set()


async def test_a_drill_tells_no_annotation_of_others(tmp_path: Path) -> None:
    """It gives back by the same code."""
    world = poisoned()
    text = rules(Kind.SERVICE).replace("mode: enforce", "mode: dry-run")
    async with road(tmp_path, world=world, rules=text) as way:
        before = workload_in(dumped(way), Kind.SERVICE)["annotations"]
        code, printed = await invoked(way, "drill", SERVICE, "--yes", "--json")
        assert code == 0, printed
        told = json.loads(printed[printed.index("\n{") :])
        assert any("annotations" in change["mask"] for change in told["released"])
        assert workload_in(dumped(way), Kind.SERVICE)["annotations"] == before == ANNOTATIONS
        assert leaked(way, printed) == set()
