"""Going rounds in a test, and what others do to a workload between them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import grpc.aio
from google.cloud import run_v2
from google.protobuf.field_mask_pb2 import FieldMask

from clients import connect
from clients.store import Store
from emulator.services.cloud_logging.activity_log import PRINCIPAL
from emulator.services.gate import Moment
from incident.patrol.round import Bounds, Round
from tests.support.environment import SERVICE, UPDATE, Road, World, sample
from wiring import patrol_of

SOMEBODY = "ci@example.com"
Change = Callable[[Any], None]


async def patrol(way: Road, **bounds: Any) -> Round:
    """One round, as a process of its own goes it."""
    clients = await connect(way.settings)
    try:
        return await patrol_of(way.settings, clients, Bounds(**bounds)).go()
    finally:
        await clients.close()


def seen(found: Round) -> list[str]:
    """What a round found at containments, but for those that simply stand."""
    assert not found.faults
    return [sighting.sight.value for sighting in found.sightings]


async def deploy(way: Road, change: Change, *mask: str, by: str = SOMEBODY) -> None:
    """What a person or a pipeline sends: everything as read, changed; whole without a mask."""
    service = run_v2.Service(way.emulator.world.services[SERVICE])
    change(service)
    request = run_v2.UpdateServiceRequest(service=service, update_mask=FieldMask(paths=mask))
    await called(way, UPDATE, run_v2.UpdateServiceRequest.serialize(request), by)


async def called(way: Road, method: str, request: bytes, by: str) -> None:
    """Make one call as somebody."""
    async with grpc.aio.insecure_channel(way.emulator.grpc_address) as channel:
        call: Any = channel.unary_unary(method)
        for attempt in range(10):
            try:
                await call(request, metadata=((PRINCIPAL, by),))
            except grpc.aio.AioRpcError as error:  # our own write is still being reconciled
                if error.code() is not grpc.StatusCode.ABORTED or attempt == 9:
                    raise
                await asyncio.sleep(0.1)
            else:
                return


def new_image(service: Any) -> None:
    """``gcloud run deploy --image``: a template; scaling and traffic go back as they were read."""
    service.template.revision = ""
    service.template.containers[0].image = "registry.example/storefront:next"


def automatic(service: Any) -> None:
    """``gcloud run deploy --scaling=auto``: traffic goes back as it was read."""
    new_image(service)
    service.scaling = run_v2.ServiceScaling(scaling_mode="AUTOMATIC", min_instance_count=1)


def from_file(service: Any) -> None:
    """``gcloud run services replace``, of a file that says nothing of scaling and traffic."""
    new_image(service)
    service.scaling = run_v2.ServiceScaling()
    service.traffic = []


def by_terraform(service: Any) -> None:
    """``terraform apply`` without ``ignore_changes``: what the configuration says."""
    service.template.revision = ""
    service.scaling = run_v2.ServiceScaling(min_instance_count=2, max_instance_count=10)
    service.traffic = [run_v2.TrafficTarget({"type_": 1, "percent": 100})]


def now_happening() -> World:
    """The sample, happening now: audit entries are stamped by the real clock."""
    notification = sample()
    notification["finding"]["eventTime"] = datetime.now(UTC).isoformat()
    return notification


@contextmanager
def interrupting(way: Road, method: str, act: Callable[[], None], phase: str) -> Iterator[None]:
    """Act at the first call of a method from now on, before or after it is handled."""
    gate: Any = way.emulator.gate
    before, acted = gate._hook, asyncio.Event()  # noqa: SLF001 - a hook is given at the start

    def hook(moment: Moment) -> None:
        if (moment.method, moment.phase) == (method, phase) and not acted.is_set():
            acted.set()
            act()

    gate._hook = hook  # noqa: SLF001 - the same
    try:
        yield
    finally:
        gate._hook = before  # noqa: SLF001 - the same
    assert acted.is_set()


class Dying(Store):
    """A store whose process ends, as if killed, right after its put of some number."""

    def __init__(self, store: Store, number: int) -> None:
        super().__init__(store._store, store.url)  # noqa: SLF001 - the same store
        self.left = number

    def written(self) -> None:
        """Count a write, of whatever kind; the last one is the end."""
        self.left -= 1
        if self.left == 0:
            raise Killed

    async def create(self, path: str, data: bytes) -> bool:
        """Put an object, and count it."""
        created = await super().create(path, data)
        self.written()
        return created


class Killed(BaseException):
    """The process has ended; no handler of the product may take note of it."""


async def dying_at(way: Road, number: int) -> bool:
    """A round that ends right after its write of that number, to the store or to Cloud Run."""
    clients = await connect(way.settings)
    store = Dying(clients.store, number)
    send = clients.run.write

    async def write(change: Any, *, validate_only: bool) -> int | None:
        made = await send(change, validate_only=validate_only)
        store.written()
        return made

    clients.run.write = write  # type: ignore[method-assign]
    try:
        await patrol_of(way.settings, replace(clients, store=store)).go()
    except Killed:
        return False
    finally:
        await clients.close()
    return True
