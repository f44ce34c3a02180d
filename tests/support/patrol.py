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
from emulator.services.cloud_logging.activity_log import PRINCIPAL_METADATA
from emulator.services.gate import CallPoint
from incident.patrol.round import PatrolLimits, RoundResult
from tests.support.constants import SERVICE, UPDATE_SERVICE
from tests.support.environment import JsonDict, ResponderEnvironment
from tests.support.findings import sample_notification
from wiring import build_patrol

OTHER_PRINCIPAL = "ci@example.com"
EditService = Callable[[Any], None]


async def run_patrol(env: ResponderEnvironment, **bounds: Any) -> RoundResult:
    """One round in a process of its own, whose results are recorded as logged."""
    clients = await connect(env.settings)
    try:
        patrol = build_patrol(env.settings, clients, PatrolLimits(**bounds))
        result = await patrol.run_round()
        await patrol.record_logged(result)
        return result
    finally:
        await clients.close()


def drift_found(found: RoundResult) -> list[str]:
    """What a round found at containments, but for those that simply stand."""
    assert not found.faults
    return [check.state.value for check in found.checks]


async def deploy(
    env: ResponderEnvironment, change: EditService, *mask: str, by: str = OTHER_PRINCIPAL
) -> None:
    """What a person or a pipeline sends: everything as read, changed; whole without a mask."""
    service = run_v2.Service(env.emulator.world.services[SERVICE])
    change(service)
    request = run_v2.UpdateServiceRequest(service=service, update_mask=FieldMask(paths=mask))
    await call_as(env, UPDATE_SERVICE, run_v2.UpdateServiceRequest.serialize(request), by)


async def call_as(env: ResponderEnvironment, method: str, request: bytes, by: str) -> None:
    """Make one call as somebody."""
    async with grpc.aio.insecure_channel(env.emulator.grpc_address) as channel:
        call: Any = channel.unary_unary(method)
        for attempt in range(10):
            try:
                await call(request, metadata=((PRINCIPAL_METADATA, by),))
            except grpc.aio.AioRpcError as error:  # our own write is still being reconciled
                if error.code() is not grpc.StatusCode.ABORTED or attempt == 9:
                    raise
                await asyncio.sleep(0.1)
            else:
                return


def with_new_image(service: Any) -> None:
    """``gcloud run deploy --image``: a template; scaling and traffic go back as they were read."""
    service.template.revision = ""
    service.template.containers[0].image = "registry.example/storefront:next"


def with_automatic_scaling(service: Any) -> None:
    """``gcloud run deploy --scaling=auto``: traffic goes back as it was read."""
    with_new_image(service)
    service.scaling = run_v2.ServiceScaling(scaling_mode="AUTOMATIC", min_instance_count=1)


def as_in_replaced_file(service: Any) -> None:
    """``gcloud run services replace``, of a file that says nothing of scaling and traffic."""
    with_new_image(service)
    service.scaling = run_v2.ServiceScaling()
    service.traffic = []


def as_in_terraform(service: Any) -> None:
    """``terraform apply`` without ``ignore_changes``: what the configuration says."""
    service.template.revision = ""
    service.scaling = run_v2.ServiceScaling(min_instance_count=2, max_instance_count=10)
    service.traffic = [run_v2.TrafficTarget({"type_": 1, "percent": 100})]


def current_notification(sample: str = "cloud-run-service") -> JsonDict:
    """A sample, happening now: audit entries are stamped by the real clock."""
    notification = sample_notification(sample)
    notification["finding"]["eventTime"] = datetime.now(UTC).isoformat()
    return notification


@contextmanager
def interrupt_call(
    env: ResponderEnvironment, method: str, action: Callable[[], None], phase: str
) -> Iterator[None]:
    """Act at the first call of a method from now on, before or after it is handled."""
    gate: Any = env.emulator.gate
    before, acted = gate._hook, asyncio.Event()  # noqa: SLF001 - a hook is given at the start

    def hook(moment: CallPoint) -> None:
        if (moment.method, moment.phase) == (method, phase) and not acted.is_set():
            acted.set()
            action()

    gate._hook = hook  # noqa: SLF001 - the same
    try:
        yield
    finally:
        gate._hook = before  # noqa: SLF001 - the same
    assert acted.is_set()


class StoreKilledAfterWrites(Store):
    """A store whose process ends, as if killed, right after its put of some number."""

    def __init__(self, store: Store, number: int) -> None:
        super().__init__(store._store, store.url)  # noqa: SLF001 - the same store
        self.writes_left = number

    def count_write(self) -> None:
        """Count a write, of whatever kind; the last one is the end."""
        self.writes_left -= 1
        if self.writes_left == 0:
            raise ProcessKilled

    async def create(self, path: str, data: bytes) -> bool:
        """Put an object, and count it."""
        created = await super().create(path, data)
        self.count_write()
        return created


class ProcessKilled(BaseException):
    """The process has ended; no handler of the product may take note of it."""


async def patrol_killed_at_write(env: ResponderEnvironment, number: int) -> bool:
    """A round that ends right after its write of that number, to the store or to Cloud Run."""
    clients = await connect(env.settings)
    store = StoreKilledAfterWrites(clients.store, number)
    send = clients.cloud_run.write

    async def write(change: Any, *, validate_only: bool) -> int | None:
        generation = await send(change, validate_only=validate_only)
        store.count_write()
        return generation

    clients.cloud_run.write = write  # type: ignore[method-assign]
    try:
        await build_patrol(env.settings, replace(clients, store=store)).run_round()
    except ProcessKilled:
        return False
    finally:
        await clients.close()
    return True
