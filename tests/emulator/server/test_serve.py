"""The emulator as a process of its own, and its pages."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from click.testing import CliRunner
from google.cloud import run_v2

from emulator.__main__ import main
from emulator.services.loopback import NO_TLS
from tests.support.constants import REPOSITORY, SERVICE
from tests.support.google_clients import (
    MANUAL_ZERO,
    GoogleClients,
    google_clients,
    world_with_services,
)

SERVE = [sys.executable, "-m", "emulator", "serve"]


@pytest.fixture
def process(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A served world with one service."""
    path = tmp_path / "world.json"
    path.write_text(json.dumps(world_with_services({"name": SERVICE})))
    with subprocess.Popen(
        [*SERVE, "--world", str(path)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        try:
            yield running
        finally:
            running.kill()


def test_serving_prints_one_line_and_ends_cleanly(process: subprocess.Popen[str]) -> None:
    """The line has both addresses; SIGTERM ends it with status 0 and no noise, calls or not."""
    assert process.stdout
    addresses = json.loads(process.stdout.readline())
    assert set(addresses) == {"grpc", "http"}
    assert all(address.startswith("127.0.0.1:") for address in addresses.values())
    shown = httpx.get(f"http://{addresses['http']}/world").json()
    assert [service["name"] for service in shown["services"]] == [SERVICE]
    with _waiting_call(addresses):
        process.send_signal(signal.SIGTERM)
        output, errors = process.communicate(timeout=10)
    assert (process.returncode, output, errors) == (0, "", "")


@pytest.mark.parametrize(
    "address", ["http://example.com/", "https://127.0.0.1/", "127.0.0.1:8080", "http://10.0.0.1/"]
)
def test_notifications_go_to_loopback_only(address: str) -> None:
    """The emulator speaks to loopback only."""
    result = CliRunner().invoke(main, ["serve", "--push", address])
    assert result.exit_code == 2
    assert "http://127.0.0.1:8080/" in result.output


@contextlib.contextmanager
def _waiting_call(addresses: dict[str, str]) -> Iterator[None]:
    """A gRPC call that has arrived and waits for much longer than any test."""
    site = f"http://{addresses['http']}"
    httpx.post(f"{site}/faults", json={"latency": {"default": "1000s"}}).raise_for_status()
    request = run_v2.GetServiceRequest.serialize(run_v2.GetServiceRequest(name=SERVICE))
    with grpc.insecure_channel(addresses["grpc"]) as channel:
        call: Any = channel.unary_unary("/google.cloud.run.v2.Services/GetService").future(request)
        while not httpx.get(f"{site}/calls").json()["calls"]:
            time.sleep(0.01)
        yield
        assert call.code() is grpc.StatusCode.UNAVAILABLE


def test_a_bad_world_is_a_usage_error(tmp_path: Path) -> None:
    """Status 2, with what and where on standard error."""
    path = tmp_path / "world.json"
    path.write_text('{"service": []}')
    done = CliRunner().invoke(main, ["serve", "--world", str(path)])
    assert done.exit_code == 2
    assert done.stdout == ""
    assert "world.json: service: 'service' is not a key" in done.stderr


async def test_faults_and_latency_are_set_while_it_runs() -> None:
    """What a body leaves out stays; what it has replaces."""
    async with google_clients(
        world_with_services({"name": SERVICE}, latency={"ListServices": "1s"})
    ) as google:
        world = google.emulator.world
        fault = {"method": "GetService", "code": "ABORTED"}
        answer = await _post(google, {"faults": [fault]})
        assert answer.status_code == 200
        assert world.latency.seconds_for("/google.cloud.run.v2.Services/ListServices") == 1
        assert world.faults.next_fault("/google.cloud.run.v2.Services/GetService")
        await _post(google, {"latency": {"default": 20}, "faults": []})
        assert world.latency.seconds_for("/google.cloud.run.v2.Services/ListServices") == 0.02
        assert not world.faults.next_fault("/google.cloud.run.v2.Services/GetService")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("{", "is not JSON"),
        ("[]", "is a list, not an object"),
        ('{"fault": []}', "'fault' is not a key"),
        ('{"faults": [{"method": "GetServices", "code": "ABORTED"}]}', "GetServices"),
        ('{"latency": {"default": "1h"}, "faults": []}', "latency.default"),
    ],
)
async def test_a_bad_body_is_refused_and_changes_nothing(body: str, reason: str) -> None:
    """The answer is 400 and says what is wrong, and where."""
    faults = [{"method": "GetService", "code": "ABORTED"}]
    async with google_clients(world_with_services({"name": SERVICE}, faults=faults)) as google:
        answer = await _post(google, body)
        assert answer.status_code == 400
        assert reason in answer.json()["error"]
        assert google.emulator.world.faults.next_fault("/google.cloud.run.v2.Services/GetService")


async def test_the_world_and_calls_are_served_while_running(google: GoogleClients) -> None:
    """`/world` is the dump, `/calls` the calls and the writes in full."""
    await google.update("scaling", scaling=MANUAL_ZERO)
    async with httpx.AsyncClient(
        base_url=f"http://{google.emulator.http_address}", verify=NO_TLS
    ) as client:
        world = (await client.get("/world")).json()
        calls = (await client.get("/calls")).json()
    assert world["services"][0]["scaling"]["scalingMode"] == "MANUAL"
    assert calls["calls"][0]["method"] == "/google.cloud.run.v2.Services/UpdateService"
    (write,) = calls["writes"]
    assert write["mask"] == ["scaling"]
    assert write["code"] == "OK"
    assert write["request"]["service"]["name"] == SERVICE


async def test_the_environment_names_both_addresses(google: GoogleClients) -> None:
    """The value of RESPONDER_EMULATOR is the line that serving prints."""
    emulator = google.emulator
    assert json.loads(emulator.environment) == {
        "grpc": emulator.grpc_address,
        "http": emulator.http_address,
    }


async def _post(google: GoogleClients, body: object) -> httpx.Response:
    text = body if isinstance(body, str) else json.dumps(body)
    async with httpx.AsyncClient(
        base_url=f"http://{google.emulator.http_address}", verify=NO_TLS
    ) as client:
        return await client.post("/faults", content=text)
