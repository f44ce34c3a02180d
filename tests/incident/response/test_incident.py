"""One incident from delivery to outcome, promise by promise."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from clients import Settings
from emulator.services.gate import CallPoint
from incident.model import Mode, Retry
from tests.support.constants import (
    CONTAINMENTS_FOLDER,
    SCALED_TO_ZERO,
    SERVICE,
    TOPIC,
    UPDATE_SERVICE,
)
from tests.support.environment import policy_yaml, responder_environment, statuses_of
from tests.support.findings import sample_notification
from tests.support.worlds import service_of, two_findings_on_one_service, world_around


async def test_an_enforcing_policy_scales_the_service_to_zero(tmp_path: Path) -> None:
    """A confirmed finding under an enforcing policy stops the service, verified."""
    async with responder_environment(tmp_path) as env:
        answer = await env.deliver()
        outcome: Any = answer.outcome.to_json()
        (change,) = outcome["changes"]
        assert (outcome["status"], outcome["mode"]) == ("contained", "enforce")
        assert change["state"] == "verified"
        assert env.service["scaling"] == SCALED_TO_ZERO
        assert not [target for target in env.service["traffic"] if "tag" in target]
        assert outcome["containment"] == f"{CONTAINMENTS_FOLDER}/1"
        assert outcome["drains_until"].startswith("2026-10-02T08:19:")


async def test_only_the_masked_fields_are_written_and_never_a_template(tmp_path: Path) -> None:
    """The containing write names scaling and traffic; the annotation is a write of its own."""
    async with responder_environment(tmp_path) as env:
        template = env.service["template"]
        await env.deliver()
        containing, annotating, *others = env.emulator.writes
        assert not [write for write in others if "service" in write.request]
        assert containing.mask == ["scaling", "traffic"]
        assert set(containing.request["service"]) == {"name", "scaling", "traffic"}
        assert annotating.mask == ["annotations"]
        assert set(annotating.request["service"]) == {"name", "annotations"}
        assert env.service["template"] == template


# Promise 1: nothing is contained that the policy does not name.


@pytest.mark.parametrize(
    ("rules", "reason"),
    [
        ("mode: enforce\n", "no action"),
        (policy_yaml(extra='categories: ["Reverse Shell"]\n'), "categor"),
        (policy_yaml(extra="protect: [{services: [store*]}]\n"), "protect"),
        (policy_yaml(extra='sources: ["42"]\n'), "source"),
    ],
)
async def test_what_the_policy_does_not_name_is_held(
    tmp_path: Path, rules: str, reason: str
) -> None:
    """Category, workload, action and source must be named, or a person decides."""
    async with responder_environment(tmp_path, policy_text=rules) as env:
        outcome: Any = (await env.deliver()).outcome.to_json()
        assert outcome["status"] == "held"
        assert reason in " ".join(outcome["decision"]["reasons"])
        assert env.emulator.writes == []


@pytest.mark.parametrize("rules", ["mode: enfroce\n", "", "contain: [1, 2]\n", None])
async def test_without_a_valid_policy_everything_is_held_and_evidence_gathered(
    tmp_path: Path, rules: str | None
) -> None:
    """A missing or invalid policy holds every finding, says why, and loses no evidence."""
    async with responder_environment(tmp_path, policy_text=rules or "") as env:
        if rules is None:
            (tmp_path / "policy.yaml").unlink()
        answer = await env.deliver()
        outcome: Any = answer.outcome.to_json()
        assert (outcome["status"], answer.alarm) == ("held", True)
        assert "policy" in outcome["decision"]["reasons"][0]
        assert outcome["assessment"]["confidence"] == "high"
        assert any("logs.jsonl" in path for path in env.stored_objects())
        assert env.emulator.writes == []


async def test_a_policy_that_cannot_be_read_now_is_retried(tmp_path: Path) -> None:
    """A transient fault of the policy's bucket has the message delivered again."""
    async with responder_environment(tmp_path, policy="gs://no-such-host-now/policy.yaml") as env:
        dead = env.settings.model_copy(
            update={"emulator": env.settings.emulator.model_copy(update={"http": "127.0.0.1:9"})}  # type: ignore[union-attr]
        )
        env.settings = dead
        assert await env.status() == "retry"


@pytest.mark.parametrize(
    ("ceiling", "mode", "status"),
    [
        (Mode.DRY_RUN, "enforce", "planned"),
        (Mode.APPROVE, "enforce", "awaiting-approval"),
        (Mode.ENFORCE, "dry-run", "planned"),
        (Mode.ENFORCE, "approve", "awaiting-approval"),
    ],
)
async def test_the_lower_of_ceiling_and_policy_is_the_mode(
    tmp_path: Path, ceiling: Mode, mode: str, status: str
) -> None:
    """Neither the environment nor the policy can raise what the other allows."""
    async with responder_environment(tmp_path, policy_text=policy_yaml(mode), mode=ceiling) as env:
        assert await env.status() == status
        assert not env.containment_writes


async def test_a_setting_that_is_missing_never_makes_it_act() -> None:
    """Without RESPONDER_MODE the ceiling is a dry run."""
    assert Settings().mode is Mode.DRY_RUN


# Promise 2: only a confirmed finding contains.


async def test_a_finding_that_is_not_listed_yet_is_retried_and_then_contained(
    tmp_path: Path,
) -> None:
    """SCC may list a finding seconds after it notified: the redelivery finds it."""
    notification = sample_notification()
    world = world_around(notification)
    async with responder_environment(tmp_path, world={**world, "findings": []}) as env:
        assert await env.status() == "retry"
        assert not env.emulator.writes
    async with responder_environment(tmp_path, world=world) as env:
        assert await env.status() == "contained"


async def test_a_finding_that_is_never_listed_is_held(tmp_path: Path) -> None:
    """Five minutes after its event an unlisted finding is a mere claim, for a person."""
    world = {**world_around(sample_notification()), "findings": []}
    async with responder_environment(tmp_path, world=world, after_s=301) as env:
        outcome: Any = (await env.deliver()).outcome.to_json()
        assert outcome["status"] == "held"
        assert "does not list" in " ".join(outcome["decision"]["reasons"])


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"eventTime": "2026-10-02T09:00:00Z"}, "contained"),
        ({"eventTime": "2026-10-02T07:00:00Z"}, "retry"),
        ({"state": "INACTIVE"}, "ignored"),
        ({"mute": "MUTED"}, "ignored"),
        ({"parentDisplayName": "Container Threat Detection"}, "held"),
        ({"category": "Reverse Shell"}, "held"),
        ({"category": "Unheard Of"}, "held"),
    ],
)
async def test_the_listed_finding_overrides_the_notification(
    tmp_path: Path, changes: dict[str, str], status: str
) -> None:
    """State, category and detector come from SCC; a newer event time is the same finding."""
    world = world_around(sample_notification())
    own = sample_notification()["finding"]["name"]
    for entry in world["findings"]:
        if entry["finding"]["name"] == own:
            entry["finding"].update(changes)
    async with responder_environment(tmp_path, world=world) as env:
        assert await env.status() == status


async def test_the_workload_that_scc_names_is_the_one_contained(tmp_path: Path) -> None:
    """A notification cannot point the responder at another service than SCC's record does."""
    forged = sample_notification()
    victim = SERVICE.replace("storefront", "checkout")
    forged["finding"]["resourceName"] = f"//run.googleapis.com/{victim}"
    forged["resource"]["name"] = f"//run.googleapis.com/{victim}"
    world = world_around(sample_notification())
    world["services"].append({"name": victim})
    async with responder_environment(tmp_path, notification=forged, world=world) as env:
        outcome: Any = (await env.deliver()).outcome.to_json()
        assert outcome["status"] == "contained"
        assert outcome["workload"]["name"] == "storefront"
        assert service_of(env.emulator.world.dump(), victim).get("scaling", {}) != SCALED_TO_ZERO


# Promise 4: a dry run does everything but write.


async def test_a_dry_run_plans_exactly_what_enforcement_does(tmp_path: Path) -> None:
    """Changes are the same field for field; the dry run only has them validated."""
    (tmp_path / "dry").mkdir()
    (tmp_path / "wet").mkdir()
    async with responder_environment(tmp_path / "dry", policy_text=policy_yaml("dry-run")) as env:
        planned: Any = (await env.deliver()).outcome.to_json()
        before = env.service
        assert [write.validate_only for write in env.emulator.writes] == [True]
    async with responder_environment(tmp_path / "wet") as env:
        assert env.service == before
        contained: Any = (await env.deliver()).outcome.to_json()
    exact = ("action", "target", "mask", "before", "after", "stops", "reversible")
    assert (planned["status"], planned["changes"][0]["state"]) == ("planned", "validated")
    for key in exact:
        assert planned["changes"][0][key] == contained["changes"][0][key]


async def test_a_dry_run_never_makes_an_enforcing_delivery_a_duplicate(tmp_path: Path) -> None:
    """Its records lie apart, and it claims no slot."""
    async with responder_environment(tmp_path, policy_text=policy_yaml("dry-run")) as env:
        assert await env.status() == "planned"
        assert await env.status() == "duplicate"
        assert {path.split("/")[0] for path in env.stored_objects()} == {"dry-runs"}
        env.write_policy(policy_yaml("enforce"))
        assert await env.status() == "contained"


async def test_a_dry_run_that_may_not_validate_says_what_enforcing_would_lack(
    tmp_path: Path,
) -> None:
    """Without the permission to write, the outcome keeps the plan and names the permission."""
    world = {
        **world_around(sample_notification()),
        "faults": [{"method": "UpdateService", "code": "PERMISSION_DENIED"}],
    }
    async with responder_environment(
        tmp_path, world=world, policy_text=policy_yaml("dry-run")
    ) as env:
        outcome: Any = (await env.deliver()).outcome.to_json()
        (change,) = outcome["changes"]
        assert (outcome["status"], change["state"]) == ("planned", "not-validated")
        assert "enforcing would lack run.services.update" in change["error"]


async def test_a_dry_run_on_a_stopped_workload_says_so(tmp_path: Path) -> None:
    """There is nothing to plan where all is as wanted already."""
    world = world_around(sample_notification())
    service_of(world)["scaling"] = SCALED_TO_ZERO
    service_of(world)["traffic"] = []
    async with responder_environment(
        tmp_path, world=world, policy_text=policy_yaml("dry-run")
    ) as env:
        assert await env.status() == "already-contained"
    async with responder_environment(tmp_path, world=world) as env:
        assert await env.status() == "already-contained"
        assert not env.emulator.writes


# Promise 5: before-image first.


async def test_a_snapshot_is_stored_before_each_write(
    tmp_path: Path,
) -> None:
    """Every write that arrives finds its own image in the store; none is ever overwritten."""
    seen: list[dict[str, bytes]] = []

    def check_moment(moment: CallPoint) -> None:
        if moment.method == UPDATE_SERVICE and moment.phase == "before":
            seen.append(env.stored_objects("containments/**/*-snapshot.json"))

    faults = [{"method": "UpdateService", "code": "ABORTED", "times": 2}]
    world = {**world_around(sample_notification()), "faults": faults}
    async with responder_environment(tmp_path, world=world, hook=check_moment) as env:
        original = env.service["scaling"]
        assert await env.status() == "contained"
        images = env.stored_objects("containments/**/*-snapshot.json")
        assert [len(found) for found in seen[:3]] == [1, 2, 3]
        assert all(images[path] == content for found in seen for path, content in found.items())
        (written,) = env.stored_objects("containments/**/*-written.json")
        image = env.read_record(
            f"{CONTAINMENTS_FOLDER}/1/{env.read_record(written)['snapshot']:04d}-snapshot.json"
        )
        assert image["changes"][0]["restores"]["scaling"].items() >= original.items()


async def test_a_concurrent_change_is_reported(tmp_path: Path) -> None:
    """When somebody wrote between our read and our write, the outcome says so."""

    def interfere(moment: CallPoint) -> None:
        if (
            moment.method == UPDATE_SERVICE
            and moment.phase == "before"
            and not env.containment_writes[1:]
        ):
            env.emulator.world.services[SERVICE].generation += 1

    async with responder_environment(tmp_path, hook=interfere) as env:
        outcome: Any = (await env.deliver()).outcome.to_json()
        assert outcome["status"] == "contained"
        assert "the snapshot may lack it" in " ".join(outcome["decision"]["reasons"])


# Promise 6: convergent.


@pytest.mark.parametrize("processes", [1, 2])
async def test_parallel_deliveries_make_one_containment(tmp_path: Path, processes: int) -> None:
    """Of many deliveries at once, one contains and the rest are duplicates."""
    async with responder_environment(tmp_path) as env:
        inboxes = [await env.start_process() for _ in range(processes)]
        answers = await statuses_of(*(env.deliver(process=inbox) for inbox in inboxes * 6))
        assert answers == ["contained", *["duplicate"] * (6 * processes - 1)]
        assert len(env.containment_writes) == 1
        assert len(env.stored_objects("incidents/**/1000-done.json")) == 1


@pytest.mark.parametrize("processes", [1, 2])
async def test_two_findings_on_one_service_are_one_containment(
    tmp_path: Path, processes: int
) -> None:
    """Both are contained, and refer to the same containment."""
    one, other, world = two_findings_on_one_service()
    async with responder_environment(tmp_path, notification=one, world=world) as env:
        generation = int(env.service["generation"])
        inboxes = [await env.start_process() for _ in range(processes)]
        answers = await statuses_of(
            env.deliver(one, process=inboxes[0]), env.deliver(other, process=inboxes[-1])
        )
        assert answers == ["contained", "contained"]
        assert len(env.containment_writes) == 1
        done = [
            env.read_record(path)["outcome"]
            for path in env.stored_objects("incidents/*/1000-done.json")
        ]
        assert {outcome["containment"] for outcome in done} == {f"{CONTAINMENTS_FOLDER}/1"}
        assert int(env.service["generation"]) == generation + 2, "contained and annotated once"


@pytest.mark.parametrize("applied", [True, False])
async def test_a_write_whose_answer_is_lost_is_found_out(tmp_path: Path, *, applied: bool) -> None:
    """Whether a write took effect is read, not assumed."""
    fault = {"method": "UpdateService", "code": "UNAVAILABLE", "times": 1, "applied": applied}
    async with responder_environment(
        tmp_path, world={**world_around(sample_notification()), "faults": [fault]}
    ) as env:
        original = env.service["scaling"]
        assert await env.status() == "contained"
        assert env.service["scaling"] == SCALED_TO_ZERO
        assert len(env.containment_writes) == (1 if applied else 2)
        (written,) = env.stored_objects("containments/**/*-written.json")
        image = env.read_record(
            f"{CONTAINMENTS_FOLDER}/1/{env.read_record(written)['snapshot']:04d}-snapshot.json"
        )
        assert image["changes"][0]["restores"]["scaling"].items() >= original.items()


# Promise 8: contained means verified and stopped.


async def test_a_write_that_does_not_take_effect_is_unverified(tmp_path: Path) -> None:
    """An accepted write is not a containment."""
    world = {**world_around(sample_notification()), "latency": {"reconcile": "30s"}}
    async with responder_environment(
        tmp_path, world=world, verify_timeout=timedelta(seconds=1)
    ) as env:
        answer = await env.deliver()
        outcome: Any = answer.outcome.to_json()
        assert (outcome["status"], answer.alarm) == ("unverified", True)
        assert outcome["changes"][0]["state"] == "unverified"
        assert "still at work" in outcome["changes"][0]["error"]


async def test_a_write_that_takes_effect_late_is_polled(tmp_path: Path) -> None:
    """The first read-back finds the service reconciling; the outcome has the last one."""
    world = {**world_around(sample_notification()), "latency": {"reconcile": "300ms"}}
    async with responder_environment(tmp_path, world=world) as env:
        answer = await env.deliver()
        outcome: Any = answer.outcome.to_json()
        assert (outcome["status"], answer.alarm) == ("contained", False)
        methods = [call.method for call in env.emulator.calls]
        reads = methods[methods.index(UPDATE_SERVICE) :].count(
            UPDATE_SERVICE.replace("Update", "Get")
        )
        assert reads > 1


async def test_a_broken_template_does_not_prevent_verification(
    tmp_path: Path,
) -> None:
    """A terminal condition that failed long ago says nothing about the containment."""
    world = world_around(sample_notification())
    service_of(world)["terminalCondition"] = {"type": "Ready", "state": "CONDITION_FAILED"}
    async with responder_environment(tmp_path, world=world) as env:
        assert await env.status() == "contained"


# Promise 13: a poisoned message never loops.


@pytest.mark.parametrize("data", [b"", b"not json", b"[]", b'{"finding": "x"}', b"\xff\xfe"])
async def test_a_malformed_message_is_quarantined(tmp_path: Path, data: bytes) -> None:
    """A malformed message is quarantined by its digest, logged once and acknowledged."""
    async with responder_environment(tmp_path) as env:
        answer = await env.deliver(data)
        assert (answer.outcome.status, answer.alarm) == ("malformed", True)
        (path,) = env.stored_objects()
        assert env.read_record(path)["sha256"] in path
        assert env.read_record(path)["size"] == len(data)
        assert await env.status(data) == "malformed"


@pytest.mark.parametrize(
    ("method", "code", "status"),
    [
        ("GetService", "UNAVAILABLE", "retry"),
        ("ListFindings", "UNAVAILABLE", "retry"),
        ("UpdateService", "INVALID_ARGUMENT", "failed"),
        ("ListRevisions", "INTERNAL", "contained"),
    ],
)
async def test_transient_faults_are_retried_and_permanent_ones_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, code: str, status: str
) -> None:
    """What time may heal comes again; what it will not is recorded; evidence is only a gap."""
    monkeypatch.setattr("clients.retries.PROMPT.__class__.options", _short_retries)
    world = {**world_around(sample_notification()), "faults": [{"method": method, "code": code}]}
    async with responder_environment(tmp_path, world=world) as env:
        assert await env.status() == status
        if status == "contained":
            (done,) = env.stored_objects("incidents/*/1000-done.json")
            assert env.read_record(done)["outcome"]["gaps"]
        if status != "contained":
            assert env.service["scaling"] != SCALED_TO_ZERO


def _short_retries(_: Any) -> dict[str, Any]:
    """No waiting for a service that will not answer."""
    return {"timeout": 5, "retry": None}


# Promise 14: the blast radius is bounded.


async def test_an_old_finding_is_held(tmp_path: Path) -> None:
    """After the policy's limit a person decides."""
    async with responder_environment(tmp_path, after_s=86_401) as env:
        outcome: Any = (await env.deliver()).outcome.to_json()
        assert outcome["status"] == "held"
        assert outcome["decision"]["reasons"] == [
            "the finding is 1 d 1 s old; the policy's limit is 1 d"
        ]


async def test_changing_the_policy_is_the_kill_switch(tmp_path: Path) -> None:
    """The policy is read again at the moment of writing, and nothing is written against it."""

    def change(moment: CallPoint) -> None:
        if moment.method.endswith("/GetService"):
            env.write_policy(policy_yaml("dry-run"))

    async with responder_environment(tmp_path, hook=change) as env:
        outcome: Any = (await env.deliver()).outcome.to_json()
        assert outcome["status"] == "held"
        assert not env.emulator.writes


async def test_the_responder_never_contains_itself(tmp_path: Path) -> None:
    """A finding on our own service is for a person."""
    async with responder_environment(
        tmp_path, K_SERVICE="storefront", store="gs://case-files"
    ) as env:
        answer = await env.deliver()
        assert (answer.outcome.status, answer.alarm) == ("held", True)


async def test_a_store_that_is_lost_with_the_instance_forbids_acting(tmp_path: Path) -> None:
    """On Cloud Run, anything but a bucket means a dry run."""
    async with responder_environment(tmp_path, K_SERVICE="responder") as env:
        assert await env.status() == "planned"
        assert not env.containment_writes


async def test_a_label_that_protects_raises_an_alarm(tmp_path: Path) -> None:
    """A hold by a label alarms: an attacker may have set the label."""
    world = world_around(sample_notification())
    service_of(world).setdefault("labels", {})["scc-responder"] = "protected"
    rules = policy_yaml(extra="protect: [{labels: {scc-responder: protected}}]\n")
    async with responder_environment(tmp_path, world=world, policy_text=rules) as env:
        answer = await env.deliver()
        assert (answer.outcome.status, answer.alarm) == ("held", True)


async def test_a_released_finding_is_not_contained_again(tmp_path: Path) -> None:
    """After a release, later events of the same finding are held."""
    async with responder_environment(tmp_path) as env:
        assert await env.status() == "contained"
        released = tmp_path / "store" / CONTAINMENTS_FOLDER / "1" / "0099-released.json"
        released.write_text('{"recorded_at": "2026-10-02T09:00:00+00:00", "run": "a-person"}')
        later = sample_notification()
        later["finding"]["eventTime"] = "2026-10-02T08:20:00Z"
    async with responder_environment(tmp_path, notification=later) as env:
        outcome: Any = (await env.deliver()).outcome.to_json()
        assert outcome["status"] == "held"
        assert "released" in outcome["decision"]["reasons"][0]


# Announcing.


async def test_the_outcome_is_announced_once_and_a_redelivery_finishes_what_is_missing(
    tmp_path: Path,
) -> None:
    """A topic that does not answer delays only the announcement, never makes a second write."""
    topic = TOPIC
    fault = {"method": "Publish", "code": "INTERNAL", "times": 1}
    world = {**world_around(sample_notification()), "faults": [fault]}
    async with responder_environment(tmp_path, world=world, topic=topic) as env:
        assert await env.status() == "retry"
        assert len(env.containment_writes) == 1
        assert await env.status() == "contained"
        assert await env.status() == "duplicate"
        everything: Any = env.emulator.world.dump()["published"]
        (published,) = everything
        assert published["topic"] == topic
        assert published["data"]["status"] == published["attributes"]["status"] == "contained"
        assert len(env.containment_writes) == 1


async def test_a_retry_is_not_an_acknowledgement(tmp_path: Path) -> None:
    """Work that is begun and not done is never answered as a duplicate."""
    world = {
        **world_around(sample_notification()),
        "faults": [{"method": "UpdateService", "code": "ABORTED"}],
    }
    async with responder_environment(tmp_path, world=world) as env:
        inbox = await env.start_process()
        with pytest.raises(Retry):
            await env.deliver(process=inbox)
        with pytest.raises(Retry):
            await env.deliver(process=await env.start_process())
        assert not env.stored_objects("incidents/*/1000-done.json")


def replace_in_json(notification: dict[str, Any], old: str, new: str) -> dict[str, Any]:
    """A notification with one text replaced everywhere."""
    replaced: dict[str, Any] = json.loads(json.dumps(notification).replace(old, new))
    return replaced
