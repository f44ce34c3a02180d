"""Approving a recorded plan, and containing by hand: what is written, told and refused."""

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
from incident.case_file.index import Case
from incident.case_file.journal import Record
from incident.decision.inputs import Books
from incident.model import GiveUp, Kind, Mode
from incident.policy.resolve import Policy
from incident.redaction.redactor import Redactor
from incident.response.apply import carry_out
from incident.response.approvals import Refused, expire, stale
from incident.response.propose import confirmed, propose_approval, propose_finishing
from incident.response.session import read_policy
from tests.support.environment import Road, policy, road, sample, two_on_one_service, world_around
from tests.support.manual_containment import ME, person
from tests.support.model import NOW

CLOUD_RUN = "/google.cloud.run.v2."
QUICKLY = timedelta(milliseconds=20)
WAITING = policy("approve")
SAMPLES = {
    Kind.SERVICE: "revision-by-number",
    Kind.JOB: "v1-job-execution",
    Kind.WORKER_POOL: "worker-pool-without-containers",
}
STEPS = {
    Kind.SERVICE: "[scale-to-zero, restrict-ingress, require-authentication]",
    Kind.JOB: "[cancel-executions, require-authentication]",
    Kind.WORKER_POOL: "[scale-to-zero]",
}
EXACT = ("action", "kind", "target", "mask", "before", "after", "stops", "reversible")


def writes(way: Road) -> list[str]:
    """What was written to the workload, without the annotation, by the last part of the method."""
    return [
        write.method.rpartition("/")[2]
        for write in way.emulator.writes
        if write.method.startswith(CLOUD_RUN)
        and not write.validate_only
        and write.mask != ["annotations"]
    ]


def sent(way: Road) -> list[tuple[str, list[str], Any]]:
    """What was written where, as an outcome shows changes."""
    found: list[tuple[str, list[str], Any]] = []
    for write in way.emulator.writes:
        request: Any = write.request
        if not write.method.startswith(CLOUD_RUN):
            continue
        if write.method.endswith("/SetIamPolicy"):
            bindings = request["policy"].get("bindings", [])
            found.append((request["resource"], ["bindings"], {"bindings": bindings}))
        elif write.method.endswith("/CancelExecution"):
            found.append((request["name"], [], {"state": "CANCELLED"}))
        elif write.mask and write.mask != ["annotations"]:
            resource = request.get("service") or request["workerPool"]
            fields = {key: value for key, value in resource.items() if key != "name"}
            found.append((resource["name"], write.mask, fields))
    return found


def announced(way: Road) -> list[str]:
    """The statuses that were announced, in order."""
    messages: Any = way.emulator.world.dump()["published"]
    return [message["attributes"]["status"] for message in messages]


def planned(outcome: Any) -> list[Any]:
    """The changes of an outcome, without how far they came."""
    return [{key: change[key] for key in EXACT} for change in outcome["changes"]]


@pytest.mark.parametrize("kind", Kind)
async def test_approving_writes_exactly_the_recorded_plan(tmp_path: Path, kind: Kind) -> None:
    """Every change of the plan, verified; who approved it is told, and it is announced."""
    rules = f"mode: approve\ncontain:\n  {kind}: {STEPS[kind]}\n"
    given: dict[str, Any] = {"rules": rules, "topic": "projects/p/topics/outcomes"}
    async with road(tmp_path, notification=sample(SAMPLES[kind]), **given) as way:
        waiting: Any = (await way.deliver()).outcome
        assert (waiting["status"], writes(way)) == ("awaiting-approval", [])
        async with person(way) as me:
            outcome = await me.approve(waiting["incident"])
            case = await me.case(waiting["incident"])
        assert outcome["status"] == case.status == "contained"
        assert {change["state"] for change in outcome["changes"]} == {"verified"}
        assert planned(outcome) == planned(waiting)
        assert outcome["decision"]["reasons"][0] == f"approved by {ME}"
        assert (outcome["mode"], outcome["containment"][-2:]) == ("approve", "/1")
        assert (outcome["drains_until"] is not None) is (kind is Kind.SERVICE)
        assert sent(way) == [
            (
                change["target"],
                change["mask"],
                # What is off by default is not printed.
                {key: value for key, value in change["after"].items() if value is not False},
            )
            for change in waiting["changes"]
        ]
        kinds = {record.kind: record for record in case.records if record.number >= 1000}
        assert [kind for kind in kinds if kind != "written-back"] == [
            *("done", "approved", "contained")
        ]
        approved = kinds["approved"].body
        assert (approved["by"], len(str(approved["plan"]))) == (ME, 64)
        assert announced(way) == ["awaiting-approval", "contained"]


async def waiting_at(way: Road, status: str = "awaiting-approval") -> str:
    """The id of an incident that was delivered, and waits."""
    outcome: Any = (await way.deliver()).outcome
    assert outcome["status"] == status
    return str(outcome["incident"])


def scaled(way: Road) -> None:
    """Somebody gives the service more instances."""
    (service,) = way.emulator.world.services.values()
    service.scaling.min_instance_count = 3


def tagged(way: Road) -> None:
    """Somebody tags a revision."""
    (service,) = way.emulator.world.services.values()
    service.traffic[0].tag = "preview"


def opened(way: Road) -> None:
    """Somebody lets another one in."""
    (found,) = way.emulator.world.iam_policies.values()
    found.bindings.add(role="roles/run.invoker", members=["user:new@example.com"])


def made_anew(way: Road) -> None:
    """The service is deleted, and another one made under its name."""
    (service,) = way.emulator.world.services.values()
    service.uid = "another"


def started(way: Road) -> None:
    """Another execution begins."""
    executions = way.emulator.world.executions
    running = next(e for e in executions.values() if not e.completion_time)
    name = f"{running.name}-new"
    executions[name] = type(running)(running, name=name)


CHANGED: dict[Kind, dict[str, Callable[[Road], None]]] = {
    Kind.SERVICE: {
        "scaling of projects/": scaled,
        "traffic of projects/": tagged,
        "bindings of projects/": opened,
        "deleted and made anew": made_anew,
    },
    Kind.JOB: {"-new began since the plan was made": started},
}


@pytest.mark.parametrize("kind", CHANGED)
async def test_what_changed_since_is_refused(tmp_path: Path, kind: Kind) -> None:
    """The plan was made for something else; it waits on, and a fresh one is offered."""
    rules = f"mode: approve\ncontain:\n  {kind}: {STEPS[kind]}\n"
    async with road(tmp_path, notification=sample(SAMPLES[kind]), rules=rules) as way:
        incident = await waiting_at(way)
        world = way.emulator.world
        parts = (world.services, world.executions, world.iam_policies)
        async with person(way) as me:
            for said, change in CHANGED[kind].items():
                before = copy.deepcopy(parts)
                change(way)
                with pytest.raises(Refused, match=said) as refused:
                    await me.asked(incident)
                assert f"cli.py contain {incident}` makes a fresh plan" in str(refused.value)
                for part, was in zip(parts, before, strict=True):
                    part.clear()
                    part.update(was)
            assert (await me.case(incident)).status == "awaiting-approval"
            assert writes(way) == []
            assert (await me.approve(incident))["status"] == "contained"


async def test_what_the_plan_does_not_touch_may_change(tmp_path: Path) -> None:
    """Another label, another ingress, another version of the same IAM policy."""
    rules = "mode: approve\ncontain:\n  service: [scale-to-zero, require-authentication]\n"
    notification = sample(SAMPLES[Kind.SERVICE])
    async with road(tmp_path, notification=notification, rules=rules) as way:
        incident = await waiting_at(way)
        (service,) = way.emulator.world.services.values()
        service.labels["team"] = "shop"
        service.ingress = run_v2.IngressTraffic(2)
        service.generation += 1
        service.observed_generation += 1
        (found,) = way.emulator.world.iam_policies.values()
        found.etag = b"later"
        async with person(way) as me:
            outcome = await me.approve(incident)
        assert outcome["status"] == "contained"
        assert writes(way) == ["UpdateService", "SetIamPolicy"]


NO_MORE = {
    "protected": policy("approve", "protect: [{services: [storefront]}]\n"),
    "expected": "mode: approve\nconfusion: yes\n",
    "dry-run by now": policy("dry-run"),
    "would make another plan": "mode: approve\ncontain:\n  service: [restrict-ingress]\n",
    "no action is named": "mode: approve\n",
    "no rule applies": policy("approve", 'categories: ["Something Else"]\n'),
}


async def test_a_plan_that_the_policy_would_not_make_any_more_is_refused(tmp_path: Path) -> None:
    """Changing the policy file is the kill switch, also for what waits."""
    async with road(tmp_path, rules=WAITING) as way, person(way) as me:
        incident = await waiting_at(way)
        for said, rules in NO_MORE.items():
            way.policy(rules)
            with pytest.raises(Refused, match=said):
                await me.asked(incident)
        assert writes(way) == []


async def test_a_policy_that_is_lowered_at_the_last_moment_stops_the_write(tmp_path: Path) -> None:
    """It is read again beside the before-image; the yes is on record, the incident waits on."""
    async with road(tmp_path, rules=WAITING) as way:
        incident = await waiting_at(way)
        async with person(way) as me:
            proposal = await me.asked(incident)
            way.policy(policy("dry-run"))
            with pytest.raises(Refused, match="dry-run by now"):
                await carry_out(proposal)
            case = await me.case(incident)
        assert (case.status, case.records[-1].kind) == ("awaiting-approval", "approved")
        assert writes(way) == []


async def test_caps_and_age_do_not_bind_a_person_and_no_slot_is_taken(tmp_path: Path) -> None:
    """They bound what happens while nobody looks."""
    async with road(tmp_path, rules=WAITING) as way:
        incident = await waiting_at(way)
        bounds = "max_finding_age: 1s, max_containments_per_hour: 0, max_per_project_per_hour: 0"
        way.policy(policy("approve", f"guards: {{{bounds}}}\n"))
        async with person(way) as me:
            assert (await me.approve(incident))["status"] == "contained"
        assert not way.stored("slots/**/*.json")


async def test_a_plan_expires_and_a_fresh_one_is_made(tmp_path: Path) -> None:
    """Twelve hours by default: expired, told on the topic, and `contain` is the way on."""
    async with road(tmp_path, rules=WAITING, topic="projects/p/topics/outcomes") as way:
        incident = await waiting_at(way)
        late = way.later(12 * 3600 + 60)
        async with person(late) as me:
            with pytest.raises(
                Refused, match=f"has expired. Run `python cli.py contain {incident}"
            ):
                await me.asked(incident)
            case = await me.case(incident)
            assert (case.status, case.records[-1].kind) == ("expired", "expired")
            assert case.outcome
            reasons: Any = case.outcome["decision"]
            assert (
                reasons["reasons"][0] == "nobody approved the plan within 12 h, the policy's limit"
            )
            with pytest.raises(Refused, match="it is expired, and no plan waits"):
                await me.asked(incident)
            assert writes(way) == []
            assert (await me.contain(incident))["status"] == "contained"
        assert announced(way) == ["awaiting-approval", "expired", "contained"]


async def test_a_plan_that_is_not_too_old_yet_is_applied(tmp_path: Path) -> None:
    """The policy of now says how long."""
    rules = policy("approve", "approval_expires: 2h\n")
    async with road(tmp_path, rules=rules) as way:
        incident = await waiting_at(way)
        async with person(way.later(7100)) as me:
            assert (await me.approve(incident))["status"] == "contained"


async def test_two_who_approve_at_once_make_one_containment(tmp_path: Path) -> None:
    """One write, one terminal status, both names on the record."""
    async with road(tmp_path, rules=WAITING) as way:
        incident = await waiting_at(way)
        async with person(way, "a@example.com") as one, person(way, "b@example.com") as other:
            outcomes = await asyncio.gather(one.approve(incident), other.approve(incident))
            case = await one.case(incident)
        assert {outcome["status"] for outcome in outcomes} == {case.status} == {"contained"}
        assert len({outcome["containment"] for outcome in outcomes}) == 1
        assert writes(way) == ["UpdateService"]
        yes = [record.body["by"] for record in case.records if record.kind == "approved"]
        assert sorted(str(by) for by in yes) == ["a@example.com", "b@example.com"]


async def test_what_another_incident_contained_is_joined(tmp_path: Path) -> None:
    """Nothing is left to be written: contained, by the same containment."""
    one, other, world = two_on_one_service()
    async with road(tmp_path, notification=one, world=world, rules=WAITING) as way:
        first: Any = (await way.deliver(one)).outcome
        second: Any = (await way.deliver(other)).outcome
        async with person(way) as me:
            done = await me.approve(first["incident"])
            joined = await me.approve(second["incident"])
        assert done["containment"] == joined["containment"]
        assert joined["status"] == "contained"
        assert writes(way) == ["UpdateService"]


class Breaking(Store):
    """A store that fails for ever from the n-th record on, as if the process had died."""

    left = 0

    async def create(self, path: str, data: bytes) -> bool:
        """Create it, unless the end has come; evidence does not count."""
        self.left -= re.search(r"/\d{4}-", path) is not None
        if self.left < 0:
            raise RuntimeError("the end")
        return await super().create(path, data)


@pytest.mark.parametrize(("mode", "act"), [("approve", "approve"), ("dry-run", "contain")])
async def test_an_interrupted_person_does_it_again(tmp_path: Path, mode: str, act: str) -> None:
    """Between any two records: the second time it is contained, once, and told once."""
    world = world_around(sample(), latency={"reconcile": "0ms"})
    given: dict[str, Any] = {"world": world, "rules": policy(mode), "peer_wait": QUICKLY}
    async with road(tmp_path, **given) as way:
        incident = str((await way.deliver()).outcome["incident"])
        original = way.service["scaling"]
    for steps in range(20):
        folder = tmp_path / str(steps)
        shutil.copytree(tmp_path / "store", folder / "store")
        async with road(folder, **given) as way, person(way) as me:
            broken = Breaking(from_url(way.settings.store), way.settings.store)
            broken.left = steps
            outside = replace(me.outside, store=broken)
            interrupted = replace(me, outside=outside, name="a@example.com")
            with contextlib.suppress(RuntimeError):
                await getattr(interrupted, act)(incident)
                break
            outcome = await getattr(me, act)(incident)
            case = await me.case(incident)
        assert outcome["status"] == case.status == "contained", steps
        assert writes(way) == ["UpdateService"]
        told = [r.kind for r in case.records if r.body.get("outcome")]
        assert (
            told
            == {
                "approve": ["concluded", "done", "contained"],
                "contain": ["concluded", "done"],
            }[act]
        )
        image = way.record(min(way.stored("containments/**/*-before.json")))
        assert image["changes"][0]["restores"]["scaling"].items() >= original.items()
    assert steps > 5


async def test_whoever_comes_later_finishes_an_approval_and_writes_nothing(
    tmp_path: Path,
) -> None:
    """The patrol, or the approver when the plan has expired: told, or that nothing was done."""
    async with road(tmp_path, rules=WAITING, peer_wait=QUICKLY) as way:
        incident = await waiting_at(way)
        async with person(way) as me, person(way.later(13 * 3600)) as late:
            patrol = (late.standing, late.outside, "patrol")
            assert await propose_finishing(await me.case(incident), *patrol) is None
            broken = Breaking(from_url(way.settings.store), way.settings.store)
            broken.left = 2  # the yes and the before-image, but not what became of it
            interrupted = replace(me, outside=replace(me.outside, store=broken))
            with pytest.raises(RuntimeError):
                await interrupted.approve(incident)
            assert writes(way) == ["UpdateService"]
            case = await late.case(incident)
            policy_now = await read_policy(late.outside)
            assert isinstance(policy_now, Policy)
            books = Books(late.outside.store, "patrol", late.standing.clock)
            assert stale(case, policy_now, late.standing.clock())
            assert await expire(case, policy_now, books, late.outside, Redactor(b"k")) is None
            await late.asked(incident)
            proposal = await propose_finishing(case, *patrol)
            assert proposal
            outcome: Any = await carry_out(proposal)
            case = await late.case(incident)
        assert (outcome["status"], case.status) == ("contained", "contained")
        assert outcome["decision"]["reasons"][0] == f"approved by {ME}"
        assert [record.kind for record in case.records].count("approved") == 1
        assert writes(way) == ["UpdateService"]


async def test_a_plan_that_is_given_up_at_this_moment_is_not_applied(tmp_path: Path) -> None:
    """Whoever says yes looks once more before the write."""
    async with road(tmp_path, rules=WAITING) as way:
        incident = await waiting_at(way)
        async with person(way) as me:
            proposal = await me.asked(incident)
            books = Books(me.outside.store, "patrol", me.standing.clock)
            assert await expire(
                await me.case(incident), Policy(), books, me.outside, Redactor(b"k")
            )
            with pytest.raises(Refused, match="has expired at this moment"):
                await carry_out(proposal)
            assert (await me.case(incident)).status == "expired"
        assert writes(way) == []


async def test_a_store_that_is_lost_with_the_instance_binds_a_person_too(tmp_path: Path) -> None:
    """Nobody could ever take back what is only recorded there; the mode's ceiling does not."""
    async with road(tmp_path, rules=WAITING) as way:
        incident = await waiting_at(way)
        for changes, ceiling in (
            ({"mode": Mode.DRY_RUN}, Mode.ENFORCE),
            ({"k_service": "responder"}, Mode.DRY_RUN),
        ):
            way.settings = way.settings.model_copy(update=changes)
            async with person(way) as me:
                assert me.standing.ceiling is ceiling
                if ceiling is Mode.ENFORCE:
                    await (await me.asked(incident)).close()
                    continue
                with pytest.raises(Refused, match="is lost with this instance"):
                    await me.asked(incident)


STATUSES = {
    "contained": "it is contained already",
    "released": "it is released already",
    "held": "and no plan waits. Run `python cli.py contain",
    "expired": "it is expired, and no plan waits",
    "failed": "it is failed, and no plan waits",
}


async def test_only_what_waits_is_approved(tmp_path: Path) -> None:
    """Each other status is refused with what to do instead."""
    async with road(tmp_path) as way, person(way) as me:
        for status, said in STATUSES.items():
            done = Record(1000, "done", NOW, "r", {"outcome": {"status": status}})
            case = Case("20261002-000000000000", "incidents/20261002-000000000000", (done,))
            with pytest.raises(Refused, match=said):
                await propose_approval(case, me.standing, me.outside, ME)


async def test_a_dry_run_and_an_open_incident_have_no_plan_to_approve(tmp_path: Path) -> None:
    """The one never waits for anybody, the other is being worked on."""
    async with road(tmp_path, rules=policy("dry-run")) as way:
        incident = await waiting_at(way, "planned")
        async with person(way) as me:
            with pytest.raises(Refused, match=r"it was a dry run\. Run `python cli\.py contain"):
                await me.asked(incident)
            store = me.outside.store
            body = json.dumps({"recorded_at": NOW.isoformat(), "run": "r"}).encode()
            await store.create(f"incidents/{incident}/0001-received.json", body)
            with pytest.raises(Refused, match="it is still open"):
                await me.asked(incident)


async def test_without_the_permission_the_incident_is_failed_and_may_be_contained(
    tmp_path: Path,
) -> None:
    """What the approver may not write is told with the permission; `contain` is the way on."""
    faults = [{"method": "UpdateService", "code": "PERMISSION_DENIED", "times": 1}]
    world = world_around(sample(), faults=faults)
    async with road(tmp_path, rules=WAITING, world=world) as way:
        incident = await waiting_at(way)
        async with person(way) as me:
            outcome = await me.approve(incident)
            assert outcome["status"] == "failed"
            assert "run.services.update" in outcome["changes"][0]["error"]
            assert (await me.contain(incident))["status"] == "contained"


async def test_a_write_that_is_never_seen_in_effect_is_not_contained(tmp_path: Path) -> None:
    """Unverified, whoever approved it; looking again later finds it in effect."""
    faults = [{"method": "reconcile", "code": "DEADLINE_EXCEEDED", "times": 1}]
    world = world_around(sample(), faults=faults)
    given: dict[str, Any] = {"rules": WAITING, "world": world}
    async with road(tmp_path, verify_timeout=timedelta(seconds=1), **given) as way:
        incident = await waiting_at(way)
        async with person(way) as me:
            outcome = await me.approve(incident)
            assert outcome["status"] == "unverified"
            assert (await me.case(incident)).status == "unverified"


async def test_what_was_released_is_not_approved_but_contained_by_hand(tmp_path: Path) -> None:
    """A plan from before the release is not the person's word; a new word of theirs is."""
    async with road(tmp_path, rules=WAITING) as way:
        incident = await waiting_at(way)
        folder = "containments/example-shop-prod/europe-west1/service/storefront/1"
        finding = sample()["finding"]["name"].rpartition("/")[2]
        body = {"recorded_at": NOW.isoformat(), "run": "r", "incident": "i", "finding": finding}
        async with person(way) as me:
            path = f"{folder}/0001-released.json"
            await me.outside.store.create(path, json.dumps(body).encode())
            with pytest.raises(Refused, match="a person has released"):
                await me.asked(incident)
            outcome = await me.contain(incident)
        assert (outcome["status"], outcome["containment"][-2:]) == ("contained", "/2")


OLD = policy(extra="guards: {max_finding_age: 1s}\n")
CONTAINABLE: dict[str, tuple[str, str]] = {
    "held for its age": (OLD, "held"),
    "planned": (policy("dry-run"), "planned"),
    "awaiting approval": (WAITING, "awaiting-approval"),
}


@pytest.mark.parametrize(("rules", "status"), CONTAINABLE.values(), ids=CONTAINABLE)
async def test_what_is_held_or_planned_is_contained_by_hand(
    tmp_path: Path, rules: str, status: str
) -> None:
    """By a fresh plan, verified; who did it is told first, and why it was held stays."""
    async with road(tmp_path, rules=rules, topic="projects/p/topics/outcomes") as way:
        incident = await waiting_at(way, status)
        async with person(way) as me:
            outcome = await me.contain(incident)
            case = await me.case(incident)
        assert (outcome["status"], case.status, case.outcome) == ("contained", "contained", outcome)
        assert outcome["decision"]["reasons"][0] == f"contained by hand by {ME}"
        assert (outcome["mode"], outcome["decision"]["verdict"]) == ("enforce", "contain")
        assert case.folder == f"incidents/{incident}"
        assert outcome["detected"]["binary_path"]
        assert way.stored(f"incidents/{incident}/evidence/settings.json")
        assert writes(way) == ["UpdateService"]
        assert announced(way) == [status, "contained"]
        assert await way.status() == "duplicate"


NOTHING_NAMED = "mode: enforce\n"


async def test_a_person_names_actions_where_the_policy_names_none(tmp_path: Path) -> None:
    """Without them it is refused; with them they are applied, and what they need is read."""
    async with road(tmp_path, rules=NOTHING_NAMED) as way:
        incident = await waiting_at(way, "held")
        async with person(way) as me:
            with pytest.raises(Refused, match="no action is named for a service"):
                await me.planned(incident)
            outcome = await me.contain(incident, (("require-authentication",),))
            assert outcome["status"] == "restricted"
            assert f"named by {ME}: require-authentication for a service" in str(outcome)
            outcome = await me.contain(incident, (("scale-to-zero",),))
        assert outcome["status"] == "contained"
        assert writes(way) == ["SetIamPolicy", "UpdateService"]


REFUSED = {
    "is protected": policy(extra="protect: [{services: [storefront]}]\n"),
    "not from": policy(extra='sources: ["1"]\n'),
    "expected": "confusion: yes\n",
}


async def test_a_person_does_not_get_past_the_policy(tmp_path: Path) -> None:
    """Protected, from elsewhere, or a policy that cannot be read: with actions named as well."""
    async with road(tmp_path, rules=OLD) as way, person(way) as me:
        incident = await waiting_at(way, "held")
        for (said, rules), steps in product(REFUSED.items(), ((), (("scale-to-zero",),))):
            way.policy(rules)
            with pytest.raises(Refused, match=said):
                await me.planned(incident, steps)
        assert writes(way) == []


async def test_what_nobody_bears_out_is_not_contained_by_hand(tmp_path: Path) -> None:
    """A finding that Security Command Center does not list, or lists as inactive."""
    async with road(tmp_path, rules=OLD) as way:
        incident = await waiting_at(way, "held")
        for listed in way.emulator.world.findings:
            listed.result.finding.state = Finding.State(2)
        async with person(way) as me:
            with pytest.raises(Refused, match="inactive"):
                await me.planned(incident)
            way.emulator.world.findings.clear()
            with pytest.raises(GiveUp, match="does not list its finding"):
                await me.planned(incident)
        assert writes(way) == []


async def test_what_is_contained_already_is_left_alone(tmp_path: Path) -> None:
    """Nothing to write and nothing new to tell; what was undone since is written again."""
    async with road(tmp_path) as way:
        incident = await waiting_at(way, "contained")
        async with person(way) as me:
            proposal = await me.planned(incident)
            assert proposal.over
            await proposal.close()
            scaled(way)
            (service,) = way.emulator.world.services.values()
            service.scaling.scaling_mode = run_v2.ServiceScaling.ScalingMode(1)
            assert not (await me.planned(incident)).over
            outcome = await me.contain(incident)
        assert (outcome["status"], outcome["containment"][-2:]) == ("contained", "/1")
        assert writes(way) == ["UpdateService", "UpdateService"]


async def test_an_open_incident_is_not_contained_by_hand(tmp_path: Path) -> None:
    """Somebody is at it, or the patrol finishes it."""
    async with road(tmp_path, rules=policy("dry-run")) as way:
        incident = await waiting_at(way, "planned")
        async with person(way) as me:
            received = way.record(f"dry-runs/{incident}/0001-received.json")
            path = f"incidents/{incident}/0001-received.json"
            await me.outside.store.create(path, json.dumps(received).encode())
            with pytest.raises(Refused, match="it is still open"):
                await me.planned(incident)


async def test_what_changes_while_a_person_is_asked_is_not_written(tmp_path: Path) -> None:
    """They said yes to something else."""
    async with road(tmp_path, rules=policy("dry-run")) as way:
        incident = await waiting_at(way, "planned")
        async with person(way) as me:

            async def propose() -> Any:
                return await me.planned(incident)

            same = await confirmed(await propose(), propose)
            scaled(way)
            with pytest.raises(Refused, match="it changed while you were asked"):
                await confirmed(same, propose)
        assert writes(way) == []
