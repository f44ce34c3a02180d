"""Every fault of every write: what is reported is true, nothing is lost, and it ends.

One road for each write; between two faults its world and its store are as they were.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from grpc import StatusCode as Code

from emulator.api import proto_json
from emulator.api.faults import Fault, Faults
from emulator.world.state import World as Emulated
from incident.model import Kind, Retry
from tests.support.constants import DEDICATED_ACCOUNTS, SAMPLE_OF_KIND
from tests.support.environment import JsonDict, ResponderEnvironment, responder_environment
from tests.support.findings import sample_notification
from tests.support.worlds import world_around

RULES = f"""
mode: enforce
{DEDICATED_ACCOUNTS}contain:
  service: [scale-to-zero, restrict-ingress, require-authentication, disable-service-account]
  job: [cancel-executions, require-authentication]
  worker-pool: [scale-to-zero]
  instance: [stop-instance]
"""
#: Every mutating call of an incident that is enforced: the kind of workload, the method, how many
#: calls of that method come before it, and the change that it is of; an annotation is of none.
WRITES = {
    "service-fields": (Kind.SERVICE, "UpdateService", 0, "fields"),
    "service-policy": (Kind.SERVICE, "SetIamPolicy", 0, "iam-policy"),
    "service-account": (Kind.SERVICE, "DisableServiceAccount", 0, "service-account"),
    "service-annotation": (Kind.SERVICE, "UpdateService", 1, ""),
    "job-cancellation": (Kind.JOB, "CancelExecution", 0, "cancellation"),
    "job-policy": (Kind.JOB, "SetIamPolicy", 0, "iam-policy"),
    "pool-fields": (Kind.WORKER_POOL, "UpdateWorkerPool", 0, "fields"),
    "pool-annotation": (Kind.WORKER_POOL, "UpdateWorkerPool", 1, ""),
    "instance-stop": (Kind.INSTANCE, "StopInstance", 0, "fields"),
}
CODES = [code for code in Code if code is not Code.OK]
#: Time heals these, and what was written comes out as if there had been no fault.
TRANSIENT = {
    *(Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED, Code.INTERNAL, Code.UNKNOWN, Code.DATA_LOSS),
    *(Code.CANCELLED, Code.RESOURCE_EXHAUSTED, Code.ABORTED),
}
#: One of each meaning that an answer has for us; that each code has one of them is tested with
#: the clients.
TYPICAL_CODES = (
    *(Code.ABORTED, Code.PERMISSION_DENIED, Code.NOT_FOUND, Code.FAILED_PRECONDITION),
    Code.UNAVAILABLE,
)
PERSISTENT = (Code.ABORTED, Code.RESOURCE_EXHAUSTED, Code.UNAVAILABLE)
TERMINAL = {"contained", "restricted", "unverified", "failed"}
TABLES = (
    *("services", "revisions", "jobs", "executions", "tasks", "worker_pools", "instances"),
    "iam_policies",
)


@dataclass(frozen=True, slots=True)
class WriteFault:
    """What a write is answered with, whether it takes effect nevertheless, and how often."""

    code: Code
    applied: bool = False
    times: int | None = 1


#: Each code is tried with one write, also lost and lasting, and each meaning with all of them.
WRITE_TESTED_WITH_ALL_CODES = "service-fields"


def write_faults(write: str) -> tuple[WriteFault, ...]:
    """What a write is answered with, one after the other."""
    thoroughly = write == WRITE_TESTED_WITH_ALL_CODES
    return (
        *(WriteFault(code) for code in (CODES if thoroughly else TYPICAL_CODES)),
        *(
            WriteFault(code, applied=True)
            for code in (TYPICAL_CODES if thoroughly else TYPICAL_CODES[-1:])
        ),
        *(WriteFault(code, times=None) for code in (PERSISTENT if thoroughly else PERSISTENT[:1])),
    )


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attempts follow one another at once, and there is no quota but an injected one."""
    monkeypatch.setattr("incident.model.retrying.SCALE", 0.003)
    monkeypatch.setattr("emulator.api.rate_limit.PER_MINUTE", 10_000)


@pytest.mark.parametrize("write", WRITES)
async def test_every_write_fault_ends_with_a_true_status_and_a_snapshot(
    tmp_path: Path, write: str
) -> None:
    """Contained only if stopped; each write with its image; at its end, or delivered again."""
    kind, method, after, part = WRITES[write]
    notification = sample_notification(SAMPLE_OF_KIND[kind])
    world = world_around(notification, latency={"reconcile": "0ms"}, logEntries=[])
    given: dict[str, Any] = {"peer_wait": timedelta(milliseconds=1)}
    given["verify_timeout"] = timedelta(seconds=10)  # on a busy machine, too
    async with responder_environment(
        tmp_path, notification=notification, world=world, policy_text=RULES, **given
    ) as env:
        emulated = env.emulator.world
        kept, before = _copy(emulated), contained_state(emulated)
        assert await env.status() == "contained"
        wanted = contained_state(emulated)
        assert containment_writes(env), "there is something to fail"
        for case in write_faults(write):
            _restore(env, kept)
            fault = Fault(method, case.code, case.times, after, applied=case.applied)
            emulated.faults = Faults((fault,))
            outcome = await deliver_once(env)
            check_snapshots(env, before)
            if outcome is None:
                emulated.faults = Faults()
                outcome = await deliver_once(env)
                assert outcome, f"{case}: healed, the next delivery comes to an end"
                assert outcome["status"] == "contained", case
                check_snapshots(env, before)
            check_outcome_is_true(outcome, contained_state(emulated), wanted, case, part)


async def deliver_once(env: ResponderEnvironment) -> Any:
    """The outcome of one delivery; None when it is to come again."""
    try:
        answer = await env.deliver()
    except Retry:
        assert not env.stored_objects("incidents/*/1000-done.json")
        return None
    assert env.stored_objects("incidents/*/1000-done.json")
    assert answer.alarm or answer.outcome.status == "contained"
    return answer.outcome.to_json()


def check_outcome_is_true(
    outcome: Any, now: JsonDict, wanted: JsonDict, case: WriteFault, part: str
) -> None:
    """Nothing false is reported, and what was healed is as if nothing had happened."""
    assert outcome["status"] in TERMINAL, case
    assert is_stopped(now) or outcome["status"] != "contained", case
    # Endless conflicts over what only restricts are reported, not waited for.
    restricts = part in ("iam-policy", "service-account")
    given_in = case == WriteFault(Code.ABORTED, times=None) and restricts
    states = {change["kind"]: change["state"] for change in outcome["changes"]}
    for name, state_of_part in states.items():
        if state_of_part == "verified":
            assert now[name] == wanted[name], case
            assert outcome["containment"], case
        else:
            # After a lasting conflict nothing more is sent, not even to the account, which is last.
            missing = {part, "service-account"} if given_in else {part}
            assert name in missing, f"{case}: only what was refused is missing"
    if case.applied:
        assert now == wanted, case
        assert set(states.values()) == {"verified"}, f"{case}: it took effect, and is ours"
    if case.code in TRANSIENT and not given_in:
        assert (now, outcome["status"]) == (wanted, "contained"), case
        assert set(states.values()) == {"verified"}, case
    else:
        is_reported = part in states and states[part] != "verified"
        assert is_reported or not part or now == wanted, f"{case}: what is missing is reported"


def check_snapshots(env: ResponderEnvironment, before: JsonDict) -> None:
    """Every image restores what was there before us, also that of a later attempt."""
    images = [
        env.read_record(path) for path in env.stored_objects("containments/**/*-snapshot.json")
    ]
    assert images or not containment_writes(env)
    for image in images:
        for change in image["changes"]:
            there = before[change["kind"]]
            assert change["restores"].items() >= _restored_fields(there, change["restores"]).items()


def _restored_fields(there: JsonDict, restored: JsonDict) -> JsonDict:
    """What was there of the fields that are restored, as the world spelled them."""
    return {key: value for key, value in there.items() if key in restored}


def containment_writes(env: ResponderEnvironment) -> list[Any]:
    """The writes that arrived since the store was emptied, besides the annotation."""
    return [write for write in env.emulator.writes if write.mask != ["annotations"]]


def contained_state(world: Emulated) -> JsonDict:
    """What containing changes of the only workload, by kind of change, as the world has it."""
    tables: list[Any] = [world.services, world.jobs, world.worker_pools, world.instances]
    (resource,) = (resource for table in tables for resource in table.values())
    dumped = proto_json.to_json(resource)
    fields = ("scaling", "traffic", "ingress", "invokerIamDisabled")
    policy = next(iter(world.iam_policies.values()), None)
    running = sum(execution.running_count for execution in world.executions.values())
    return {
        "fields": {
            **{name: dumped[name] for name in fields if name in dumped},
            **({"running": _runs(dumped)} if world.instances else {}),
        },
        "iam-policy": {
            "bindings": proto_json.to_json(policy).get("bindings", []) if policy else []
        },
        "cancellation": {"state": "RUNNING" if running else "CANCELLED"},
        "service-account": {"disabled": _is_disabled(world, dumped)},
    }


def _is_disabled(world: Emulated, workload: JsonDict) -> bool:
    """Whether the account that the workload runs as is disabled."""
    template = workload.get("template", workload)
    email = template.get("template", template).get("serviceAccount", "")
    account = world.service_accounts.by_email.get(email)
    return account is not None and account.disabled


def _runs(instance: JsonDict) -> bool:
    """Whether an instance runs, as its condition says."""
    return bool(instance["terminalCondition"].get("message") != "Instance stopped.")


def is_stopped(now: JsonDict) -> bool:
    """Whether nothing of the workload runs; a job and an instance have no scaling."""
    if "running" in now["fields"]:
        return not bool(now["fields"]["running"])
    scaling = now["fields"].get("scaling")
    if scaling is None:
        return bool(now["cancellation"]["state"] == "CANCELLED")
    tags = [target.get("tag") for target in now["fields"].get("traffic", ())]
    manual = scaling.get("scalingMode", "MANUAL") == "MANUAL"
    return manual and not scaling.get("manualInstanceCount") and not any(tags)


def _copy(world: Emulated) -> dict[str, dict[str, Any]]:
    return {
        table: {name: proto_json.copy(resource) for name, resource in getattr(world, table).items()}
        for table in TABLES
    }


def _restore(env: ResponderEnvironment, kept: dict[str, dict[str, Any]]) -> None:
    """The world and the store as they were at first."""
    world = env.emulator.world
    world.faults = Faults()
    for account in world.service_accounts.by_email.values():
        account.disabled = False
    for table, resources in kept.items():
        there = getattr(world, table)
        there.clear()
        there.update({name: proto_json.copy(resource) for name, resource in resources.items()})
    del env.emulator.writes[:]
    for part in (env.folder / "store").iterdir():
        shutil.rmtree(part)
