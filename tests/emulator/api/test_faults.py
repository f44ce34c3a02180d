"""Latency, faults, conflicts, quotas, and the hook of tests."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import obstore
import pytest
from google.api_core import exceptions
from google.cloud import run_v2
from obstore.exceptions import BaseError

from emulator.services.gate import CallPoint, Dropped
from tests.support.constants import LOCATION, SERVICE, UPDATE_SERVICE
from tests.support.google_clients import (
    MANUAL_ZERO,
    GoogleClients,
    code_of,
    google_clients,
    world_with_services,
)

ONE = {"name": SERVICE}
GET = "/google.cloud.run.v2.Services/GetService"


async def codes(google: GoogleClients, count: int) -> list[str]:
    """What so many reads of the service are answered with, one after another."""
    found: list[str] = []
    for _ in range(count):
        try:
            await google.service()
            found.append("OK")
        except exceptions.GoogleAPICallError as error:
            found.append(code_of(error))
    return found


def fault(code: str = "UNAVAILABLE", **fields: Any) -> dict[str, Any]:
    """A fault of reading a service."""
    return {"method": "GetService", "code": code} | fields


@pytest.mark.parametrize(
    ("faults", "expected"),
    [
        ([fault()], ["UNAVAILABLE"] * 4),
        ([fault(times=2)], ["UNAVAILABLE", "UNAVAILABLE", "OK", "OK"]),
        ([fault(after=1, times=1)], ["OK", "UNAVAILABLE", "OK", "OK"]),
        ([fault(after=3)], ["OK", "OK", "OK", "UNAVAILABLE"]),
        ([fault(times=0)], ["OK"] * 4),
        ([fault(method=GET, times=1)], ["UNAVAILABLE", "OK", "OK", "OK"]),
        ([fault(method="UpdateService")], ["OK"] * 4),
        (
            [fault(times=1), fault("ABORTED", times=1), fault("INTERNAL", after=3)],
            ["UNAVAILABLE", "ABORTED", "OK", "INTERNAL"],
        ),
    ],
)
async def test_faults_hit_the_calls_that_they_name(
    faults: list[dict[str, Any]], expected: list[str]
) -> None:
    """So many times, after so many calls; the first fault that can hit does."""
    async with google_clients(world_with_services(ONE, faults=faults)) as google:
        assert await codes(google, 4) == expected


async def test_a_fault_says_what_the_world_says() -> None:
    """The text of the error is the world's."""
    async with google_clients(
        world_with_services(ONE, faults=[fault(message="out for lunch")])
    ) as google:
        with pytest.raises(exceptions.ServiceUnavailable, match="out for lunch"):
            await google.service()


@pytest.mark.parametrize(("applied", "generation"), [(False, 1), (True, 2)])
async def test_a_fault_may_lose_only_the_answer(*, applied: bool, generation: int) -> None:
    """With `applied`, the write took effect although its caller got an error."""
    faults = [{"method": "UpdateService", "code": "ABORTED", "times": 1, "applied": applied}]
    async with google_clients(world_with_services(ONE, faults=faults)) as google:
        with pytest.raises(exceptions.Aborted):
            await google.update("scaling", scaling=MANUAL_ZERO)
        assert (await google.service()).generation == generation
        assert google.emulator.writes[0].code == "ABORTED"


async def test_faults_also_hit_what_is_not_implemented() -> None:
    """A method that nobody has built can still be denied."""
    faults = [{"method": "DeleteService", "code": "PERMISSION_DENIED"}]
    async with google_clients(world_with_services(ONE, faults=faults)) as google:
        with pytest.raises(exceptions.PermissionDenied):
            await google.services.delete_service(name=SERVICE)


async def test_slow_calls_overlap() -> None:
    """Ten slow calls at once take as long as one."""
    async with google_clients(world_with_services(ONE, latency={"GetService": "100ms"})) as google:
        begin = time.monotonic()
        await asyncio.gather(*(google.service() for _ in range(10)))
        assert 0.1 <= time.monotonic() - begin < 0.6


async def test_a_method_specific_latency_overrides_the_default() -> None:
    """The full name, then the last part, then the default."""
    latency = {"default": "200ms", "GetService": 0, GET: "50ms", "storage.PUT": 0}
    async with google_clients(world_with_services(ONE, latency=latency)) as google:
        for action, least, most in (
            (google.service(), 0.05, 0.19),
            (google.services.list_services(parent=LOCATION), 0.2, 1.0),
            (obstore.put_async(google.store(), "a", b""), 0.0, 0.19),
        ):
            begin = time.monotonic()
            await action
            assert least <= time.monotonic() - begin < most


async def test_a_call_that_its_caller_gave_up_has_no_effect() -> None:
    """A write whose deadline passes while it is slow is never applied."""
    async with google_clients(
        world_with_services(ONE, latency={"UpdateService": "100ms"})
    ) as google:
        request = run_v2.UpdateServiceRequest(
            service=run_v2.Service(name=SERVICE, scaling=MANUAL_ZERO),
            update_mask={"paths": ["scaling"]},
        )
        with pytest.raises(exceptions.DeadlineExceeded):
            await google.services.update_service(request, timeout=0.03)
        await asyncio.sleep(0.15)
        assert (await google.service()).generation == 1
        assert google.emulator.writes[0].code == "CANCELLED"


async def test_of_two_writes_at_once_one_is_a_conflict() -> None:
    """The second write to a service that is being written is aborted, in Cloud Run's words."""
    other = f"{LOCATION}/services/other"
    world = world_with_services(ONE, {"name": other}, latency={"UpdateService": "50ms"})
    async with google_clients(world) as google:
        results = await asyncio.gather(
            google.update("scaling", scaling=MANUAL_ZERO),
            google.update("ingress", ingress=2),
            google.update("ingress", ingress=2, name=other),
            google.update("ingress", ingress=2, validate_only=True),
            return_exceptions=True,
        )
        (conflict,) = [result for result in results if isinstance(result, Exception)]
        assert isinstance(conflict, exceptions.Aborted)
        assert conflict.message == (
            "Conflict for resource 'storefront': version '1' was specified but current version "
            "is '2'."
        )
        await google.update("ingress", ingress=2)
        assert sorted(write.code for write in google.emulator.writes) == ["ABORTED", *["OK"] * 4]


async def test_sixty_writes_a_minute_are_allowed_to_a_region() -> None:
    """The sixty-first in a region is refused, asked or meant; another region is not affected."""
    elsewhere = SERVICE.replace("west1", "north1")
    async with google_clients(world_with_services(ONE, {"name": elsewhere})) as google:
        for _ in range(60):
            await google.update("ingress", ingress=1, validate_only=True)
        with pytest.raises(exceptions.ResourceExhausted, match="Quota exceeded"):
            await google.update("ingress", ingress=2)
        await google.update("ingress", ingress=2, name=elsewhere)
        assert (await google.service()).generation == 1


async def test_calls_are_remembered_in_order_with_their_times(google: GoogleClients) -> None:
    """Every gRPC call, when it arrived, and nothing else."""
    begin = time.monotonic()
    await google.service()
    await obstore.put_async(google.store(), "a", b"")
    await google.update("scaling", scaling=MANUAL_ZERO)
    calls = google.emulator.calls
    assert [call.method for call in calls] == [GET, UPDATE_SERVICE]
    assert begin <= calls[0].at <= calls[1].at <= time.monotonic()
    assert google.emulator.writes[0].at == calls[1].at


async def test_the_hook_sees_every_call_before_and_after_its_effect() -> None:
    """Moments are numbered over gRPC and storage together, refused calls included."""
    seen: list[tuple[CallPoint, int]] = []

    async def run(google: GoogleClients) -> None:
        await google.update("scaling", scaling=MANUAL_ZERO)
        store = google.store()
        await obstore.put_async(store, "a", b"")
        async for _ in obstore.list(store):
            pass
        with pytest.raises(FileNotFoundError):
            await obstore.get_async(store, "b")

    generations: list[Any] = []

    def hook(moment: CallPoint) -> None:
        (service,) = generations[0].services.values()
        seen.append((moment, service.generation))

    async with google_clients(world_with_services(ONE), hook=hook) as google:
        generations.append(google.emulator.world)
        await run(google)
    methods = [UPDATE_SERVICE, "storage.PUT", "storage.LIST", "storage.GET"]
    assert [moment for moment, _ in seen] == [
        CallPoint(phase, method, index)
        for index, method in enumerate(methods)
        for phase in ("before", "after")
    ]
    assert [generation for _, generation in seen[:2]] == [1, 2]


async def test_a_hook_can_drop_a_call_before_its_effect() -> None:
    """A dropped call never happened: a client that was killed before it sent it."""

    def hook(moment: CallPoint) -> None:
        if moment.phase == "before" and moment.method in (UPDATE_SERVICE, "storage.PUT"):
            raise Dropped

    async with google_clients(world_with_services(ONE), hook=hook) as google:
        with pytest.raises(exceptions.ServiceUnavailable):
            await google.update("scaling", scaling=MANUAL_ZERO)
        with pytest.raises(BaseError):
            await obstore.put_async(google.store(), "a", b"")
        assert (await google.service()).generation == 1
