"""Security Command Center is told what was verified, once, and hears of nothing else."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from google.cloud.securitycenter_v2.types import Finding

from emulator.services.gate import Dropped, Moment
from incident.model import Status
from incident.response.notify_scc import SAID, SYSTEM, statement
from tests.support.environment import (
    CONTAINMENTS,
    Road,
    World,
    policy,
    printed_by,
    road,
    sample,
    settled,
    two_on_one_service,
    world_around,
)

CENTER = "/google.cloud.securitycenter.v2.SecurityCenter/"
MARK, LINK = f"{CENTER}UpdateSecurityMarks", f"{CENTER}UpdateExternalSystem"
NAME = sample()["finding"]["canonicalName"]
TOPIC = "projects/example-shop-prod/topics/outcomes"


def finding(way: Road, notification: World | None = None) -> World:
    """The finding in the world as it is now."""
    name = (notification or sample())["finding"]["name"]
    dumped: Any = way.emulator.world.dump()["findings"]
    (entry,) = (entry for entry in dumped if entry["finding"]["name"] == name)
    found: World = entry["finding"]
    return found


def marks(way: Road, notification: World | None = None) -> dict[str, str]:
    """Its security marks."""
    found: dict[str, str] = finding(way, notification).get("securityMarks", {}).get("marks", {})
    return found


def written(way: Road) -> list[str]:
    """The methods of the writes to SCC that arrived, in order."""
    methods = [write.method for write in way.emulator.writes]
    return [method.removeprefix(CENTER) for method in methods if method.startswith(CENTER)]


def world_with(finding: World | None = None, **changes: Any) -> World:
    """The sample's world, with parts of its finding replaced."""
    world = world_around(sample(), **changes)
    for entry in world["findings"]:
        if entry["finding"]["name"] == sample()["finding"]["name"]:
            entry["finding"].update(finding or {})
    return world


def records(way: Road, kind: str) -> list[str]:
    """Paths of the records of a kind."""
    return list(way.stored(f"**/*-{kind}.json"))


# What is said, and where.


async def test_what_was_contained_is_said_at_the_canonical_name(tmp_path: Path) -> None:
    """Status, incident, containment and the case file; after the write was read back."""
    async with road(tmp_path) as way:
        outcome: Any = (await way.deliver()).outcome
        assert marks(way) == {
            "responder-status": "contained",
            "responder-incident": outcome["incident"],
            "responder-containment": f"{CONTAINMENTS}/1",
        }
        system = finding(way)["externalSystems"][SYSTEM]
        assert (system["status"], system["externalUid"]) == ("contained", outcome["incident"])
        assert system["caseUri"] == outcome["links"]["case_file"]
        assert written(way) == ["UpdateSecurityMarks", "UpdateExternalSystem"]
        mark, link = (write for write in way.emulator.writes if write.method.startswith(CENTER))
        assert mark.request["securityMarks"]["name"] == f"{NAME}/securityMarks"
        assert set(mark.mask) == {f"marks.{key}" for key in marks(way)}
        assert link.request["externalSystem"]["name"] == f"{NAME}/externalSystems/{SYSTEM}"
        assert link.mask == ["status", "external_uid", "case_uri"]
        (record,) = records(way, "written-back")
        assert way.record(record)["finding"] == NAME
        methods = [call.method for call in way.emulator.calls]
        read_back = (
            len(methods) - 1 - methods[::-1].index("/google.cloud.run.v2.Services/GetService")
        )
        assert methods.index(MARK) > read_back


async def test_what_others_say_of_the_finding_stays(tmp_path: Path) -> None:
    """Their marks, their systems, and what they wrote into ours."""
    there: dict[str, Any] = {
        "securityMarks": {"marks": {"owner": "web", "responder-note": "mine"}},
        "externalSystems": {"jira": {"status": "open"}, SYSTEM: {"assignees": ["soc"]}},
    }
    async with road(tmp_path, world=world_with(there)) as way:
        assert await way.status() == "contained"
        assert marks(way).items() >= there["securityMarks"]["marks"].items()
        systems = finding(way)["externalSystems"]
    assert systems["jira"] == {"status": "open"}
    assert systems[SYSTEM]["assignees"] == ["soc"]


async def test_what_is_restricted_is_said_as_that(tmp_path: Path) -> None:
    """It was read back, and it is not called contained."""
    rules = "mode: enforce\ncontain: {service: [restrict-ingress]}\n"
    async with road(tmp_path, rules=rules) as way:
        assert await way.status() == "restricted"
        assert marks(way)["responder-status"] == "restricted"


async def test_each_finding_of_a_workload_is_told(tmp_path: Path) -> None:
    """A second finding refers to the same containment, by an incident of its own."""
    one, other, world = two_on_one_service()
    async with road(tmp_path, notification=one, world=world) as way:
        assert [await way.status(one), await way.status(other)] == ["contained", "contained"]
        told = [marks(way, one), marks(way, other)]
    assert {mark["responder-containment"] for mark in told} == {f"{CONTAINMENTS}/1"}
    assert len({mark["responder-incident"] for mark in told}) == 2


async def test_an_environment_that_has_words_of_the_name_does_not_hide_it(tmp_path: Path) -> None:
    """The name is not taken from the redacted outcome, which the attacker can have marked."""
    hostile = sample()
    values = ("findings", "sources", NAME.rpartition("/")[2], "1234567890123456789")
    hostile["finding"]["processes"][0]["envVariables"] = [
        {"name": f"TOKEN_{number}", "val": value} for number, value in enumerate(values)
    ]
    async with road(tmp_path, notification=hostile) as way:
        outcome: Any = (await way.deliver()).outcome
        assert "[redacted:" in outcome["finding"]["canonical_name"]
        assert marks(way, hostile)["responder-status"] == "contained"


# What is never said.


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"rules": policy("dry-run")}, "planned"),
        ({"rules": policy("approve")}, "awaiting-approval"),
        ({"rules": policy(extra="protect: [{services: [storefront]}]\n")}, "held"),
        ({"notification": sample("muted")}, "ignored"),
        ({"notification": sample("detector-disagrees")}, "held"),
        ({"world": {**world_around(sample()), "findings": []}, "after_s": 400}, "held"),
        (
            {"world": world_with(faults=[{"method": "UpdateService", "code": "NOT_FOUND"}])},
            "failed",
        ),
        (
            {
                "world": world_with(latency={"reconcile": "30s"}),
                "verify_timeout": timedelta(seconds=0.2),
            },
            "unverified",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_was_not_verified_writes_nothing(
    tmp_path: Path, changes: dict[str, Any], status: str
) -> None:
    """Neither to the finding nor to the record of having written."""
    async with road(tmp_path, **changes) as way:
        assert await way.status() == status
        assert written(way) == []
        assert way.emulator.notifications.messages == []
        assert not [path for path in way.stored() if "written-back" in path]


async def test_what_was_stopped_by_others_is_not_said_to_be_ours(tmp_path: Path) -> None:
    """There is no containment of ours to point at."""
    world = world_around(sample())
    stopped = {"scalingMode": "MANUAL", "manualInstanceCount": 0}
    world["services"][0].update(scaling=stopped, traffic=[])
    async with road(tmp_path, world=world) as way:
        assert await way.status() == "already-contained"
        assert written(way) == []


@pytest.mark.parametrize("status", sorted(set(Status) - SAID))
def test_no_other_status_is_ever_said(status: Status) -> None:
    """Whoever asks."""
    outcome = {"status": status.value, "incident": "i", "containment": "c"}
    assert statement(outcome, NAME) is None


# Crashes and faults.


@pytest.mark.parametrize("method", [MARK, LINK])
@pytest.mark.parametrize("phase", ["before", "after"])
async def test_a_redelivery_finishes_what_a_lost_call_left(
    tmp_path: Path, method: str, phase: str
) -> None:
    """Lost before or after its effect; what is there already is not written again."""
    lost: list[Moment] = []

    def lose(moment: Moment) -> None:
        if (moment.method, moment.phase) == (method, phase) and not lost:
            lost.append(moment)
            for inbox in way.inboxes:
                for task in inbox._running.values():  # noqa: SLF001 - a crash asks nobody
                    task.cancel()
            if phase == "before":
                raise Dropped

    async with road(tmp_path, hook=lose, topic=TOPIC, peer_wait=timedelta(seconds=0.1)) as way:
        with pytest.raises(asyncio.CancelledError):
            await way.deliver()
        assert not records(way, "written-back")
        later = way.later(5)
        assert await later.status() == "contained"
        assert marks(way)["responder-status"] == "contained"
        assert finding(way)["externalSystems"][SYSTEM]["status"] == "contained"
        once = ["UpdateSecurityMarks", "UpdateExternalSystem"]
        again = [] if phase == "after" else [method.removeprefix(CENTER)]
        assert sorted(written(way)) == sorted(once + again)
        assert len(records(way, "written-back")) == len(records(way, "done")) == 1
        published: Any = way.emulator.world.dump()["published"]
        assert [message["attributes"]["status"] for message in published] == ["contained"]


async def test_scc_away_has_the_delivery_come_again_and_holds_up_nobody(tmp_path: Path) -> None:
    """The outcome is announced meanwhile, once, and it is not done before SCC was told."""
    world = world_with(faults=[{"method": "UpdateSecurityMarks", "code": "INTERNAL", "times": 1}])
    async with road(tmp_path, world=world, topic=TOPIC) as way:
        assert await way.status() == "retry"
        assert len(way.emulator.world.published) == 1
        assert not records(way, "done")
        assert await way.status() == "contained"
        assert marks(way)["responder-status"] == "contained"
        assert (len(way.emulator.world.published), len(way.containing)) == (1, 1)


async def test_an_alarm_is_still_one_when_a_redelivery_finishes(tmp_path: Path) -> None:
    """A person must look at what is only restricted, whoever logs it in the end."""
    faults = [{"method": "UpdateSecurityMarks", "code": "INTERNAL", "times": 1}]
    rules = "mode: enforce\ncontain: {service: [restrict-ingress]}\n"
    async with road(tmp_path, rules=rules, world=world_with(faults=faults)) as way:
        assert await way.status() == "retry"
        answer = await way.deliver()
    assert (answer.outcome["status"], answer.alarm) == ("restricted", True)


@pytest.mark.parametrize(
    ("method", "permission"),
    [
        ("UpdateSecurityMarks", "securitycenter.findingsecuritymarks.update"),
        ("UpdateExternalSystem", "securitycenter.findingexternalsystems.update"),
    ],
)
async def test_a_missing_permission_is_a_gap_and_an_error(
    tmp_path: Path, method: str, permission: str
) -> None:
    """It names what to grant; the status stays, the other call is made, nothing is retried."""
    world = world_with(faults=[{"method": method, "code": "PERMISSION_DENIED"}])
    async with road(tmp_path, world=world, topic=TOPIC) as way:
        answer, printed = await printed_by(way)
        assert answer
        outcome: Any = answer.outcome
        assert (outcome["status"], answer.alarm) == ("contained", True)
        (gap,) = (gap for gap in outcome["gaps"] if gap["collector"] == "write-back")
        assert f"permission {permission} is missing" in gap["reason"]
        assert '"severity": "ERROR"' in printed
        (message,) = way.emulator.world.published
        assert gap in message["data"]["gaps"]
        assert (len(written(way)), len(records(way, "not-written-back"))) == (2, 1)
        assert bool(marks(way)) == (method == "UpdateExternalSystem")
        assert await way.status() == "duplicate"
        assert len(written(way)) == 2


# Our own writes come back.


async def test_what_comes_back_of_our_writes_starts_nothing(tmp_path: Path) -> None:
    """Every notification of our own writes is a duplicate, and causes no write of any kind."""
    async with road(tmp_path, topic=TOPIC) as way:
        await way.deliver()
        messages = list(way.emulator.notifications.messages)
        stored, writes = way.stored(), len(way.emulator.writes)
        assert len(messages) == 2
        assert "responder-status" in messages[0].decode()
        assert SYSTEM in json.loads(messages[1])["finding"]["externalSystems"]
        another = await way.inbox()
        for message in messages:
            assert await way.status(message) == "duplicate"
            assert (await way.deliver(message, inbox=another)).outcome["status"] == "duplicate"
        assert way.stored() == stored
        assert len(way.emulator.writes) == writes
        assert len(way.emulator.notifications.messages) == 2
        assert len(way.emulator.world.published) == 1


@pytest.mark.parametrize("same_process", [True, False])
async def test_what_comes_back_before_we_are_done_waits(
    tmp_path: Path, *, same_process: bool
) -> None:
    """It arrives while its writer has the rest to do: it does none of it, and is a duplicate."""
    echoes: list[asyncio.Task[Any]] = []
    world = world_with(latency={"UpdateExternalSystem": "300ms", "Publish": "300ms"})
    async with road(tmp_path, world=world, topic=TOPIC) as way:
        first = await way.inbox()
        hearing = first if same_process else await way.inbox()

        def echo(message: bytes) -> None:
            assert not records(way, "done")
            echoes.append(asyncio.ensure_future(way.deliver(message, inbox=hearing)))

        way.emulator.notifications.listeners.append(echo)
        answer = await way.deliver(inbox=first)
        assert answer.outcome["status"] == "contained"
        assert await settled(*echoes) == ["duplicate", "duplicate"]
        assert written(way) == ["UpdateSecurityMarks", "UpdateExternalSystem"]
        assert len(way.containing) == 1
        assert len(way.emulator.world.published) == 1
        assert len(records(way, "written-back")) == len(records(way, "received")) == 1


async def test_a_time_that_moves_with_each_of_our_writes_comes_to_an_end(tmp_path: Path) -> None:
    """If SCC took our writes for events, they would join the containment and say nothing anew."""
    async with road(tmp_path, after_s=60) as way:
        moved = 0

        def move(_: bytes) -> None:
            nonlocal moved
            moved += 1
            for entry in way.emulator.world.findings:
                if entry.result.finding.canonical_name == NAME:
                    later = datetime.fromisoformat(entry.data["finding"]["eventTime"])
                    later += timedelta(seconds=1)
                    Finding.pb(entry.result.finding).event_time.FromDatetime(later)
                    entry.data["finding"]["eventTime"] = later.isoformat()

        way.emulator.notifications.listeners.append(move)
        assert await way.status() == "contained"
        told, heard = [], 0
        while heard < len(way.emulator.notifications.messages) and heard < 10:
            message = json.loads(way.emulator.notifications.messages[heard])
            message["finding"]["eventTime"] = finding(way)["eventTime"]
            told.append(await way.status(message))
            heard += 1
        assert told == ["contained", "duplicate"]
        assert (moved, len(way.containing)) == (2, 1)
        assert written(way) == ["UpdateSecurityMarks", "UpdateExternalSystem"]


# Announcing.


@pytest.mark.parametrize(("mode", "status"), [("enforce", "contained"), ("dry-run", "planned")])
async def test_an_announcement_has_attributes_to_filter_on(
    tmp_path: Path, mode: str, status: str
) -> None:
    """Status, severity, project and kind of workload, as they reach the topic."""
    async with road(tmp_path, rules=policy(mode), topic=TOPIC) as way:
        outcome: Any = (await way.deliver()).outcome
        (message,) = way.emulator.world.published
    assert message["attributes"] == {
        "status": status,
        "incident": outcome["incident"],
        "severity": "CRITICAL",
        "project": "example-shop-prod",
        "workload_kind": "service",
    }
    assert message["data"]["status"] == status
