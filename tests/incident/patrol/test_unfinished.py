"""What was left behind: incidents whose deliveries ran out, and plans nobody approved."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from google.cloud.securitycenter_v2 import Finding

from emulator.api.faults import Faults
from incident.case_file.journal import Journal
from incident.notification.parse import parse_notification
from incident.patrol.unfinished import is_inactive
from incident.response.records import received_record
from tests.support.constants import CONTAINMENTS_FOLDER, TOPIC
from tests.support.environment import ResponderEnvironment, policy_yaml, responder_environment
from tests.support.findings import encode, sample_notification
from tests.support.model import NOW, folder_store, record
from tests.support.patrol import run_patrol
from tests.support.worlds import service_of, world_around

ABORTED_UPDATES = [{"method": "UpdateService", "code": "ABORTED"}]


def world_with_faults(faults: list[Any]) -> Any:
    """A world in which something fails for now."""
    return world_around(sample_notification(), faults=faults, latency={"reconcile": "0ms"})


def resumed_statuses(found: Any) -> list[Any]:
    """What became of each incident that a round took up."""
    assert not found.faults
    return [each.result and each.result.outcome.status for each in found.incidents]


async def unfinished_incident(env: ResponderEnvironment) -> None:
    """What a process leaves that died right after it had begun."""
    claim = parse_notification(encode(env.notification)).finding
    store = folder_store(env.folder / "store")
    folder = f"incidents/{claim.incident_id}"
    await Journal(store, folder, "died", lambda: NOW).create(1, "received", received_record(claim))


def clear_faults(env: ResponderEnvironment) -> None:
    """What failed works again."""
    env.emulator.world.faults = Faults()


async def test_an_incident_whose_deliveries_ran_out_is_finished(tmp_path: Path) -> None:
    """By the ordinary road: contained, on record, done; once."""
    async with responder_environment(tmp_path, world=world_with_faults([])) as env:
        await unfinished_incident(env)
        assert resumed_statuses(await run_patrol(env.later(600))) == []
        found = await run_patrol(env.later(1500))
        assert resumed_statuses(found) == ["contained"]
        assert (found.alarm, found.summary["finished"]) == (False, 1)
        assert env.stored_objects("incidents/*/1000-done.json")
        assert env.stored_objects(f"{CONTAINMENTS_FOLDER}/1/*-verified.json")
        assert resumed_statuses(await run_patrol(env.later(3000))) == []
        assert await env.status() == "duplicate"


async def test_an_old_incident_is_held(tmp_path: Path) -> None:
    """The patrol finishes incidents under the same guards as a delivery."""
    async with responder_environment(tmp_path, world=world_with_faults([])) as env:
        await unfinished_incident(env)
        assert resumed_statuses(await run_patrol(env.later(2 * 86_400))) == ["held"]
        assert service_of(env.emulator.world.dump())["scaling"].get("scalingMode") != "MANUAL"


async def test_an_incident_that_cannot_be_finished_raises_the_alarm(tmp_path: Path) -> None:
    """The fault is there still: an alarm, and the incident stays open."""
    async with responder_environment(tmp_path, world=world_with_faults(ABORTED_UPDATES)) as env:
        await unfinished_incident(env)
        found = await run_patrol(env.later(1500))
        assert resumed_statuses(found) == [None]
        assert found.alarm
        assert "cannot contain" in found.incidents[0].note
        assert not env.stored_objects("incidents/*/1000-done.json")


def test_retries_of_the_patrol_back_off() -> None:
    """An outage of a month is a score of tries: records must not pile up."""
    records, tries = [record(1, "received")], 0
    for minutes in range(0, 30 * 24 * 60, 10):
        now = records[0].recorded_at + timedelta(minutes=minutes)
        if is_inactive(records, now):
            tries += 1
            records.append(replace(record(1 + tries, "retried"), recorded_at=now))
    assert 8 < tries < 25
    assert not is_inactive([], NOW)


async def test_a_concluded_outcome_is_only_published(tmp_path: Path) -> None:
    """Concluded, not announced: the patrol announces just that."""
    topic = TOPIC
    faults = [{"method": "Publish", "code": "INTERNAL"}]
    async with responder_environment(tmp_path, world=world_with_faults(faults), topic=topic) as env:
        assert await env.status() == "retry"
        clear_faults(env)
        env.write_policy(policy_yaml("dry-run"))
        assert resumed_statuses(await run_patrol(env.later(3600))) == ["contained"]
        everything: Any = env.emulator.world.dump()["published"]
        assert [message["data"]["status"] for message in everything] == ["contained"]


async def test_an_incident_of_a_missing_finding_is_ended(tmp_path: Path) -> None:
    """Nobody can take it up again: failed, with the reason, once."""
    async with responder_environment(tmp_path, world=world_with_faults([])) as env:
        await unfinished_incident(env)
        env.emulator.world.findings.clear()
        found = await run_patrol(env.later(3600))
        assert resumed_statuses(found) == ["failed"]
        answer = found.incidents[0].result
        assert answer
        assert answer.alarm
        outcome: Any = answer.outcome.to_json()
        assert "no longer lists its finding" in outcome["decision"]["reasons"][0]
        assert outcome["workload"]["name"] == "storefront"
        assert resumed_statuses(await run_patrol(env.later(7200))) == []


async def test_a_missing_permission_keeps_the_incident_open(tmp_path: Path) -> None:
    """A missing grant must be fixed: the incident stays open, and is reported."""
    denied = [{"method": "ListFindings", "code": "PERMISSION_DENIED"}]
    async with responder_environment(tmp_path, world=world_with_faults(denied)) as env:
        await unfinished_incident(env)
        assert resumed_statuses(await run_patrol(env.later(3600))) == [None]
        clear_faults(env)
        assert resumed_statuses(await run_patrol(env.later(7200))) == ["contained"]


async def test_an_incident_of_a_muted_finding_is_ended(tmp_path: Path) -> None:
    """Muted since: not acted on, and not taken up again for ever."""
    async with responder_environment(tmp_path, world=world_with_faults([])) as env:
        await unfinished_incident(env)
        for finding in env.emulator.world.findings:
            finding.result.finding.mute = Finding.Mute(Finding.Mute.MUTED)
        assert resumed_statuses(await run_patrol(env.later(3600))) == ["ignored"]
        assert not env.containment_writes
        assert resumed_statuses(await run_patrol(env.later(7200))) == []


async def test_an_unfinished_dry_run_is_finished(tmp_path: Path) -> None:
    """Under the policy as it is by then; one that was overtaken in earnest is left alone."""
    topic = TOPIC
    faults = [{"method": "Publish", "code": "INTERNAL"}]
    rules = policy_yaml("dry-run")
    async with responder_environment(
        tmp_path, world=world_with_faults(faults), policy_text=rules, topic=topic
    ) as env:
        assert await env.status() == "retry"
        assert env.stored_objects("dry-runs/*/0999-concluded.json")
        clear_faults(env)
        assert resumed_statuses(await run_patrol(env.later(3600))) == ["planned"]
        assert env.stored_objects("dry-runs/*/1000-done.json")
        assert resumed_statuses(await run_patrol(env.later(7200))) == []


@pytest.mark.parametrize(("hours", "expired"), [(11, False), (13, True), (200, True)])
async def test_an_unapproved_plan_expires(tmp_path: Path, hours: int, *, expired: bool) -> None:
    """After the policy's time, with an alarm; before that, and twice, nothing happens."""
    async with responder_environment(tmp_path, policy_text=policy_yaml("approve")) as env:
        assert await env.status() == "awaiting-approval"
        found = await run_patrol(env.later(hours * 3600))
        assert resumed_statuses(found) == (["expired"] if expired else [])
        assert bool(env.stored_objects("incidents/*/1001-expired.json")) is expired
        assert resumed_statuses(await run_patrol(env.later(hours * 3600))) == []


async def test_a_plan_under_approval_does_not_expire(tmp_path: Path) -> None:
    """Whatever comes of it is theirs to say."""
    async with responder_environment(tmp_path, policy_text=policy_yaml("approve")) as env:
        assert await env.status() == "awaiting-approval"
        (done,) = env.stored_objects("incidents/*/1000-done.json")
        path = env.folder / "store" / done.replace("1000-done", "1001-approved")
        path.write_text('{"recorded_at": "2026-10-06T12:14:00+00:00", "run": "a-person"}')
        assert resumed_statuses(await run_patrol(env.later(100 * 3600))) == []
        assert resumed_statuses(await run_patrol(env.later(101 * 3600))) == ["expired"]
