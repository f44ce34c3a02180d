"""Reconciliation: a write takes effect after the reconcile latency.

The words and the fields are those of the Cloud Run Admin API v2: while `reconciling` is true,
`observed_generation` and the statuses are behind.
"""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
from google.cloud import run_v2

from emulator.api import method_names
from emulator.api.faults import Fault
from emulator.api.resource_names import children_of, parent_name
from emulator.world.cloud_run import (
    execution_phases,
    instance_rules,
    resources,
    revision_rules,
    traffic_split,
)
from emulator.world.cloud_run.resources import State
from emulator.world.cloud_run.traffic_split import RevisionOwner
from emulator.world.state import World

ReconciledWorkload = RevisionOwner | run_v2.Job | run_v2.Instance


class Reconciler:
    """Brings resources to the state that was written, after the world's `reconcile` latency.

    A fault for the method `reconcile` hits one reconciliation: with DEADLINE_EXCEEDED it never
    ends, with any other code it fails.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._running: set[asyncio.Task[None]] = set()

    def start(self, key: str) -> None:
        """Begins for a resource of the world that has just been written."""
        generation = self._world.generation(key)
        fault = self._world.faults.next_fault(method_names.RECONCILE)
        delay_s = self._world.latency.reconcile_s
        if fault and fault.code is grpc.StatusCode.DEADLINE_EXCEEDED:
            return
        if delay_s == 0:
            self._finish(key, generation, fault)
            return
        task = asyncio.create_task(self._finish_later(delay_s, key, generation, fault))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    def resume(self) -> None:
        """Begins for every resource that the world says is being changed."""
        for table in self._world.tables().values():
            for key, resource in table.items():
                if _is_reconciling(resource):
                    self.start(key)

    async def stop(self) -> None:
        """Leaves what is under way undone."""
        running = tuple(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _finish_later(
        self, delay_s: float, key: str, generation: int, fault: Fault | None
    ) -> None:
        await asyncio.sleep(delay_s)
        self._finish(key, generation, fault)

    def _finish(self, key: str, generation: int, fault: Fault | None) -> None:
        resource = self._world.resource(key)
        if resource is None or resource.generation != generation or not _is_reconciling(resource):
            return  # A later write began a reconciliation of its own, or there is nothing left.
        if isinstance(resource, run_v2.Execution):
            _end_cancellation(self._world, key, resource, fault)
        else:
            _end_change(self._world, resource, fault)
        resource.etag = resources.make_etag(resource.etag, "reconciled")


def _is_reconciling(resource: Any) -> bool:
    """Whether Cloud Run is bringing a resource somewhere. Tasks and revisions go along."""
    if isinstance(resource, run_v2.Execution):
        return execution_phases.is_cancelling(resource)
    return isinstance(resource, ReconciledWorkload) and resource.reconciling


def _end_cancellation(
    world: World, key: str, execution: run_v2.Execution, fault: Fault | None
) -> None:
    if fault:
        execution_phases.fail_cancellation(execution, fault.message)
        return
    now = resources.current_time()
    execution_phases.finish_cancellation(
        execution, list(children_of(key, world.tasks).values()), now
    )
    job = world.jobs[parent_name(key)]
    execution_phases.update_job_reference(job, execution)


def _end_change(world: World, workload: ReconciledWorkload, fault: Fault | None) -> None:
    """What is observed is what was written, except after a fault."""
    workload.reconciling = False
    if fault:
        _fail(workload, fault.message)
        return
    workload.observed_generation = workload.generation
    now = resources.current_time()
    if isinstance(workload, run_v2.Instance):
        instance_rules.end_change(workload, now)
        return
    if not isinstance(workload, run_v2.Job):
        traffic_split.apply_split(workload)
        newest = world.revisions.get(world.canonical(workload.latest_created_revision))
        if newest is not None and not revision_rules.is_ready(newest):
            _fail(workload, revision_rules.not_ready_message(newest.name))
            return
        workload.latest_ready_revision = workload.latest_created_revision
    workload.terminal_condition = resources.condition("Ready", State.CONDITION_SUCCEEDED, now)


def _fail(workload: ReconciledWorkload, message: str) -> None:
    """Marks a resource as one whose desired state was not reached."""
    workload.terminal_condition = resources.condition(
        "Ready", State.CONDITION_FAILED, resources.current_time(), message
    )
