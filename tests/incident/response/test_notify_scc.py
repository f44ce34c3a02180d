"""Updates of SCC findings: verified outcomes only, once."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from google.cloud.securitycenter_v2.types import Finding

from emulator.services.gate import CallPoint, Dropped
from incident.model import Status
from incident.model.outcome import Outcome
from incident.response.finding_update import EXTERNAL_SYSTEM, REPORTED_STATUSES, finding_update
from tests.support.constants import CONTAINMENTS_FOLDER, TOPIC
from tests.support.environment import (
    JsonDict,
    ResponderEnvironment,
    deliver_and_log,
    policy_yaml,
    responder_environment,
    statuses_of,
)
from tests.support.findings import sample_notification
from tests.support.worlds import two_findings_on_one_service, world_around

SCC_METHODS = "/google.cloud.securitycenter.v2.SecurityCenter/"
MARK, LINK = f"{SCC_METHODS}UpdateSecurityMarks", f"{SCC_METHODS}UpdateExternalSystem"
NAME = sample_notification()["finding"]["canonicalName"]


def current_finding(env: ResponderEnvironment, notification: JsonDict | None = None) -> JsonDict:
    """The finding in the world as it is now."""
    name = (notification or sample_notification())["finding"]["name"]
    dumped: Any = env.emulator.world.dump()["findings"]
    (entry,) = (entry for entry in dumped if entry["finding"]["name"] == name)
    found: JsonDict = entry["finding"]
    return found


def marks(env: ResponderEnvironment, notification: JsonDict | None = None) -> dict[str, str]:
    """Its security marks."""
    found: dict[str, str] = (
        current_finding(env, notification).get("securityMarks", {}).get("marks", {})
    )
    return found


def scc_writes(env: ResponderEnvironment) -> list[str]:
    """The methods of the writes to SCC that arrived, in order."""
    methods = [write.method for write in env.emulator.writes]
    return [
        method.removeprefix(SCC_METHODS) for method in methods if method.startswith(SCC_METHODS)
    ]


def world_with_finding_fields(finding: JsonDict | None = None, **changes: Any) -> JsonDict:
    """The sample's world, with parts of its finding replaced."""
    world = world_around(sample_notification(), **changes)
    for entry in world["findings"]:
        if entry["finding"]["name"] == sample_notification()["finding"]["name"]:
            entry["finding"].update(finding or {})
    return world


def records(env: ResponderEnvironment, kind: str) -> list[str]:
    """Paths of the records of a kind."""
    return list(env.stored_objects(f"**/*-{kind}.json"))


# What is written, and where.


async def test_a_containment_is_written_at_the_canonical_name(tmp_path: Path) -> None:
    """Status, incident, containment and the case file; after the write was read back."""
    async with responder_environment(tmp_path) as env:
        outcome: Any = (await env.deliver()).outcome.to_json()
        assert marks(env) == {
            "responder-status": "contained",
            "responder-incident": outcome["incident"],
            "responder-containment": f"{CONTAINMENTS_FOLDER}/1",
        }
        system = current_finding(env)["externalSystems"][EXTERNAL_SYSTEM]
        assert (system["status"], system["externalUid"]) == ("contained", outcome["incident"])
        assert system["caseUri"] == outcome["links"]["case_file"]
        assert scc_writes(env) == ["UpdateSecurityMarks", "UpdateExternalSystem"]
        mark, link = (
            write for write in env.emulator.writes if write.method.startswith(SCC_METHODS)
        )
        assert mark.request["securityMarks"]["name"] == f"{NAME}/securityMarks"
        assert set(mark.mask) == {f"marks.{key}" for key in marks(env)}
        assert link.request["externalSystem"]["name"] == f"{NAME}/externalSystems/{EXTERNAL_SYSTEM}"
        assert link.mask == ["status", "external_uid", "case_uri"]
        (record,) = records(env, "written-back")
        assert env.read_record(record)["finding"] == NAME
        methods = [call.method for call in env.emulator.calls]
        read_back = (
            len(methods) - 1 - methods[::-1].index("/google.cloud.run.v2.Services/GetService")
        )
        assert methods.index(MARK) > read_back


async def test_marks_and_systems_of_others_are_kept(tmp_path: Path) -> None:
    """Their marks, their systems, and what they wrote into ours."""
    there: dict[str, Any] = {
        "securityMarks": {"marks": {"owner": "web", "responder-note": "mine"}},
        "externalSystems": {"jira": {"status": "open"}, EXTERNAL_SYSTEM: {"assignees": ["soc"]}},
    }
    async with responder_environment(tmp_path, world=world_with_finding_fields(there)) as env:
        assert await env.status() == "contained"
        assert marks(env).items() >= there["securityMarks"]["marks"].items()
        systems = current_finding(env)["externalSystems"]
    assert systems["jira"] == {"status": "open"}
    assert systems[EXTERNAL_SYSTEM]["assignees"] == ["soc"]


async def test_a_restriction_is_written_as_restricted(tmp_path: Path) -> None:
    """It was read back, and it is not called contained."""
    rules = "mode: enforce\ncontain: {service: [restrict-ingress]}\n"
    async with responder_environment(tmp_path, policy_text=rules) as env:
        assert await env.status() == "restricted"
        assert marks(env)["responder-status"] == "restricted"


async def test_every_finding_of_a_workload_is_updated(tmp_path: Path) -> None:
    """A second finding refers to the same containment, by an incident of its own."""
    one, other, world = two_findings_on_one_service()
    async with responder_environment(tmp_path, notification=one, world=world) as env:
        assert [await env.status(one), await env.status(other)] == ["contained", "contained"]
        reported = [marks(env, one), marks(env, other)]
    assert {mark["responder-containment"] for mark in reported} == {f"{CONTAINMENTS_FOLDER}/1"}
    assert len({mark["responder-incident"] for mark in reported}) == 2


async def test_a_name_equal_to_an_environment_value_is_still_used(tmp_path: Path) -> None:
    """The name is not taken from the redacted outcome, which the attacker can have marked."""
    hostile = sample_notification()
    values = ("findings", "sources", NAME.rpartition("/")[2], "1234567890123456789")
    hostile["finding"]["processes"][0]["envVariables"] = [
        {"name": f"TOKEN_{number}", "val": value} for number, value in enumerate(values)
    ]
    async with responder_environment(tmp_path, notification=hostile) as env:
        outcome: Any = (await env.deliver()).outcome.to_json()
        assert "[redacted:" in outcome["finding"]["canonical_name"]
        assert marks(env, hostile)["responder-status"] == "contained"


# What is never written.


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"policy_text": policy_yaml("dry-run")}, "planned"),
        ({"policy_text": policy_yaml("approve")}, "awaiting-approval"),
        ({"policy_text": policy_yaml(extra="protect: [{services: [storefront]}]\n")}, "held"),
        ({"notification": sample_notification("muted")}, "ignored"),
        ({"notification": sample_notification("detector-disagrees")}, "held"),
        (
            {"world": {**world_around(sample_notification()), "findings": []}, "after_s": 400},
            "held",
        ),
        (
            {
                "world": world_with_finding_fields(
                    faults=[{"method": "UpdateService", "code": "NOT_FOUND"}]
                )
            },
            "failed",
        ),
        (
            {
                "world": world_with_finding_fields(latency={"reconcile": "30s"}),
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
    async with responder_environment(tmp_path, **changes) as env:
        assert await env.status() == status
        assert scc_writes(env) == []
        assert env.emulator.notifications.messages == []
        assert not [path for path in env.stored_objects() if "written-back" in path]


async def test_a_workload_stopped_by_others_is_not_claimed(tmp_path: Path) -> None:
    """Without a containment of the responder SCC is not updated."""
    world = world_around(sample_notification())
    stopped = {"scalingMode": "MANUAL", "manualInstanceCount": 0}
    world["services"][0].update(scaling=stopped, traffic=[])
    async with responder_environment(tmp_path, world=world) as env:
        assert await env.status() == "already-contained"
        assert scc_writes(env) == []


@pytest.mark.parametrize("status", sorted(set(Status) - REPORTED_STATUSES))
def test_no_other_status_is_written_to_scc(status: Status) -> None:
    """Statuses without a verified write are not written, even with a containment."""
    outcome = Outcome(status, incident="i", containment="c")
    assert finding_update(outcome, NAME) is None


# Crashes and faults.


@pytest.mark.parametrize("method", [MARK, LINK])
@pytest.mark.parametrize("phase", ["before", "after"])
async def test_a_redelivery_finishes_what_a_lost_call_left(
    tmp_path: Path, method: str, phase: str
) -> None:
    """Lost before or after its effect; what is there already is not written again."""
    lost: list[CallPoint] = []

    def lose(moment: CallPoint) -> None:
        if (moment.method, moment.phase) == (method, phase) and not lost:
            lost.append(moment)
            for inbox in env.processes:
                for task in inbox._running.values():  # noqa: SLF001 - a crash asks nobody
                    task.cancel()
            if phase == "before":
                raise Dropped

    async with responder_environment(
        tmp_path, hook=lose, topic=TOPIC, peer_wait=timedelta(seconds=0.1)
    ) as env:
        with pytest.raises(asyncio.CancelledError):
            await env.deliver()
        assert not records(env, "written-back")
        later = env.later(5)
        assert await later.status() == "contained"
        assert marks(env)["responder-status"] == "contained"
        assert current_finding(env)["externalSystems"][EXTERNAL_SYSTEM]["status"] == "contained"
        counts = Counter(scc_writes(env))
        # Both go side by side: where the record is missing, either may be sent again.
        assert counts.keys() == {"UpdateSecurityMarks", "UpdateExternalSystem"}
        assert max(counts.values()) <= 2
        assert len(records(env, "written-back")) == len(records(env, "done")) == 1
        published: Any = env.emulator.world.dump()["published"]
        # It goes side by side with them, too.
        assert {message["attributes"]["status"] for message in published} == {"contained"}
        assert len(published) <= 2


async def test_an_scc_outage_retries_the_delivery_and_delays_nothing_else(tmp_path: Path) -> None:
    """The outcome is published once meanwhile; the incident is done only after SCC was updated."""
    world = world_with_finding_fields(
        faults=[{"method": "UpdateSecurityMarks", "code": "INTERNAL", "times": 1}]
    )
    async with responder_environment(tmp_path, world=world, topic=TOPIC) as env:
        assert await env.status() == "retry"
        assert len(env.emulator.world.published) == 1
        assert not records(env, "done")
        assert await env.status() == "contained"
        assert marks(env)["responder-status"] == "contained"
        assert (len(env.emulator.world.published), len(env.containment_writes)) == (1, 1)


async def test_a_redelivery_that_finishes_keeps_the_alarm(tmp_path: Path) -> None:
    """A restricted workload alarms, whichever delivery logs it."""
    faults = [{"method": "UpdateSecurityMarks", "code": "INTERNAL", "times": 1}]
    rules = "mode: enforce\ncontain: {service: [restrict-ingress]}\n"
    async with responder_environment(
        tmp_path, policy_text=rules, world=world_with_finding_fields(faults=faults)
    ) as env:
        assert await env.status() == "retry"
        answer = await env.deliver()
    assert (answer.outcome.status, answer.alarm) == ("restricted", True)


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
    world = world_with_finding_fields(faults=[{"method": method, "code": "PERMISSION_DENIED"}])
    async with responder_environment(tmp_path, world=world, topic=TOPIC) as env:
        answer, printed = await deliver_and_log(env)
        assert answer
        outcome: Any = answer.outcome.to_json()
        assert (outcome["status"], answer.alarm) == ("contained", True)
        (gap,) = (gap for gap in outcome["gaps"] if gap["collector"] == "write-back")
        assert f"permission {permission} is missing" in gap["reason"]
        assert '"severity": "ERROR"' in printed
        (done,) = records(env, "done")
        assert gap in env.read_record(done)["outcome"]["gaps"]
        assert len(env.emulator.world.published) == 1
        assert (len(scc_writes(env)), len(records(env, "not-written-back"))) == (2, 1)
        assert bool(marks(env)) == (method == "UpdateExternalSystem")
        assert await env.status() == "duplicate"
        assert len(scc_writes(env)) == 2


# Our own writes come back.


async def test_notifications_of_own_writes_start_nothing(tmp_path: Path) -> None:
    """Every notification of our own writes is a duplicate, and causes no write of any kind."""
    async with responder_environment(tmp_path, topic=TOPIC) as env:
        await env.deliver()
        messages = list(env.emulator.notifications.messages)
        stored, writes = env.stored_objects(), len(env.emulator.writes)
        assert len(messages) == 2
        assert "responder-status" in messages[0].decode()
        assert EXTERNAL_SYSTEM in json.loads(messages[1])["finding"]["externalSystems"]
        another = await env.start_process()
        for message in messages:
            assert await env.status(message) == "duplicate"
            assert (await env.deliver(message, process=another)).outcome.status == "duplicate"
        assert env.stored_objects() == stored
        assert len(env.emulator.writes) == writes
        assert len(env.emulator.notifications.messages) == 2
        assert len(env.emulator.world.published) == 1


@pytest.mark.parametrize("same_process", [True, False])
async def test_a_notification_of_an_own_write_waits_for_the_running_delivery(
    tmp_path: Path, *, same_process: bool
) -> None:
    """It arrives while its writer has the rest to do: it reads and does nothing, a duplicate."""
    echoes: list[asyncio.Task[Any]] = []
    world = world_with_finding_fields(latency={"UpdateExternalSystem": "300ms", "Publish": "300ms"})
    async with responder_environment(tmp_path, world=world, topic=TOPIC) as env:
        first = await env.start_process()
        hearing = first if same_process else await env.start_process()

        def echo(message: bytes) -> None:
            assert not records(env, "done")
            echoes.append(asyncio.ensure_future(env.deliver(message, process=hearing)))

        env.emulator.notifications.listeners.append(echo)
        answer = await env.deliver(process=first)
        assert answer.outcome.status == "contained"
        assert await statuses_of(*echoes) == ["duplicate", "duplicate"]
        assert scc_writes(env) == ["UpdateSecurityMarks", "UpdateExternalSystem"]
        assert len(env.containment_writes) == 1
        assert len(env.emulator.world.published) == 1
        assert len(records(env, "written-back")) == len(records(env, "received")) == 1
        methods = Counter(call.method.rpartition("/")[2] for call in env.emulator.calls)
        once_per_run = ("GetIamPolicy", "ListRevisions", "Publish")
        assert [methods[method] for method in once_per_run] == [1, 1, 1]


async def test_an_event_time_moved_by_own_writes_does_not_loop(tmp_path: Path) -> None:
    """If an update counted as an event, that event would not cause another update."""
    async with responder_environment(tmp_path, after_s=60) as env:
        moved = 0

        def move(_: bytes) -> None:
            nonlocal moved
            moved += 1
            for entry in env.emulator.world.findings:
                if entry.result.finding.canonical_name == NAME:
                    later = datetime.fromisoformat(entry.data["finding"]["eventTime"])
                    later += timedelta(seconds=1)
                    Finding.pb(entry.result.finding).event_time.FromDatetime(later)
                    entry.data["finding"]["eventTime"] = later.isoformat()

        env.emulator.notifications.listeners.append(move)
        assert await env.status() == "contained"
        reported, delivered = [], 0
        while delivered < len(env.emulator.notifications.messages) and delivered < 10:
            message = json.loads(env.emulator.notifications.messages[delivered])
            message["finding"]["eventTime"] = current_finding(env)["eventTime"]
            reported.append(await env.status(message))
            delivered += 1
        assert reported == ["contained", "duplicate"]
        assert (moved, len(env.containment_writes)) == (2, 1)
        assert scc_writes(env) == ["UpdateSecurityMarks", "UpdateExternalSystem"]


# Announcing.


@pytest.mark.parametrize(("mode", "status"), [("enforce", "contained"), ("dry-run", "planned")])
async def test_an_announcement_has_attributes_to_filter_on(
    tmp_path: Path, mode: str, status: str
) -> None:
    """Status, severity, project and kind of workload, as they reach the topic."""
    async with responder_environment(tmp_path, policy_text=policy_yaml(mode), topic=TOPIC) as env:
        outcome: Any = (await env.deliver()).outcome.to_json()
        (message,) = env.emulator.world.published
    assert message["attributes"] == {
        "status": status,
        "incident": outcome["incident"],
        "severity": "CRITICAL",
        "project": "example-shop-prod",
        "workload_kind": "service",
        "simulated": "true",
        "format": "outcome",
    }
    assert message["data"]["status"] == status
    assert message["data"]["simulated"] is True
