"""Contained means that the goal was read back, whatever happens while the responder works."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.cloud import run_v2

from clients import connect
from clients.store import Store
from emulator.api.errors import ApiError
from emulator.services.cloud_run import executions
from emulator.world.state import World
from incident.model import Denied, Kind, Workload
from tests.support.constants import REVISION
from tests.support.environment import (
    JsonDict,
    ResponderEnvironment,
    deliver_and_log,
    responder_environment,
)
from tests.support.findings import sample_notification, similar_findings
from tests.support.patrol import drift_found, run_patrol
from tests.support.releases import ContainedWorkload, dump_world
from tests.support.worlds import rich_world, workload_in, world_around

SAMPLES = {Kind.SERVICE: "revision-by-number", Kind.JOB: "v1-job-execution"}
POLICY = """
mode: enforce
contain:
  service: [scale-to-zero]
  job: [cancel-executions, require-authentication]
"""
#: Emulated case files, which faults of `storage.PUT` and the like hit.
BUCKET = "gs://case-files"
#: The revision that the sample of a service names.
AFFECTED = "storefront-00042-abc"


def running_executions(world: World) -> list[str]:
    """The executions that are not over."""
    return [name for name, each in world.executions.items() if not each.completion_time]


def start_execution(world: World) -> None:
    """Start the job again, as its schedule or its attacker does."""
    (key, job), *_ = world.jobs.items()
    started = executions.new_execution(job, run_v2.RunJobRequest.Overrides())
    world.executions[f"{key}/executions/{started.name.rpartition('/')[2]}"] = started


def forget_running_executions(world: JsonDict) -> None:
    """Take the executions that run out of a world, with their tasks."""
    running = [e["name"] for e in world["executions"] if "completionTime" not in e]
    world["executions"] = [e for e in world["executions"] if e["name"] not in running]
    for job in world["jobs"]:
        job.pop("latestCreatedExecution", None)
    world["tasks"] = [t for t in world["tasks"] if t["name"].split("/tasks/")[0] not in running]


class Attacker:
    """Does something to the world after calls of a method, so many times, but for some first."""

    def __init__(self, method: str, act: Any, times: int = 1, skip: int = 0) -> None:
        self.method, self.act, self.times, self.skip = method, act, times, skip
        self.world: World | None = None
        self.acted = 0

    def __call__(self, point: Any) -> None:
        """The emulator's hook."""
        hit = point.phase == "after" and point.method.endswith(f"/{self.method}")
        if hit and self.skip:
            self.skip -= 1
        elif hit and self.world and self.acted < self.times:
            self.acted += 1
            self.act(self.world)


async def contain(
    folder: Path, kind: Kind, attacker: Attacker | None = None, **given: Any
) -> tuple[JsonDict, bool, ResponderEnvironment]:
    """The outcome of one delivery, whether it alarms, and the environment as it is left."""
    notification = sample_notification(SAMPLES[kind])
    world = world_around(notification, **given.pop("changes", {}))
    arguments: dict[str, Any] = {"policy_text": POLICY, "world": world, **given}
    async with responder_environment(
        folder, notification=notification, hook=attacker, **arguments
    ) as env:
        if attacker:
            attacker.world = env.emulator.world
        answer = await env.deliver()
        return answer.outcome.to_json(), answer.alarm, env


@pytest.mark.parametrize("method", ["CancelExecution", "SetIamPolicy"])
async def test_an_execution_that_begins_meanwhile_is_cancelled_too(
    tmp_path: Path, method: str
) -> None:
    """Started between our writes and the last read-back: nothing of the job runs in the end."""
    attacker = Attacker(method, start_execution)
    outcome, alarm, env = await contain(tmp_path, Kind.JOB, attacker)
    assert attacker.acted == 1
    assert running_executions(env.emulator.world) == []
    assert (outcome["status"], alarm) == ("contained", False)
    cancelled = [c["target"] for c in outcome["changes"] if c["kind"] == "cancellation"]
    assert len(cancelled) == 2


async def test_a_job_that_is_started_for_ever_is_not_called_contained(tmp_path: Path) -> None:
    """The rounds are bounded; what still runs is said, loudly."""
    attacker = Attacker("CancelExecution", start_execution, times=1000)
    outcome, alarm, env = await contain(
        tmp_path, Kind.JOB, attacker, verify_timeout=timedelta(seconds=2)
    )
    assert running_executions(env.emulator.world)
    assert (outcome["status"], alarm) == ("unverified", True)
    assert attacker.acted < 10
    assert "still run" in json.dumps(outcome["decision"]["reasons"] + outcome["changes"])


async def test_a_store_that_contradicts_itself_ends_in_a_retry_and_an_error(
    tmp_path: Path,
) -> None:
    """Every put "exists", and nothing is there: asked a bounded number of times."""
    faults = [
        {"method": "storage.PUT", "code": "FAILED_PRECONDITION"},
        {"method": "storage.GET", "code": "NOT_FOUND"},
    ]
    asked: list[str] = []
    notification = sample_notification(SAMPLES[Kind.SERVICE])
    async with responder_environment(
        tmp_path,
        notification=notification,
        policy_text=POLICY,
        world=world_around(notification, faults=faults),
        hook=lambda point: asked.append(point.method),
        store=BUCKET,
    ) as env:
        async with asyncio.timeout(60):
            answer, printed = await deliver_and_log(env)
    (line,) = [json.loads(line) for line in printed.splitlines()]
    assert answer is None
    assert (line["severity"], line["stage"]) == ("ERROR", "retried")
    assert "exists" in line["reason"]
    assert asked.count("storage.PUT") < 200


@pytest.mark.parametrize("actions", ["", ", require-authentication"])
async def test_an_aborted_cancellation_that_took_effect_is_contained(
    tmp_path: Path, actions: str
) -> None:
    """The answer says ABORTED, and the execution ends a moment later: it is our containment."""
    notification = sample_notification(SAMPLES[Kind.JOB])
    faults = [{"method": "CancelExecution", "code": "ABORTED", "times": 1, "applied": True}]
    latency = {"reconcile": "2s"}
    steps = []

    def end_when_read_again(point: Any) -> None:
        method = point.method.rpartition("/")[2]
        if point.phase == "after" and method in {"CancelExecution", "ListExecutions"}:
            steps.append(method)
        if steps[-2:] == ["CancelExecution", "ListExecutions"]:
            for execution in env.emulator.world.executions.values():
                if not execution.completion_time:
                    execution.completion_time = "2026-10-02T08:14:13Z"

    async with responder_environment(
        tmp_path,
        notification=notification,
        world=world_around(notification, faults=faults, latency=latency),
        policy_text=POLICY.replace(", require-authentication", actions),
        hook=end_when_read_again,
    ) as env:
        outcome: Any = (await env.deliver()).outcome.to_json()
        assert steps.count("CancelExecution") == 1
        assert outcome["status"] == "contained"
        assert outcome["containment"]


@pytest.mark.parametrize("code", ["PERMISSION_DENIED", "NOT_FOUND"])
@pytest.mark.parametrize("kind", SAMPLES)
async def test_a_store_that_refuses_after_the_write_hides_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Kind, code: str
) -> None:
    """Each call to the store after the write is refused once: the end is reported as it is."""
    monkeypatch.setattr("incident.model.retrying.SCALE", 0.01)
    write = "UpdateService" if kind is Kind.SERVICE else "CancelExecution"
    for number in range(12):
        folder = tmp_path / str(number)
        folder.mkdir()
        refuser = StoreRefuser(write, number, code)
        notification = sample_notification(SAMPLES[kind])
        async with responder_environment(
            folder,
            notification=notification,
            policy_text=POLICY,
            world=world_around(notification),
            hook=refuser,
            store=BUCKET,
            peer_wait=timedelta(milliseconds=1),
        ) as env:
            refuser.env = env
            delivery, printed = await deliver_and_log(env)
            if delivery is None:  # nothing could be recorded, so nothing is acknowledged
                assert '"severity": "ERROR"' in printed
                delivery = await env.deliver()
            assert refuser.refused, "the store is not asked so often"
            outcome: Any = delivery.outcome.to_json()
            assert outcome["status"] == "contained", (number, outcome["decision"])
            assert outcome["containment"].endswith("/1")


class StoreRefuser:
    """Has the store refuse one call after the containing write."""

    def __init__(self, write: str, number: int, code: str) -> None:
        self.write, self.left, self.code = write, number, code
        self.env: ResponderEnvironment | None = None
        self.written = self.refused = False

    def __call__(self, point: Any) -> None:
        """The emulator's hook."""
        if point.method.endswith(f"/{self.write}") and point.phase == "after":
            self.written = True
        if (
            self.env is None
            or not self.written
            or self.refused
            or point.phase != "before"
            or point.method not in {"storage.PUT", "storage.GET", "storage.LIST"}
        ):
            return
        self.left -= 1
        if self.left < 0:
            self.refused = True
            raise ApiError(getattr(grpc.StatusCode, self.code), "refused by the test")


async def test_a_contained_incident_whose_records_are_refused_can_be_released(
    tmp_path: Path,
) -> None:
    """The record of the write is missing for ever; the snapshot is there, and gives it back."""

    async def refuse(store: Store, path: str, data: bytes) -> bool:
        after_write = path.startswith("containments/") and not path.endswith("-snapshot.json")
        if after_write:
            raise Denied("no")
        return await create(store, path, data)

    create = Store.create
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Store, "create", refuse)
        outcome, alarm, env = await contain(tmp_path, Kind.SERVICE)
    assert (outcome["status"], alarm) == ("contained", True)
    assert "could not be stored" in " ".join(outcome["decision"]["reasons"])
    assert env.stored_objects(f"{outcome['containment']}/*-snapshot.json")


@pytest.mark.parametrize("number", [0, 1, 2, 4, None])
@pytest.mark.parametrize("kind", SAMPLES)
async def test_a_release_after_the_store_refused_restores_the_world(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Kind, number: int | None
) -> None:
    """One call after the write is refused, or every record of the containment for ever."""
    monkeypatch.setattr("incident.model.retrying.SCALE", 0.01)
    write = "UpdateService" if kind is Kind.SERVICE else "CancelExecution"
    refuser = StoreRefuser(write, 1_000 if number is None else number, "PERMISSION_DENIED")
    world, notification = rich_world(kind), sample_notification(SAMPLES[kind])
    create = Store.create

    async def refuse(store: Store, path: str, data: bytes) -> bool:
        if number is None and path.startswith("containments/") and "-snapshot" not in path:
            raise Denied("no")
        return await create(store, path, data)

    async with responder_environment(
        tmp_path,
        notification=notification,
        policy_text=POLICY,
        world=world,
        hook=refuser,
        store=BUCKET,
        peer_wait=timedelta(milliseconds=1),
    ) as env:
        before, refuser.env = dump_world(env), env
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(Store, "create", refuse)
            delivery, _ = await deliver_and_log(env)
        outcome: Any = (delivery or await env.deliver()).outcome.to_json()
        assert outcome["status"] == "contained"
        workload = Workload.from_resource_name(workload_in(before, kind)["name"])
        assert workload
        held = ContainedWorkload(env, await connect(env.settings), workload, before, outcome)
        plan = await held.plan_release()
        assert not plan.differences
        await held.release(plan)
        assert held.is_restored()
        await held.clients.close()


async def test_a_revision_that_somebody_brings_back_is_not_called_isolated(
    tmp_path: Path,
) -> None:
    """The traffic was off it when it was first read, so nothing is written; then it is tagged."""

    def tag(world: World) -> None:
        (service,) = world.services.values()
        again = run_v2.TrafficTarget(type_=2, revision=AFFECTED, tag="again")
        service.traffic = [*service.traffic, again]
        service.generation += 1
        service.observed_generation = service.generation

    notification = sample_notification(SAMPLES[Kind.SERVICE])
    world = world_around(notification)
    older = world["revisions"][0]["name"].rpartition("/")[2]
    world["services"][0]["traffic"] = [{"type": REVISION, "revision": older, "percent": 100}]
    attacker = Attacker("GetService", tag, skip=1)
    async with responder_environment(
        tmp_path,
        notification=notification,
        world=world,
        policy_text="mode: enforce\ncontain: {service: [isolate-revision]}\n",
        hook=attacker,
        verify_timeout=timedelta(seconds=1),
    ) as env:
        attacker.world = env.emulator.world
        answer = await env.deliver()
    assert attacker.acted == 1
    assert (answer.outcome.status, answer.alarm) == ("unverified", True)
    outcome: Any = answer.outcome.to_json()
    assert AFFECTED in " ".join(outcome["decision"]["reasons"])


async def test_a_reading_that_takes_longer_than_the_limit_still_decides(tmp_path: Path) -> None:
    """In a crowd every reading is late: the workload decides, not the clock."""
    outcome, alarm, _ = await contain(
        tmp_path,
        Kind.SERVICE,
        changes={"latency": {"GetService": "300ms", "reconcile": "1ms"}},
        verify_timeout=timedelta(seconds=0.2),
    )
    assert (outcome["status"], alarm) == ("contained", False)


async def test_a_job_with_nothing_running_is_contained_until_it_is_started_again(
    tmp_path: Path,
) -> None:
    """Only its policy is changed; what is started before that takes effect is found."""
    notification = sample_notification(SAMPLES[Kind.JOB])
    world = world_around(notification)
    forget_running_executions(world)
    async with responder_environment(
        tmp_path, notification=notification, world=world, policy_text=POLICY
    ) as env:
        outcome: Any = (await env.deliver()).outcome.to_json()
        assert outcome["status"] == "contained"
        assert outcome["starts_until"] > "2026-10-02T08:1"
        assert drift_found(await run_patrol(env.later(600))) == []
        start_execution(env.emulator.world)
        found = await run_patrol(env.later(1200))
        assert drift_found(found) == ["reverted"]
        assert found.checks[0].drift[0].startswith("executions:")


async def test_a_job_that_is_started_while_it_is_read_is_not_already_contained(
    tmp_path: Path,
) -> None:
    """It was over when it was first read, and runs when it is read again."""
    notification = sample_notification(SAMPLES[Kind.JOB])
    world = world_around(notification, iamPolicies={})
    forget_running_executions(world)
    attacker = Attacker("ListExecutions", start_execution)
    async with responder_environment(
        tmp_path, notification=notification, world=world, policy_text=POLICY, hook=attacker
    ) as env:
        attacker.world = env.emulator.world
        outcome: Any = (await env.deliver()).outcome.to_json()
        assert outcome["status"] == "contained"
        assert running_executions(env.emulator.world) == []


async def test_in_a_crowd_every_finding_is_contained(tmp_path: Path) -> None:
    """Twenty findings on one service at once, two processes, no time to read back: none alarms."""
    findings = similar_findings(sample_notification(), 20)
    world = world_around(findings[0])
    world["findings"] += [{key: f[key] for key in ("finding", "resource")} for f in findings[1:]]
    async with responder_environment(
        tmp_path,
        world=world,
        policy_text=POLICY,
        verify_timeout=timedelta(milliseconds=1),
        peer_wait=timedelta(seconds=10),
    ) as env:
        processes = [await env.start_process(), await env.start_process()]
        answers = await asyncio.gather(
            *(env.deliver(f, process=processes[at % 2]) for at, f in enumerate(findings))
        )
        statuses = {(str(answer.outcome.status), answer.alarm) for answer in answers}
        assert statuses == {("contained", False)}
        assert len(env.containment_writes) == 1


@pytest.mark.parametrize("kind", SAMPLES)
async def test_what_was_refused_is_not_waited_for(tmp_path: Path, kind: Kind) -> None:
    """A stop that Google refuses leaves the goal unreached: that is said at once."""
    faults = [
        {"method": method, "code": "PERMISSION_DENIED"}
        for method in ("UpdateService", "CancelExecution")
    ]
    async with asyncio.timeout(45):
        outcome, alarm, _ = await contain(
            tmp_path, kind, changes={"faults": faults}, verify_timeout=timedelta(seconds=60)
        )
    assert (outcome["status"], alarm) == ("failed" if kind is Kind.SERVICE else "restricted", True)
