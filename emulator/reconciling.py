"""Reconciliation: a write to a service takes effect some time after it was answered.

The words and the fields are those of the Cloud Run Admin API v2: while `reconciling` is true,
`observed_generation` and `traffic_statuses` are behind.
"""

from __future__ import annotations

import asyncio

import grpc
from google.cloud import run_v2

from emulator import known, service_state
from emulator.disturbance import Fault
from emulator.service_state import State
from emulator.world import World


class Reconciler:
    """Brings services to the state that was written, after the world's `reconcile` latency.

    A fault for the method `reconcile` hits one reconciliation: with DEADLINE_EXCEEDED it never
    ends, with any other code it ends in a failed terminal condition, and what is observed stays
    behind.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._running: set[asyncio.Task[None]] = set()

    def start(self, key: str) -> None:
        """Begins for a service of the world that has just been written."""
        service = self._world.services[key]
        fault = self._world.faults.take(known.RECONCILE)
        delay_s = self._world.latency.reconcile_s
        if fault and fault.code is grpc.StatusCode.DEADLINE_EXCEEDED:
            return
        if delay_s == 0:
            self._finish(key, service.generation, fault)
            return
        task = asyncio.create_task(self._later(delay_s, key, service.generation, fault))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    def resume(self) -> None:
        """Begins for every service that the world says is reconciling."""
        for key, service in self._world.services.items():
            if service.reconciling:
                self.start(key)

    async def stop(self) -> None:
        """Leaves what is under way undone."""
        running = tuple(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _later(self, delay_s: float, key: str, generation: int, fault: Fault | None) -> None:
        await asyncio.sleep(delay_s)
        self._finish(key, generation, fault)

    def _finish(self, key: str, generation: int, fault: Fault | None) -> None:
        service = self._world.services.get(key)
        if service is None or service.generation != generation:
            return  # A later write began a reconciliation of its own.
        if fault:
            failed(service, fault.message)
        else:
            self._reached(service)
        service.reconciling = False
        service.etag = service_state.etag(service.etag, "reconciled")

    def _reached(self, service: run_v2.Service) -> None:
        """The service is as written; its newest revision may still be one that cannot serve."""
        service.observed_generation = service.generation
        service.traffic_statuses = service_state.traffic_statuses(service)
        newest = self._world.revisions.get(self._world.canonical(service.latest_created_revision))
        if newest is not None and not service_state.ready(newest):
            failed(service, service_state.not_ready_message(newest.name))
            return
        service.latest_ready_revision = service.latest_created_revision
        now = service_state.now()
        service.terminal_condition = service_state.condition(
            "Ready", State.CONDITION_SUCCEEDED, now
        )


def failed(service: run_v2.Service, message: str) -> None:
    """Marks a service as one whose desired state was not reached."""
    service.terminal_condition = service_state.condition(
        "Ready", State.CONDITION_FAILED, service_state.now(), message
    )
