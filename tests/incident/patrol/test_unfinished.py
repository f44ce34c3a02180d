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
from incident.notification.parse import parse
from incident.patrol.unfinished import silent
from incident.response.conclude import received
from tests.support.environment import (
    CONTAINMENTS,
    Road,
    encode,
    policy,
    road,
    sample,
    service_of,
    world_around,
)
from tests.support.model import NOW, folder_store, record
from tests.support.patrol import patrol

OUTAGE = [{"method": "UpdateService", "code": "ABORTED"}]


def world(faults: list[Any]) -> Any:
    """A world in which something fails for now."""
    return world_around(sample(), faults=faults, latency={"reconcile": "0ms"})


def taken_up(found: Any) -> list[Any]:
    """What became of each incident that a round took up."""
    assert not found.faults
    return [each.answer and each.answer.outcome["status"] for each in found.leftovers]


async def begun(way: Road) -> None:
    """What a process leaves that died right after it had begun."""
    claim = parse(encode(way.notification)).finding
    store = folder_store(way.folder / "store")
    folder = f"incidents/{claim.incident_id}"
    await Journal(store, folder, "died", lambda: NOW).claim(1, "received", received(claim))


def healed(way: Road) -> None:
    """What failed works again."""
    way.emulator.world.faults = Faults()


async def test_an_incident_whose_deliveries_ran_out_is_finished(tmp_path: Path) -> None:
    """By the ordinary road: contained, on record, done; once."""
    async with road(tmp_path, world=world([])) as way:
        await begun(way)
        assert taken_up(await patrol(way.later(600))) == []
        found = await patrol(way.later(1500))
        assert taken_up(found) == ["contained"]
        assert (found.alarm, found.summary["finished"]) == (False, 1)
        assert way.stored("incidents/*/1000-done.json")
        assert way.stored(f"{CONTAINMENTS}/1/*-verified.json")
        assert taken_up(await patrol(way.later(3000))) == []
        assert await way.status() == "duplicate"


async def test_an_old_one_is_held_as_any_old_finding_is(tmp_path: Path) -> None:
    """The patrol finishes incidents under the same guards as a delivery."""
    async with road(tmp_path, world=world([])) as way:
        await begun(way)
        assert taken_up(await patrol(way.later(2 * 86_400))) == ["held"]
        assert service_of(way.emulator.world.dump())["scaling"].get("scalingMode") != "MANUAL"


async def test_one_that_cannot_be_finished_is_told(tmp_path: Path) -> None:
    """The fault is there still: an alarm, and the incident stays open."""
    async with road(tmp_path, world=world(OUTAGE)) as way:
        await begun(way)
        found = await patrol(way.later(1500))
        assert taken_up(found) == [None]
        assert found.alarm
        assert "cannot contain" in found.leftovers[0].note
        assert not way.stored("incidents/*/1000-done.json")


def test_it_is_tried_ever_more_seldom() -> None:
    """An outage of a month is a score of tries: records must not pile up."""
    records, tries = [record(1, "received")], 0
    for minutes in range(0, 30 * 24 * 60, 10):
        now = records[0].recorded_at + timedelta(minutes=minutes)
        if silent(records, now):
            tries += 1
            records.append(replace(record(1 + tries, "retried"), recorded_at=now))
    assert 8 < tries < 25
    assert not silent([], NOW)


async def test_a_settled_outcome_is_only_told(tmp_path: Path) -> None:
    """Concluded, not announced: the patrol announces just that."""
    topic = "projects/example-shop-prod/topics/outcomes"
    faults = [{"method": "Publish", "code": "INTERNAL"}]
    async with road(tmp_path, world=world(faults), topic=topic) as way:
        assert await way.status() == "retry"
        healed(way)
        way.policy(policy("dry-run"))
        assert taken_up(await patrol(way.later(3600))) == ["contained"]
        everything: Any = way.emulator.world.dump()["published"]
        assert [message["data"]["status"] for message in everything] == ["contained"]


async def test_one_whose_finding_is_gone_ends_all_the_same(tmp_path: Path) -> None:
    """Nobody can take it up again: failed, with the reason, once."""
    async with road(tmp_path, world=world([])) as way:
        await begun(way)
        way.emulator.world.findings.clear()
        found = await patrol(way.later(3600))
        assert taken_up(found) == ["failed"]
        answer = found.leftovers[0].answer
        assert answer
        assert answer.alarm
        outcome: Any = answer.outcome
        assert "does not list its finding" in outcome["decision"]["reasons"][0]
        assert outcome["workload"]["name"] == "storefront"
        assert taken_up(await patrol(way.later(7200))) == []


async def test_without_the_permission_to_ask_nothing_is_given_up(tmp_path: Path) -> None:
    """That is ours to mend: the incident stays open, and is told."""
    denied = [{"method": "ListFindings", "code": "PERMISSION_DENIED"}]
    async with road(tmp_path, world=world(denied)) as way:
        await begun(way)
        assert taken_up(await patrol(way.later(3600))) == [None]
        healed(way)
        assert taken_up(await patrol(way.later(7200))) == ["contained"]


async def test_one_that_is_none_of_our_business_by_now_has_an_end(tmp_path: Path) -> None:
    """Muted since: not acted on, and not taken up again for ever."""
    async with road(tmp_path, world=world([])) as way:
        await begun(way)
        for finding in way.emulator.world.findings:
            finding.result.finding.mute = Finding.Mute(Finding.Mute.MUTED)
        assert taken_up(await patrol(way.later(3600))) == ["ignored"]
        assert not way.containing
        assert taken_up(await patrol(way.later(7200))) == []


async def test_a_rehearsal_is_finished_too(tmp_path: Path) -> None:
    """Under the policy as it is by then; one that was overtaken in earnest is left alone."""
    topic = "projects/example-shop-prod/topics/outcomes"
    faults = [{"method": "Publish", "code": "INTERNAL"}]
    rules = policy("dry-run")
    async with road(tmp_path, world=world(faults), rules=rules, topic=topic) as way:
        assert await way.status() == "retry"
        assert way.stored("dry-runs/*/0999-concluded.json")
        healed(way)
        assert taken_up(await patrol(way.later(3600))) == ["planned"]
        assert way.stored("dry-runs/*/1000-done.json")
        assert taken_up(await patrol(way.later(7200))) == []


@pytest.mark.parametrize(("hours", "expired"), [(11, False), (13, True), (200, True)])
async def test_a_plan_that_nobody_approved_expires(
    tmp_path: Path, hours: int, *, expired: bool
) -> None:
    """After the policy's time, with an alarm; before that, and twice, nothing happens."""
    async with road(tmp_path, rules=policy("approve")) as way:
        assert await way.status() == "awaiting-approval"
        found = await patrol(way.later(hours * 3600))
        assert taken_up(found) == (["expired"] if expired else [])
        assert bool(way.stored("incidents/*/1001-expired.json")) is expired
        assert taken_up(await patrol(way.later(hours * 3600))) == []


async def test_a_plan_that_somebody_has_taken_up_does_not_expire(tmp_path: Path) -> None:
    """Whatever comes of it is theirs to say."""
    async with road(tmp_path, rules=policy("approve")) as way:
        assert await way.status() == "awaiting-approval"
        (done,) = way.stored("incidents/*/1000-done.json")
        path = way.folder / "store" / done.replace("1000-done", "1001-approved")
        path.write_text('{"recorded_at": "2026-10-06T12:14:00+00:00", "run": "a-person"}')
        assert taken_up(await patrol(way.later(100 * 3600))) == []
        assert taken_up(await patrol(way.later(101 * 3600))) == ["expired"]
