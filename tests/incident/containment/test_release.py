"""Releases on the emulator: the world is as before, whatever came in between."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.cloud import run_v2

from emulator.api.faults import Fault
from emulator.services.gate import CallPoint
from incident.actions.changes import INCIDENT_ANNOTATION
from incident.actions.require_authentication import CALLER_BINDINGS_LABEL
from incident.containment.release import ReleaseIncomplete
from incident.model import ChangeKind, ChangeState, Denied, Kind, Missing, Retry
from tests.support.constants import CONTAINMENTS_FOLDER, LATEST
from tests.support.environment import JsonDict, responder_environment
from tests.support.findings import sample_notification, similar_findings
from tests.support.model import NOW
from tests.support.releases import (
    RELEASED_BY,
    ContainedWorkload,
    contained_workload,
    enforcing_policy,
)
from tests.support.worlds import BINDINGS, rich_world, workload_in, world_around

ALL_OF_A_SERVICE = "[[isolate-revision, scale-to-zero], restrict-ingress, require-authentication]"
AUTOMATIC = {"scalingMode": "AUTOMATIC"}
PUBLIC_BINDINGS: list[JsonDict] = [{"role": "roles/run.invoker", "members": ["allUsers"]}]
Code = grpc.StatusCode

#: Kind, steps, and what the workload is like before.
WORLDS: dict[str, tuple[Kind, str, JsonDict]] = {
    "all of a service": (Kind.SERVICE, "", {}),
    "scale to zero alone": (Kind.SERVICE, "[scale-to-zero]", {}),
    "ingress alone": (Kind.SERVICE, "[restrict-ingress]", {}),
    "access alone": (Kind.SERVICE, "[require-authentication]", {}),
    "the policy alone": (Kind.SERVICE, "[require-authentication]", {"invokerIamDisabled": False}),
    "an isolated revision": (Kind.SERVICE, ALL_OF_A_SERVICE, {}),
    "an isolated revision, then stopped": (
        Kind.SERVICE,
        "[isolate-revision, scale-to-zero]",
        {"sessionAffinity": None},
    ),
    "a maximum alone": (Kind.SERVICE, "", {"scaling": {**AUTOMATIC, "maxInstanceCount": 3}}),
    "no bounds": (Kind.SERVICE, "", {"scaling": AUTOMATIC}),
    "a manual count": (
        Kind.SERVICE,
        "",
        {"scaling": {"scalingMode": "MANUAL", "manualInstanceCount": 4}},
    ),
    "no traffic targets": (Kind.SERVICE, "[scale-to-zero]", {"traffic": []}),
    "traffic in pieces": (
        Kind.SERVICE,
        "[scale-to-zero]",
        {"traffic": [{"type": LATEST, "percent": 60}, {"type": LATEST, "percent": 40}]},
    ),
    "no annotations": (Kind.SERVICE, "", {"annotations": {}}),
    "a person's own annotation": (
        Kind.SERVICE,
        "",
        {"annotations": {INCIDENT_ANNOTATION: "ours to say"}},
    ),
    "all of a job": (Kind.JOB, "", {}),
    "executions alone": (Kind.JOB, "[cancel-executions]", {}),
    "the invokers of a job": (Kind.JOB, "[require-authentication]", {}),
    "a worker pool": (Kind.WORKER_POOL, "", {}),
    "an instance": (Kind.INSTANCE, "", {}),
}


@pytest.mark.parametrize("name", WORLDS)
async def test_contain_and_release_restore_the_world(tmp_path: Path, name: str) -> None:
    """In every field, bindings and members in their order, but for what the plan named lost."""
    kind, steps, changes = WORLDS[name]
    world = rich_world(kind, **{key: value for key, value in changes.items() if value is not None})
    async with contained_workload(tmp_path, kind, world=world, actions=steps) as held:
        assert held.outcome["status"] in {"contained", "restricted"}
        assert held.world != held.world_before
        changed = await held.release()
        assert {change.state for change in changed} <= {ChangeState.VERIFIED}
        assert held.is_restored()
        fields = [w for w in held.env.emulator.writes if w.method.endswith("/UpdateService")]
        assert len(fields) <= 3, "contained, annotated, and released in one write"
        (released,) = held.read_records("released")
        assert (released["by"], released["incidents"]) == (RELEASED_BY, [held.outcome["incident"]])
        assert len(released["not_restored"]) == ("cancel" in str(held.outcome["changes"]))
        assert not (await held.plan_release()).containment


@pytest.mark.parametrize("version", [0, 1])
async def test_a_release_keeps_the_iam_policy_version(tmp_path: Path, version: int) -> None:
    """Not even the version of one without conditions, in which it makes no difference."""
    world = rich_world(Kind.JOB)
    (policy,) = world["iamPolicies"].values()
    policy |= {"bindings": PUBLIC_BINDINGS, "version": version}
    async with contained_workload(tmp_path, Kind.JOB, world=world) as held:
        await held.release()
        assert held.is_restored()


async def test_irreversible_changes_are_reported_with_instructions(tmp_path: Path) -> None:
    """In the plan and in the record: the execution, and the command that starts the job again."""
    async with contained_workload(tmp_path, Kind.JOB) as held:
        plan = await held.plan_release()
        assert [change.kind for change in plan.irreversible_changes] == [ChangeKind.CANCELLATION]
        await held.release(plan)
        (record,) = held.read_records("released")
        (instruction,) = record["not_restored"]
        name, place = held.workload.name, held.workload
        options = f"--region={place.location} --project={place.project}"
        assert f"gcloud run jobs execute {name} {options}" in instruction
        assert "cancelled and cannot be resumed" in instruction


# What people did since.


def _scale(held: ContainedWorkload) -> None:
    _service(held).scaling.manual_instance_count = 2


def _reroute(held: ContainedWorkload) -> None:
    service = _service(held)
    service.traffic = [run_v2.TrafficTarget(type_=LATEST, percent=100, tag="mine")]


def _widen_ingress(held: ContainedWorkload) -> None:
    _service(held).ingress = run_v2.IngressTraffic(1)


def _add_invoker(held: ContainedWorkload) -> None:
    _policy(held).bindings.add(role="roles/run.invoker", members=["user:new@example.com"])


def _remove_invoker(held: ContainedWorkload) -> None:
    del _policy(held).bindings[1]


def _service(held: ContainedWorkload) -> run_v2.Service:
    (service,) = held.env.emulator.world.services.values()
    return service


def _policy(held: ContainedWorkload) -> Any:
    """The only policy, of which this is another version."""
    (policy,) = held.env.emulator.world.iam_policies.values()
    policy.etag = policy.etag[::-1]
    return policy


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (_scale, "scaling"),
        (_reroute, "traffic"),
        (_widen_ingress, "ingress"),
        (_add_invoker, CALLER_BINDINGS_LABEL),
        (_remove_invoker, CALLER_BINDINGS_LABEL),
    ],
)
async def test_later_changes_are_listed_and_overwritten_only_with_consent(
    tmp_path: Path, change: Any, name: str
) -> None:
    """The plan names it; a plan that does not is refused; one that does restores it all."""
    async with contained_workload(tmp_path, Kind.SERVICE) as held:
        stale = await held.plan_release()
        assert not stale.differences
        change(held)
        there = held.world
        with pytest.raises(ReleaseIncomplete, match="somebody changed it meanwhile"):
            await held.release(stale)
        assert held.world == there
        assert not (await held.plan_release()).containment.releasing  # type: ignore[union-attr]
        plan = await held.plan_release()
        assert [difference.name for difference in plan.differences] == [name]
        assert plan.differences[0].as_written != plan.differences[0].now
        await held.release(plan)
        assert held.is_restored()


async def test_changes_of_others_to_other_fields_are_kept(tmp_path: Path) -> None:
    """Labels, annotations, other bindings: theirs, and no reason to refuse."""
    async with contained_workload(tmp_path, Kind.SERVICE) as held:
        service, policy = _service(held), _policy(held)
        service.labels["added"] = "since"
        service.annotations["example.com/added"] = "since"
        policy.bindings.add(role="roles/run.admin", members=["user:admin@example.com"])
        policy.bindings[0].members.append("user:other@example.com")
        plan = await held.plan_release()
        assert not plan.differences
        await held.release(plan)
        expected = {**held.world_before}
        workload_in(expected, Kind.SERVICE)["labels"]["added"] = "since"
        workload_in(expected, Kind.SERVICE)["annotations"]["example.com/added"] = "since"
        (before,) = expected["iamPolicies"].values()
        before["bindings"][0]["members"].append("user:other@example.com")
        before["bindings"].append(
            {"role": "roles/run.admin", "members": ["user:admin@example.com"]}
        )
        assert held.is_restored()


async def test_a_policy_that_changes_again_and_again_is_read_again_each_time(
    tmp_path: Path,
) -> None:
    """The edit is of exactly the version read: another one is a conflict, and nothing is lost."""
    others = [f"user:other-{number}@example.com" for number in range(2)]

    def interfere(moment: CallPoint) -> None:
        last = moment.method.endswith("Services/SetIamPolicy") and moment.phase == "before"
        if last and released and others:
            _policy(held).bindings[0].members.append(others.pop())

    released: list[bool] = []
    async with contained_workload(tmp_path, Kind.SERVICE, hook=interfere) as held:
        released.append(True)
        await held.release()
        (policy,) = held.world["iamPolicies"].values()
        assert policy["bindings"][1:] == BINDINGS[1:]
        assert len(policy["bindings"][0]["members"]) == 3


async def test_a_maximum_that_reads_back_zero_is_an_error(tmp_path: Path) -> None:
    """Nothing could start then; it is reported as that, and not as released."""

    def forget(moment: CallPoint) -> None:
        if moment.phase == "after" and moment.method.endswith("/UpdateService"):
            service = _service(held) if releasing else None
            if service:
                service.scaling.max_instance_count = 0

    releasing: list[bool] = []
    async with contained_workload(
        tmp_path, Kind.SERVICE, actions="[scale-to-zero]", hook=forget
    ) as held:
        releasing.append(True)
        with pytest.raises(
            ReleaseIncomplete, match="maximum of instances reads back 0 where it was 20"
        ):
            await held.release(patience_s=1)
        assert not held.read_records("released")
        releasing.clear()
        plan = await held.plan_release()
        assert [difference.name for difference in plan.differences] == ["scaling"]
        await held.release(plan)
        assert held.is_restored()


# Crashes, and several at once.


class ProcessCrash(Exception):  # noqa: N818 - the process is gone
    """The process ends here."""


STEPS = (
    "intended",
    "written fields",
    "verified fields",
    "written iam-policy",
    "verified iam-policy",
    "written service-account",
    "verified service-account",
    "verified fields and iam-policy and service-account",
    "released",
)


@pytest.mark.parametrize("last", STEPS)
async def test_a_release_that_crashed_anywhere_is_finished_by_the_next_one(
    tmp_path: Path, last: str
) -> None:
    """Until it is, nobody contains the workload again, and nothing says that it is released."""
    steps: list[str] = []

    def crash(step: str) -> None:
        steps.append(step)
        if step == last:
            raise ProcessCrash

    async with contained_workload(tmp_path, Kind.SERVICE) as held:
        with pytest.raises(ProcessCrash):
            await held.release(step=crash)
        assert tuple(steps) == STEPS[: STEPS.index(last) + 1]
        current = (await held.plan_release()).containment
        assert (current is None) is (last == "released")
        assert current is None or current.releasing
        await held.release()
        assert held.is_restored()
        assert len(held.read_records("released")) == 1


async def test_no_finding_contains_against_a_release_that_was_begun(tmp_path: Path) -> None:
    """Another finding on the workload is held, with an alarm, until the release is finished."""

    def crash(step: str) -> None:
        if step == "verified fields":
            raise ProcessCrash

    one, other = similar_findings(sample_notification("worker-pool-without-containers"), 2)
    world = rich_world(Kind.WORKER_POOL)
    world["findings"] += [
        {k: f[k] for k in ("finding", "resource") if k in f} for f in (one, other)
    ]
    async with contained_workload(tmp_path, Kind.WORKER_POOL, world=world) as held:
        with pytest.raises(ProcessCrash):
            await held.release(step=crash)
        answer = await held.env.deliver(other)
        assert (answer.outcome.status, answer.alarm) == ("held", True)
        await held.release()
        assert held.is_restored()


@pytest.mark.parametrize("kind", Kind)
async def test_later_events_of_a_released_finding_are_held(tmp_path: Path, kind: Kind) -> None:
    """Once a person has taken it back, it is theirs to decide, whatever kind it is."""
    async with contained_workload(tmp_path, kind) as held:
        await held.release()
        later = held.env.notification
    later["finding"]["eventTime"] = "2026-10-02T08:20:00Z"
    given: dict[str, Any] = {"world": world_around(later), "policy_text": enforcing_policy(kind)}
    async with responder_environment(tmp_path, notification=later, **given) as env:
        outcome: Any = (await env.deliver()).outcome.to_json()
        assert outcome["status"] == "held"
        assert "a person has released" in outcome["decision"]["reasons"][0]
        assert not env.emulator.writes


@pytest.mark.parametrize("kind", Kind)
async def test_two_people_who_release_at_once_do_no_harm(tmp_path: Path, kind: Kind) -> None:
    """Both report that it is released, and it is, once."""
    async with contained_workload(tmp_path, kind) as held:
        plan = await held.plan_release()
        await asyncio.gather(held.release(plan), held.release(plan))
        assert held.is_restored()
        writes = len(held.writes())
        assert await held.release() == ()
        assert await held.release(plan) in ((), plan.changes)
        assert len(held.writes()) == writes, "releasing twice writes nothing"


async def test_a_response_under_way_is_not_released_against(tmp_path: Path) -> None:
    """Its write may come any moment: nothing is written, and its own guard does not see us."""
    async with contained_workload(tmp_path, Kind.SERVICE, actions="[scale-to-zero]") as held:
        plan = await held.plan_release()
        (record,) = held.read_records("snapshot")
        folder = next(iter(held.env.stored_objects("containments/**/*-snapshot.json"))).rpartition(
            "/"
        )[0]
        snapshot = {**record, "recorded_at": held.containment_records.clock().isoformat()}
        path = f"{folder}/0099-snapshot.json"
        (held.env.folder / "store" / path).write_text(json.dumps(snapshot))
        writes = len(held.writes())
        with pytest.raises(
            ReleaseIncomplete, match="nothing was written: a finding is being responded to"
        ):
            await held.release(plan)
        with pytest.raises(
            ReleaseIncomplete, match="nothing was written: a finding is being responded to"
        ):
            await held.release()
        assert len(held.writes()) == writes
        current = (await held.plan_release()).containment
        assert current
        assert not current.releasing


# Faults at every write.

WRITES = [
    (Kind.SERVICE, "UpdateService"),
    (Kind.SERVICE, "SetIamPolicy"),
    (Kind.JOB, "SetIamPolicy"),
    (Kind.WORKER_POOL, "UpdateWorkerPool"),
    (Kind.INSTANCE, "StartInstance"),
]


@pytest.mark.parametrize(("kind", "method"), WRITES)
async def test_a_write_that_is_refused_leaves_a_release_that_can_be_finished(
    tmp_path: Path, kind: Kind, method: str
) -> None:
    """Reported with what is missing and what is done; never as released; then it is completed."""
    async with contained_workload(tmp_path, kind) as held:
        half = (kind, method) == (Kind.SERVICE, "SetIamPolicy")
        for code in (Code.PERMISSION_DENIED, Code.INVALID_ARGUMENT, Code.NOT_FOUND):
            held.set_faults(Fault(method, code))
            with pytest.raises(ReleaseIncomplete) as halted:
                await held.release()
            message = str(halted.value)
            first = code == Code.PERMISSION_DENIED
            assert ("in part only. Restored and read back: its settings" in message) is (
                half and first
            )
            assert ("nothing was written" in message) is not half
            assert isinstance(halted.value.__cause__, Denied) is first
            assert not first or "permission run." in message
            states = {change.kind: change.state for change in halted.value.changes}
            kind_of_write = ChangeKind.IAM_POLICY if "Iam" in method else ChangeKind.FIELDS
            assert states[kind_of_write] is ChangeState.FAILED
            assert not held.read_records("released")
        held.set_faults(Fault(method, Code.ABORTED, times=2))
        await held.release()
        assert held.is_restored()


@pytest.mark.parametrize(
    ("kind", "method", "applied"), [*((*write, True) for write in WRITES), (*WRITES[1], False)]
)
async def test_a_lost_answer_is_resolved_by_reading(
    tmp_path: Path, kind: Kind, method: str, *, applied: bool
) -> None:
    """Whether the write had its effect or not, the release is finished, and proven."""
    async with contained_workload(tmp_path, kind) as held:
        held.set_faults(Fault(method, Code.UNAVAILABLE, times=1, applied=applied))
        changes = await held.release()
        assert {change.state for change in changes} == {ChangeState.VERIFIED}
        assert held.is_restored()


@pytest.mark.parametrize(
    ("kind", "code"), [(Kind.JOB, Code.ABORTED), (Kind.SERVICE, Code.UNAVAILABLE)]
)
async def test_a_release_gives_up_after_repeated_conflicts(
    tmp_path: Path, kind: Kind, code: grpc.StatusCode
) -> None:
    """After some attempts it is reported; what may have been written keeps its start recorded."""
    async with contained_workload(tmp_path, kind) as held:
        held.set_faults(Fault("SetIamPolicy", code))
        with pytest.raises(
            ReleaseIncomplete, match="5 attempts met other changes or no answer"
        ) as halted:
            await held.release()
        assert isinstance(halted.value.__cause__, Retry)
        current = (await held.plan_release()).containment
        assert current
        assert current.releasing is (code != Code.ABORTED), "a conflict has certainly no effect"
        held.set_faults()
        await held.release()
        assert held.is_restored()


async def test_a_deleted_workload_is_reported_as_deleted(tmp_path: Path) -> None:
    """Nothing can be restored then, and nothing is recorded as released."""
    async with contained_workload(tmp_path, Kind.SERVICE) as held:
        plan = await held.plan_release()
        held.env.emulator.world.services.clear()
        with pytest.raises(ReleaseIncomplete, match="does not exist") as halted:
            await held.release(plan)
        assert isinstance(halted.value.__cause__, Missing)
        assert not held.read_records("released")


# Containments that are not whole.


async def test_only_written_changes_are_restored(tmp_path: Path) -> None:
    """What was refused at the time is not ours to restore, and its permission is not needed."""
    world = rich_world(Kind.SERVICE)
    world["faults"] = [
        {"method": method, "code": "PERMISSION_DENIED"}
        for method in ("SetIamPolicy", "DisableServiceAccount")
    ]
    async with contained_workload(tmp_path, Kind.SERVICE, world=world) as held:
        assert [c["state"] for c in held.outcome["changes"]] == ["verified", "failed", "failed"]
        held.set_faults(
            Fault("GetIamPolicy", Code.PERMISSION_DENIED),
            Fault("GetServiceAccount", Code.PERMISSION_DENIED),
        )
        changes = await held.release()
        assert [change.kind for change in changes] == [ChangeKind.FIELDS]
        assert held.is_restored()


async def test_an_unverified_containment_can_be_released(tmp_path: Path) -> None:
    """What was sent is taken back, whatever Cloud Run made of it."""
    world = rich_world(Kind.WORKER_POOL)
    world["faults"] = [{"method": "reconcile", "code": "INTERNAL", "times": 1}]
    given: dict[str, Any] = {"world": world, "verify_timeout": "1s"}
    async with contained_workload(tmp_path, Kind.WORKER_POOL, **given) as held:
        assert held.outcome["status"] == "unverified"
        await held.release()
        assert held.is_restored()


async def test_a_write_without_its_record_is_released(tmp_path: Path) -> None:
    """A crash after the write left an attempt open: its snapshot is what is restored."""
    async with contained_workload(tmp_path, Kind.SERVICE) as held:
        for path in held.env.stored_objects("containments/**/*.json"):
            if not path.endswith("-snapshot.json"):
                (held.env.folder / "store" / path).unlink()
        plan = await held.plan_release()
        assert plan.containment
        assert plan.containment.pending_snapshot
        await held.release(plan)
        assert held.is_restored()


async def test_all_attempts_of_a_containment_are_taken_back(tmp_path: Path) -> None:
    """One invoker is let in again, and kept out again: all that were taken out come back."""
    other = similar_findings(sample_notification("v1-job-execution"), 1)[0]
    world = rich_world(Kind.JOB)
    world["findings"].append({k: other[k] for k in ("finding", "resource") if k in other})
    async with contained_workload(tmp_path, Kind.JOB, world=world) as held:
        _policy(held).bindings.add(role="roles/run.invoker", members=["user:again@example.com"])
        answer = await held.env.deliver(other)
        assert answer.outcome.status == "contained"
        assert len(held.read_records("snapshot")) == 2
        await held.release()
        (policy,) = held.world["iamPolicies"].values()
        members = {m for b in policy["bindings"] for m in b["members"]}
        assert members == {m for b in BINDINGS for m in b["members"]} | {"user:again@example.com"}


async def test_a_release_during_a_delivery_decides_the_final_status(tmp_path: Path) -> None:
    """The delivery settles that it was contained, and finds that it is so no more."""
    released: list[str] = []

    def release(moment: CallPoint) -> None:
        """As a person's release leaves it, while the finding is being published."""
        if moment.method.endswith("/ListLogEntries") and moment.phase == "before":
            released.append("now")

    world = world_around(
        sample_notification(), latency={"ListLogEntries": "600ms", "reconcile": "1ms"}
    )
    async with responder_environment(tmp_path, world=world, hook=release) as env:
        delivering = asyncio.ensure_future(env.deliver())
        written = tmp_path / "store" / CONTAINMENTS_FOLDER / "1" / "0003-verified.json"
        while not written.exists():  # noqa: ASYNC110 - a file is what there is to wait for
            await asyncio.sleep(0.02)
        body = {"recorded_at": NOW.isoformat(), "run": "a-person", "by": "a-person"}
        (written.parent / "0090-released.json").write_text(json.dumps(body))
        outcome: Any = (await delivering).outcome.to_json()
        assert released
        assert outcome["status"] == "released"
        listed: Any = env.emulator.world.dump()["findings"]
        assert [m["responder-status"] for m in map(_marks, listed) if m] == ["released"]


def _marks(listed: JsonDict) -> JsonDict:
    marks: JsonDict = listed["finding"].get("securityMarks", {}).get("marks", {})
    return marks
