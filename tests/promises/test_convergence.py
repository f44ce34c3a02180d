"""Crashes, lost answers and changes in between: what is reported in the end is true."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from google.cloud.run_v2 import TrafficTarget

from emulator.services.gate import CallPoint, Dropped
from incident.model import Retry
from tests.support.constants import (
    CONTAINMENTS_FOLDER,
    SCALED_TO_ZERO,
    SERVICE,
    TOPIC,
    UPDATE_SERVICE,
)
from tests.support.environment import JsonDict, policy_yaml, responder_environment, statuses_of
from tests.support.findings import sample_notification
from tests.support.worlds import service_of, two_findings_on_one_service, world_around

FINDING_NAME = sample_notification()["finding"]["name"]


def listed_sample_finding(world: JsonDict) -> JsonDict:
    """SCC's record of the sample finding, in a world."""
    (entry,) = (entry for entry in world["findings"] if entry["finding"]["name"] == FINDING_NAME)
    found: JsonDict = entry
    return found


async def crashed_after_writing(folder: Path, **changes: Any) -> None:
    """A store and a policy as a crash right after the write's record leaves them."""
    async with responder_environment(folder, **changes) as env:
        delivery = asyncio.ensure_future(env.deliver(process=await env.start_process()))
        while not env.stored_objects("containments/**/*-written.json"):  # noqa: ASYNC110 - a folder tells nobody
            await asyncio.sleep(0.005)
        delivery.cancel()
        for inbox in env.processes:
            for task in inbox._running.values():  # noqa: SLF001 - a crash asks nobody
                task.cancel()
        await asyncio.sleep(0)
        for path in env.stored_objects("incidents/**/*.json"):
            if path.endswith(("done.json", "concluded.json", "verified.json")):
                (folder / "store" / path).unlink()


@pytest.mark.parametrize(
    "change",
    [{"mute": "MUTED"}, {"state": "INACTIVE"}, {"parentDisplayName": "Another"}],
    ids=["muted", "inactive", "of another detector"],
)
async def test_a_redelivery_reports_containment_even_if_the_finding_is_muted_since(
    tmp_path: Path, change: dict[str, str]
) -> None:
    """After a crash the redelivery finishes our own write, even of a finding muted since."""
    await crashed_after_writing(tmp_path)
    world = world_around(sample_notification())
    service_of(world).update(scaling=SCALED_TO_ZERO, traffic=[], generation="99")
    listed_sample_finding(world)["finding"].update(change)
    async with responder_environment(tmp_path, world=world) as env:
        uid = env.read_record(f"{CONTAINMENTS_FOLDER}/1/0001-snapshot.json")["uid"]
        assert env.service["uid"] == uid, "the plausible world has stable ids"
        outcome: Any = (await env.deliver()).outcome.to_json()
        assert (outcome["status"], outcome["containment"]) == (
            "contained",
            f"{CONTAINMENTS_FOLDER}/1",
        )
        assert not env.containment_writes


@pytest.mark.parametrize("code", ["PERMISSION_DENIED", "UNAVAILABLE_LISTING"])
async def test_a_redelivery_reports_containment_even_if_scc_refuses(
    tmp_path: Path, code: str
) -> None:
    """Neither a lost permission nor a finding that is listed no more hides our own write."""
    await crashed_after_writing(tmp_path)
    world = world_around(sample_notification())
    service_of(world).update(scaling=SCALED_TO_ZERO, traffic=[], generation="99")
    if code == "PERMISSION_DENIED":
        world["faults"] = [{"method": "ListFindings", "code": code}]
    else:
        world["findings"] = []
    async with responder_environment(tmp_path, world=world) as env:
        assert await env.status() == "contained"


async def test_no_final_status_while_a_write_may_still_take_effect(
    tmp_path: Path,
) -> None:
    """A write whose answer was lost and a policy lowered meanwhile: the truth is awaited."""

    def lower(moment: CallPoint) -> None:
        if moment.method == UPDATE_SERVICE and moment.phase == "before" and env.containment_writes:
            env.write_policy(policy_yaml("dry-run"))
            raise Dropped

    async with responder_environment(tmp_path, hook=lower) as env:
        assert await env.status() == "retry"
        assert not env.stored_objects("incidents/*/1000-done.json")
        later = env.later(60)
        outcome: Any = (await later.deliver()).outcome.to_json()
        assert (outcome["status"], outcome["containment"]) == (
            "planned",
            f"{CONTAINMENTS_FOLDER}/1",
        )


@pytest.mark.parametrize(
    "filed_under", ["projects/999999999999", "organizations/666", "folders/666"]
)
async def test_a_finding_filed_elsewhere_than_its_resource_is_held(
    tmp_path: Path, filed_under: str
) -> None:
    """A stranger's project or organisation cannot confirm a finding on our workload."""
    forged = sample_notification()
    name = f"{filed_under}/{FINDING_NAME.partition('/')[2].partition('/')[2]}"
    forged["finding"].update(name=name, canonicalName=name)
    world = world_around(sample_notification())
    resource = {"name": forged["finding"]["resourceName"], "type": "google.cloud.run.Service"}
    world["findings"] = [{"finding": forged["finding"], "resource": resource}]
    async with responder_environment(tmp_path, notification=forged, world=world) as env:
        answer = await env.deliver()
        assert (answer.outcome.status, answer.alarm) == ("held", True)
        assert not env.containment_writes


async def test_a_project_number_from_the_finding_name_is_confirmed_by_cloud_run(
    tmp_path: Path,
) -> None:
    """Where the resource tells the project's id alone, Cloud Run shows that both are one."""
    world = world_around(sample_notification())
    entry = listed_sample_finding(world)
    entry["resource"] = {"name": entry["finding"]["resourceName"]}
    async with responder_environment(tmp_path, world=world) as env:
        outcome: Any = (await env.deliver()).outcome.to_json()
        assert outcome["status"] == "contained"
        assert outcome["workload"]["project_number"] == "210987654321"


async def test_a_doubtful_notification_does_not_block_a_confirmed_finding(tmp_path: Path) -> None:
    """SCC's record counts: a claim that names no detector is answered as the record demands."""
    doubtful = sample_notification()
    del doubtful["finding"]["parentDisplayName"]
    async with responder_environment(tmp_path, world=world_around(sample_notification())) as env:
        assert await env.status(doubtful) == "contained"


async def test_deliveries_at_once_of_what_is_ignored_are_all_ignored(tmp_path: Path) -> None:
    """There is no done record behind an ignored finding, so none is a duplicate."""
    world = world_around(sample_notification())
    listed_sample_finding(world)["finding"]["mute"] = "MUTED"
    async with responder_environment(tmp_path, world=world) as env:
        inbox = await env.start_process()
        answers = await statuses_of(*(env.deliver(process=inbox) for _ in range(4)))
        assert answers == ["ignored"] * 4
        assert not env.stored_objects()


async def test_an_event_of_the_future_is_not_retried_for_ever(tmp_path: Path) -> None:
    """A claim from a clock that runs ahead, which SCC does not list, is held."""
    notification = sample_notification()
    world = {**world_around(notification), "findings": []}
    notification["finding"]["eventTime"] = "2099-01-01T00:00:00Z"
    async with responder_environment(
        tmp_path, notification=notification, world=world, after_s=-86_400
    ) as env:
        assert await env.status() == "held"


async def test_a_workload_stopped_by_a_person_is_not_a_containment(tmp_path: Path) -> None:
    """Attempts that were all refused adopt nothing: there is nothing to release."""
    world = {
        **world_around(sample_notification()),
        "faults": [{"method": "UpdateService", "code": "ABORTED"}],
    }
    async with responder_environment(tmp_path, world=world) as env:
        assert await env.status() == "retry"
    stopped = world_around(sample_notification())
    service_of(stopped).update(scaling=SCALED_TO_ZERO, traffic=[], generation="99")
    async with responder_environment(tmp_path, world=stopped) as env:
        assert await env.status() == "already-contained"


async def test_a_recreated_service_is_not_covered_by_the_old_containment(tmp_path: Path) -> None:
    """A service that was deleted and made again is another one."""
    async with responder_environment(tmp_path) as env:
        assert await env.status() == "contained"
    _, other, world = two_findings_on_one_service()
    service_of(world)["uid"] = "another"
    async with responder_environment(tmp_path, notification=other, world=world) as env:
        outcome: Any = (await env.deliver()).outcome.to_json()
        assert (outcome["status"], outcome["containment"]) == (
            "contained",
            f"{CONTAINMENTS_FOLDER}/2",
        )
        assert env.containment_writes


async def test_a_stopped_service_whose_traffic_was_pinned_since_is_still_contained(
    tmp_path: Path,
) -> None:
    """With no instance and no tag it is stopped, however its traffic is split by now."""
    one, other, world = two_findings_on_one_service()
    async with responder_environment(tmp_path, notification=one, world=world) as env:
        assert await env.status(one) == "contained"
        service = env.emulator.world.services[SERVICE]
        revision = service.latest_ready_revision.rpartition("/")[2]
        service.traffic = [TrafficTarget({"type_": 2, "revision": revision, "percent": 100})]
        assert await env.status(other) == "contained"
        assert len(env.containment_writes) == 1


async def test_a_partly_undone_containment_is_restored_to_what_was_before_all_of_it(
    tmp_path: Path,
) -> None:
    """What a release restores never holds our own work, also after a second write."""
    one, other, world = two_findings_on_one_service()
    async with responder_environment(tmp_path, notification=one, world=world) as env:
        original = env.service["scaling"]
        assert await env.status(one) == "contained"
        service = env.emulator.world.services[SERVICE]
        service.traffic[0].tag = "back-door"
        assert await env.status(other) == "contained"
        images = [
            env.read_record(path) for path in env.stored_objects("containments/**/*-snapshot.json")
        ]
        assert len(images) == len(env.containment_writes) == 2
        assert images[1]["changes"][0]["before"]["scaling"] == SCALED_TO_ZERO
        assert images[1]["changes"][0]["restores"]["scaling"].items() >= original.items()
        assert images[1]["changes"][0]["restores"]["traffic"][0]["tag"] == "back-door"


async def test_a_settled_outcome_is_the_one_announced_and_done(tmp_path: Path) -> None:
    """A crash between announcing and done cannot make the two contradict each other."""
    topic = TOPIC
    fault = {"method": "Publish", "code": "INTERNAL"}
    world = {**world_around(sample_notification()), "faults": [fault]}
    async with responder_environment(tmp_path, world=world, topic=topic, after_s=10) as env:
        assert await env.status() == "retry"
        assert len(env.stored_objects("incidents/*/0999-concluded.json")) == 1
        env.write_policy(policy_yaml("dry-run"))
    async with responder_environment(
        tmp_path, policy_text=policy_yaml("dry-run"), topic=topic, after_s=60
    ) as env:
        assert await env.status() == "contained"
        everything: Any = env.emulator.world.dump()["published"]
        assert [message["data"]["status"] for message in everything] == ["contained"]


async def test_a_service_that_reconciles_for_ever_is_contained_once_it_was_observed(
    tmp_path: Path,
) -> None:
    """A roll-out that never ends hides nothing: what counts is the generation observed."""

    def keep_reconciling(_: CallPoint) -> None:
        service = env.emulator.world.services[SERVICE]
        if service.observed_generation == service.generation:
            service.reconciling = True

    async with responder_environment(
        tmp_path, hook=keep_reconciling, verify_timeout=timedelta(seconds=5)
    ) as env:
        assert await env.status() == "contained"


async def test_a_slow_peer_is_not_overtaken_while_it_shows_that_it_lives(tmp_path: Path) -> None:
    """Waiting for slow logs, a run leaves signs of life: its peer waits and is a duplicate."""
    world = {**world_around(sample_notification()), "latency": {"ListLogEntries": "5s"}}
    patience = timedelta(seconds=2)  # a busy machine may be silent for one
    async with responder_environment(tmp_path, world=world, peer_wait=patience) as env:
        one, other = await env.start_process(), await env.start_process()
        assert await statuses_of(env.deliver(process=one), env.deliver(process=other)) == [
            "contained",
            "duplicate",
        ]
        assert len(env.containment_writes) == 1
        assert not env.stored_objects("**/evidence/*-2.json")


async def test_an_operation_that_failed_at_once_is_no_containment(tmp_path: Path) -> None:
    """What Google refuses by the operation's own error is a failure, reported with its text."""
    fault = {"method": "UpdateService", "code": "FAILED_PRECONDITION", "message": "not now"}
    async with responder_environment(
        tmp_path, world={**world_around(sample_notification()), "faults": [fault]}
    ) as env:
        outcome: Any = (await env.deliver()).outcome.to_json()
        assert outcome["status"] == "failed"
        assert "not now" in outcome["changes"][0]["error"]


async def test_a_service_deleted_meanwhile_is_a_failed_incident(tmp_path: Path) -> None:
    """Between two attempts the workload may go away: recorded, and not retried for ever."""

    def vanish(moment: CallPoint) -> None:
        if moment.method == UPDATE_SERVICE and moment.phase == "after":
            del env.emulator.world.services[SERVICE]

    fault = {"method": "UpdateService", "code": "ABORTED", "times": 1}
    async with responder_environment(
        tmp_path, hook=vanish, world={**world_around(sample_notification()), "faults": [fault]}
    ) as env:
        try:
            outcome: Any = (await env.deliver()).outcome.to_json()
        except Retry:
            pytest.fail("a service that is gone is nothing to retry")
        assert outcome["status"] == "failed"
        assert "does not exist" in " ".join(outcome["decision"]["reasons"])


async def test_a_dry_run_between_deliveries_does_not_end_the_incident(tmp_path: Path) -> None:
    """Lowering the policy during an outage, and raising it again, loses nothing."""
    outage = {
        **world_around(sample_notification()),
        "faults": [{"method": "UpdateService", "code": "ABORTED"}],
    }
    async with responder_environment(tmp_path, world=outage) as env:
        assert await env.status() == "retry"
    async with responder_environment(
        tmp_path, policy_text=policy_yaml("dry-run"), after_s=60
    ) as env:
        assert await env.status() == "planned"
        assert env.stored_objects("dry-runs/**/1000-done.json")
    async with responder_environment(tmp_path, after_s=90) as env:
        assert await env.status() == "contained"


async def test_a_forged_copy_does_not_end_the_genuine_incident(tmp_path: Path) -> None:
    """An unconfirmed notification keeps its records apart, also when work has begun."""
    outage = {
        **world_around(sample_notification()),
        "faults": [{"method": "UpdateService", "code": "ABORTED"}],
    }
    async with responder_environment(tmp_path, world=outage) as env:
        assert await env.status() == "retry"
    forged = sample_notification()
    own = forged["finding"]["canonicalName"]
    forged["finding"]["canonicalName"] = own.replace("210987654321", "999999999999")
    async with responder_environment(
        tmp_path, world=world_around(sample_notification()), after_s=400
    ) as env:
        assert await env.status(forged) == "held"
        assert env.stored_objects("claims/**/1000-done.json")
        assert await env.status() == "contained"


async def test_a_release_in_progress_stops_the_write(tmp_path: Path) -> None:
    """A person who takes the containment back is not overruled."""
    one, other, world = two_findings_on_one_service()
    async with responder_environment(tmp_path, notification=one, world=world) as env:
        assert await env.status(one) == "contained"
        service = env.emulator.world.services[SERVICE]
        service.scaling.manual_instance_count = 1
        intended = tmp_path / "store" / CONTAINMENTS_FOLDER / "1" / "0098-release-started.json"
        intended.write_text('{"recorded_at": "2026-10-02T09:00:00+00:00", "run": "a-person"}')
        answer = await env.deliver(other)
        assert (answer.outcome.status, answer.alarm) == ("held", True)
        assert len(env.containment_writes) == 1
