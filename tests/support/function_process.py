"""The real function in a process of its own, in a world of a test's making.

Starting, delivering and the worlds are the emulator's; what is added is what tests look at.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import json
import os
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.cloud import run_v2

from emulator.runner.function_process import FunctionProcess
from emulator.server.emulator import Emulator
from emulator.services.gate import Hook, Write
from emulator.services.pubsub import push
from emulator.services.pubsub.push import Delivery
from emulator.world.state import parse_world
from tests.support.constants import EVENT_TIME, UPDATE_SERVICE
from tests.support.findings import SampleFinding
from tests.support.forked_process import ForkedProcessGroup

# The time at which the sample's event was seen, and at which most tests take place.
FIVE_SECONDS_LATER = {"RESPONDER_NOW": (EVENT_TIME + dt.timedelta(seconds=5)).isoformat()}
DRY_RUN_POLICY = "contain: {service: [scale-to-zero]}\n"
ENFORCING_POLICY = f"mode: enforce\n{DRY_RUN_POLICY}"
# How the threads are called that our loop and our clients add, as far as threads have names.
_CLIENT_THREADS = ("incidents", "grpc", "event_engine", "tokio")
# A connection's state, as Linux shows it.
_ESTABLISHED = "01"

JsonDict = dict[str, Any]


class FunctionWithOutput(FunctionProcess):
    """A function of which every line on standard output is kept; it starts warm."""

    process_group_type = ForkedProcessGroup

    def __init__(self, settings: Mapping[str, str], target: str = "respond") -> None:
        super().__init__(settings, target=target)
        self.lines: list[bytes] = []

    def _read_log_line(self, line: bytes) -> None:
        self.lines.append(line)
        super()._read_log_line(line)

    @property
    def entries(self) -> list[JsonDict]:
        """The same lines as the JSON objects that they have to be."""
        return [json.loads(line) for line in self.lines]

    @property
    def outcome_entries(self) -> list[JsonDict]:
        """Those of them that report the outcome of a delivery."""
        return [entry for entry in self.entries if "outcome" in entry]

    @property
    def master_pid(self) -> int:
        """Process id of gunicorn's master."""
        assert self._group.pid
        return self._group.pid

    @property
    def worker_pids(self) -> list[int]:
        """Process ids of gunicorn's workers that live now."""
        return children(self.master_pid)


@dataclass(frozen=True, slots=True)
class RunningFunction:
    """A running function, the small Google Cloud around it, and its store.

    Attributes:
        world_before: What existed at first, as the world shows it.
        emulator: The cloud.
        function: The function.
        store: Folder of the case files, where the store is a folder.
    """

    world_before: JsonDict
    emulator: Emulator
    function: FunctionWithOutput
    store: Path

    async def deliver(self, *findings: SampleFinding, times: int = 1) -> tuple[Delivery, ...]:
        """Delivers findings side by side, each so many times; returns once all are answered."""
        before = len(self.function.logged_outcomes)
        pushes = [
            push.push_message(
                self.function.url, push.push_body(one.notification, one.event_time), times
            )
            for one in findings
        ]
        deliveries = sum(await asyncio.gather(*pushes), ())
        answered = [delivery for delivery in deliveries if delivery.http_status]
        await self.function.wait_for_outcomes(before + len(answered))
        return deliveries

    def outcomes(self, finding: SampleFinding) -> list[JsonDict]:
        """What was logged about one finding's deliveries, in order, retries left out."""
        outcomes = [logged.outcome for logged in self.function.logged_outcomes if logged.outcome]
        return [o for o in outcomes if o["finding"] and o["finding"]["name"] == finding.name]

    def service(self, finding: SampleFinding) -> run_v2.Service:
        """A finding's service as it is now."""
        return self.emulator.world.services[finding.resource]

    def restorable_fields(self, finding: SampleFinding) -> JsonDict:
        """What a release of a finding's service has to restore."""
        (service,) = (s for s in self.world_before["services"] if s["name"] == finding.resource)
        return {"scaling": service["scaling"], "traffic": service["traffic"]}

    def writes(self, finding: SampleFinding) -> list[Write]:
        """The writes to a finding's service, in order, without those that only validate."""
        return [
            write
            for write in self.emulator.writes
            if write.method == UPDATE_SERVICE
            and write.request["service"]["name"] == finding.resource
            and not write.validate_only
        ]

    def read_records(self, folder: str) -> dict[str, JsonDict]:
        """The records in a folder of the store, by name, in order."""
        paths = sorted((self.store / folder).glob("*.json"))
        return {path.stem: json.loads(path.read_bytes()) for path in paths}


@contextlib.asynccontextmanager
async def running_function(
    world: JsonDict,
    folder: Path,
    *,
    policy: str = DRY_RUN_POLICY,
    settings: Mapping[str, str] = FIVE_SECONDS_LATER,
    hook: Hook | None = None,
) -> AsyncIterator[RunningFunction]:
    """The function and the emulator, until the context is left.

    Args:
        world: What exists.
        folder: Where the policy file and the store go.
        policy: The policy file's text.
        settings: Environment variables besides those that every test needs.
        hook: Called by the emulator around every call.
    """
    async with Emulator(parse_world(world, source="the world of a test"), hook=hook) as emulator:
        environment = {name: "" for name in os.environ if name.startswith("RESPONDER_")} | {
            "RESPONDER_EMULATOR": emulator.environment,
            "RESPONDER_POLICY": str(_policy_file(policy, folder)),
            "RESPONDER_STORE": str(folder / "store"),
            "RESPONDER_MODE": "enforce",
            "THREADS": "32",
        }
        async with FunctionWithOutput(environment | dict(settings)) as function:
            yield RunningFunction(emulator.world.dump(), emulator, function, folder / "store")


def _policy_file(policy: str, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    file = folder / "policy.yaml"
    file.write_text(policy)
    return file


def is_scaled_to_zero(service: run_v2.Service) -> bool:
    """Whether no instance runs and no tag keeps a revision reachable."""
    manual = service.scaling.scaling_mode == run_v2.ServiceScaling.ScalingMode.MANUAL
    tagged = any(t.tag for t in service.traffic) or any(t.tag for t in service.traffic_statuses)
    return manual and service.scaling.manual_instance_count == 0 and not tagged


def snapshot_of_last_write(records: Mapping[str, JsonDict]) -> JsonDict | None:
    """What a release would restore: the image that a containment's last write followed.

    Args:
        records: The containment's records, by name and in order.
    """
    written = [record for name, record in records.items() if name.endswith("-written")]
    snapshot = f"{written[-1]['snapshot']:04d}-snapshot" if written else ""
    changes = records.get(snapshot, {}).get("changes")
    if not changes:
        return None
    return {name: value for change in changes for name, value in change["restores"].items()}


def threads_of(pid: int) -> int:
    """How many threads a process has."""
    return len(_threads(pid))


def has_client_threads(pid: int) -> bool:
    """Whether a worker has threads of our clients: it has had an event."""
    return any(name.startswith(_CLIENT_THREADS) for name in _threads(pid))


def connections_to(address: str) -> int:
    """How many connections there are to a port of this machine."""
    port = f":{int(address.rpartition(':')[2]):04X}"
    tables = [table.read_text() for table in Path("/proc/net").glob("tcp*")]
    ends = [line.split()[2:4] for table in tables for line in table.splitlines()]
    return sum(remote.endswith(port) and state == _ESTABLISHED for remote, state in ends)


def is_alive(pid: int) -> bool:
    """Whether a process still runs."""
    return _status(pid)[0] not in "ZX"


def children(parent: int) -> list[int]:
    """The ids of a process's children that still run."""
    pids = [int(folder.name) for folder in Path("/proc").glob("[0-9]*")]
    return sorted(pid for pid in pids if is_alive(pid) and _status(pid)[1] == parent)


def _threads(pid: int) -> list[str]:
    """The names of a process's threads."""
    return [name.read_text() for name in Path(f"/proc/{pid}/task").glob("*/comm")]


def _status(pid: int) -> tuple[str, int]:
    """A process's state and its parent."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "X", 0
    return fields[0], int(fields[1])
