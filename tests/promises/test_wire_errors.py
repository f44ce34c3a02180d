"""The errors that Google really gives, at the wire: each has a clear result.

Every fault of every write is next door, in ``test_fault_injection``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from emulator.api import proto_json
from emulator.services.gate import CallPoint
from emulator.world.state import World as Emulated
from incident.model import Kind, Retry
from tests.support.constants import LOCATION, SAMPLE_OF_KIND
from tests.support.environment import JsonDict, ResponderEnvironment, responder_environment
from tests.support.findings import sample_notification
from tests.support.worlds import world_around

#: What is done to each kind of workload, unless a row says otherwise.
STEPS = {
    Kind.SERVICE: "[scale-to-zero, require-authentication]",
    Kind.JOB: "[cancel-executions, require-authentication]",
    Kind.WORKER_POOL: "[scale-to-zero]",
    Kind.INSTANCE: "[stop-instance]",
}
NAMES = {
    Kind.SERVICE: f"{LOCATION}/services/storefront",
    Kind.JOB: f"{LOCATION}/jobs/nightly-report",
    Kind.WORKER_POOL: f"{LOCATION}/workerPools/order-mailer",
    Kind.INSTANCE: f"{LOCATION}/instances/agent-alice",
}
SERVICE, JOB, POOL = Kind.SERVICE, Kind.JOB, Kind.WORKER_POOL
INSTANCE = Kind.INSTANCE
#: Whether what a row's workload runs is stopped in the end.
IS_STOPPED, STILL_RUNS = True, False
TO_RUN = "or one that goes with it: iam.serviceAccounts.actAs on the workload's runtime service"


@dataclass(frozen=True, slots=True)
class WireError:
    """One error, and its result.

    Attributes:
        kind: The workload.
        faults: What the calls are answered with: method, code, and more of a fault.
        status: The result; ``retry`` where the delivery is to be repeated.
        words: What a person reads, in the outcome or in why it is retried.
        stopped: Whether the workload is stopped in the end.
        steps: The policy's actions.
        gone: The method before or after which the workload is deleted.
        world: More of the world.
    """

    kind: Kind
    faults: tuple[tuple[Any, ...], ...]
    status: str
    words: str
    stopped: bool
    steps: str = ""
    gone: tuple[str, str] = ("", "")
    world: JsonDict = field(default_factory=dict)


def denied(method: str) -> tuple[tuple[Any, ...], ...]:
    """A permission that is missing."""
    return ((method, "PERMISSION_DENIED"),)


def missing_permission_text(kind: Kind, permission: str) -> str:
    """What a person reads about a missing permission, up to where to grant it."""
    place = f"{NAMES[kind]} or projects/example-shop-prod"
    return f"permission {permission} is missing. Grant it on {place} to"


def missing_workload_text(kind: Kind) -> str:
    """What a person reads about a workload that is not there."""
    return f"{NAMES[kind]}: it does not exist"


QUOTA = "a quota of its project is used up"
BUSY = "another change to it is under way"
WIRE_ERRORS = {
    # Permission denied: which permission, and where to grant it.
    "service unreadable": WireError(
        SERVICE,
        denied("GetService"),
        "failed",
        missing_permission_text(SERVICE, "run.services.get"),
        STILL_RUNS,
    ),
    "job unreadable": WireError(
        JOB, denied("GetJob"), "failed", missing_permission_text(JOB, "run.jobs.get"), STILL_RUNS
    ),
    "pool unreadable": WireError(
        POOL,
        denied("GetWorkerPool"),
        "failed",
        missing_permission_text(POOL, "run.workerpools.get"),
        STILL_RUNS,
    ),
    "service's policy unreadable, and needed": WireError(
        SERVICE,
        denied("GetIamPolicy"),
        "failed",
        missing_permission_text(SERVICE, "run.services.getIamPolicy"),
        STILL_RUNS,
    ),
    "service's policy unreadable, as evidence": WireError(
        SERVICE,
        denied("GetIamPolicy"),
        "contained",
        missing_permission_text(SERVICE, "run.services.getIamPolicy"),
        IS_STOPPED,
        steps="[scale-to-zero]",
    ),
    "job's policy unreadable": WireError(
        JOB,
        denied("GetIamPolicy"),
        "failed",
        missing_permission_text(JOB, "run.jobs.getIamPolicy"),
        STILL_RUNS,
    ),
    "executions unreadable": WireError(
        JOB,
        denied("ListExecutions"),
        "failed",
        missing_permission_text(JOB, "run.executions.list"),
        STILL_RUNS,
    ),
    "tasks unreadable": WireError(
        JOB,
        denied("ListTasks"),
        "contained",
        missing_permission_text(JOB, "run.tasks.list"),
        IS_STOPPED,
    ),
    "revisions unreadable, and needed": WireError(
        SERVICE,
        denied("ListRevisions"),
        "failed",
        missing_permission_text(SERVICE, "run.revisions.list"),
        STILL_RUNS,
        steps="[isolate-revision]",
    ),
    "findings unreadable": WireError(
        SERVICE,
        denied("ListFindings"),
        "failed",
        "permission securitycenter.findings.list is missing. Grant it on projects/210987654321"
        " or what is above it",
        STILL_RUNS,
    ),
    "logs unreadable": WireError(
        SERVICE,
        denied("ListLogEntries"),
        "contained",
        "permission logging.logEntries.list is missing. Grant it on projects/example-shop-prod",
        IS_STOPPED,
    ),
    "service not writable": WireError(
        SERVICE,
        denied("UpdateService"),
        "failed",
        f"permission run.services.update is missing, {TO_RUN}",
        STILL_RUNS,
        steps="[scale-to-zero]",
    ),
    "runtime account not usable": WireError(
        SERVICE,
        (
            (
                *("UpdateService", "PERMISSION_DENIED"),
                {"message": "Permission 'iam.serviceaccounts.actAs' denied on a@example.com"},
            ),
        ),
        "failed",
        "permission iam.serviceAccounts.actAs is missing. Grant it on the workload's runtime",
        STILL_RUNS,
        steps="[scale-to-zero]",
    ),
    "pool not writable": WireError(
        POOL,
        denied("UpdateWorkerPool"),
        "failed",
        f"permission run.workerpools.update is missing, {TO_RUN}",
        STILL_RUNS,
    ),
    "execution not cancellable": WireError(
        JOB,
        denied("CancelExecution"),
        "restricted",
        missing_permission_text(JOB, "run.executions.cancel"),
        STILL_RUNS,
    ),
    "job's policy not writable": WireError(
        JOB,
        denied("SetIamPolicy"),
        "contained",
        missing_permission_text(JOB, "run.jobs.setIamPolicy"),
        IS_STOPPED,
    ),
    "service's policy not writable": WireError(
        SERVICE,
        denied("SetIamPolicy"),
        "contained",
        missing_permission_text(SERVICE, "run.services.setIamPolicy"),
        IS_STOPPED,
    ),
    # Not found: somebody deleted it meanwhile.
    "service gone before it is read": WireError(
        SERVICE,
        (("GetService", "NOT_FOUND"),),
        "failed",
        missing_workload_text(SERVICE),
        STILL_RUNS,
    ),
    "job gone before it is read": WireError(
        JOB, (("GetJob", "NOT_FOUND"),), "failed", missing_workload_text(JOB), STILL_RUNS
    ),
    "pool gone before it is read": WireError(
        POOL, (("GetWorkerPool", "NOT_FOUND"),), "failed", missing_workload_text(POOL), STILL_RUNS
    ),
    "service gone before the write": WireError(
        SERVICE,
        (),
        "failed",
        missing_workload_text(SERVICE),
        IS_STOPPED,
        gone=("before", "UpdateService"),
    ),
    "pool gone before the write": WireError(
        POOL,
        (),
        "failed",
        missing_workload_text(POOL),
        IS_STOPPED,
        gone=("before", "UpdateWorkerPool"),
    ),
    "execution gone before it is cancelled": WireError(
        JOB, (), "contained", "", IS_STOPPED, gone=("before", "CancelExecution")
    ),
    "service gone after the write": WireError(
        SERVICE,
        (),
        "unverified",
        missing_workload_text(SERVICE),
        IS_STOPPED,
        gone=("after", "UpdateService"),
    ),
    "pool gone after the write": WireError(
        POOL,
        (),
        "unverified",
        missing_workload_text(POOL),
        IS_STOPPED,
        gone=("after", "UpdateWorkerPool"),
    ),
    # A service that is being deleted takes no write.
    "service being deleted": WireError(
        SERVICE,
        (),
        "restricted",
        "is being deleted and cannot be changed",
        STILL_RUNS,
        world={"services": {"deleteTime": "2026-10-02T08:14:11Z"}},
    ),
    "pool being deleted": WireError(
        POOL,
        (),
        "failed",
        "is being deleted and cannot be changed",
        STILL_RUNS,
        world={"workerPools": {"deleteTime": "2026-10-02T08:14:11Z"}},
    ),
    # Quotas: of writes it is waited for, of log reads it is a gap.
    "writes exhausted for a moment": WireError(
        SERVICE,
        (("UpdateService", "RESOURCE_EXHAUSTED", {"times": 2}),),
        "contained",
        "",
        IS_STOPPED,
    ),
    "writes exhausted": WireError(
        SERVICE, (("UpdateService", "RESOURCE_EXHAUSTED"),), "retry", QUOTA, STILL_RUNS
    ),
    "pool's writes exhausted": WireError(
        POOL, (("UpdateWorkerPool", "RESOURCE_EXHAUSTED"),), "retry", QUOTA, STILL_RUNS
    ),
    "cancellations exhausted": WireError(
        JOB, (("CancelExecution", "RESOURCE_EXHAUSTED"),), "retry", QUOTA, STILL_RUNS
    ),
    "log reads exhausted": WireError(
        SERVICE, (("ListLogEntries", "RESOURCE_EXHAUSTED"),), "contained", QUOTA, IS_STOPPED
    ),
    "log reads of a job exhausted": WireError(
        JOB, (("ListLogEntries", "RESOURCE_EXHAUSTED"),), "contained", QUOTA, IS_STOPPED
    ),
    # Conflicts: somebody else is at it.
    "a conflict or three": WireError(
        SERVICE, (("UpdateService", "ABORTED", {"times": 3}),), "contained", "", IS_STOPPED
    ),
    "conflicts for ever": WireError(
        SERVICE, (("UpdateService", "ABORTED"),), "retry", BUSY, STILL_RUNS
    ),
    "pool's conflicts for ever": WireError(
        POOL, (("UpdateWorkerPool", "ABORTED"),), "retry", BUSY, STILL_RUNS
    ),
    "job's conflicts for ever": WireError(
        JOB, (("CancelExecution", "ABORTED"),), "retry", BUSY, STILL_RUNS
    ),
    "a policy in dispute for a moment": WireError(
        SERVICE, (("SetIamPolicy", "ABORTED", {"times": 2}),), "contained", "", IS_STOPPED
    ),
    "a policy in dispute for ever": WireError(
        SERVICE, (("SetIamPolicy", "ABORTED"),), "contained", BUSY, IS_STOPPED
    ),
    # Reconciliations: judged by what was observed, and by the fields.
    "service's reconciliation never ends": WireError(
        SERVICE, (("reconcile", "DEADLINE_EXCEEDED"),), "restricted", "is still at work", IS_STOPPED
    ),
    "service's reconciliation fails": WireError(
        SERVICE, (("reconcile", "INTERNAL"),), "restricted", "is still at work", IS_STOPPED
    ),
    "pool's reconciliation never ends": WireError(
        POOL, (("reconcile", "DEADLINE_EXCEEDED"),), "unverified", "is still at work", IS_STOPPED
    ),
    "pool's reconciliation fails": WireError(
        POOL, (("reconcile", "INTERNAL"),), "unverified", "is still at work", IS_STOPPED
    ),
    "cancellation never ends": WireError(
        JOB, (("reconcile", "DEADLINE_EXCEEDED"),), "restricted", "is not over yet", STILL_RUNS
    ),
    "cancellation fails": WireError(
        JOB, (("reconcile", "INTERNAL"),), "restricted", "is not over yet", STILL_RUNS
    ),
    "instance unreadable": WireError(
        INSTANCE,
        denied("GetInstance"),
        "failed",
        missing_permission_text(INSTANCE, "run.instances.get"),
        STILL_RUNS,
    ),
    "instance gone before it is read": WireError(
        INSTANCE,
        (("GetInstance", "NOT_FOUND"),),
        "failed",
        missing_workload_text(INSTANCE),
        STILL_RUNS,
    ),
    "instance's stop denied": WireError(
        INSTANCE,
        denied("StopInstance"),
        "failed",
        missing_permission_text(INSTANCE, "run.instances.stop"),
        STILL_RUNS,
    ),
    "instance's conflicts for ever": WireError(
        INSTANCE, (("StopInstance", "ABORTED"),), "retry", BUSY, STILL_RUNS
    ),
    "instance never stops": WireError(
        INSTANCE, (("reconcile", "DEADLINE_EXCEEDED"),), "unverified", "still at work", STILL_RUNS
    ),
    "instance's stop fails": WireError(
        INSTANCE, (("reconcile", "INTERNAL"),), "unverified", "still at work", STILL_RUNS
    ),
    "the newest revision is broken, the scaling applies": WireError(
        SERVICE,
        (),
        "contained",
        "",
        IS_STOPPED,
        world={
            "revisions": {
                "conditions": [{"type": "Ready", "state": "CONDITION_FAILED", "message": "broken"}]
            }
        },
    ),
}


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attempts follow one another at once."""
    monkeypatch.setattr("incident.model.retrying.SCALE", 0.02)


@pytest.mark.parametrize("name", WIRE_ERRORS)
async def test_an_error_of_google_comes_to_a_clear_end(tmp_path: Path, name: str) -> None:
    """The status, the words, the truth about the workload, and the image of what was written."""
    row = WIRE_ERRORS[name]
    notification = sample_notification(SAMPLE_OF_KIND[row.kind])
    world = _world_of(row, notification)
    hook = _delete_workload_at(row, lambda: env.emulator.world) if row.gone[1] else None
    given: dict[str, Any] = {
        "policy_text": f"mode: enforce\ncontain:\n  {row.kind}: {row.steps or STEPS[row.kind]}\n",
        # Long enough for a busy machine; short where the wait has to time out.
        "verify_timeout": timedelta(seconds=1 if "reconcile" in str(row.faults) else 10),
        "hook": hook,
    }
    async with responder_environment(
        tmp_path, notification=notification, world=world, **given
    ) as env:
        before = expected_snapshots(env.emulator.world, row.kind)
        status, reported = await deliver_once(env)
        assert status == row.status, reported
        assert row.words in reported
        assert workload_stopped(env.emulator.world, row.kind) is row.stopped
        assert bool(env.stored_objects("**/1000-done.json")) is (status != "retry")
        for path in env.stored_objects("containments/**/*-snapshot.json"):
            for change in env.read_record(path)["changes"]:
                if change["kind"] == "fields":
                    restored = change["restores"]
                    assert restored.get("scaling", restored).items() >= before.items()


async def deliver_once(env: ResponderEnvironment) -> tuple[str, str]:
    """The status of one delivery, and all that a person reads."""
    try:
        answer = await env.deliver()
    except Retry as error:
        return "retry", str(error)
    outcome: Any = answer.outcome.to_json()
    missing = [change for change in outcome["changes"] if change["state"] != "verified"]
    # Gaps of evidence and a missing annotation are reported, and alarm nobody.
    assert answer.alarm is (outcome["status"] != "contained" or bool(missing))
    errors = [change["error"] for change in missing]
    reported = [
        *outcome["decision"]["reasons"],
        *errors,
        *(gap["reason"] for gap in outcome["gaps"]),
    ]
    return str(outcome["status"]), "\n".join(reported)


def _world_of(row: WireError, notification: JsonDict) -> JsonDict:
    """A world around the finding, with the row's faults and changes."""
    faults = [
        {"method": method, "code": code, **(more[0] if more else {})}
        for method, code, *more in row.faults
    ]
    world = world_around(notification, faults=faults, latency={"reconcile": "1ms"})
    for table, changes in row.world.items():
        world[table][-1].update(changes)
    return json.loads(json.dumps(world))  # type: ignore[no-any-return]


def _delete_workload_at(
    row: WireError, emulated: Callable[[], Emulated]
) -> Callable[[CallPoint], None]:
    """Deletes what a row is about at its moment."""

    def vanish(moment: CallPoint) -> None:
        if (moment.phase, moment.method.rpartition("/")[2]) == row.gone:
            for table in (emulated().services, emulated().worker_pools, emulated().executions):
                table.clear()

    return vanish


def workload_stopped(world: Emulated, kind: Kind) -> bool:
    """Whether nothing of the workload runs, as the world has it."""
    if kind is Kind.JOB:
        return all(execution.running_count == 0 for execution in world.executions.values())
    if kind is Kind.WORKER_POOL:
        return all(pool.scaling.manual_instance_count == 0 for pool in world.worker_pools.values())
    if kind is Kind.INSTANCE:
        stopped = "Instance stopped."
        return all(i.terminal_condition.message == stopped for i in world.instances.values())
    manual = [proto_json.to_json(service)["scaling"] for service in world.services.values()]
    return all(s == {"scalingMode": "MANUAL", "manualInstanceCount": 0} for s in manual)


def expected_snapshots(world: Emulated, kind: Kind) -> JsonDict:
    """What every before-image has to restore: the scaling, or that the instance runs."""
    if kind is Kind.INSTANCE:
        return {"running": True}
    tables: dict[Kind, Any] = {Kind.SERVICE: world.services, Kind.WORKER_POOL: world.worker_pools}
    scaling: JsonDict = {}
    for resource in tables.get(kind, {}).values():
        scaling = proto_json.to_json(resource).get("scaling", {})
    return scaling
