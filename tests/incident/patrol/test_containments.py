"""Standing guard: what undoes a containment is seen, told, attributed, and mended if asked."""

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
from incident.case_file.containments import Custody, fold
from incident.case_file.journal import Journal
from tests.support.environment import (
    CONTAINMENTS,
    SERVICE,
    UPDATE,
    Road,
    World,
    policy,
    road,
    sample,
    two_on_one_service,
    world_around,
)
from tests.support.model import folder_store, now, workload
from tests.support.patrol import (
    SOMEBODY,
    Change,
    automatic,
    by_terraform,
    called,
    deploy,
    dying_at,
    from_file,
    interrupting,
    new_image,
    now_happening,
    patrol,
    seen,
)

#: So many writes a patrol may have that finds a containment undone.
_WRITES = 28
AGAIN = policy(extra="reapply_limit: 2\n")
STOPPED = {"scalingMode": "MANUAL", "manualInstanceCount": 0}


def records(way: Road, number: int = 1) -> list[str]:
    """What the records of a containment tell, in order."""
    names = [path.rpartition("/")[2] for path in way.stored(f"{CONTAINMENTS}/{number}/*.json")]
    return [name.removesuffix(".json")[5:] for name in names]


def statuses(way: Road) -> list[str]:
    """What became of each incident by now."""
    told = []
    for folder in sorted({path.split("/")[1] for path in way.stored("incidents/**/*.json")}):
        paths = sorted(path for path in way.stored(f"incidents/{folder}/1*.json"))
        outcomes = [way.record(path).get("outcome") for path in paths]
        told.append([outcome for outcome in outcomes if outcome][-1]["status"])
    return told


def stopped(way: Road) -> bool:
    """Whether the service is scaled to zero."""
    scaling: Any = way.service["scaling"]
    return bool(STOPPED.items() <= scaling.items())


NOT_FOUND = grpc.StatusCode.NOT_FOUND
MARKS = "/google.cloud.securitycenter.v2.SecurityCenter/UpdateSecurityMarks"


def quick(notification: World | None = None) -> World:
    """A world that reconciles at once."""
    return world_around(notification or sample(), latency={"reconcile": "0ms"})


def write(way: Road, path: str, **body: Any) -> None:
    """Put a record into the store, as another process would."""
    content = {"recorded_at": way.settings.now and way.settings.now.isoformat(), "run": "a-person"}
    (way.folder / "store" / path).write_text(json.dumps({**content, **body}))


@pytest.mark.parametrize(
    ("change", "lifted"),
    [(new_image, False), (automatic, True), (from_file, True), (by_terraform, True)],
    ids=["an image", "automatic scaling", "a file", "terraform"],
)
async def test_what_deployments_write_back_is_told_apart(
    tmp_path: Path, change: Change, *, lifted: bool
) -> None:
    """A deployment that keeps the containment is none of our business; one that lifts it is."""
    async with road(tmp_path) as way:
        await way.deliver()
        await deploy(way, change)
        found = await patrol(way)
        assert seen(found) == (["reverted"] if lifted else [])
        assert found.alarm is lifted
        assert len(way.containing) == 1
        assert statuses(way) == (["unverified"] if lifted else ["contained"])
        assert ("reverted" in records(way)) is lifted


async def test_a_round_that_finds_all_in_order_writes_nothing(tmp_path: Path) -> None:
    """Otherwise the store would grow for ever."""
    async with road(tmp_path, world=quick()) as way:
        await way.deliver()
        before = way.stored()
        found = await patrol(way)
        assert (found.counts["stands"], found.alarm, found.complete) == (1, False, True)
        assert way.stored() == before


async def test_who_undid_it_and_when_is_the_audit_logs_to_say(tmp_path: Path) -> None:
    """Our own write, an earlier deployment and one by somebody who changed nothing of it."""
    message = now_happening()
    async with road(tmp_path, notification=message, now=None) as way:
        await way.deliver()
        await deploy(way, automatic, by="mallory@example.com")
        found = await patrol(way)
        (sighting,) = found.sightings
        assert sighting.by
        assert (sighting.by.who, sighting.by.source) == ("mallory@example.com", "audit-log")
        assert sighting.by.how.endswith("Services.UpdateService")
        assert sighting.by.others == ()
        (path,) = way.stored("containments/**/*-reverted.json")
        told = way.record(path)
        assert told["by"]["when"] == sighting.by.when.isoformat() if sighting.by.when else None
        assert {line["field"] for line in told["differs"]} == {"scaling"}
        await deploy(way, new_image, by="later@example.com")
        (again,) = (await patrol(way)).sightings
        assert again.by == sighting.by
        assert records(way).count("reverted") == 1


async def test_where_the_audit_log_does_not_answer_the_last_modifier_is_named(
    tmp_path: Path,
) -> None:
    """And once it answers, what it says is recorded beside that."""
    message = now_happening()
    async with road(tmp_path, notification=message, world=quick(message), now=None) as way:
        await way.deliver()
        await deploy(way, automatic)
        denied = Fault("ListLogEntries", grpc.StatusCode.PERMISSION_DENIED)
        way.emulator.world.faults = Faults((denied,))
        for _ in range(2):
            (sighting,) = (await patrol(way)).sightings
            assert sighting.by
            assert (sighting.by.who, sighting.by.source) == (SOMEBODY, "last-modifier")
        assert records(way).count("reverted") == 1
        way.emulator.world.faults = Faults()
        for _ in range(2):
            (sighting,) = (await patrol(way)).sightings
            assert sighting.by
            assert (sighting.by.who, sighting.by.source) == (SOMEBODY, "audit-log")
        assert records(way).count("reverted") == 2


async def test_without_a_limit_it_only_tells_and_tells_again(tmp_path: Path) -> None:
    """One record and one change of the outcome; the alarm stays while it is true."""
    async with road(tmp_path) as way:
        await way.deliver()
        await deploy(way, automatic)
        rounds = [await patrol(way) for _ in range(3)]
        assert [seen(found) for found in rounds] == [["reverted"]] * 3
        assert all(found.alarm for found in rounds)
        assert "reapply_limit is 0" in rounds[0].sightings[0].note
        assert records(way).count("reverted") == 1
        assert len(way.stored("incidents/*/1001-unverified.json")) == 1
        kept = [way.record(path) for path in way.stored("incidents/*/1*.json")]
        _, outcome = [record["outcome"] for record in kept if "outcome" in record]
        assert outcome["decision"]["reasons"][0].startswith("the containment was undone by")
        assert outcome["changes"][0]["state"] == "unverified"
        assert "scaling" in outcome["changes"][0]["error"]
        assert outcome["containment"] == f"{CONTAINMENTS}/1"


async def test_it_is_applied_again_as_often_as_the_policy_says(tmp_path: Path) -> None:
    """Twice here; the third time it is told only. A release would restore what was before."""
    async with road(tmp_path, rules=AGAIN) as way:
        await way.deliver()
        original = way.record(f"{CONTAINMENTS}/1/0001-before.json")
        sights = []
        for number in range(1, 4):
            later = way.later(number * 600)
            await deploy(later, automatic)
            found = await patrol(later)
            sights += seen(found)
            assert found.alarm
            assert stopped(way) is (number < 3)
            assert statuses(way) == ["contained" if number < 3 else "unverified"]
        assert sights == ["reapplied", "reapplied", "reverted"]
        assert "applied again 2 times" in found.sightings[0].note
        assert len(way.containing) == 3
        assert len(way.stored("containments/**/*-claimed.json")) == 2
        assert original["changes"][0]["restores"]["traffic"]
        assert seen(await patrol(way.later(2400))) == ["reverted"]


async def test_what_somebody_else_puts_right_is_seen_and_told(tmp_path: Path) -> None:
    """A new record and the incident contained again, without a write of ours."""
    async with road(tmp_path, world=quick()) as way:
        await way.deliver()
        await deploy(way, automatic)
        assert seen(await patrol(way)) == ["reverted"]

        def stop(service: Any) -> None:
            service.scaling = run_v2.ServiceScaling(scaling_mode="MANUAL", manual_instance_count=0)

        await deploy(way, stop, "scaling")
        assert seen(await patrol(way)) == ["verified"]
        assert statuses(way) == ["contained"]
        assert len(way.containing) == 2  # ours, and theirs
        assert not (await patrol(way)).sightings


async def test_a_restriction_alone_that_was_lifted_leaves_it_contained(tmp_path: Path) -> None:
    """It is stopped still, and the change says what is missing."""
    rules = policy().replace("[scale-to-zero]", "[scale-to-zero, restrict-ingress]")
    async with road(tmp_path, rules=rules) as way:
        await way.deliver()

        def open_up(service: Any) -> None:
            service.ingress = run_v2.IngressTraffic.INGRESS_TRAFFIC_ALL

        await deploy(way, open_up, "ingress")
        found = await patrol(way)
        assert seen(found) == ["reverted"]
        assert found.sightings[0].differs[0].startswith("ingress:")
        assert stopped(way)


@pytest.mark.parametrize(
    ("rules", "why"),
    [
        (policy(extra="reapply_limit: 2\nprotect: [{projects: [example-*]}]\n"), "protect"),
        (policy("dry-run", "reapply_limit: 2\n"), "dry-run"),
        (policy("approve", "reapply_limit: 2\n"), "approve"),
        (policy(extra="reapply_limit: 2\ncategories: [Another]\n"), "categor"),
        (policy(extra="reapply_limit: 2\nguards: {max_containments_per_hour: 0}\n"), "cap"),
        ("mode: enfroce\n", "policy"),
    ],
    ids=["protected", "dry run", "approve", "category", "cap", "invalid"],
)
async def test_only_what_the_policy_wants_now_is_applied_again(
    tmp_path: Path, rules: str, why: str
) -> None:
    """Policy, protection, caps and the kill switch hold for the patrol as for a finding."""
    async with road(tmp_path, rules=AGAIN) as way:
        await way.deliver()
        later = way.later(7200)
        await deploy(later, automatic)
        later.policy(rules)
        found = await patrol(later)
        assert seen(found) == ["reverted"]
        assert why in found.sightings[0].note
        assert not stopped(way)
        assert len(way.containing) == 1
        assert not way.stored("containments/**/*-claimed.json")


async def test_the_kill_switch_works_up_to_the_moment_of_writing(tmp_path: Path) -> None:
    """The policy is read again beside the before-image."""
    async with road(tmp_path, rules=AGAIN) as way:
        await way.deliver()
        await deploy(way, automatic)
        listed = "/google.cloud.securitycenter.v2.SecurityCenter/ListFindings"
        with interrupting(way, listed, lambda: way.policy(policy()), "after"):
            found = await patrol(way.later(600))
        assert seen(found) == ["reverted"]
        assert len(way.containing) == 1


async def test_a_finding_that_is_muted_by_now_is_not_acted_on_again(tmp_path: Path) -> None:
    """A person has said that it is none of our business."""
    async with road(tmp_path, rules=AGAIN) as way:
        await way.deliver()
        await deploy(way, automatic)
        for finding in way.emulator.world.findings:
            finding.result.finding.mute = Finding.Mute(Finding.Mute.MUTED)
        found = await patrol(way.later(600))
        assert seen(found) == ["reverted"]
        assert len(way.containing) == 1


async def test_two_patrols_at_once_apply_it_again_once(tmp_path: Path) -> None:
    """One write, one claim, one containment; both tell the truth."""
    async with road(tmp_path, rules=AGAIN) as way:
        await way.deliver()
        await deploy(way, automatic)
        later = way.later(600)
        found = await asyncio.gather(*(patrol(later) for _ in range(3)))
        assert all(not each.faults for each in found)
        assert "reapplied" in {sight for each in found for sight in seen(each)}
        assert stopped(way)
        assert len(way.containing) == 2
        assert len(way.stored("containments/**/*-claimed.json")) == 1
        await patrol(way.later(1200))
        assert statuses(way) == ["contained"]


async def test_a_release_is_not_fought(tmp_path: Path) -> None:
    """Neither one that is through nor one that has begun."""
    async with road(tmp_path, rules=AGAIN) as way:
        await way.deliver()
        await deploy(way, automatic)
        write(way, f"{CONTAINMENTS}/1/0090-release-intended.json")
        assert seen(await patrol(way.later(600))) == ["left-alone"]
        write(way, f"{CONTAINMENTS}/1/0091-released.json")
        before = way.stored()
        assert seen(await patrol(way.later(600))) == []
        assert way.stored() == before
        assert len(way.containing) == 1


@pytest.mark.parametrize("phase", ["before", "after"])
async def test_a_write_on_its_way_when_a_release_begins_is_taken_back(
    tmp_path: Path, phase: str
) -> None:
    """The last look came too early: what the patrol wrote is undone, and the record says so."""
    async with road(tmp_path, rules=AGAIN) as way:
        await way.deliver()
        await deploy(way, automatic)
        undone = way.service["scaling"]

        def intend() -> None:
            write(way, f"{CONTAINMENTS}/1/0090-release-intended.json")

        with interrupting(way, UPDATE, intend, phase):
            found = await patrol(way.later(600))
        assert seen(found) == ["withdrawn"]
        assert way.service["scaling"] == undone
        assert "withdrawn" in records(way)
        assert seen(await patrol(way.later(1200))) == ["left-alone"]
        journal = Journal(folder_store(tmp_path / "store"), f"{CONTAINMENTS}/1", "", now)
        held = fold(journal.folder, 1, await journal.records())
        assert held.effective
        assert held.effective.number == 1


async def test_a_patrol_that_dies_before_taking_its_write_back_is_followed_by_one_that_does(
    tmp_path: Path,
) -> None:
    """Every step is on record, so that any other process can go on."""
    async with road(tmp_path, rules=AGAIN) as way:
        await way.deliver()
        await deploy(way, automatic)
        undone = way.service["scaling"]
        with interrupting(way, UPDATE, lambda: None, "after"):
            await patrol(way.later(600))
        assert stopped(way)
        number = max(int(path.rpartition("/")[2][:4]) for path in way.stored("**/*-written.json"))
        write(way, f"{CONTAINMENTS}/1/{number:04d}-release-intended.json")
        assert seen(await patrol(way.later(1200))) == ["withdrawn"]
        assert way.service["scaling"] == undone
        assert seen(await patrol(way.later(1800))) == ["left-alone"]


async def test_a_workload_that_is_gone_is_told_once(tmp_path: Path) -> None:
    """Nothing is left to guard; neither is anything under the name of another."""
    async with road(tmp_path) as way:
        await way.deliver()
        del way.emulator.world.services[SERVICE]
        found = await patrol(way)
        assert (seen(found), found.alarm) == (["gone"], False)
        assert seen(await patrol(way)) == []


async def test_a_namesake_is_not_the_workload_that_was_contained(tmp_path: Path) -> None:
    """A service made anew under the same name runs, and is not ours to stop."""
    async with road(tmp_path, rules=AGAIN) as way:
        await way.deliver()
        way.emulator.world.services[SERVICE].uid = "another"
        await deploy(way, automatic)
        found = await patrol(way.later(600))
        assert (seen(found), found.alarm) == (["gone"], True)
        assert "is not contained" in found.sightings[0].note
        assert len(way.containing) == 1
        assert statuses(way) == ["unverified"]


async def test_one_answer_that_there_is_nothing_does_not_end_the_watch(tmp_path: Path) -> None:
    """What is recorded as gone is never looked at again."""
    async with road(tmp_path, world=quick()) as way:
        await way.deliver()
        way.emulator.world.faults = Faults((Fault("GetService", NOT_FOUND, times=1),))
        assert seen(await patrol(way.later(600))) == []
        await deploy(way, automatic)
        assert seen(await patrol(way.later(1200))) == ["reverted"]


async def test_a_release_that_nobody_ends_is_told(tmp_path: Path) -> None:
    """While it lasts nobody keeps watch: after some minutes a person must know."""
    async with road(tmp_path, world=quick()) as way:
        await way.deliver()
        write(way, f"{CONTAINMENTS}/1/0090-release-intended.json", by="a-person")
        young, old = await patrol(way.later(60)), await patrol(way.later(3600))
        assert (seen(young), young.alarm) == (["left-alone"], False)
        assert (seen(old), old.alarm) == (["left-alone"], True)
        assert "release it again" in old.sightings[0].note


async def test_a_release_has_the_last_word(tmp_path: Path) -> None:
    """One that comes through while the patrol tells of a reversion is what the incident says."""
    async with road(tmp_path, world=quick()) as way:
        await way.deliver()
        await deploy(way, automatic)

        def release() -> None:
            write(way, f"{CONTAINMENTS}/1/0090-released.json", by="a-person")

        with interrupting(way, MARKS, release, "before"):
            await patrol(way.later(600))
        assert statuses(way) == ["released"]


async def test_every_incident_of_a_containment_is_told(tmp_path: Path) -> None:
    """Also those that only joined it."""
    one, other, world = two_on_one_service()
    async with road(tmp_path, notification=one, world=world, rules=AGAIN) as way:
        await way.deliver(one)
        await way.deliver(other)
        await deploy(way, automatic)
        way.policy(policy())
        assert seen(await patrol(way)) == ["reverted"]
        assert statuses(way) == ["unverified", "unverified"]
        way.policy(AGAIN)
        assert seen(await patrol(way.later(600))) == ["reapplied"]
        assert statuses(way) == ["contained", "contained"]


async def test_one_that_was_not_seen_in_effect_is_verified_later(tmp_path: Path) -> None:
    """The incident goes on from unverified to contained."""
    slow = {**world_around(sample()), "latency": {"reconcile": "60s"}}
    async with road(tmp_path, world=slow, verify_timeout=timedelta(seconds=0.3)) as way:
        assert await way.status() == "unverified"
        assert seen(await patrol(way)) == []
        assert seen(await patrol(way.later(600))) == ["pending"]
        service = way.emulator.world.services[SERVICE]
        service.observed_generation = service.generation
        service.traffic_statuses = []
        assert seen(await patrol(way.later(600))) == ["verified"]
        assert statuses(way) == ["contained"]


async def test_a_job_that_runs_again_is_stopped_no_more(tmp_path: Path) -> None:
    """Cancelling cannot keep a job from being started: whoever starts it has undone the stop."""
    message = sample("v1-job-execution")
    rules = "mode: enforce\ncontain:\n  job: [cancel-executions]\nreapply_limit: 1\n"
    async with road(tmp_path, notification=message, rules=rules) as way:
        assert await way.status() == "contained"
        assert seen(await patrol(way)) == []
        (job,) = way.emulator.world.jobs.values()
        request = run_v2.RunJobRequest(name=job.name)
        run = "/google.cloud.run.v2.Jobs/RunJob"
        await called(way, run, run_v2.RunJobRequest.serialize(request), SOMEBODY)
        found = await patrol(way.later(600))
        assert seen(found) == ["reapplied"]
        assert found.sightings[0].differs[0].startswith("executions:")
        assert all(
            e.completion_time or e.cancelled_count for e in way.emulator.world.executions.values()
        )


@pytest.mark.parametrize("first", range(1, _WRITES, 4))
async def test_a_patrol_may_die_at_any_write(tmp_path: Path, first: int) -> None:
    """Wherever it ends, the next one brings it to the same end, within the bound."""
    rules = policy(extra="reapply_limit: 100\n")
    async with road(tmp_path, world=quick(), rules=rules) as way:
        await way.deliver()
        for number in range(first, first + 4):
            await deploy(way, automatic)
            alive = await dying_at(way.later(number * 1200), number)
            found = await patrol(way.later(number * 1200 + 600))
            assert not found.faults
            assert stopped(way), f"killed at write {number}"
            assert statuses(way) == ["contained"], f"killed at write {number}"
            if alive:
                break
        assert alive is (first + 4 > _WRITES)  # or the last writes were not reached
        clients = await connect(way.settings)
        custody = Custody(clients.store, workload(), "", now)
        held = (await custody.history()).current
        assert held
        assert held.effective
        assert held.effective.restores["traffic"] == held.images[0].restores["traffic"]


async def test_a_pool_that_was_scaled_up_is_stopped_again(tmp_path: Path) -> None:
    """Pools have neither traffic nor tags: the count is all there is to undo."""
    message = sample("worker-pool-without-containers")
    rules = "mode: enforce\ncontain:\n  worker-pool: [scale-to-zero]\nreapply_limit: 1\n"
    async with road(tmp_path, notification=message, world=quick(message), rules=rules) as way:
        assert await way.status() == "contained"
        (pool,) = way.emulator.world.worker_pools.values()
        pool.scaling.manual_instance_count = 3
        assert seen(await patrol(way.later(600))) == ["reapplied"]
        (pool,) = way.emulator.world.worker_pools.values()
        assert pool.scaling.manual_instance_count == 0


@pytest.mark.parametrize("releasing", [False, True], ids=["undone", "being released"])
async def test_a_policy_that_was_opened_again_is_closed_unless_a_person_releases(
    tmp_path: Path, *, releasing: bool
) -> None:
    """An IAM policy is attributed by its own method, and taken back by its own version."""
    message = now_happening()
    rules = policy(extra="reapply_limit: 1\n").replace("scale-to-zero", "require-authentication")
    world = quick(message)
    async with road(tmp_path, notification=message, world=world, rules=rules, now=None) as way:
        assert await way.status() == "restricted"
        opened = policy_pb2.Policy(
            version=3, bindings=[{"role": "roles/run.invoker", "members": ["allUsers"]}]
        )
        request = iam_policy_pb2.SetIamPolicyRequest(resource=SERVICE, policy=opened)
        change = "/google.cloud.run.v2.Services/SetIamPolicy"
        await called(way, change, request.SerializeToString(), SOMEBODY)

        def intend() -> None:
            if releasing:
                moment = datetime.now(UTC).isoformat()
                content = {"recorded_at": moment, "run": "a-person"}
                path = way.folder / "store" / CONTAINMENTS / "1" / "0090-release-intended.json"
                path.write_text(json.dumps(content))

        with interrupting(way, change, intend, "after"):
            (sighting,) = (await patrol(way)).sightings
        assert sighting.sight.value == ("withdrawn" if releasing else "reapplied")
        assert sighting.by
        assert (sighting.by.who, sighting.by.how.rpartition(".")[2]) == (SOMEBODY, "SetIamPolicy")
        left = way.emulator.world.iam_policies[SERVICE].bindings
        assert any("allUsers" in binding.members for binding in left) is releasing
