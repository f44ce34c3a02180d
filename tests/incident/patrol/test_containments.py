"""Drift: a reverted containment is detected, reported, attributed, and re-applied if asked."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.cloud import run_v2
from google.cloud.securitycenter_v2 import Finding
from google.iam.v1 import iam_policy_pb2, policy_pb2

from clients import connect
from emulator.api.faults import Fault, Faults
from incident.case_file.containments import ContainmentRecords, containment_from_records
from incident.case_file.journal import Journal
from incident.model.json_text import time_text
from tests.support.constants import CONTAINMENTS_FOLDER, SCALED_TO_ZERO, SERVICE, UPDATE_SERVICE
from tests.support.environment import (
    JsonDict,
    ResponderEnvironment,
    policy_yaml,
    responder_environment,
)
from tests.support.findings import sample_notification
from tests.support.model import fixed_now, folder_store, workload
from tests.support.patrol import (
    OTHER_PRINCIPAL,
    EditService,
    as_in_replaced_file,
    as_in_terraform,
    call_as,
    current_notification,
    deploy,
    drift_found,
    interrupt_call,
    patrol_killed_at_write,
    run_patrol,
    with_automatic_scaling,
    with_new_image,
)
from tests.support.worlds import two_findings_on_one_service, world_around

#: The most writes of a patrol run that finds a containment reverted.
_WRITES = 28
REAPPLY_TWICE = policy_yaml(extra="reapply_limit: 2\n")


def record_kinds_of(env: ResponderEnvironment, number: int = 1) -> list[str]:
    """The kinds of a containment's records, in order."""
    names = [
        path.rpartition("/")[2]
        for path in env.stored_objects(f"{CONTAINMENTS_FOLDER}/{number}/*.json")
    ]
    return [name.removesuffix(".json")[5:] for name in names]


def statuses(env: ResponderEnvironment) -> list[str]:
    """What became of each incident by now."""
    found = []
    for folder in sorted(
        {path.split("/")[1] for path in env.stored_objects("incidents/**/*.json")}
    ):
        paths = sorted(path for path in env.stored_objects(f"incidents/{folder}/1*.json"))
        outcomes = [env.read_record(path).get("outcome") for path in paths]
        found.append([outcome for outcome in outcomes if outcome][-1]["status"])
    return found


def is_stopped(env: ResponderEnvironment) -> bool:
    """Whether the service is scaled to zero."""
    scaling: Any = env.service["scaling"]
    return bool(SCALED_TO_ZERO.items() <= scaling.items())


NOT_FOUND = grpc.StatusCode.NOT_FOUND
UPDATE_SECURITY_MARKS = "/google.cloud.securitycenter.v2.SecurityCenter/UpdateSecurityMarks"


def world_without_latency(notification: JsonDict | None = None) -> JsonDict:
    """A world that reconciles at once."""
    return world_around(notification or sample_notification(), latency={"reconcile": "0ms"})


def write_record(env: ResponderEnvironment, path: str, **body: Any) -> None:
    """Put a record into the store, as another process would."""
    content = {"recorded_at": env.settings.now and env.settings.now.isoformat(), "run": "a-person"}
    (env.folder / "store" / path).write_text(json.dumps({**content, **body}))


@pytest.mark.parametrize(
    ("change", "lifted"),
    [
        (with_new_image, False),
        (with_automatic_scaling, True),
        (as_in_replaced_file, True),
        (as_in_terraform, True),
    ],
    ids=["an image", "automatic scaling", "a file", "terraform"],
)
async def test_deployments_that_lift_a_containment_are_distinguished(
    tmp_path: Path, change: EditService, *, lifted: bool
) -> None:
    """A deployment that keeps the containment is not reported; one that lifts it is."""
    async with responder_environment(tmp_path) as env:
        await env.deliver()
        await deploy(env, change)
        found = await run_patrol(env)
        assert drift_found(found) == (["reverted"] if lifted else [])
        assert found.alarm is lifted
        assert len(env.containment_writes) == 1
        assert statuses(env) == (["unverified"] if lifted else ["contained"])
        assert ("reverted" in record_kinds_of(env)) is lifted


async def test_an_orderly_patrol_writes_nothing(tmp_path: Path) -> None:
    """Otherwise the store would grow for ever."""
    async with responder_environment(tmp_path, world=world_without_latency()) as env:
        await env.deliver()
        before = env.stored_objects()
        found = await run_patrol(env)
        assert (found.counts["in-effect"], found.alarm, found.complete) == (1, False, True)
        assert env.stored_objects() == before


async def test_drift_is_attributed_from_the_audit_log(tmp_path: Path) -> None:
    """Our own write, an earlier deployment and one by somebody who changed nothing of it."""
    message = current_notification()
    async with responder_environment(tmp_path, notification=message, now=None) as env:
        await env.deliver()
        await deploy(env, with_automatic_scaling, by="mallory@example.com")
        found = await run_patrol(env)
        (check,) = found.checks
        assert check.attribution
        assert (check.attribution.principal, check.attribution.source) == (
            "mallory@example.com",
            "audit-log",
        )
        assert check.attribution.method.endswith("Services.UpdateService")
        assert check.attribution.other_principals == ()
        (path,) = env.stored_objects("containments/**/*-reverted.json")
        reverted = env.read_record(path)
        assert reverted["by"]["changed_at"] == time_text(check.attribution.changed_at)
        assert {line["field"] for line in reverted["drift"]} == {"scaling"}
        await deploy(env, with_new_image, by="later@example.com")
        (again,) = (await run_patrol(env)).checks
        assert again.attribution == check.attribution
        assert record_kinds_of(env).count("reverted") == 1


async def test_where_the_audit_log_does_not_answer_the_last_modifier_is_named(
    tmp_path: Path,
) -> None:
    """And once it answers, what it says is recorded beside that."""
    message = current_notification()
    async with responder_environment(
        tmp_path, notification=message, world=world_without_latency(message), now=None
    ) as env:
        await env.deliver()
        await deploy(env, with_automatic_scaling)
        denied = Fault("ListLogEntries", grpc.StatusCode.PERMISSION_DENIED)
        env.emulator.world.faults = Faults((denied,))
        for _ in range(2):
            (check,) = (await run_patrol(env)).checks
            assert check.attribution
            assert (check.attribution.principal, check.attribution.source) == (
                OTHER_PRINCIPAL,
                "last-modifier",
            )
        assert record_kinds_of(env).count("reverted") == 1
        env.emulator.world.faults = Faults()
        for _ in range(2):
            (check,) = (await run_patrol(env)).checks
            assert check.attribution
            assert (check.attribution.principal, check.attribution.source) == (
                OTHER_PRINCIPAL,
                "audit-log",
            )
        assert record_kinds_of(env).count("reverted") == 2


async def test_without_a_reapply_limit_drift_is_only_reported(tmp_path: Path) -> None:
    """One record and one change of the outcome; the alarm stays while it is true."""
    async with responder_environment(tmp_path) as env:
        await env.deliver()
        await deploy(env, with_automatic_scaling)
        rounds = [await run_patrol(env) for _ in range(3)]
        assert [drift_found(found) for found in rounds] == [["reverted"]] * 3
        assert all(found.alarm for found in rounds)
        assert "reapply_limit is 0" in rounds[0].checks[0].note
        assert record_kinds_of(env).count("reverted") == 1
        assert len(env.stored_objects("incidents/*/1001-unverified.json")) == 1
        kept = [env.read_record(path) for path in env.stored_objects("incidents/*/1*.json")]
        _, outcome = [record["outcome"] for record in kept if "outcome" in record]
        assert outcome["decision"]["reasons"][0].startswith("the containment was undone by")
        assert outcome["changes"][0]["state"] == "unverified"
        assert "scaling" in outcome["changes"][0]["error"]
        assert outcome["containment"] == f"{CONTAINMENTS_FOLDER}/1"


async def test_a_containment_is_reapplied_up_to_the_limit(tmp_path: Path) -> None:
    """Twice here; the third time it is only reported. A release would restore what was before."""
    async with responder_environment(tmp_path, policy_text=REAPPLY_TWICE) as env:
        await env.deliver()
        original = env.read_record(f"{CONTAINMENTS_FOLDER}/1/0001-snapshot.json")
        sights = []
        for number in range(1, 4):
            later = env.later(number * 600)
            await deploy(later, with_automatic_scaling)
            found = await run_patrol(later)
            sights += drift_found(found)
            assert found.alarm
            assert is_stopped(env) is (number < 3)
            assert statuses(env) == ["contained" if number < 3 else "unverified"]
        assert sights == ["reapplied", "reapplied", "reverted"]
        assert "applied again 2 times" in found.checks[0].note
        assert len(env.containment_writes) == 3
        assert len(env.stored_objects("containments/**/*-reapplication.json")) == 2
        assert original["changes"][0]["restores"]["traffic"]
        assert drift_found(await run_patrol(env.later(2400))) == ["reverted"]


async def test_a_containment_restored_by_others_is_reported(tmp_path: Path) -> None:
    """A new record and the incident contained again, without a write by the responder."""
    async with responder_environment(tmp_path, world=world_without_latency()) as env:
        await env.deliver()
        await deploy(env, with_automatic_scaling)
        assert drift_found(await run_patrol(env)) == ["reverted"]

        def stop(service: Any) -> None:
            service.scaling = run_v2.ServiceScaling(scaling_mode="MANUAL", manual_instance_count=0)

        await deploy(env, stop, "scaling")
        assert drift_found(await run_patrol(env)) == ["verified"]
        assert statuses(env) == ["contained"]
        assert len(env.containment_writes) == 2  # ours, and theirs
        assert not (await run_patrol(env)).checks


async def test_a_restriction_alone_that_was_lifted_leaves_it_contained(tmp_path: Path) -> None:
    """It is stopped still, and the change says what is missing."""
    rules = policy_yaml().replace("[scale-to-zero]", "[scale-to-zero, restrict-ingress]")
    async with responder_environment(tmp_path, policy_text=rules) as env:
        await env.deliver()

        def open_up(service: Any) -> None:
            service.ingress = run_v2.IngressTraffic.INGRESS_TRAFFIC_ALL

        await deploy(env, open_up, "ingress")
        found = await run_patrol(env)
        assert drift_found(found) == ["reverted"]
        assert found.checks[0].drift[0].startswith("ingress:")
        assert is_stopped(env)


@pytest.mark.parametrize(
    ("rules", "why"),
    [
        (policy_yaml(extra="reapply_limit: 2\nprotect: [{projects: [example-*]}]\n"), "protect"),
        (policy_yaml("dry-run", "reapply_limit: 2\n"), "dry-run"),
        (policy_yaml("approve", "reapply_limit: 2\n"), "approve"),
        (policy_yaml(extra="reapply_limit: 2\ncategories: [Another]\n"), "categor"),
        (policy_yaml(extra="reapply_limit: 2\nguards: {max_containments_per_hour: 0}\n"), "cap"),
        ("mode: enfroce\n", "policy"),
    ],
    ids=["protected", "dry run", "approve", "category", "cap", "invalid"],
)
async def test_only_what_the_policy_wants_now_is_applied_again(
    tmp_path: Path, rules: str, why: str
) -> None:
    """Policy, protection, caps and the kill switch hold for the patrol as for a finding."""
    async with responder_environment(tmp_path, policy_text=REAPPLY_TWICE) as env:
        await env.deliver()
        later = env.later(7200)
        await deploy(later, with_automatic_scaling)
        later.write_policy(rules)
        found = await run_patrol(later)
        assert drift_found(found) == ["reverted"]
        assert why in found.checks[0].note
        assert not is_stopped(env)
        assert len(env.containment_writes) == 1
        assert not env.stored_objects("containments/**/*-reapplication.json")


async def test_the_kill_switch_works_up_to_the_moment_of_writing(tmp_path: Path) -> None:
    """The policy is read again beside the snapshot."""
    async with responder_environment(tmp_path, policy_text=REAPPLY_TWICE) as env:
        await env.deliver()
        await deploy(env, with_automatic_scaling)
        listed = "/google.cloud.securitycenter.v2.SecurityCenter/ListFindings"
        with interrupt_call(env, listed, lambda: env.write_policy(policy_yaml()), "after"):
            found = await run_patrol(env.later(600))
        assert drift_found(found) == ["reverted"]
        assert len(env.containment_writes) == 1


async def test_a_finding_that_is_muted_by_now_is_not_acted_on_again(tmp_path: Path) -> None:
    """A person has said that the responder must leave it."""
    async with responder_environment(tmp_path, policy_text=REAPPLY_TWICE) as env:
        await env.deliver()
        await deploy(env, with_automatic_scaling)
        for finding in env.emulator.world.findings:
            finding.result.finding.mute = Finding.Mute(Finding.Mute.MUTED)
        found = await run_patrol(env.later(600))
        assert drift_found(found) == ["reverted"]
        assert len(env.containment_writes) == 1


async def test_two_patrols_at_once_apply_it_again_once(tmp_path: Path) -> None:
    """One write, one claim, one containment; both tell the truth."""
    async with responder_environment(tmp_path, policy_text=REAPPLY_TWICE) as env:
        await env.deliver()
        await deploy(env, with_automatic_scaling)
        later = env.later(600)
        found = await asyncio.gather(*(run_patrol(later) for _ in range(3)))
        assert all(not each.faults for each in found)
        assert "reapplied" in {sight for each in found for sight in drift_found(each)}
        assert is_stopped(env)
        assert len(env.containment_writes) == 2
        assert len(env.stored_objects("containments/**/*-reapplication.json")) == 1
        await run_patrol(env.later(1200))
        assert statuses(env) == ["contained"]


async def test_a_released_containment_is_not_reapplied(tmp_path: Path) -> None:
    """Neither one that is through nor one that has begun."""
    async with responder_environment(tmp_path, policy_text=REAPPLY_TWICE) as env:
        await env.deliver()
        await deploy(env, with_automatic_scaling)
        write_record(env, f"{CONTAINMENTS_FOLDER}/1/0090-release-started.json")
        assert drift_found(await run_patrol(env.later(600))) == ["releasing"]
        write_record(env, f"{CONTAINMENTS_FOLDER}/1/0091-released.json")
        before = env.stored_objects()
        assert drift_found(await run_patrol(env.later(600))) == []
        assert env.stored_objects() == before
        assert len(env.containment_writes) == 1


@pytest.mark.parametrize("phase", ["before", "after"])
async def test_a_write_on_its_way_when_a_release_begins_is_taken_back(
    tmp_path: Path, phase: str
) -> None:
    """The last look came too early: what the patrol wrote is undone, and the record says so."""
    async with responder_environment(tmp_path, policy_text=REAPPLY_TWICE) as env:
        await env.deliver()
        await deploy(env, with_automatic_scaling)
        undone = env.service["scaling"]

        def intend() -> None:
            write_record(env, f"{CONTAINMENTS_FOLDER}/1/0090-release-started.json")

        with interrupt_call(env, UPDATE_SERVICE, intend, phase):
            found = await run_patrol(env.later(600))
        assert drift_found(found) == ["undone-for-release"]
        assert env.service["scaling"] == undone
        assert "write-undone" in record_kinds_of(env)
        assert drift_found(await run_patrol(env.later(1200))) == ["releasing"]
        journal = Journal(
            folder_store(tmp_path / "store"), f"{CONTAINMENTS_FOLDER}/1", "", fixed_now
        )
        current = containment_from_records(journal.folder, 1, await journal.records())
        assert current.effective_snapshot
        assert current.effective_snapshot.number == 1


async def test_a_patrol_that_dies_before_taking_its_write_back_is_followed_by_one_that_does(
    tmp_path: Path,
) -> None:
    """Every step is on record, so that any other process can go on."""
    async with responder_environment(tmp_path, policy_text=REAPPLY_TWICE) as env:
        await env.deliver()
        await deploy(env, with_automatic_scaling)
        undone = env.service["scaling"]
        with interrupt_call(env, UPDATE_SERVICE, lambda: None, "after"):
            await run_patrol(env.later(600))
        assert is_stopped(env)
        number = max(
            int(path.rpartition("/")[2][:4]) for path in env.stored_objects("**/*-written.json")
        )
        write_record(env, f"{CONTAINMENTS_FOLDER}/1/{number:04d}-release-started.json")
        assert drift_found(await run_patrol(env.later(1200))) == ["undone-for-release"]
        assert env.service["scaling"] == undone
        assert drift_found(await run_patrol(env.later(1800))) == ["releasing"]


async def test_a_deleted_workload_is_reported_once(tmp_path: Path) -> None:
    """Nothing is left to guard; neither is anything under the name of another."""
    async with responder_environment(tmp_path) as env:
        await env.deliver()
        del env.emulator.world.services[SERVICE]
        found = await run_patrol(env)
        assert (drift_found(found), found.alarm) == (["deleted"], False)
        assert drift_found(await run_patrol(env)) == []


async def test_a_recreated_workload_is_not_monitored(tmp_path: Path) -> None:
    """A service recreated under the same name runs, and is not stopped."""
    async with responder_environment(tmp_path, policy_text=REAPPLY_TWICE) as env:
        await env.deliver()
        env.emulator.world.services[SERVICE].uid = "another"
        await deploy(env, with_automatic_scaling)
        found = await run_patrol(env.later(600))
        assert (drift_found(found), found.alarm) == (["deleted"], True)
        assert "is not contained" in found.checks[0].note
        assert len(env.containment_writes) == 1
        assert statuses(env) == ["unverified"]


async def test_one_not_found_answer_does_not_end_monitoring(tmp_path: Path) -> None:
    """What is recorded as gone is never looked at again."""
    async with responder_environment(tmp_path, world=world_without_latency()) as env:
        await env.deliver()
        env.emulator.world.faults = Faults((Fault("GetService", NOT_FOUND, times=1),))
        assert drift_found(await run_patrol(env.later(600))) == []
        await deploy(env, with_automatic_scaling)
        assert drift_found(await run_patrol(env.later(1200))) == ["reverted"]


async def test_an_unfinished_release_is_reported(tmp_path: Path) -> None:
    """While it lasts nothing is checked: after some minutes it alarms."""
    async with responder_environment(tmp_path, world=world_without_latency()) as env:
        await env.deliver()
        write_record(env, f"{CONTAINMENTS_FOLDER}/1/0090-release-started.json", by="a-person")
        young, old = await run_patrol(env.later(60)), await run_patrol(env.later(3600))
        assert (drift_found(young), young.alarm) == (["releasing"], False)
        assert (drift_found(old), old.alarm) == (["releasing"], True)
        assert "release it again" in old.checks[0].note


async def test_a_release_during_a_patrol_decides_the_status(tmp_path: Path) -> None:
    """A release that completes while the patrol updates the incident has the last word."""
    async with responder_environment(tmp_path, world=world_without_latency()) as env:
        await env.deliver()
        await deploy(env, with_automatic_scaling)

        def release() -> None:
            write_record(env, f"{CONTAINMENTS_FOLDER}/1/0090-released.json", by="a-person")

        with interrupt_call(env, UPDATE_SECURITY_MARKS, release, "before"):
            await run_patrol(env.later(600))
        assert statuses(env) == ["released"]


async def test_every_incident_of_a_containment_is_updated(tmp_path: Path) -> None:
    """Also those that only joined it."""
    one, other, world = two_findings_on_one_service()
    async with responder_environment(
        tmp_path, notification=one, world=world, policy_text=REAPPLY_TWICE
    ) as env:
        await env.deliver(one)
        await env.deliver(other)
        await deploy(env, with_automatic_scaling)
        env.write_policy(policy_yaml())
        assert drift_found(await run_patrol(env)) == ["reverted"]
        assert statuses(env) == ["unverified", "unverified"]
        env.write_policy(REAPPLY_TWICE)
        assert drift_found(await run_patrol(env.later(600))) == ["reapplied"]
        assert statuses(env) == ["contained", "contained"]


async def test_an_unverified_containment_is_verified_later(tmp_path: Path) -> None:
    """The incident moves from unverified to contained."""
    slow = {**world_around(sample_notification()), "latency": {"reconcile": "60s"}}
    async with responder_environment(
        tmp_path, world=slow, verify_timeout=timedelta(seconds=0.3)
    ) as env:
        assert await env.status() == "unverified"
        assert drift_found(await run_patrol(env)) == []
        assert drift_found(await run_patrol(env.later(600))) == ["pending"]
        service = env.emulator.world.services[SERVICE]
        service.observed_generation = service.generation
        service.traffic_statuses = []
        assert drift_found(await run_patrol(env.later(600))) == ["verified"]
        assert statuses(env) == ["contained"]


async def test_a_job_that_runs_again_is_stopped_no_more(tmp_path: Path) -> None:
    """Cancelling cannot keep a job from being started: a start undoes the containment."""
    message = sample_notification("v1-job-execution")
    rules = "mode: enforce\ncontain:\n  job: [cancel-executions]\nreapply_limit: 1\n"
    async with responder_environment(tmp_path, notification=message, policy_text=rules) as env:
        assert await env.status() == "contained"
        assert drift_found(await run_patrol(env)) == []
        (job,) = env.emulator.world.jobs.values()
        request = run_v2.RunJobRequest(name=job.name)
        run = "/google.cloud.run.v2.Jobs/RunJob"
        await call_as(env, run, run_v2.RunJobRequest.serialize(request), OTHER_PRINCIPAL)
        found = await run_patrol(env.later(600))
        assert drift_found(found) == ["reapplied"]
        assert found.checks[0].drift[0].startswith("executions:")
        assert all(
            e.completion_time or e.cancelled_count for e in env.emulator.world.executions.values()
        )


@pytest.mark.parametrize("first", range(1, _WRITES, 4))
async def test_a_patrol_that_crashes_at_any_write_is_continued(tmp_path: Path, first: int) -> None:
    """Wherever it ends, the next one brings it to the same end, within the bound."""
    rules = policy_yaml(extra="reapply_limit: 100\n")
    async with responder_environment(
        tmp_path, world=world_without_latency(), policy_text=rules
    ) as env:
        await env.deliver()
        for number in range(first, first + 4):
            await deploy(env, with_automatic_scaling)
            alive = await patrol_killed_at_write(env.later(number * 1200), number)
            found = await run_patrol(env.later(number * 1200 + 600))
            assert not found.faults
            assert is_stopped(env), f"killed at write {number}"
            assert statuses(env) == ["contained"], f"killed at write {number}"
            if alive:
                break
        assert alive is (first + 4 > _WRITES)  # or the last writes were not reached
        clients = await connect(env.settings)
        containments = ContainmentRecords(clients.store, workload(), "", fixed_now)
        current = (await containments.history()).current
        assert current
        assert current.effective_snapshot
        assert (
            current.effective_snapshot.restores["traffic"]
            == current.snapshots[0].restores["traffic"]
        )


async def test_a_pool_that_was_scaled_up_is_stopped_again(tmp_path: Path) -> None:
    """Pools have neither traffic nor tags: the count is all there is to undo."""
    message = sample_notification("worker-pool-without-containers")
    rules = "mode: enforce\ncontain:\n  worker-pool: [scale-to-zero]\nreapply_limit: 1\n"
    async with responder_environment(
        tmp_path, notification=message, world=world_without_latency(message), policy_text=rules
    ) as env:
        assert await env.status() == "contained"
        (pool,) = env.emulator.world.worker_pools.values()
        pool.scaling.manual_instance_count = 3
        assert drift_found(await run_patrol(env.later(600))) == ["reapplied"]
        (pool,) = env.emulator.world.worker_pools.values()
        assert pool.scaling.manual_instance_count == 0


async def test_an_instance_that_was_started_is_stopped_again(tmp_path: Path) -> None:
    """And who started it is read from the audit log."""
    message = current_notification("cloud-run-instance")
    rules = "mode: enforce\ncontain:\n  instance: [stop-instance]\nreapply_limit: 1\n"
    world = world_without_latency(message)
    async with responder_environment(
        tmp_path, notification=message, world=world, policy_text=rules, now=None
    ) as env:
        assert await env.status() == "contained"
        (name,) = env.emulator.world.instances
        request = run_v2.StartInstanceRequest.serialize(run_v2.StartInstanceRequest(name=name))
        start = "/google.cloud.run.v2.Instances/StartInstance"
        await call_as(env, start, request, OTHER_PRINCIPAL)
        report = await run_patrol(env)
        assert drift_found(report) == ["reapplied"]
        (check,) = report.checks
        assert check.attribution
        assert (check.attribution.principal, check.attribution.method.rpartition(".")[2]) == (
            *(OTHER_PRINCIPAL, "StartInstance"),
        )
        (instance,) = env.emulator.world.instances.values()
        assert instance.terminal_condition.message == "Instance stopped."


@pytest.mark.parametrize("releasing", [False, True], ids=["undone", "being released"])
async def test_a_policy_that_was_opened_again_is_closed_unless_a_person_releases(
    tmp_path: Path, *, releasing: bool
) -> None:
    """An IAM policy is attributed by its own method, and taken back by its own version."""
    message = current_notification()
    rules = policy_yaml(extra="reapply_limit: 1\n").replace(
        "scale-to-zero", "require-authentication"
    )
    world = world_without_latency(message)
    async with responder_environment(
        tmp_path, notification=message, world=world, policy_text=rules, now=None
    ) as env:
        assert await env.status() == "restricted"
        opened = policy_pb2.Policy(
            version=3, bindings=[{"role": "roles/run.invoker", "members": ["allUsers"]}]
        )
        request = iam_policy_pb2.SetIamPolicyRequest(resource=SERVICE, policy=opened)
        change = "/google.cloud.run.v2.Services/SetIamPolicy"
        await call_as(env, change, request.SerializeToString(), OTHER_PRINCIPAL)

        def intend() -> None:
            if releasing:
                moment = datetime.now(UTC).isoformat()
                content = {"recorded_at": moment, "run": "a-person"}
                path = (
                    env.folder / "store" / CONTAINMENTS_FOLDER / "1" / "0090-release-started.json"
                )
                path.write_text(json.dumps(content))

        with interrupt_call(env, change, intend, "after"):
            (check,) = (await run_patrol(env)).checks
        assert check.state.value == ("undone-for-release" if releasing else "reapplied")
        assert check.attribution
        assert (check.attribution.principal, check.attribution.method.rpartition(".")[2]) == (
            OTHER_PRINCIPAL,
            "SetIamPolicy",
        )
        left = env.emulator.world.iam_policies[SERVICE].bindings
        assert any("allUsers" in binding.members for binding in left) is releasing
