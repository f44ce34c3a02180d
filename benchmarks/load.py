"""What findings cost that come at once: the real function of a deployed set, beside the emulator.

Each finding is on a service of its own in a project of its own, so that no quota of Google's is
met. The function has had one finding before, so that what only the first one pays is not counted.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import shutil
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from benchmarks.deployed_set import DeployedSet
from benchmarks.process_usage import PeakUse, cpu_s, memory_mb, watched
from emulator.runner.function_process import FunctionProcess
from emulator.server.emulator import Emulator
from emulator.services.loopback import NO_TLS
from emulator.services.pubsub.push import push_body
from emulator.world.state import parse_world
from tests.support.constants import UPDATE_SERVICE
from tests.support.findings import SampleFinding
from tests.support.function_process import ENFORCING_POLICY, children
from tests.support.worlds import world_with_findings

_ATTEMPTS, _BACKOFF_S = 20, 1.0
_BUCKET = "gs://case-files"
_POLICY = (
    f"{ENFORCING_POLICY}guards: {{max_containments_per_hour: 1000,"
    " max_per_project_per_hour: 1000}\n"
)


class MeasuredFunction(FunctionProcess):
    """A function of which the worker is measured."""

    @property
    def worker_pid(self) -> int:
        """The id of gunicorn's only worker."""
        (worker,) = children(self._group.pid or 0)
        return worker


@dataclass(frozen=True, slots=True)
class Load:
    """Findings to deliver.

    Attributes:
        findings: How many.
        at_once: How many are delivered at a time.
        latency_ms: What each call to Google takes.
        entries: Log entries of each workload.
        entry_size: Characters of each entry.
        bucket: Whether the store is a bucket; else it is a folder.
        limit_s: After how long it is given up.
    """

    findings: int
    at_once: int
    latency_ms: int = 0
    entries: int = 0
    entry_size: int = 0
    bucket: bool = False
    limit_s: float = 600


@dataclass(frozen=True, slots=True)
class Cost:
    """What a load cost the function's worker.

    Attributes:
        cpu_ms: Processor time for each finding, in milliseconds.
        wall_s: Until all were answered.
        last_write_s: Until the last containing write arrived.
        memory_mb: The peak of its memory.
        peak: What it used at most while it worked.
        echo_calls: Calls to Google for each notification of an update of its own.
    """

    cpu_ms: float
    wall_s: float
    last_write_s: float
    memory_mb: float
    peak: PeakUse
    echo_calls: float


async def measure_load(deployed: DeployedSet, load: Load, folder: Path) -> Cost | None:
    """Deliver the findings; None where they are not all contained within the limit."""
    now = dt.datetime.now(dt.UTC)
    first, *rest = [
        SampleFinding(f"{n}", f"shop-{n}", f"example-{n}", f"{10**11 + n}", now)
        for n in range(load.findings + 1)
    ]
    world = world_with_findings(first, *rest) | {"latency": {"default": f"{load.latency_ms}ms"}}
    world["logEntries"] = [
        log_entry(one, number, load.entry_size)
        for one in (first, *rest)
        for number in range(load.entries)
    ]
    async with Emulator(parse_world(world, source="a world to measure in")) as emulator:
        settings = _fresh_settings(emulator, load, folder)
        async with MeasuredFunction(settings, deployed.main, python=deployed.python) as function:
            await _deliver([first.notification], 1, function.url)
            await function.wait_for_outcomes(1)
            try:
                async with asyncio.timeout(load.limit_s):
                    return await _measure(
                        [one.notification for one in rest], load, emulator, function
                    )
            except TimeoutError:
                return None


async def _measure(
    messages: list[bytes], load: Load, emulator: Emulator, function: MeasuredFunction
) -> Cost:
    pid = function.worker_pid
    cpu_before, writes_before = cpu_s(pid), len(emulator.writes)
    async with watched(pid, emulator.http_address) as peak:
        begun = time.monotonic()
        await _deliver(messages, load.at_once, function.url)
        wall_s = time.monotonic() - begun
    await function.wait_for_outcomes(load.findings + 1)
    used = cpu_s(pid) - cpu_before
    ended = Counter(each.outcome["status"] for each in function.logged_outcomes if each.outcome)
    if ended["contained"] != load.findings + 1:
        raise SystemExit(f"cannot measure: {load} ended as {ended}")
    last_write = max(
        write.at
        for write in emulator.writes[writes_before:]
        if write.method == UPDATE_SERVICE and "scaling" in write.mask
    )
    memory = memory_mb(pid, peak=True)
    echoes, calls_before = emulator.notifications.messages[-20:], len(emulator.calls)
    await _deliver(echoes, load.at_once, function.url)
    return Cost(
        1000 * used / load.findings,
        wall_s,
        last_write - begun,
        memory,
        peak,
        (len(emulator.calls) - calls_before) / len(echoes),
    )


async def _deliver(messages: list[bytes], at_once: int, url: str) -> None:
    """Push messages, so many at a time, as Pub/Sub does."""
    places = asyncio.Semaphore(at_once)
    now = dt.datetime.now(dt.UTC)
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=at_once)
    async with httpx.AsyncClient(
        timeout=600, limits=limits, trust_env=False, verify=NO_TLS
    ) as client:

        async def deliver(data: bytes) -> None:
            async with places:
                await _push_until_acknowledged(client, url, push_body(data, now))

        async with asyncio.TaskGroup() as group:
            for data in messages:
                group.create_task(deliver(data))


async def _push_until_acknowledged(
    client: httpx.AsyncClient, url: str, body: dict[str, object]
) -> None:
    """Push a message again until it is acknowledged, as Pub/Sub does."""
    for _ in range(_ATTEMPTS):
        try:
            if (await client.post(url, json=body)).is_success:
                return
        except httpx.TransportError:
            pass
        await asyncio.sleep(_BACKOFF_S)
    raise SystemExit(f"cannot measure: a push to {url} was not acknowledged {_ATTEMPTS} times")


def _fresh_settings(emulator: Emulator, load: Load, folder: Path) -> dict[str, str]:
    """The function's settings, with an empty store."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    policy = folder / "policy.yaml"
    policy.write_text(_POLICY)
    return {
        "RESPONDER_EMULATOR": emulator.environment,
        "RESPONDER_POLICY": str(policy),
        "RESPONDER_STORE": _BUCKET if load.bucket else str(folder / "store"),
        "RESPONDER_MODE": "enforce",
        "THREADS": str(load.at_once),
        "GUNICORN_LOG_LEVEL": "error",
    }


def log_entry(one: SampleFinding, number: int, size: int) -> dict[str, Any]:
    """A log entry of a finding's service, shortly before its event."""
    time_of = one.event_time - dt.timedelta(seconds=1 + number / 10)
    return {
        "severity": "INFO",
        "textPayload": f"{number} {'word ' * (size // 5)}",
        "logName": f"projects/{one.project}/logs/run.googleapis.com%2Fstdout",
        "insertId": f"measured-{number:05d}",
        "timestamp": time_of.isoformat(),
        "receiveTimestamp": time_of.isoformat(),
        "resource": {
            "type": "cloud_run_revision",
            "labels": {
                "project_id": one.project,
                "location": "europe-west1",
                "service_name": one.service,
                "revision_name": f"{one.service}-00007-hdm",
            },
        },
    }
