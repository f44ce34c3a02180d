"""Reconciliation and the operations that wait for it."""

from __future__ import annotations

from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import run_v2
from google.longrunning import operations_pb2
from google.protobuf import duration_pb2

from tests.support.constants import LATEST, SERVICE
from tests.support.google_clients import (
    MANUAL_ZERO,
    GoogleClients,
    google_clients,
    world_with_services,
)

State = run_v2.Condition.State
TAGGED = {"name": SERVICE, "traffic": [{"type": LATEST, "percent": 100, "tag": "live"}]}
UNTAGGED = [run_v2.TrafficTarget(type_=LATEST, percent=100)]


async def operation(google: GoogleClients, name: str, wait_s: int = 0) -> operations_pb2.Operation:
    """An operation as it is, or after waiting for it."""
    if not wait_s:
        request = operations_pb2.GetOperationRequest(name=name)
        call = google.channel.unary_unary(
            "/google.longrunning.Operations/GetOperation",
            request_serializer=operations_pb2.GetOperationRequest.SerializeToString,
            response_deserializer=operations_pb2.Operation.FromString,
        )
        return await call(request)
    wait = operations_pb2.WaitOperationRequest(
        name=name, timeout=duration_pb2.Duration(seconds=wait_s)
    )
    answer = await google.services.wait_operation(wait)
    # The client library returns this one method's answer unparsed.
    return operations_pb2.Operation.FromString(answer)


async def test_what_is_observed_lags_behind_what_was_written() -> None:
    """Until the reconciliation ends, the new settings are shown, and the old state is observed."""
    async with google_clients(world_with_services(TAGGED, latency={"reconcile": "40ms"})) as google:
        await google.update("traffic", "scaling", traffic=UNTAGGED, scaling=MANUAL_ZERO)
        during = await google.service()
        assert during.reconciling
        assert (during.generation, during.observed_generation) == (2, 1)
        assert during.terminal_condition.state == State.CONDITION_RECONCILING
        assert [t.tag for t in during.traffic] == [""]
        assert [s.tag for s in during.traffic_statuses] == ["live"]
        after = await google.reconciled_service()
        assert (after.generation, after.observed_generation) == (2, 2)
        assert after.terminal_condition.state == State.CONDITION_SUCCEEDED
        assert [s.tag for s in after.traffic_statuses] == [""]
        assert after.etag != during.etag


async def test_a_reconciliation_may_take_no_time() -> None:
    """With a latency of zero the answer already shows the end."""
    async with google_clients(world_with_services(TAGGED, latency={"reconcile": 0})) as google:
        done = await google.update("scaling", scaling=MANUAL_ZERO)
        assert not (await google.service()).reconciling
        assert done.operation.metadata


async def test_a_later_write_begins_a_reconciliation_of_its_own() -> None:
    """Only the end of the last one is the end."""
    async with google_clients(world_with_services(TAGGED, latency={"reconcile": "30ms"})) as google:
        await google.update("scaling", scaling=MANUAL_ZERO)
        await google.update("traffic", traffic=UNTAGGED)
        after = await google.reconciled_service()
        assert (after.generation, after.observed_generation) == (3, 3)


async def test_a_broken_template_stays_failed_while_settings_apply() -> None:
    """The terminal condition is about the revision; scaling and traffic took effect regardless."""
    condition = {"type": "Ready", "state": "CONDITION_FAILED", "message": "no such image"}
    async with google_clients(
        world_with_services(TAGGED | {"terminalCondition": condition})
    ) as google:
        await google.update("scaling", "traffic", scaling=MANUAL_ZERO, traffic=UNTAGGED)
        after = await google.reconciled_service()
        assert after.terminal_condition.state == State.CONDITION_FAILED
        assert after.observed_generation == after.generation == 2
        assert after.scaling.scaling_mode == run_v2.ServiceScaling.ScalingMode.MANUAL
        assert [s.tag for s in after.traffic_statuses] == [""]


async def test_a_working_template_heals_a_failed_service() -> None:
    """A new revision that is ready ends the failure."""
    condition = {"type": "Ready", "state": "CONDITION_FAILED"}
    async with google_clients(
        world_with_services(TAGGED | {"terminalCondition": condition})
    ) as google:
        container = run_v2.Container(image="example/web:2")
        template = run_v2.RevisionTemplate(containers=[container])
        await google.update("template", template=template)
        after = await google.reconciled_service()
        assert after.terminal_condition.state == State.CONDITION_SUCCEEDED
        assert after.latest_ready_revision == after.latest_created_revision


def reconcile_fault(code: str) -> dict[str, Any]:
    """A world's fault for the next reconciliation."""
    return {"faults": [{"method": "reconcile", "code": code, "times": 1, "message": "stuck"}]}


async def test_a_fault_can_keep_a_reconciliation_from_ending() -> None:
    """DEADLINE_EXCEEDED: the service keeps reconciling until another write."""
    async with google_clients(
        world_with_services(TAGGED, **reconcile_fault("DEADLINE_EXCEEDED"))
    ) as google:
        started = await google.update("scaling", scaling=MANUAL_ZERO)
        waited = await operation(google, started.operation.name, wait_s=1)
        assert not waited.done
        assert (await google.service()).reconciling
        await google.update("traffic", traffic=UNTAGGED)
        assert (await google.reconciled_service()).observed_generation == 3


async def test_a_fault_can_make_a_reconciliation_fail() -> None:
    """Any other code: it ends as failed, and what is observed stays behind."""
    async with google_clients(world_with_services(TAGGED, **reconcile_fault("INTERNAL"))) as google:
        started = await google.update("traffic", traffic=UNTAGGED)
        after = await google.reconciled_service()
        assert after.terminal_condition.state == State.CONDITION_FAILED
        assert after.terminal_condition.message == "stuck"
        assert (after.generation, after.observed_generation) == (2, 1)
        assert [s.tag for s in after.traffic_statuses] == ["live"]
        shown = await operation(google, started.operation.name)
        assert shown.done
        assert shown.error.message == "stuck"


async def test_a_service_that_a_world_finds_reconciling_gets_there() -> None:
    """A world that was printed in the middle of a change carries on from there."""
    unfinished = TAGGED | {"reconciling": True, "generation": "4"}
    async with google_clients(
        world_with_services(unfinished, latency={"reconcile": "20ms"})
    ) as google:
        during = await google.service()
        assert (during.generation, during.observed_generation) == (4, 3)
        assert (await google.reconciled_service()).observed_generation == 4


async def test_an_operation_is_done_after_the_reconciliation() -> None:
    """Its name, its metadata and its response are those of Cloud Run."""
    async with google_clients(world_with_services(TAGGED, latency={"reconcile": "30ms"})) as google:
        started = await google.update("scaling", scaling=MANUAL_ZERO)
        name = started.operation.name
        assert name.startswith("projects/example-shop-prod/locations/europe-west1/operations/")
        assert not started.operation.done
        shown = await operation(google, name, wait_s=5)
        assert shown.done
        service = run_v2.Service.pb(run_v2.Service())
        assert shown.response.Unpack(service)
        assert service.observed_generation == 2
        assert shown.metadata.Is(service.DESCRIPTOR)
        assert (await operation(google, name)).done


async def test_operations_are_listed_by_location() -> None:
    """A location lists its operations, and a missing one is not found."""
    async with google_clients(world_with_services(TAGGED)) as google:
        await google.update("scaling", scaling=MANUAL_ZERO)
        await google.update("scaling", scaling=MANUAL_ZERO)
        parent = "projects/210987654321/locations/europe-west1"
        listed = await google.services.list_operations(
            operations_pb2.ListOperationsRequest(name=parent)
        )
        assert len(listed.operations) == 2
        with pytest.raises(exceptions.NotFound):
            await google.services.get_operation(
                operations_pb2.GetOperationRequest(name=f"{parent}/operations/x")
            )
