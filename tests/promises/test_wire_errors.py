"""The errors that Google really gives, at the wire: each comes to a clear end.

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
from emulator.services.gate import Moment
from emulator.world.state import World as Emulated
from incident.model import Kind, Retry
from tests.support.environment import Road, World, road, sample, world_around

SAMPLES = {
    Kind.SERVICE: "revision-by-number",
    Kind.JOB: "v1-job-execution",
    Kind.WORKER_POOL: "worker-pool-without-containers",
}
#: What is done to each kind of workload, unless a row says otherwise.
STEPS = {
    Kind.SERVICE: "[scale-to-zero, require-authentication]",
    Kind.JOB: "[cancel-executions, require-authentication]",
    Kind.WORKER_POOL: "[scale-to-zero]",
}
PLACE = "projects/example-shop-prod/locations/europe-west1"
NAMES = {
    Kind.SERVICE: f"{PLACE}/services/storefront",
    Kind.JOB: f"{PLACE}/jobs/nightly-report",
    Kind.WORKER_POOL: f"{PLACE}/workerPools/order-mailer",
}
SERVICE, JOB, POOL = Kind.SERVICE, Kind.JOB, Kind.WORKER_POOL
#: Whether what a row's workload runs is stopped in the end.
STOPPED, RUNS = True, False
TO_RUN = "or one that goes with it: iam.serviceAccounts.actAs on the workload's runtime service"


@dataclass(frozen=True, slots=True)
class Row:
    """One error, and what it comes to.

    Attributes:
        kind: The workload.
        faults: What the calls are answered with: method, code, and more of a fault.
        status: What it comes to; ``retry`` where the delivery is to come again.
        words: What a person is told, in the outcome or in why it is retried.
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
    world: World = field(default_factory=dict)


def denied(method: str) -> tuple[tuple[Any, ...], ...]:
    """A permission that is missing."""
    return ((method, "PERMISSION_DENIED"),)


def grant(kind: Kind, permission: str) -> str:
    """What a person is told of a permission that is missing, up to where to grant it."""
    place = f"{NAMES[kind]} or projects/example-shop-prod"
    return f"permission {permission} is missing. Grant it on {place} to"


def lacks(kind: Kind) -> str:
    """What a person is told of a workload that is not there."""
    return f"{NAMES[kind]}: it does not exist"


QUOTA = "a quota of its project is used up"
BUSY = "another change to it is under way"
ROWS = {
    # Permission denied: which permission, and where to grant it.
    "service unreadable": Row(
        SERVICE, denied("GetService"), "failed", grant(SERVICE, "run.services.get"), RUNS
    ),
    "job unreadable": Row(JOB, denied("GetJob"), "failed", grant(JOB, "run.jobs.get"), RUNS),
    "pool unreadable": Row(
        POOL, denied("GetWorkerPool"), "failed", grant(POOL, "run.workerpools.get"), RUNS
    ),
    "service's policy unreadable, and needed": Row(
        SERVICE,
        denied("GetIamPolicy"),
        "failed",
        grant(SERVICE, "run.services.getIamPolicy"),
        RUNS,
    ),
    "service's policy unreadable, as evidence": Row(
        SERVICE,
        denied("GetIamPolicy"),
        "contained",
        grant(SERVICE, "run.services.getIamPolicy"),
        STOPPED,
        steps="[scale-to-zero]",
    ),
    "job's policy unreadable": Row(
        JOB, denied("GetIamPolicy"), "failed", grant(JOB, "run.jobs.getIamPolicy"), RUNS
    ),
    "executions unreadable": Row(
        JOB, denied("ListExecutions"), "failed", grant(JOB, "run.executions.list"), RUNS
    ),
    "tasks unreadable": Row(
        JOB, denied("ListTasks"), "contained", grant(JOB, "run.tasks.list"), STOPPED
    ),
    "revisions unreadable, and needed": Row(
        SERVICE,
        denied("ListRevisions"),
        "failed",
        grant(SERVICE, "run.revisions.list"),
        RUNS,
        steps="[isolate-revision]",
    ),
    "findings unreadable": Row(
        SERVICE,
        denied("ListFindings"),
        "failed",
        "permission securitycenter.findings.list is missing. Grant it on projects/210987654321"
        " or what is above it",
        RUNS,
    ),
    "logs unreadable": Row(
        SERVICE,
        denied("ListLogEntries"),
        "contained",
        "permission logging.logEntries.list is missing. Grant it on projects/example-shop-prod",
        STOPPED,
    ),
    "service not writable": Row(
        SERVICE,
        denied("UpdateService"),
        "failed",
        f"permission run.services.update is missing, {TO_RUN}",
        RUNS,
        steps="[scale-to-zero]",
    ),
    "runtime account not usable": Row(
        SERVICE,
        (
            (
                *("UpdateService", "PERMISSION_DENIED"),
                {"message": "Permission 'iam.serviceaccounts.actAs' denied on a@example.com"},
            ),
        ),
        "failed",
        "permission iam.serviceAccounts.actAs is missing. Grant it on the workload's runtime",
        RUNS,
        steps="[scale-to-zero]",
    ),
    "pool not writable": Row(
        POOL,
        denied("UpdateWorkerPool"),
        "failed",
        f"permission run.workerpools.update is missing, {TO_RUN}",
        RUNS,
    ),
    "execution not cancellable": Row(
        JOB,
        denied("CancelExecution"),
        "restricted",
        grant(JOB, "run.executions.cancel"),
        RUNS,
    ),
    "job's policy not writable": Row(
        JOB, denied("SetIamPolicy"), "contained", grant(JOB, "run.jobs.setIamPolicy"), STOPPED
    ),
    "service's policy not writable": Row(
        SERVICE,
        denied("SetIamPolicy"),
        "contained",
        grant(SERVICE, "run.services.setIamPolicy"),
        STOPPED,
    ),
    # Not found: somebody deleted it meanwhile.
    "service gone before it is read": Row(
        SERVICE, (("GetService", "NOT_FOUND"),), "failed", lacks(SERVICE), RUNS
    ),
    "job gone before it is read": Row(JOB, (("GetJob", "NOT_FOUND"),), "failed", lacks(JOB), RUNS),
    "pool gone before it is read": Row(
        POOL, (("GetWorkerPool", "NOT_FOUND"),), "failed", lacks(POOL), RUNS
    ),
    "service gone before the write": Row(
        SERVICE, (), "failed", lacks(SERVICE), STOPPED, gone=("before", "UpdateService")
    ),
    "pool gone before the write": Row(
        POOL, (), "failed", lacks(POOL), STOPPED, gone=("before", "UpdateWorkerPool")
    ),
    "execution gone before it is cancelled": Row(
        JOB, (), "contained", "", STOPPED, gone=("before", "CancelExecution")
    ),
    "service gone after the write": Row(
        SERVICE, (), "unverified", lacks(SERVICE), STOPPED, gone=("after", "UpdateService")
    ),
    "pool gone after the write": Row(
        POOL, (), "unverified", lacks(POOL), STOPPED, gone=("after", "UpdateWorkerPool")
    ),
    # A service that is being deleted takes no write.
    "service being deleted": Row(
        SERVICE,
        (),
        "restricted",
        "is being deleted and cannot be changed",
        RUNS,
        world={"services": {"deleteTime": "2026-10-02T08:14:11Z"}},
    ),
    "pool being deleted": Row(
        POOL,
        (),
        "failed",
        "is being deleted and cannot be changed",
        RUNS,
        world={"workerPools": {"deleteTime": "2026-10-02T08:14:11Z"}},
    ),
    # Quotas: of writes it is waited for, of log reads it is a gap.
    "writes exhausted for a moment": Row(
        SERVICE, (("UpdateService", "RESOURCE_EXHAUSTED", {"times": 2}),), "contained", "", STOPPED
    ),
    "writes exhausted": Row(
        SERVICE, (("UpdateService", "RESOURCE_EXHAUSTED"),), "retry", QUOTA, RUNS
    ),
    "pool's writes exhausted": Row(
        POOL, (("UpdateWorkerPool", "RESOURCE_EXHAUSTED"),), "retry", QUOTA, RUNS
    ),
    "cancellations exhausted": Row(
        JOB, (("CancelExecution", "RESOURCE_EXHAUSTED"),), "retry", QUOTA, RUNS
    ),
    "log reads exhausted": Row(
        SERVICE, (("ListLogEntries", "RESOURCE_EXHAUSTED"),), "contained", QUOTA, STOPPED
    ),
    "log reads of a job exhausted": Row(
        JOB, (("ListLogEntries", "RESOURCE_EXHAUSTED"),), "contained", QUOTA, STOPPED
    ),
    # Conflicts: somebody else is at it.
    "a conflict or three": Row(
        SERVICE, (("UpdateService", "ABORTED", {"times": 3}),), "contained", "", STOPPED
    ),
    "conflicts for ever": Row(SERVICE, (("UpdateService", "ABORTED"),), "retry", BUSY, RUNS),
    "pool's conflicts for ever": Row(POOL, (("UpdateWorkerPool", "ABORTED"),), "retry", BUSY, RUNS),
    "job's conflicts for ever": Row(JOB, (("CancelExecution", "ABORTED"),), "retry", BUSY, RUNS),
    "a policy in dispute for a moment": Row(
        SERVICE, (("SetIamPolicy", "ABORTED", {"times": 2}),), "contained", "", STOPPED
    ),
    "a policy in dispute for ever": Row(
        SERVICE, (("SetIamPolicy", "ABORTED"),), "contained", BUSY, STOPPED
    ),
    # Reconciliations: judged by what was observed, and by the fields.
    "service's reconciliation never ends": Row(
        SERVICE, (("reconcile", "DEADLINE_EXCEEDED"),), "restricted", "is still at work", STOPPED
    ),
    "service's reconciliation fails": Row(
        SERVICE, (("reconcile", "INTERNAL"),), "restricted", "is still at work", STOPPED
    ),
    "pool's reconciliation never ends": Row(
        POOL, (("reconcile", "DEADLINE_EXCEEDED"),), "unverified", "is still at work", STOPPED
    ),
    "pool's reconciliation fails": Row(
        POOL, (("reconcile", "INTERNAL"),), "unverified", "is still at work", STOPPED
    ),
    "cancellation never ends": Row(
        JOB, (("reconcile", "DEADLINE_EXCEEDED"),), "restricted", "is not over yet", RUNS
    ),
    "cancellation fails": Row(
        JOB, (("reconcile", "INTERNAL"),), "restricted", "is not over yet", RUNS
    ),
    "the newest revision is broken, the scaling applies": Row(
        SERVICE,
        (),
        "contained",
        "",
        STOPPED,
        world={
            "revisions": {
                "conditions": [{"type": "Ready", "state": "CONDITION_FAILED", "message": "broken"}]
            }
        },
    ),
}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attempts follow one another at once."""
    monkeypatch.setattr("incident.containment.enforce._PAUSE_S", 0.001)
    monkeypatch.setattr("incident.containment.enforce._LONGEST_PAUSE_S", 0.002)
    monkeypatch.setattr("incident.containment.peers._POLL_S", 0.001)
    monkeypatch.setattr("incident.containment.verify._FIRST_PAUSE_S", 0.005)


@pytest.mark.parametrize("name", ROWS)
async def test_an_error_of_google_comes_to_a_clear_end(tmp_path: Path, name: str) -> None:
    """The status, the words, the truth about the workload, and the image of what was written."""
    row = ROWS[name]
    notification = sample(SAMPLES[row.kind])
    world = _world(row, notification)
    hook = _vanishing(row, lambda: way.emulator.world) if row.gone[1] else None
    given: dict[str, Any] = {
        "rules": f"mode: enforce\ncontain:\n  {row.kind}: {row.steps or STEPS[row.kind]}\n",
        # Long enough for a busy machine; short where it is waited for in vain.
        "verify_timeout": timedelta(seconds=1 if "reconcile" in str(row.faults) else 10),
        "hook": hook,
    }
    async with road(tmp_path, notification=notification, world=world, **given) as way:
        before = images_wanted(way.emulator.world, row.kind)
        status, told = await delivered(way)
        assert status == row.status, told
        assert row.words in told
        assert stopped(way.emulator.world, row.kind) is row.stopped
        assert bool(way.stored("**/1000-done.json")) is (status != "retry")
        for path in way.stored("containments/**/*-before.json"):
            for change in way.record(path)["changes"]:
                if change["kind"] == "fields":
                    assert change["restores"]["scaling"].items() >= before.items()


async def delivered(way: Road) -> tuple[str, str]:
    """The status of one delivery, and all that a person is told."""
    try:
        answer = await way.deliver()
    except Retry as error:
        return "retry", str(error)
    outcome: Any = answer.outcome
    missing = [change for change in outcome["changes"] if change["state"] != "verified"]
    # Gaps of evidence and a missing annotation are told, and wake nobody.
    assert answer.alarm is (outcome["status"] != "contained" or bool(missing))
    errors = [change["error"] for change in missing]
    told = [*outcome["decision"]["reasons"], *errors, *(gap["reason"] for gap in outcome["gaps"])]
    return str(outcome["status"]), "\n".join(told)


def _world(row: Row, notification: World) -> World:
    """A world around the finding, with the row's faults and changes."""
    faults = [
        {"method": method, "code": code, **(more[0] if more else {})}
        for method, code, *more in row.faults
    ]
    world = world_around(notification, faults=faults, latency={"reconcile": "1ms"})
    for table, changes in row.world.items():
        world[table][-1].update(changes)
    return json.loads(json.dumps(world))  # type: ignore[no-any-return]


def _vanishing(row: Row, emulated: Callable[[], Emulated]) -> Callable[[Moment], None]:
    """Deletes what a row is about at its moment."""

    def vanish(moment: Moment) -> None:
        if (moment.phase, moment.method.rpartition("/")[2]) == row.gone:
            for table in (emulated().services, emulated().worker_pools, emulated().executions):
                table.clear()

    return vanish


def stopped(world: Emulated, kind: Kind) -> bool:
    """Whether nothing of the workload runs, as the world has it."""
    if kind is Kind.JOB:
        return all(execution.running_count == 0 for execution in world.executions.values())
    if kind is Kind.WORKER_POOL:
        return all(pool.scaling.manual_instance_count == 0 for pool in world.worker_pools.values())
    manual = [proto_json.to_json(service)["scaling"] for service in world.services.values()]
    return all(s == {"scalingMode": "MANUAL", "manualInstanceCount": 0} for s in manual)


def images_wanted(world: Emulated, kind: Kind) -> World:
    """The scaling that every before-image has to restore."""
    tables: dict[Kind, Any] = {Kind.SERVICE: world.services, Kind.WORKER_POOL: world.worker_pools}
    scaling: World = {}
    for resource in tables.get(kind, {}).values():
        scaling = proto_json.to_json(resource).get("scaling", {})
    return scaling
