"""The whole road in one process: real wiring, real clients, the emulator at the wire."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator
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
from emulator.world.state import parse_world
from incident.model import Mode, Retry
from incident.response import log
from incident.response.deliveries import DeliveryHandler, RetryDelivery
from incident.response.response import Response
from tests.support.constants import (
    UPDATE_SERVICE,
)
from tests.support.findings import encode, sample_notification
from tests.support.worlds import service_of, world_around
from wiring import open_process

# What a write needs to take effect, unless a test says otherwise: soon, and not at once.
_SHORT_LATENCY = {"reconcile": "1ms"}

JsonDict = dict[str, Any]


@dataclass
class ResponderEnvironment:
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
    notification: JsonDict
    processes: list[DeliveryHandler] = field(default_factory=list)

    async def start_process(self) -> DeliveryHandler:
        """Another process, as far as the store can tell."""
        inbox = (await open_process(self.settings)).delivery_handler
        self.processes.append(inbox)
        return inbox

    async def deliver(
        self,
        notification: JsonDict | bytes | None = None,
        *,
        process: DeliveryHandler | None = None,
        log_outcome: Callable[[Response], None] = lambda _: None,
    ) -> Response:
        """Deliver one message; by default the environment's own, to its first process.

        The result is logged with ``log_outcome``, and then recorded as logged.
        """
        target = process or (self.processes[0] if self.processes else await self.start_process())
        message = self.notification if notification is None else notification
        data = message if isinstance(message, bytes) else encode(message)
        result = await target.receive(data)
        log_outcome(result)
        await target.record_logged(result)
        return result

    async def status(self, notification: JsonDict | bytes | None = None) -> str:
        """The result of a delivery: a status, or ``retry``."""
        try:
            return str((await self.deliver(notification)).outcome.status)
        except Retry:
            return "retry"

    def later(self, seconds: float) -> ResponderEnvironment:
        """The same world and store, at another time: a responder started then."""
        assert self.settings.now
        later = self.settings.model_copy(
            update={"now": self.settings.now + timedelta(seconds=seconds)}
        )
        return ResponderEnvironment(self.emulator, self.folder, later, self.notification)

    def write_policy(self, text: str) -> None:
        """Change the policy file."""
        new = self.folder / "policy.yaml.new"
        new.write_text(text)
        new.replace(self.folder / "policy.yaml")  # at once: the responder may be reading it

    @property
    def containment_writes(self) -> list[Any]:
        """The containing writes that arrived, whatever they were answered."""
        return [
            write
            for write in self.emulator.writes
            if write.method == UPDATE_SERVICE
            and "scaling" in write.mask
            and not write.validate_only
        ]

    @property
    def service(self) -> JsonDict:
        """The service as it is now."""
        return service_of(self.emulator.world.dump())

    def stored_objects(self, pattern: str = "**/*") -> dict[str, bytes]:
        """What is in the store, by path."""
        store = self.folder / "store"
        return {
            str(path.relative_to(store)): path.read_bytes()
            for path in sorted(store.glob(pattern))
            if path.is_file()
        }

    def read_record(self, path: str) -> JsonDict:
        """One record of the store."""
        content: JsonDict = json.loads((self.folder / "store" / path).read_bytes())
        return content


def policy_yaml(mode: str = "enforce", extra: str = "") -> str:
    """A policy that scales services to zero."""
    return f"mode: {mode}\ncontain:\n  service: [scale-to-zero]\n{extra}"


@asynccontextmanager
async def responder_environment(
    folder: Path,
    *,
    notification: JsonDict | None = None,
    world: JsonDict | None = None,
    policy_text: str | None = None,
    hook: Hook | None = None,
    after_s: float = 5,
    **settings: Any,
) -> AsyncIterator[ResponderEnvironment]:
    """A road whose responder starts some seconds after the finding's event."""
    message = notification or sample_notification()
    surrounding = {
        "latency": _SHORT_LATENCY,
        **(world if world is not None else world_around(message)),
    }
    (folder / "policy.yaml").write_text(policy_yaml() if policy_text is None else policy_text)
    event = surroundings.event_time(encode(message)) or datetime.now(UTC)
    async with Emulator(parse_world(surrounding, source="test"), hook=hook) as emulator:
        given: dict[str, Any] = {
            "policy": str(folder / "policy.yaml"),
            "store": str(folder / "store"),
            "mode": Mode.ENFORCE,
            "emulator": json.loads(emulator.environment),
            "now": event + timedelta(seconds=after_s),
            "peer_wait": timedelta(seconds=1),
            **settings,
        }
        yield ResponderEnvironment(emulator, folder, Settings(**given), message)


async def statuses_of(*deliveries: Any) -> list[str]:
    """The statuses of deliveries made at once, sorted."""

    async def one(delivery: Any) -> str:
        try:
            return str((await delivery).outcome.status)
        except Retry:
            return "retry"

    return sorted(await asyncio.gather(*(one(delivery) for delivery in deliveries)))


@contextlib.contextmanager
def captured_output() -> Iterator[io.StringIO]:
    """What the product prints: its log is set up again, for this output alone."""
    logger = logging.getLogger("responder")
    kept, logger.handlers = logger.handlers, []
    output = io.StringIO()
    try:
        with contextlib.redirect_stdout(output):
            yield output
    finally:
        logger.handlers = kept


async def deliver_and_log(
    env: ResponderEnvironment,
    message: JsonDict | bytes | None = None,
    published: datetime | None = None,
) -> tuple[Response | None, str]:
    """One delivery, answered and logged as the function does: the answer, what was printed."""
    answer = None
    with captured_output() as output:
        try:
            answer = await env.deliver(
                message, log_outcome=lambda result: log.delivery_answered(result, None, published)
            )
        except RetryDelivery as error:
            log.delivery_retried(error, trace=None)
    return answer, output.getvalue()


async def put_object(settings: Settings, name: str, data: bytes = b"") -> None:
    """Put an object into a bucket as somebody else does, with a name that we would never give."""
    assert settings.emulator
    # Clients take dots away, as long as they look like ones.
    path = quote(f"{settings.store.removeprefix('gs://')}/{name}").replace(".", "%2E")
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.put(f"http://{settings.emulator.http}/{path}", content=data)
    assert answer.status_code == 200
