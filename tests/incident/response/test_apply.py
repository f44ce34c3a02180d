"""Approving a recorded plan and containing manually: what is written, reported and refused."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from google.cloud import run_v2
from google.cloud.securitycenter_v2 import Finding
from obstore.store import from_url

from clients.store import Store
from incident.actions.changes import change_json
from incident.case_file.index import CaseSummary
from incident.case_file.journal import Record
from incident.decision.process import read_policy
from incident.model import GiveUp, Kind, Mode
from incident.policy.resolve import Policy
from incident.response.approvals import (
    approval_request,
    expire_approval,
    finishing_request,
    is_stale,
)
from incident.response.pipeline import respond
from incident.response.refusals import RequestRefused
from tests.support.constants import ALL_ACTIONS, DEDICATED_ACCOUNTS, SAMPLE_OF_KIND
from tests.support.environment import ResponderEnvironment, policy_yaml, responder_environment
from tests.support.findings import sample_notification
from tests.support.manual_containment import OPERATOR_EMAIL, command_line_user
from tests.support.model import NOW
from tests.support.worlds import two_findings_on_one_service, world_around

CLOUD_RUN = "/google.cloud.run.v2."
SHORT_EXPIRY = timedelta(milliseconds=20)
WAITING = policy_yaml("approve")
PLANNED_KEYS = ("action", "kind", "target", "mask", "before", "after", "stops", "reversible")


def workload_writes(env: ResponderEnvironment) -> list[str]:
    """What was written to the workload, without the annotation, by the last part of the method."""
    return [
        write.method.rpartition("/")[2]
        for write in env.emulator.writes
        if write.method.startswith(CLOUD_RUN)
        and not write.validate_only
        and write.mask != ["annotations"]
    ]


def sent_writes(env: ResponderEnvironment) -> list[tuple[str, list[str], Any]]:
    """What was written where, as an outcome shows changes."""
    found: list[tuple[str, list[str], Any]] = []
    for write in env.emulator.writes:
        request: Any = write.request
        if write.method.endswith("/DisableServiceAccount"):
            found.append((request["name"], ["disabled"], {"disabled": True}))
        if not write.method.startswith(CLOUD_RUN):
            continue
        if write.method.endswith("/SetIamPolicy"):
            bindings = request["policy"].get("bindings", [])
            found.append((request["resource"], ["bindings"], {"bindings": bindings}))
        elif write.method.endswith("/CancelExecution"):
            found.append((request["name"], [], {"state": "CANCELLED"}))
        elif write.method.endswith("/StopInstance"):
            found.append((request["name"], [], {}))
        elif write.mask and write.mask != ["annotations"]:
            resource = request.get("service") or request["workerPool"]
            fields = {key: value for key, value in resource.items() if key != "name"}
            found.append((resource["name"], write.mask, fields))
    return found


def announced_statuses(env: ResponderEnvironment) -> list[str]:
    """The statuses that were announced, in order."""
    messages: Any = env.emulator.world.dump()["published"]
    return [message["attributes"]["status"] for message in messages]


def planned_changes(outcome: Any) -> list[Any]:
    """The changes of an outcome, without how far they came."""
    return [{key: change_json(change)[key] for key in PLANNED_KEYS} for change in outcome.changes]


@pytest.mark.parametrize("kind", Kind)
async def test_approving_writes_exactly_the_recorded_plan(tmp_path: Path, kind: Kind) -> None:
    """Every change of the plan is verified; the approver is named and the outcome published."""
    rules = f"mode: approve\ncontain:\n  {kind}: {ALL_ACTIONS[kind]}\n{DEDICATED_ACCOUNTS}"
    given: dict[str, Any] = {"policy_text": rules, "topic": "projects/p/topics/outcomes"}
    async with responder_environment(
        tmp_path, notification=sample_notification(SAMPLE_OF_KIND[kind]), **given
    ) as env:
        waiting: Any = (await env.deliver()).outcome
        assert (waiting.status, workload_writes(env)) == ("awaiting-approval", [])
        async with command_line_user(env) as me:
            outcome = await me.approve(waiting.incident)
            case = await me.case_summary(waiting.incident)
        assert outcome.status == case.status == "contained"
        assert {change.state for change in outcome.changes} == {"verified"}
        assert planned_changes(outcome) == planned_changes(waiting)
        assert outcome.decision.reasons[0] == f"approved by {OPERATOR_EMAIL}"
        assert (outcome.mode, outcome.containment[-2:]) == ("approve", "/1")
        assert (outcome.drains_until is not None) is (kind is Kind.SERVICE)
        assert sent_writes(env) == [
            (
                change.target,
                [*change.mask],
                # What is off by default is not printed.
                {key: value for key, value in change.after.items() if value is not False},
            )
            for change in waiting.changes
        ]
        kinds = {record.kind: record for record in case.records if record.number >= 1000}
        assert [kind for kind in kinds if kind != "written-back"] == [
            *("done", "logged", "approved", "contained")
        ]
        approved = kinds["approved"].body
        assert (approved["by"], len(str(approved["plan"]))) == (OPERATOR_EMAIL, 64)
        assert announced_statuses(env) == ["awaiting-approval", "contained"]


async def deliver_and_wait(env: ResponderEnvironment, status: str = "awaiting-approval") -> str:
    """The id of an incident that was delivered, and waits."""
    outcome: Any = (await env.deliver()).outcome
    assert outcome.status == status
    return str(outcome.incident)


def scale_up(env: ResponderEnvironment) -> None:
    """Somebody gives the service more instances."""
    (service,) = env.emulator.world.services.values()
    service.scaling.min_instance_count = 3


def tag_revision(env: ResponderEnvironment) -> None:
    """Somebody tags a revision."""
    (service,) = env.emulator.world.services.values()
    service.traffic[0].tag = "preview"


def add_invoker(env: ResponderEnvironment) -> None:
    """Somebody lets another one in."""
    (found,) = env.emulator.world.iam_policies.values()
    found.bindings.add(role="roles/run.invoker", members=["user:new@example.com"])


def recreate_service(env: ResponderEnvironment) -> None:
    """The service is deleted, and another one made under its name."""
    (service,) = env.emulator.world.services.values()
    service.uid = "another"


def start_execution(env: ResponderEnvironment) -> None:
    """Another execution begins."""
    executions = env.emulator.world.executions
    running = next(e for e in executions.values() if not e.completion_time)
    name = f"{running.name}-new"
    executions[name] = type(running)(running, name=name)


DRIFT_BY_KIND: dict[Kind, dict[str, Callable[[ResponderEnvironment], None]]] = {
    Kind.SERVICE: {
        "scaling of projects/": scale_up,
        "traffic of projects/": tag_revision,
        "bindings of projects/": add_invoker,
        "deleted and recreated": recreate_service,
    },
    Kind.JOB: {"-new began since the plan was made": start_execution},
}


@pytest.mark.parametrize("kind", DRIFT_BY_KIND)
async def test_a_plan_for_a_changed_workload_is_refused(tmp_path: Path, kind: Kind) -> None:
    """The plan was made for something else; it waits on, and a fresh one is offered."""
    rules = f"mode: approve\ncontain:\n  {kind}: {ALL_ACTIONS[kind]}\n{DEDICATED_ACCOUNTS}"
    async with responder_environment(
        tmp_path, notification=sample_notification(SAMPLE_OF_KIND[kind]), policy_text=rules
    ) as env:
        incident = await deliver_and_wait(env)
        world = env.emulator.world
        parts = (world.services, world.executions, world.iam_policies)
        async with command_line_user(env) as me:
            for reported_text, change in DRIFT_BY_KIND[kind].items():
                before = copy.deepcopy(parts)
                change(env)
                with pytest.raises(RequestRefused, match=reported_text) as refused:
                    await me.propose_approval(incident)
                assert f"Make a fresh plan: `cloud-run-responder contain {incident}`" in str(
                    refused.value
                )
                for part, was in zip(parts, before, strict=True):
                    part.clear()
                    part.update(was)
            assert (await me.case_summary(incident)).status == "awaiting-approval"
            assert workload_writes(env) == []
            assert (await me.approve(incident)).status == "contained"


async def test_what_the_plan_does_not_touch_may_change(tmp_path: Path) -> None:
    """Another label, another ingress, another version of the same IAM policy."""
    rules = "mode: approve\ncontain:\n  service: [scale-to-zero, require-authentication]\n"
    notification = sample_notification(SAMPLE_OF_KIND[Kind.SERVICE])
    async with responder_environment(tmp_path, notification=notification, policy_text=rules) as env:
        incident = await deliver_and_wait(env)
        (service,) = env.emulator.world.services.values()
        service.labels["team"] = "shop"
        service.ingress = run_v2.IngressTraffic(2)
        service.generation += 1
        service.observed_generation += 1
        (found,) = env.emulator.world.iam_policies.values()
        found.etag = b"later"
        async with command_line_user(env) as me:
            outcome = await me.approve(incident)
        assert outcome.status == "contained"
        assert workload_writes(env) == ["UpdateService", "SetIamPolicy"]


POLICIES_THAT_FORBID = {
    "protected": policy_yaml("approve", "protect: [{services: [storefront]}]\n"),
    "expected": "mode: approve\nconfusion: yes\n",
    "dry-run by now": policy_yaml("dry-run"),
    "would make another plan": "mode: approve\ncontain:\n  service: [restrict-ingress]\n",
    "no action is named": "mode: approve\n",
    "no rule and no default": policy_yaml("approve", 'categories: ["Something Else"]\n'),
}


async def test_a_plan_that_the_policy_would_not_make_any_more_is_refused(tmp_path: Path) -> None:
    """Changing the policy file is the kill switch, also for what waits."""
    async with (
        responder_environment(tmp_path, policy_text=WAITING) as env,
        command_line_user(env) as me,
    ):
        incident = await deliver_and_wait(env)
        for reported_text, rules in POLICIES_THAT_FORBID.items():
            env.write_policy(rules)
            with pytest.raises(RequestRefused, match=reported_text):
                await me.propose_approval(incident)
        assert workload_writes(env) == []


async def test_a_policy_that_is_lowered_at_the_last_moment_stops_the_write(tmp_path: Path) -> None:
    """It is read again beside the before-image; the yes is on record, the incident waits on."""
    async with responder_environment(tmp_path, policy_text=WAITING) as env:
        incident = await deliver_and_wait(env)
        async with command_line_user(env) as me:

            class LoweringStore(Store):
                """A store beside which the policy is lowered once an approval is recorded."""

                async def create(self, path: str, data: bytes) -> bool:
                    created = await super().create(path, data)
                    if path.endswith("-approved.json"):
                        env.write_policy(policy_yaml("dry-run"))
                    return created

            store = LoweringStore(from_url(env.settings.store), env.settings.store)
            hasty = replace(me, process=replace(me.process, store=store))
            with pytest.raises(RequestRefused, match="dry-run by now"):
                await hasty.approve(incident)
            case = await me.case_summary(incident)
        assert (case.status, case.records[-1].kind) == ("awaiting-approval", "approved")
        assert workload_writes(env) == []


async def test_caps_and_age_do_not_bind_a_person_and_no_slot_is_taken(tmp_path: Path) -> None:
    """The caps and the age limit bound automatic containment only."""
    async with responder_environment(tmp_path, policy_text=WAITING) as env:
        incident = await deliver_and_wait(env)
        bounds = "max_finding_age: 1s, max_containments_per_hour: 0, max_per_project_per_hour: 0"
        env.write_policy(policy_yaml("approve", f"guards: {{{bounds}}}\n"))
        async with command_line_user(env) as me:
            assert (await me.approve(incident)).status == "contained"
        assert not env.stored_objects("slots/**/*.json")


async def test_a_plan_expires_and_a_fresh_one_is_made(tmp_path: Path) -> None:
    """A plan expires after twelve hours by default, is published, and `contain` is suggested."""
    async with responder_environment(
        tmp_path, policy_text=WAITING, topic="projects/p/topics/outcomes"
    ) as env:
        incident = await deliver_and_wait(env)
        late = env.later(12 * 3600 + 60)
        async with command_line_user(late) as me:
            with pytest.raises(
                RequestRefused, match=f"has expired. Run `cloud-run-responder contain {incident}"
            ):
                await me.propose_approval(incident)
            case = await me.case_summary(incident)
            assert (case.status, case.records[-1].kind) == ("expired", "expired")
            assert case.outcome
            reasons: Any = case.outcome.to_json()["decision"]
            assert (
                reasons["reasons"][0] == "nobody approved the plan within 12 h, the policy's limit"
            )
            with pytest.raises(RequestRefused, match="it is expired; no plan waits"):
                await me.propose_approval(incident)
            assert workload_writes(env) == []
            assert (await me.contain(incident)).status == "contained"
        assert announced_statuses(env) == ["awaiting-approval", "expired", "contained"]


async def test_a_plan_that_is_not_too_old_yet_is_applied(tmp_path: Path) -> None:
    """The policy of now says how long."""
    rules = policy_yaml("approve", "approval_expires: 2h\n")
    async with responder_environment(tmp_path, policy_text=rules) as env:
        incident = await deliver_and_wait(env)
        async with command_line_user(env.later(7100)) as me:
            assert (await me.approve(incident)).status == "contained"


async def test_two_who_approve_at_once_make_one_containment(tmp_path: Path) -> None:
    """One write, one terminal status, both names on the record."""
    async with responder_environment(tmp_path, policy_text=WAITING) as env:
        incident = await deliver_and_wait(env)
        async with (
            command_line_user(env, "a@example.com") as one,
            command_line_user(env, "b@example.com") as other,
        ):
            outcomes = await asyncio.gather(one.approve(incident), other.approve(incident))
            case = await one.case_summary(incident)
        assert {outcome.status for outcome in outcomes} == {case.status} == {"contained"}
        assert len({outcome.containment for outcome in outcomes}) == 1
        assert workload_writes(env) == ["UpdateService"]
        yes = [record.body["by"] for record in case.records if record.kind == "approved"]
        assert sorted(str(by) for by in yes) == ["a@example.com", "b@example.com"]


async def test_approval_joins_an_existing_containment(tmp_path: Path) -> None:
    """Nothing is left to be written: contained, by the same containment."""
    one, other, world = two_findings_on_one_service()
    async with responder_environment(
        tmp_path, notification=one, world=world, policy_text=WAITING
    ) as env:
        first: Any = (await env.deliver(one)).outcome
        second: Any = (await env.deliver(other)).outcome
        async with command_line_user(env) as me:
            done = await me.approve(first.incident)
            joined = await me.approve(second.incident)
        assert done.containment == joined.containment
        assert joined.status == "contained"
        assert workload_writes(env) == ["UpdateService"]


class StoreFailingFrom(Store):
    """A store that fails for ever from the n-th record on, as if the process had died."""

    left = 0

    async def create(self, path: str, data: bytes) -> bool:
        """Create it, unless the end has come; evidence does not count."""
        self.left -= re.search(r"/\d{4}-", path) is not None
        if self.left < 0:
            raise RuntimeError("the end")
        return await super().create(path, data)


@pytest.mark.parametrize(("mode", "act"), [("approve", "approve"), ("dry-run", "contain")])
async def test_an_interrupted_approval_can_be_repeated(tmp_path: Path, mode: str, act: str) -> None:
    """After a crash between any two records, a second approval contains and publishes once."""
    world = world_around(sample_notification(), latency={"reconcile": "0ms"})
    given: dict[str, Any] = {
        "world": world,
        "policy_text": policy_yaml(mode),
        "peer_wait": SHORT_EXPIRY,
    }
    async with responder_environment(tmp_path, **given) as env:
        incident = str((await env.deliver()).outcome.incident)
        original = env.service["scaling"]
    for steps in range(20):
        folder = tmp_path / str(steps)
        shutil.copytree(tmp_path / "store", folder / "store")
        async with responder_environment(folder, **given) as env, command_line_user(env) as me:
            broken = StoreFailingFrom(from_url(env.settings.store), env.settings.store)
            broken.left = steps
            process = replace(me.process, store=broken)
            interrupted = replace(me, process=process, name="a@example.com")
            with contextlib.suppress(RuntimeError):
                await getattr(interrupted, act)(incident)
                break
            outcome = await getattr(me, act)(incident)
            case = await me.case_summary(incident)
        assert outcome.status == case.status == "contained", steps
        assert workload_writes(env) == ["UpdateService"]
        reported = [r.kind for r in case.records if r.body.get("outcome")]
        assert (
            reported
            == {
                "approve": ["concluded", "done", "contained"],
                "contain": ["concluded", "done"],
            }[act]
        )
        image = env.read_record(min(env.stored_objects("containments/**/*-snapshot.json")))
        assert image["changes"][0]["restores"]["scaling"].items() >= original.items()
    assert steps > 5


async def test_an_interrupted_approval_is_finished_without_another_write(
    tmp_path: Path,
) -> None:
    """The patrol, or the approver of an expired plan, finishes what was begun or expires it."""
    async with responder_environment(tmp_path, policy_text=WAITING, peer_wait=SHORT_EXPIRY) as env:
        incident = await deliver_and_wait(env)
        async with command_line_user(env) as me, command_line_user(env.later(13 * 3600)) as late:
            patrol = late.process
            request = await finishing_request(patrol, await me.case_summary(incident), "patrol")
            with pytest.raises(RequestRefused, match="nothing of its plan is in effect"):
                await respond(patrol, request)
            broken = StoreFailingFrom(from_url(env.settings.store), env.settings.store)
            broken.left = 2  # the yes and the before-image, but not what became of it
            interrupted = replace(me, process=replace(me.process, store=broken))
            with pytest.raises(RuntimeError):
                await interrupted.approve(incident)
            assert workload_writes(env) == ["UpdateService"]
            case = await late.case_summary(incident)
            policy_now = await read_policy(patrol)
            assert isinstance(policy_now, Policy)
            assert is_stale(case, policy_now, patrol.clock())
            assert await expire_approval(patrol, case, policy_now) is None
            await late.propose_approval(incident)
            request = await finishing_request(patrol, case, "patrol")
            outcome = (await respond(patrol, request)).outcome
            case = await late.case_summary(incident)
        assert (outcome.status, case.status) == ("contained", "contained")
        assert outcome.decision.reasons[0] == f"approved by {OPERATOR_EMAIL}"
        assert [record.kind for record in case.records].count("approved") == 1
        assert workload_writes(env) == ["UpdateService"]


async def test_a_plan_that_expires_during_approval_is_not_applied(tmp_path: Path) -> None:
    """An approval checks again, before the write, whether the plan has expired."""
    async with responder_environment(tmp_path, policy_text=WAITING) as env:
        incident = await deliver_and_wait(env)
        async with command_line_user(env) as me:
            case = await me.case_summary(incident)
            request = await approval_request(me.process, case, me.name)
            assert await expire_approval(me.process, case, Policy())
            with pytest.raises(RequestRefused, match="has just expired"):
                await respond(me.process, request)
            assert (await me.case_summary(incident)).status == "expired"
        assert workload_writes(env) == []


async def test_a_store_that_is_lost_with_the_instance_binds_a_person_too(tmp_path: Path) -> None:
    """Nobody could ever take back what is only recorded there; the mode's ceiling does not."""
    async with responder_environment(tmp_path, policy_text=WAITING) as env:
        incident = await deliver_and_wait(env)
        for changes, ceiling in (
            ({"mode": Mode.DRY_RUN}, Mode.ENFORCE),
            ({"k_service": "responder"}, Mode.DRY_RUN),
        ):
            env.settings = env.settings.model_copy(update=changes)
            async with command_line_user(env) as me:
                assert me.process.mode_ceiling is ceiling
                if ceiling is Mode.ENFORCE:
                    await me.propose_approval(incident)
                    continue
                with pytest.raises(RequestRefused, match="is lost with this instance"):
                    await me.propose_approval(incident)


STATUSES = {
    "contained": "it is contained",
    "released": "it is released; no plan waits",
    "held": "no plan waits for approval. Run `cloud-run-responder contain",
    "expired": "it is expired; no plan waits",
    "failed": "it is failed; no plan waits",
}


async def test_only_a_pending_incident_can_be_approved(tmp_path: Path) -> None:
    """Each other status is refused with what to do instead."""
    async with responder_environment(tmp_path) as env, command_line_user(env) as me:
        for status, reported_text in STATUSES.items():
            done = Record(1000, "done", NOW, "r", {"outcome": {"status": status}})
            case = CaseSummary("20261002-000000000000", "incidents/20261002-000000000000", (done,))
            with pytest.raises(RequestRefused, match=reported_text):
                await approval_request(me.process, case, OPERATOR_EMAIL)


async def test_a_dry_run_and_an_open_incident_have_no_plan_to_approve(tmp_path: Path) -> None:
    """The one never waits for anybody, the other is being worked on."""
    async with responder_environment(tmp_path, policy_text=policy_yaml("dry-run")) as env:
        incident = await deliver_and_wait(env, "planned")
        async with command_line_user(env) as me:
            with pytest.raises(
                RequestRefused, match=r"it was a dry run\. Run `cloud-run-responder contain"
            ):
                await me.propose_approval(incident)
            store = me.process.store
            body = json.dumps({"recorded_at": NOW.isoformat(), "run": "r"}).encode()
            await store.create(f"incidents/{incident}/0001-received.json", body)
            with pytest.raises(RequestRefused, match="its delivery is still in progress"):
                await me.propose_approval(incident)


async def test_without_the_permission_the_incident_is_failed_and_may_be_contained(
    tmp_path: Path,
) -> None:
    """The error names the permission that the approver lacks and suggests `contain`."""
    faults = [{"method": "UpdateService", "code": "PERMISSION_DENIED", "times": 1}]
    world = world_around(sample_notification(), faults=faults)
    async with responder_environment(tmp_path, policy_text=WAITING, world=world) as env:
        incident = await deliver_and_wait(env)
        async with command_line_user(env) as me:
            outcome = await me.approve(incident)
            assert outcome.status == "failed"
            assert "run.services.update" in outcome.changes[0].error
            assert (await me.contain(incident)).status == "contained"


async def test_a_write_that_never_takes_effect_is_unverified(tmp_path: Path) -> None:
    """A write that is not in effect in time is unverified; a later approval verifies it."""
    faults = [{"method": "reconcile", "code": "DEADLINE_EXCEEDED", "times": 1}]
    world = world_around(sample_notification(), faults=faults)
    given: dict[str, Any] = {"policy_text": WAITING, "world": world}
    async with responder_environment(tmp_path, verify_timeout=timedelta(seconds=1), **given) as env:
        incident = await deliver_and_wait(env)
        async with command_line_user(env) as me:
            outcome = await me.approve(incident)
            assert outcome.status == "unverified"
            assert (await me.case_summary(incident)).status == "unverified"


async def test_a_released_incident_can_be_contained_but_not_approved(tmp_path: Path) -> None:
    """A plan from before the release is not the person's word; a new word of theirs is."""
    async with responder_environment(tmp_path, policy_text=WAITING) as env:
        incident = await deliver_and_wait(env)
        folder = "containments/example-shop-prod/europe-west1/service/storefront/1"
        finding = sample_notification()["finding"]["name"].rpartition("/")[2]
        body = {"recorded_at": NOW.isoformat(), "run": "r", "incident": "i", "finding": finding}
        async with command_line_user(env) as me:
            path = f"{folder}/0001-released.json"
            await me.process.store.create(path, json.dumps(body).encode())
            with pytest.raises(RequestRefused, match="a person has released"):
                await me.propose_approval(incident)
            outcome = await me.contain(incident)
        assert (outcome.status, outcome.containment[-2:]) == ("contained", "/2")


SHORT_MAX_AGE = policy_yaml(extra="guards: {max_finding_age: 1s}\n")
MANUALLY_CONTAINABLE: dict[str, tuple[str, str]] = {
    "held for its age": (SHORT_MAX_AGE, "held"),
    "planned": (policy_yaml("dry-run"), "planned"),
    "awaiting approval": (WAITING, "awaiting-approval"),
}


@pytest.mark.parametrize(
    ("rules", "status"), MANUALLY_CONTAINABLE.values(), ids=MANUALLY_CONTAINABLE
)
async def test_held_and_planned_incidents_can_be_contained_manually(
    tmp_path: Path, rules: str, status: str
) -> None:
    """A fresh plan is verified; the operator is named first, and the hold's reasons stay."""
    async with responder_environment(
        tmp_path, policy_text=rules, topic="projects/p/topics/outcomes"
    ) as env:
        incident = await deliver_and_wait(env, status)
        async with command_line_user(env) as me:
            outcome = await me.contain(incident)
            case = await me.case_summary(incident)
        assert (outcome.status, case.status, case.outcome) == ("contained", "contained", outcome)
        assert outcome.decision.reasons[0] == f"contained manually by {OPERATOR_EMAIL}"
        assert (outcome.mode, outcome.decision.verdict) == ("enforce", "contain")
        assert case.folder == f"incidents/{incident}"
        assert outcome.detected.binary_path
        assert env.stored_objects(f"incidents/{incident}/evidence/settings.json")
        assert workload_writes(env) == ["UpdateService"]
        assert announced_statuses(env) == [status, "contained"]
        assert await env.status() == "duplicate"


POLICY_WITHOUT_ACTIONS = "mode: enforce\n"


async def test_a_person_names_actions_where_the_policy_names_none(tmp_path: Path) -> None:
    """Without them it is refused; with them they are applied, and what they need is read."""
    async with responder_environment(tmp_path, policy_text=POLICY_WITHOUT_ACTIONS) as env:
        incident = await deliver_and_wait(env, "held")
        async with command_line_user(env) as me:
            with pytest.raises(RequestRefused, match="no action is named for a service"):
                await me.propose_containment(incident)
            outcome = await me.contain(incident, (("require-authentication",),))
            assert outcome.status == "restricted"
            assert f"named by {OPERATOR_EMAIL}: require-authentication for a service" in str(
                outcome
            )
            outcome = await me.contain(incident, (("scale-to-zero",),))
        assert outcome.status == "contained"
        assert workload_writes(env) == ["SetIamPolicy", "UpdateService"]


REFUSED = {
    "is protected": policy_yaml(extra="protect: [{services: [storefront]}]\n"),
    "not from": policy_yaml(extra='sources: ["1"]\n'),
    "expected": "confusion: yes\n",
}


async def test_a_person_cannot_override_the_policy(tmp_path: Path) -> None:
    """Protected, from elsewhere, or a policy that cannot be read: with actions named as well."""
    async with (
        responder_environment(tmp_path, policy_text=SHORT_MAX_AGE) as env,
        command_line_user(env) as me,
    ):
        incident = await deliver_and_wait(env, "held")
        for (reported_text, rules), steps in product(REFUSED.items(), ((), (("scale-to-zero",),))):
            env.write_policy(rules)
            with pytest.raises(RequestRefused, match=reported_text):
                await me.propose_containment(incident, steps)
        assert workload_writes(env) == []


async def test_an_unconfirmed_finding_cannot_be_contained_manually(tmp_path: Path) -> None:
    """A finding that Security Command Center does not list, or lists as inactive."""
    async with responder_environment(tmp_path, policy_text=SHORT_MAX_AGE) as env:
        incident = await deliver_and_wait(env, "held")
        for listed in env.emulator.world.findings:
            listed.result.finding.state = Finding.State(2)
        async with command_line_user(env) as me:
            with pytest.raises(RequestRefused, match="inactive"):
                await me.propose_containment(incident)
            env.emulator.world.findings.clear()
            with pytest.raises(GiveUp, match="no longer lists its finding"):
                await me.propose_containment(incident)
        assert workload_writes(env) == []


async def test_a_contained_incident_is_not_contained_again(tmp_path: Path) -> None:
    """A contained workload is not written or published again; an undone one is."""
    async with responder_environment(tmp_path) as env:
        incident = await deliver_and_wait(env, "contained")
        async with command_line_user(env) as me:
            proposal = await me.propose_containment(incident)
            assert proposal.already_contained
            scale_up(env)
            (service,) = env.emulator.world.services.values()
            service.scaling.scaling_mode = run_v2.ServiceScaling.ScalingMode(1)
            assert not (await me.propose_containment(incident)).already_contained
            outcome = await me.contain(incident)
        assert (outcome.status, outcome.containment[-2:]) == ("contained", "/1")
        assert workload_writes(env) == ["UpdateService", "UpdateService"]


async def test_an_open_incident_cannot_be_contained_manually(tmp_path: Path) -> None:
    """Somebody is at it, or the patrol finishes it."""
    async with responder_environment(tmp_path, policy_text=policy_yaml("dry-run")) as env:
        incident = await deliver_and_wait(env, "planned")
        async with command_line_user(env) as me:
            received = env.read_record(f"dry-runs/{incident}/0001-received.json")
            path = f"incidents/{incident}/0001-received.json"
            await me.process.store.create(path, json.dumps(received).encode())
            with pytest.raises(RequestRefused, match="its delivery is still in progress"):
                await me.propose_containment(incident)


async def test_a_workload_changed_during_the_prompt_is_not_written(tmp_path: Path) -> None:
    """The operator confirmed another plan."""
    async with responder_environment(tmp_path, policy_text=policy_yaml("dry-run")) as env:
        incident = await deliver_and_wait(env, "planned")
        async with command_line_user(env) as me:
            confirmed = (await me.propose_containment(incident)).changes
            scale_up(env)
            with pytest.raises(RequestRefused, match="changed while you were asked"):
                await me.contain(incident, confirmed=confirmed)
        assert workload_writes(env) == []
