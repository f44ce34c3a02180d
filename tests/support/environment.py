"""The whole road in one process: real wiring, real clients, the emulator at the wire."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import functools
import io
import json
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from clients import Settings
from emulator.server.emulator import Emulator
from emulator.services.gate import Hook
from emulator.world import surroundings
from emulator.world.state import parse
from incident.model import Mode, Retry
from incident.response import log
from incident.response.context import Answer, Say, unheard
from incident.response.deliveries import Inbox, Unfinished
from wiring import open_desk

SAMPLES = Path(__file__).parents[1] / "samples"
SERVICE = "projects/example-shop-prod/locations/europe-west1/services/storefront"
CONTAINMENTS = "containments/example-shop-prod/europe-west1/service/storefront"
UPDATE = "/google.cloud.run.v2.Services/UpdateService"
CATEGORY = "Execution: Modified Malicious Binary Executed"

# What a write needs to take effect, unless a test says otherwise: soon, and not at once.
_QUICK = {"reconcile": "1ms"}

World = dict[str, Any]


def sample(name: str = "cloud-run-service") -> World:
    """A notification, as a dictionary to change."""
    content: World = json.loads((SAMPLES / f"{name}.json").read_bytes())
    return content


def world_around(notification: World, **changes: Any) -> World:
    """A plausible world around a notification."""
    return copy.deepcopy({**_around(encode(notification)), **changes})


@functools.lru_cache(maxsize=128)
def _around(notification: bytes) -> World:
    """Made once for each notification; to be copied before it is changed."""
    return surroundings.around(notification)


def encode(notification: World) -> bytes:
    """A notification's bytes."""
    return json.dumps(notification).encode()


def service_of(world: World, name: str = SERVICE) -> World:
    """A service in a dumped world."""
    (service,) = (service for service in world["services"] if service["name"] == name)
    found: World = service
    return found


def copies(notification: World, count: int) -> list[World]:
    """Findings like one, each with an id of its own, on the same resource."""
    found = []
    for number in range(count):
        text = json.dumps(notification)
        identity = notification["finding"]["name"].rpartition("/")[2]
        found.append(json.loads(text.replace(identity, f"{number:02d}{identity[2:]}")))
    return found


def elsewhere(notification: World, count: int, project: str = "") -> list[World]:
    """Findings like one, each with an id of its own, on a workload in a region of its own.

    Args:
        notification: The finding that they are like.
        count: How many.
        project: A digit that tells the project from that of other findings like this one.
    """
    found = []
    for number, notified in enumerate(copies(notification, count)):
        identity = notified["finding"]["name"].rpartition("/")[2]
        text = json.dumps(notified).replace("europe-west1", f"region-{number}")
        for there, here in (
            (identity, f"{identity[:-1]}{project or identity[-1]}"),
            ("example-shop-prod", f"example-shop-prod{project}"),
            ("210987654321", f"21098765432{project or 1}"),
        ):
            text = text.replace(there, here)
        found.append(json.loads(text))
    return found


def world_around_all(notifications: list[World]) -> World:
    """A plausible world in which all of these are true."""
    merged: World = {}
    for notification in notifications:
        for key, part in world_around(notification).items():
            if isinstance(part, dict):
                merged.setdefault(key, {}).update(part)
            else:
                there = merged.setdefault(key, [])
                there += [item for item in part if item not in there]
    return merged


def two_on_one_service() -> tuple[World, World, World]:
    """Two findings on one service, and a world in which SCC lists both."""
    one, other = copies(sample(), 2)
    world = world_around(one)
    world["findings"].append({"finding": other["finding"], "resource": other["resource"]})
    return one, other, world


@dataclass
class Road:
    """An emulated world with a responder in it.

    Attributes:
        emulator: The world.
        folder: Where policy and store are.
        settings: The responder's environment.
        notification: What is delivered unless a test says otherwise.
    """

    emulator: Emulator
    folder: Path
    settings: Settings
    notification: World
    inboxes: list[Inbox] = field(default_factory=list)

    async def inbox(self) -> Inbox:
        """Another process, as far as the store can tell."""
        inbox = (await open_desk(self.settings)).inbox
        self.inboxes.append(inbox)
        return inbox

    async def deliver(
        self,
        notification: World | bytes | None = None,
        *,
        inbox: Inbox | None = None,
        say: Say = unheard,
    ) -> Answer:
        """Deliver one message; by default the road's own, to its first process."""
        target = inbox or (self.inboxes[0] if self.inboxes else await self.inbox())
        message = self.notification if notification is None else notification
        data = message if isinstance(message, bytes) else encode(message)
        return await target.receive(data, say)

    async def status(self, notification: World | bytes | None = None) -> str:
        """What a delivery comes to: a status, or ``retry``."""
        try:
            return str((await self.deliver(notification)).outcome["status"])
        except Retry:
            return "retry"

    def later(self, seconds: float) -> Road:
        """The same world and store, at another time: a responder started then."""
        assert self.settings.now
        later = self.settings.model_copy(
            update={"now": self.settings.now + timedelta(seconds=seconds)}
        )
        return Road(self.emulator, self.folder, later, self.notification)

    def policy(self, text: str) -> None:
        """Change the policy file."""
        (self.folder / "policy.yaml").write_text(text)

    @property
    def containing(self) -> list[Any]:
        """The containing writes that arrived, whatever they were answered."""
        return [
            write
            for write in self.emulator.writes
            if write.method == UPDATE and "scaling" in write.mask and not write.validate_only
        ]

    @property
    def service(self) -> World:
        """The service as it is now."""
        return service_of(self.emulator.world.dump())

    def stored(self, pattern: str = "**/*") -> dict[str, bytes]:
        """What is in the store, by path."""
        store = self.folder / "store"
        return {
            str(path.relative_to(store)): path.read_bytes()
            for path in sorted(store.glob(pattern))
            if path.is_file()
        }

    def record(self, path: str) -> World:
        """One record of the store."""
        content: World = json.loads((self.folder / "store" / path).read_bytes())
        return content


def policy(mode: str = "enforce", extra: str = "") -> str:
    """A policy that scales services to zero."""
    return f"mode: {mode}\ncontain:\n  service: [scale-to-zero]\n{extra}"


@asynccontextmanager
async def road(
    folder: Path,
    *,
    notification: World | None = None,
    world: World | None = None,
    rules: str | None = None,
    hook: Hook | None = None,
    after_s: float = 5,
    **settings: Any,
) -> AsyncIterator[Road]:
    """A road whose responder starts some seconds after the finding's event."""
    message = notification or sample()
    surrounding = {"latency": _QUICK, **(world if world is not None else world_around(message))}
    (folder / "policy.yaml").write_text(policy() if rules is None else rules)
    event = surroundings.event_time(encode(message)) or datetime.now(UTC)
    async with Emulator(parse(surrounding, source="test"), hook=hook) as emulator:
        given: dict[str, Any] = {
            "policy": str(folder / "policy.yaml"),
            "store": str(folder / "store"),
            "mode": Mode.ENFORCE,
            "emulator": json.loads(emulator.environment),
            "now": event + timedelta(seconds=after_s),
            "peer_wait": timedelta(seconds=1),
            **settings,
        }
        yield Road(emulator, folder, Settings(**given), message)


async def settled(*deliveries: Any) -> list[str]:
    """The statuses of deliveries made at once, sorted."""

    async def one(delivery: Any) -> str:
        try:
            return str((await delivery).outcome["status"])
        except Retry:
            return "retry"

    return sorted(await asyncio.gather(*(one(delivery) for delivery in deliveries)))


@contextlib.contextmanager
def standard_output() -> Iterator[io.StringIO]:
    """What the product prints: its log is set up anew, for this output alone."""
    logger = logging.getLogger("responder")
    kept, logger.handlers = logger.handlers, []
    output = io.StringIO()
    try:
        with contextlib.redirect_stdout(output):
            yield output
    finally:
        logger.handlers = kept


async def printed_by(
    way: Road, message: World | bytes | None = None, published: datetime | None = None
) -> tuple[Answer | None, str]:
    """One delivery, answered and logged as the function does: the answer, what was printed."""
    answer, heard = None, list[Answer]()

    def say(outcome: Answer) -> None:
        log.answered(outcome, None, published)
        heard.append(outcome)

    with standard_output() as output:
        try:
            answer = await way.deliver(message, say=say)
        except Unfinished as error:
            log.retried(error, trace=None)
        else:
            if heard:
                log.sealed(answer, None)
            else:
                log.answered(answer, None, published)
    return answer, output.getvalue()


async def put(settings: Settings, name: str, data: bytes = b"") -> None:
    """Put an object into a bucket as somebody else does, with a name that we would never give."""
    assert settings.emulator
    # Clients take dots away, as long as they look like ones.
    path = quote(f"{settings.store.removeprefix('gs://')}/{name}").replace(".", "%2E")
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.put(f"http://{settings.emulator.http}/{path}", content=data)
    assert answer.status_code == 200
