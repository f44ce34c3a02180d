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

from emulator.runner.function_process import Function
from emulator.server.emulator import Emulator
from emulator.services.gate import Hook, Write
from emulator.services.pubsub import push
from emulator.services.pubsub.push import Delivery
from emulator.world import surroundings
from emulator.world.state import parse
from tests.support.forked_process import WarmGroup

SAMPLE = Path(__file__).parents[1] / "samples" / "cloud-run-service.json"
UPDATE = "/google.cloud.run.v2.Services/UpdateService"
# The time at which the sample's event was seen, and at which most tests take place.
THEN = dt.datetime(2026, 10, 2, 8, 14, 7, 318000, tzinfo=dt.UTC)
AFTERWARDS = {"RESPONDER_NOW": (THEN + dt.timedelta(seconds=5)).isoformat()}
DRY_RUN = "contain: {service: [scale-to-zero]}\n"
ENFORCE = f"mode: enforce\n{DRY_RUN}"
# How the threads are called that our loop and our clients add, as far as threads have names.
_OF_OURS = ("incidents", "grpc", "event_engine", "tokio")
# A connection's state, as Linux shows it.
_ESTABLISHED = "01"
_QUICK = {"reconcile": "5ms"}

JsonObject = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Reported:
    """A finding like the sample's, on a service and with an id of its own.

    Attributes:
        finding: Last part of the finding's id, up to 8 digits.
        service: Short name of the service.
        project: Id of the project.
        number: Number of the project, 12 digits.
        event_time: When it happened.
    """

    finding: str = "1a9b7055"
    service: str = "storefront"
    project: str = "example-shop-prod"
    number: str = "210987654321"
    event_time: dt.datetime = THEN

    @property
    def data(self) -> bytes:
        """The notification, as Pub/Sub carries it."""
        text = SAMPLE.read_text()
        for there, here in (
            ("1a9b7055", self.finding.zfill(8)),
            ("storefront", self.service),
            ("example-shop-prod", self.project),
            ("210987654321", self.number),
            ("2026-10-02T08:14:07.318Z", self.event_time.isoformat()),
        ):
            text = text.replace(there, here)
        return text.encode()

    @property
    def resource(self) -> str:
        """The service's full name."""
        return f"projects/{self.project}/locations/europe-west1/services/{self.service}"

    @property
    def custody(self) -> str:
        """Folder of the service's first containment in the store."""
        return f"containments/{self.project}/europe-west1/service/{self.service}/1"

    @property
    def name(self) -> str:
        """The finding's name."""
        return str(json.loads(self.data)["finding"]["name"])


def world_around(*reported: Reported) -> JsonObject:
    """A world in which all of these findings are true."""
    merged: JsonObject = {"latency": _QUICK}
    for one in reported:
        for key, part in surroundings.around(one.data).items():
            if isinstance(part, dict):
                merged.setdefault(key, {}).update(part)
            else:
                there = merged.setdefault(key, [])
                there += [item for item in part if item not in there]
    return merged


class ListenedFunction(Function):
    """A function of which every line on standard output is kept; it starts warm."""

    group = WarmGroup

    def __init__(self, settings: Mapping[str, str], target: str = "respond") -> None:
        super().__init__(settings, target=target)
        self.lines: list[bytes] = []

    def _listen(self, line: bytes) -> None:
        self.lines.append(line)
        super()._listen(line)

    @property
    def entries(self) -> list[JsonObject]:
        """The same lines as the JSON objects that they have to be."""
        return [json.loads(line) for line in self.lines]

    @property
    def answers(self) -> list[JsonObject]:
        """Those of them that tell what a delivery came to; the others are of seals."""
        return [entry for entry in self.entries if "outcome" in entry]

    @property
    def master(self) -> int:
        """Process id of gunicorn's master."""
        assert self._group.pid
        return self._group.pid

    @property
    def workers(self) -> list[int]:
        """Process ids of gunicorn's workers that live now."""
        return children(self.master)


@dataclass(frozen=True, slots=True)
class Stage:
    """A running function, the small Google Cloud around it, and its store.

    Attributes:
        before: What existed at first, as the world shows it.
        emulator: The cloud.
        function: The function.
        store: Folder of the case files, where the store is a folder.
    """

    before: JsonObject
    emulator: Emulator
    function: ListenedFunction
    store: Path

    async def deliver(self, *reported: Reported, times: int = 1) -> tuple[Delivery, ...]:
        """Delivers findings side by side, each so many times; returns once all are answered."""
        before = len(self.function.said)
        pushes = [
            push.push(self.function.url, push.push_of(one.data, one.event_time), times)
            for one in reported
        ]
        deliveries = sum(await asyncio.gather(*pushes), ())
        answered = [delivery for delivery in deliveries if delivery.http_status]
        await self.function.told(before + len(answered))
        return deliveries

    def outcomes(self, reported: Reported) -> list[JsonObject]:
        """What was logged about one finding's deliveries, in order, retries left out."""
        outcomes = [said.outcome for said in self.function.said if said.outcome]
        return [o for o in outcomes if o["finding"] and o["finding"]["name"] == reported.name]

    def service(self, reported: Reported) -> run_v2.Service:
        """A finding's service as it is now."""
        return self.emulator.world.services[reported.resource]

    def original(self, reported: Reported) -> JsonObject:
        """What a release of a finding's service has to restore."""
        (service,) = (s for s in self.before["services"] if s["name"] == reported.resource)
        return {"scaling": service["scaling"], "traffic": service["traffic"]}

    def writes(self, reported: Reported) -> list[Write]:
        """The writes to a finding's service, in order, without those that only validate."""
        return [
            write
            for write in self.emulator.writes
            if write.method == UPDATE
            and write.request["service"]["name"] == reported.resource
            and not write.validate_only
        ]

    def records(self, folder: str) -> dict[str, JsonObject]:
        """The records in a folder of the store, by name, in order."""
        paths = sorted((self.store / folder).glob("*.json"))
        return {path.stem: json.loads(path.read_bytes()) for path in paths}


@contextlib.asynccontextmanager
async def running(
    world: JsonObject,
    folder: Path,
    *,
    policy: str = DRY_RUN,
    settings: Mapping[str, str] = AFTERWARDS,
    hook: Hook | None = None,
) -> AsyncIterator[Stage]:
    """The function and the emulator, until the context is left.

    Args:
        world: What exists.
        folder: Where the policy file and the store go.
        policy: The policy file's text.
        settings: Environment variables besides those that every test needs.
        hook: Called by the emulator around every call.
    """
    async with Emulator(parse(world, source="the world of a test"), hook=hook) as emulator:
        environment = {name: "" for name in os.environ if name.startswith("RESPONDER_")} | {
            "RESPONDER_EMULATOR": emulator.environment,
            "RESPONDER_POLICY": str(_written(policy, folder)),
            "RESPONDER_STORE": str(folder / "store"),
            "RESPONDER_MODE": "enforce",
            "THREADS": "32",
        }
        async with ListenedFunction(environment | dict(settings)) as function:
            yield Stage(emulator.world.dump(), emulator, function, folder / "store")


def _written(policy: str, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    file = folder / "policy.yaml"
    file.write_text(policy)
    return file


def scaled_to_zero(service: run_v2.Service) -> bool:
    """Whether no instance runs and no tag keeps a revision reachable."""
    manual = service.scaling.scaling_mode == run_v2.ServiceScaling.ScalingMode.MANUAL
    tagged = any(t.tag for t in service.traffic) or any(t.tag for t in service.traffic_statuses)
    return manual and service.scaling.manual_instance_count == 0 and not tagged


def kept_image(records: Mapping[str, JsonObject]) -> JsonObject | None:
    """What a release would restore: the image that a containment's last write followed.

    Args:
        records: The containment's records, by name and in order.
    """
    written = [record for name, record in records.items() if name.endswith("-written")]
    image = f"{written[-1]['image']:04d}-before" if written else ""
    changes = records.get(image, {}).get("changes")
    return changes[0]["restores"] if changes else None


def threads_of(pid: int) -> int:
    """How many threads a process has."""
    return len(_threads(pid))


def has_begun(pid: int) -> bool:
    """Whether a worker has threads of our clients: it has had an event."""
    return any(name.startswith(_OF_OURS) for name in _threads(pid))


def connections_to(address: str) -> int:
    """How many connections there are to a port of this machine."""
    port = f":{int(address.rpartition(':')[2]):04X}"
    tables = [table.read_text() for table in Path("/proc/net").glob("tcp*")]
    ends = [line.split()[2:4] for table in tables for line in table.splitlines()]
    return sum(remote.endswith(port) and state == _ESTABLISHED for remote, state in ends)


def alive(pid: int) -> bool:
    """Whether a process still runs."""
    return _status(pid)[0] not in "ZX"


def children(parent: int) -> list[int]:
    """The ids of a process's children that still run."""
    pids = [int(folder.name) for folder in Path("/proc").glob("[0-9]*")]
    return sorted(pid for pid in pids if alive(pid) and _status(pid)[1] == parent)


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
