"""What is uploaded: it runs, and there is nothing else in it."""

from __future__ import annotations

import datetime as dt
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from emulator.runner.function_process import FunctionProcess
from emulator.server.emulator import Emulator
from emulator.services.pubsub import push
from emulator.world import surroundings
from emulator.world.state import parse_world
from tests.support.constants import REPOSITORY
from tests.support.findings import encode, sample_notification
from tests.support.worlds import service_of

RUNS = {"main.py", "wiring.py", "requirements.txt", "clients", "incident", "responders"}


def uploaded() -> list[str]:
    """The files that .gcloudignore lets through, as the packaging script lists them."""
    if not (REPOSITORY / ".git").exists():
        pytest.skip("needs a git checkout: only tracked files are uploaded")
    listed = subprocess.run(
        ("sh", "deploy/package.sh", "--list"),
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return listed.stdout.splitlines()


def test_only_what_runs_is_uploaded() -> None:
    """No emulator, no tests, no commands, nothing of the deployment."""
    files = uploaded()
    assert {name.split("/")[0] for name in files} == RUNS
    assert not [name for name in files if "/cases/" in name or name.endswith(".pyc")]


async def test_what_is_uploaded_serves_an_event(tmp_path: Path) -> None:
    """The uploaded files alone contain a workload, pushed to as Pub/Sub pushes.

    Without an event trigger Cloud Functions takes the function for an HTTP one, and says so.
    """
    for name in uploaded():
        target = tmp_path / "source" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / name, target)
    (tmp_path / "policy.yaml").write_text("mode: enforce\ncontain: {service: [scale-to-zero]}\n")
    message = sample_notification()
    world = {**surroundings.world_around(encode(message)), "latency": {"reconcile": "5ms"}}
    event = surroundings.event_time(encode(message)) or dt.datetime.now(dt.UTC)
    async with Emulator(parse_world(world, source="test")) as emulator:
        environment = {
            "RESPONDER_EMULATOR": emulator.environment,
            "RESPONDER_POLICY": str(tmp_path / "policy.yaml"),
            "RESPONDER_STORE": str(tmp_path / "store"),
            "RESPONDER_MODE": "enforce",
            "RESPONDER_NOW": (event + dt.timedelta(seconds=5)).isoformat(),
            "FUNCTION_SIGNATURE_TYPE": "http",
            "LOG_EXECUTION_ID": "false",
            "THREADS": "8",
        }
        async with FunctionProcess(environment, tmp_path / "source" / "main.py") as function:
            body = push.push_body(encode(message), event)
            (delivery,) = await push.push_message(function.url, body, 1)
            await function.wait_for_outcomes(1)
        assert delivery.http_status == 200
        (logged,) = function.logged_outcomes
        assert logged.outcome is not None
        assert logged.outcome["status"] == "contained"
        assert service_of(json.loads(json.dumps(emulator.world.dump())))["scaling"] == {
            "scalingMode": "MANUAL",
            "manualInstanceCount": 0,
        }
