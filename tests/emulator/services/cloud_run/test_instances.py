"""Instances: reading, stopping and starting them, as Google does."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import run_v2

from emulator.world.state import BadWorld, parse_world
from tests.support.constants import LOCATION, PROJECT_ID, PROJECT_NUMBER
from tests.support.google_clients import google_clients, world_with_services

AGENT = f"{LOCATION}/instances/agent"
ENTRY: dict[str, Any] = {"name": AGENT, "containers": [{"image": "example/agent:1"}]}


def instances(*entries: dict[str, Any], **others: Any) -> dict[str, Any]:
    """A world with these instances."""
    return world_with_services(instances=list(entries), **others)


async def test_what_is_left_out_is_plausible() -> None:
    """It runs, open to all networks, as the project's default account."""
    async with google_clients(instances(ENTRY)) as google:
        found = await google.instances.get_instance(name=AGENT.replace(PROJECT_ID, PROJECT_NUMBER))
        assert (found.name, found.generation, found.observed_generation) == (AGENT, 1, 1)
        assert found.service_account == f"{PROJECT_NUMBER}-compute@developer.gserviceaccount.com"
        assert found.ingress == run_v2.IngressTraffic.INGRESS_TRAFFIC_ALL
        assert found.terminal_condition.state == run_v2.Condition.State.CONDITION_SUCCEEDED
        listed = await google.instances.list_instances(parent=LOCATION)
        assert [each.name async for each in listed] == [AGENT]


async def done(operation: Any) -> run_v2.Instance:
    """The instance when an operation is done."""
    found: run_v2.Instance = await operation.result(timeout=10)
    return found


async def test_it_is_stopped_and_started_again() -> None:
    """Each call raises the generation once; repeated, it changes nothing."""
    async with google_clients(instances(ENTRY, latency={"reconcile": "20ms"})) as google:
        operation = await google.instances.stop_instance(name=AGENT)
        stopping = await google.instances.get_instance(name=AGENT)
        assert (stopping.reconciling, stopping.generation, stopping.observed_generation) == (
            *(True, 2, 1),
        )
        stopped = await done(operation)
        assert stopped.terminal_condition.message == "Instance stopped."
        assert (stopped.reconciling, stopped.observed_generation) == (False, 2)
        again = await done(await google.instances.stop_instance(name=AGENT))
        assert again.generation == 2
        running = await done(await google.instances.start_instance(name=AGENT))
        assert (running.generation, running.terminal_condition.message) == (3, "")


async def test_validating_keeps_nothing_and_a_stale_etag_is_a_conflict() -> None:
    """Both are answered before anything changes."""
    async with google_clients(instances(ENTRY)) as google:
        request = {"name": AGENT, "validate_only": True}
        validated = await done(await google.instances.stop_instance(request))
        assert validated.generation == 2
        assert (await google.instances.get_instance(name=AGENT)).generation == 1
        with pytest.raises(exceptions.Aborted):
            await google.instances.stop_instance({"name": AGENT, "etag": '"old"'})
        with pytest.raises(exceptions.NotFound):
            await google.instances.stop_instance(name=f"{AGENT}-two")


async def test_a_reconciliation_may_fail_or_never_end() -> None:
    """It runs on then, as far as anybody can tell."""
    for code, state in (("INTERNAL", "FAILED"), ("DEADLINE_EXCEEDED", "RECONCILING")):
        faults = [{"method": "reconcile", "code": code}]
        world = instances(ENTRY, faults=faults, latency={"reconcile": "1ms"})
        async with google_clients(world) as google:
            await google.instances.stop_instance(name=AGENT)
            await asyncio.sleep(0.02)
            found = await google.instances.get_instance(name=AGENT)
            assert found.terminal_condition.state == getattr(
                run_v2.Condition.State, f"CONDITION_{state}"
            )
            assert found.observed_generation == 1


def test_it_cannot_have_the_name_of_a_service() -> None:
    """Of its region; Cloud Run refuses it."""
    world = {"services": [{"name": f"{LOCATION}/services/agent"}], "instances": [ENTRY]}
    with pytest.raises(BadWorld, match="there is a service 'agent' in its region"):
        parse_world(world, source="test")
