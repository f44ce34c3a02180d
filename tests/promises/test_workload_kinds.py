"""Every kind of workload and every action: contained, reported, and released."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from incident.model import Kind
from tests.support.constants import ALL_ACTIONS, DEDICATED_ACCOUNTS, SAMPLE_OF_KIND, SCALED_TO_ZERO
from tests.support.environment import JsonDict, ResponderEnvironment, responder_environment
from tests.support.findings import sample_notification, similar_findings
from tests.support.worlds import service_of, world_around

#: The writes of each of these, in their order.
WRITES = {
    Kind.SERVICE: ["UpdateService", "SetIamPolicy", "DisableServiceAccount"],
    Kind.JOB: ["CancelExecution", "SetIamPolicy", "DisableServiceAccount"],
    Kind.WORKER_POOL: ["UpdateWorkerPool", "DisableServiceAccount"],
    Kind.INSTANCE: ["StopInstance", "DisableServiceAccount"],
}
PLANNED_KEYS = ("action", "kind", "target", "mask", "before", "after", "stops", "reversible")


def policy_for(kind: Kind, steps: str = "", mode: str = "enforce") -> str:
    """A policy for one kind of workload."""
    named = steps or ALL_ACTIONS[kind]
    return f"mode: {mode}\ncontain:\n  {kind}: {named}\n{DEDICATED_ACCOUNTS}"


def world_of_kind(kind: Kind, **changes: Any) -> JsonDict:
    """A world around the sample of a kind."""
    return world_around(sample_notification(SAMPLE_OF_KIND[kind]), **changes)


def workload_writes(env: ResponderEnvironment) -> list[str]:
    """What was written to workloads, without the annotation, by the last part of the method."""
    return [
        write.method.rpartition("/")[2]
        for write in env.emulator.writes
        if not write.validate_only
        and write.mask != ["annotations"]
        and "securitycenter" not in write.method
    ]


def invokers(env: ResponderEnvironment) -> list[Any]:
    """The bindings of the only policy in the world."""
    policies: Any = env.emulator.world.dump()["iamPolicies"]
    (policy,) = policies.values()
    bindings: list[Any] = policy.get("bindings", [])
    return bindings


def states_by_kind(outcome: Any) -> dict[str, str]:
    """How far each change came, by what it is made of."""
    return {change["kind"]: change["state"] for change in outcome["changes"]}


async def deliver_once(folder: Path, kind: Kind, **given: Any) -> tuple[Any, ResponderEnvironment]:
    """The outcome of one delivery, and the environment after it."""
    policy = given.pop("policy_text", policy_for(kind))
    async with responder_environment(
        folder, notification=sample_notification(SAMPLE_OF_KIND[kind]), policy_text=policy, **given
    ) as env:
        answer = await env.deliver()
        return {**answer.outcome.to_json(), "alarm": answer.alarm}, env


@pytest.mark.parametrize("kind", Kind)
async def test_every_kind_is_contained_and_verified(tmp_path: Path, kind: Kind) -> None:
    """Each change is written once, in order, read back, and reported."""
    outcome, env = await deliver_once(tmp_path, kind)
    assert (outcome["status"], outcome["alarm"]) == ("contained", False)
    assert workload_writes(env) == WRITES[kind]
    assert set(states_by_kind(outcome).values()) == {"verified"}
    assert outcome["containment"].endswith(f"/{kind}/{outcome['workload']['name']}/1")
    assert (outcome["drains_until"] is not None) is (kind is Kind.SERVICE)


@pytest.mark.parametrize("kind", Kind)
async def test_approve_and_dry_run_plan_what_enforcement_does(tmp_path: Path, kind: Kind) -> None:
    """Field for field, whatever the mode, and nothing is written but by enforcing."""
    planned = {}
    for mode in ("dry-run", "approve", "enforce"):
        (tmp_path / mode).mkdir()
        outcome, env = await deliver_once(
            tmp_path / mode, kind, policy_text=policy_for(kind, mode=mode)
        )
        planned[mode] = [
            {key: change[key] for key in PLANNED_KEYS} for change in outcome["changes"]
        ]
        assert bool(workload_writes(env)) is (mode == "enforce")
    assert planned["dry-run"] == planned["approve"] == planned["enforce"]
    assert planned["dry-run"]


async def test_a_dry_run_says_what_cannot_be_validated(tmp_path: Path) -> None:
    """Google validates updates and cancellations; of a policy only the permission is asked."""
    outcome, env = await deliver_once(
        tmp_path, Kind.JOB, policy_text=policy_for(Kind.JOB, mode="dry-run")
    )
    assert states_by_kind(outcome) == {
        "cancellation": "validated",
        "iam-policy": "not-validated",
        "service-account": "not-validated",
    }
    for change in outcome["changes"][1:]:
        assert "every permission that the write needs is there" in change["error"]
    assert outcome["changes"][0]["reversible"] is False
    faults = [
        {"method": method, "code": "PERMISSION_DENIED"}
        for method in ("SetIamPolicy", "DisableServiceAccount")
    ]
    (tmp_path / "denied").mkdir()
    outcome, env = await deliver_once(
        tmp_path / "denied",
        Kind.JOB,
        world=world_of_kind(Kind.JOB, faults=faults),
        policy_text=policy_for(Kind.JOB, mode="dry-run"),
    )
    assert "enforcing would lack run.jobs.setIamPolicy" in outcome["changes"][1]["error"]
    lacking = outcome["changes"][2]["error"]
    assert "enforcing would lack iam.serviceAccounts.disable" in lacking
    assert workload_writes(env) == []


async def test_an_isolated_revision_leaves_the_service_up(tmp_path: Path) -> None:
    """Traffic goes to the known-good revision; scaling and the rest stay as they are."""
    steps = "[[isolate-revision, scale-to-zero]]"
    world = world_of_kind(Kind.SERVICE)
    before = service_of(world)
    outcome, env = await deliver_once(
        tmp_path, Kind.SERVICE, world=world, policy_text=policy_for(Kind.SERVICE, steps)
    )
    assert outcome["status"] == "contained"
    assert [change["action"] for change in outcome["changes"]] == ["isolate-revision"]
    after = env.service
    assert after["scaling"].items() >= before["scaling"].items()
    (target,) = after["traffic"]
    assert (target["percent"], target["tag"]) == (100, "known-good")
    assert target["revision"] != outcome["workload"]["revision"]


async def test_the_alternative_is_taken_where_nothing_is_known_good(tmp_path: Path) -> None:
    """Without the operator's tag the service is stopped as a whole."""
    world = world_of_kind(Kind.SERVICE)
    service_of(world)["traffic"] = []
    steps = policy_for(Kind.SERVICE, "[[isolate-revision, scale-to-zero]]")
    outcome, env = await deliver_once(tmp_path, Kind.SERVICE, world=world, policy_text=steps)
    assert outcome["status"] == "contained"
    assert env.service["scaling"] == SCALED_TO_ZERO
    (tmp_path / "alone").mkdir()
    alone = policy_for(Kind.SERVICE, "[isolate-revision]")
    outcome, env = await deliver_once(
        tmp_path / "alone", Kind.SERVICE, world=world, policy_text=alone
    )
    assert outcome["status"] == "held"
    assert "no revision is tagged known-good" in outcome["decision"]["reasons"][0]


@pytest.mark.parametrize("steps", ["[restrict-ingress]", "[require-authentication]"])
async def test_restricting_actions_end_as_restricted(tmp_path: Path, steps: str) -> None:
    """The attacker's code still runs: it is reported as such, and a person must check."""
    outcome, _ = await deliver_once(
        tmp_path, Kind.SERVICE, policy_text=policy_for(Kind.SERVICE, steps)
    )
    assert (outcome["status"], outcome["alarm"]) == ("restricted", True)
    assert outcome["drains_until"] is None


@pytest.mark.parametrize(
    ("kind", "stop", "status"),
    [(Kind.SERVICE, "UpdateService", "restricted"), (Kind.JOB, "CancelExecution", "restricted")],
)
async def test_a_refused_stop_still_reports_the_restriction(
    tmp_path: Path, kind: Kind, stop: str, status: str
) -> None:
    """Never `contained` without a stop; what held is reported beside what did not."""
    faults = [{"method": stop, "code": "PERMISSION_DENIED"}]
    outcome, env = await deliver_once(tmp_path, kind, world=world_of_kind(kind, faults=faults))
    assert (outcome["status"], outcome["alarm"]) == (status, True)
    assert outcome["changes"][0]["state"] == "failed"
    assert outcome["changes"][1]["state"] == "verified"
    images = [
        env.read_record(path) for path in env.stored_objects("containments/**/*-written.json")
    ]
    assert [image["unsent"] for image in images] == [[0]]


@pytest.mark.parametrize("kind", [Kind.SERVICE, Kind.JOB])
async def test_a_refused_restriction_still_reports_the_stop(tmp_path: Path, kind: Kind) -> None:
    """It is contained, and a person must look at what is missing."""
    faults = [{"method": "SetIamPolicy", "code": "PERMISSION_DENIED"}]
    outcome, _ = await deliver_once(tmp_path, kind, world=world_of_kind(kind, faults=faults))
    assert (outcome["status"], outcome["alarm"]) == ("contained", True)
    (refused,) = (change for change in outcome["changes"] if change["state"] == "failed")
    assert refused["kind"] == "iam-policy"
    assert "setIamPolicy is missing" in refused["error"]


async def test_writes_before_a_lowered_policy_are_reported(tmp_path: Path) -> None:
    """The stop is written, the policy then lowered: contained, and nothing more is written."""

    def lower(moment: Any) -> None:
        if moment.method.endswith("/SetIamPolicy") and moment.phase == "before":
            env.write_policy(policy_for(Kind.SERVICE, mode="dry-run"))

    faults = [{"method": "SetIamPolicy", "code": "ABORTED", "times": 1}]
    world = world_of_kind(Kind.SERVICE, faults=faults)
    given: dict[str, Any] = {"world": world, "policy_text": policy_for(Kind.SERVICE), "hook": lower}
    async with responder_environment(
        tmp_path, notification=sample_notification(SAMPLE_OF_KIND[Kind.SERVICE]), **given
    ) as env:
        outcome: Any = (await env.deliver()).outcome.to_json()
        assert outcome["status"] == "contained"
        assert workload_writes(env) == ["UpdateService", "SetIamPolicy"]


async def test_an_execution_that_still_runs_is_never_hidden(tmp_path: Path) -> None:
    """One of two is cancelled, then the policy is lowered: not contained, and each is reported."""
    world = world_of_kind(Kind.JOB)
    running = world["executions"][-1]
    world["executions"].insert(1, {**running, "name": f"{running['name']}-2"})

    def lower(moment: Any) -> None:
        if moment.method.endswith("/CancelExecution") and len(workload_writes(env)) > 1:
            env.write_policy(policy_for(Kind.JOB, mode="dry-run"))

    world["faults"] = [{"method": "CancelExecution", "code": "ABORTED", "after": 1}]
    given: dict[str, Any] = {
        "world": world,
        "policy_text": policy_for(Kind.JOB, "[cancel-executions]"),
    }
    async with responder_environment(
        tmp_path, notification=sample_notification(SAMPLE_OF_KIND[Kind.JOB]), hook=lower, **given
    ) as env:
        outcome: Any = (await env.deliver()).outcome.to_json()
        assert outcome["status"] == "failed"
        assert [change["state"] for change in outcome["changes"]] == ["verified", "failed"]
        assert outcome["containment"]


async def test_an_execution_that_was_over_first_is_as_it_was_wanted(tmp_path: Path) -> None:
    """Cancelling what has just ended is refused by Google, and is no failure."""

    def end(moment: Any) -> None:
        if moment.method.endswith("/CancelExecution") and moment.phase == "before":
            for execution in env.emulator.world.executions.values():
                if not execution.completion_time:
                    execution.completion_time = "2026-10-02T08:14:13Z"

    faults = [{"method": "CancelExecution", "code": "FAILED_PRECONDITION"}]
    given: dict[str, Any] = {
        "world": world_of_kind(Kind.JOB, faults=faults),
        "policy_text": policy_for(Kind.JOB),
    }
    async with responder_environment(
        tmp_path, notification=sample_notification(SAMPLE_OF_KIND[Kind.JOB]), hook=end, **given
    ) as env:
        outcome: Any = (await env.deliver()).outcome.to_json()
        assert states_by_kind(outcome) == {
            "cancellation": "verified",
            "iam-policy": "verified",
            "service-account": "verified",
        }
        assert outcome["status"] == "contained"


@pytest.mark.parametrize("kind", Kind)
async def test_two_findings_on_one_workload_are_one_containment(tmp_path: Path, kind: Kind) -> None:
    """The second joins, writes nothing, and tells the same."""
    one, other = similar_findings(sample_notification(SAMPLE_OF_KIND[kind]), 2)
    world = world_around(one)
    world["findings"].append({"finding": other["finding"], "resource": other["resource"]})
    async with responder_environment(
        tmp_path, notification=one, world=world, policy_text=policy_for(kind)
    ) as env:
        first: Any = (await env.deliver(one)).outcome.to_json()
        second: Any = (await env.deliver(other)).outcome.to_json()
        assert first["status"] == second["status"] == "contained"
        assert first["containment"] == second["containment"]
        assert workload_writes(env) == WRITES[kind]


async def test_a_partly_reverted_containment_is_reapplied_and_fully_restored(
    tmp_path: Path,
) -> None:
    """The second image carries what the first one made: a release restores all of it."""
    one, other = similar_findings(sample_notification(SAMPLE_OF_KIND[Kind.SERVICE]), 2)
    world = world_around(one)
    world["findings"].append({"finding": other["finding"], "resource": other["resource"]})
    async with responder_environment(
        tmp_path, notification=one, world=world, policy_text=policy_for(Kind.SERVICE)
    ) as env:
        original = env.service["scaling"]
        await env.deliver(one)
        (policy,) = env.emulator.world.iam_policies.values()
        policy.bindings.add(role="roles/run.invoker", members=["allUsers"])
        outcome: Any = (await env.deliver(other)).outcome.to_json()
        assert outcome["status"] == "contained"
        assert invokers(env) == []
        images = [
            env.read_record(path) for path in env.stored_objects("containments/**/*-snapshot.json")
        ]
        parts = {change["kind"]: change for change in images[-1]["changes"]}
        assert (parts["fields"]["carried"], parts["iam-policy"]["carried"]) == (True, False)
        assert parts["fields"]["restores"]["scaling"].items() >= original.items()


async def test_the_evidence_of_a_job_is_its_executions_and_tasks(tmp_path: Path) -> None:
    """Who started it, how its tasks ended, and no environment value."""
    _, env = await deliver_once(tmp_path, Kind.JOB)
    names = {path.rpartition("/")[2] for path in env.stored_objects("incidents/*/evidence/*")}
    assert {"executions.json", "tasks.json", "access.json"} <= names
    assert "revisions.json" not in names
    for content in env.stored_objects("incidents/*/evidence/*").values():
        assert b"not-a-real-key-7f3a91c2d8" not in content


async def test_what_no_action_needs_is_not_waited_for(tmp_path: Path) -> None:
    """The write does not wait for a slow IAM policy, and it is asked for only once."""
    latency = {"GetIamPolicy": "1500ms", "ListRevisions": "1500ms"}
    steps = policy_for(Kind.SERVICE, "[scale-to-zero]")
    world = world_of_kind(Kind.SERVICE, latency=latency)
    outcome, env = await deliver_once(tmp_path, Kind.SERVICE, world=world, policy_text=steps)
    assert outcome["timings_ms"]["read"] < 1400
    calls = [call.method.rpartition("/")[2] for call in env.emulator.calls]
    assert (calls.count("GetIamPolicy"), calls.count("ListRevisions")) == (1, 1)


# For any policy, and any world that such a policy is about.

_ACTION_ORDERS = {
    Kind.SERVICE: (
        "isolate-revision",
        "scale-to-zero",
        "restrict-ingress",
        "require-authentication",
        "disable-service-account",
    ),
    Kind.JOB: ("cancel-executions", "require-authentication", "disable-service-account"),
    Kind.WORKER_POOL: ("scale-to-zero", "disable-service-account"),
    Kind.INSTANCE: ("stop-instance", "disable-service-account"),
}


@st.composite
def _cases(draw: st.DrawFn) -> tuple[Kind, str, JsonDict]:
    """A kind, a list of steps for it, and a world around its sample with some of it changed."""
    kind = draw(st.sampled_from(Kind))
    step = st.lists(st.sampled_from(_ACTION_ORDERS[kind]), min_size=1, max_size=2, unique=True)
    steps = draw(st.lists(step, min_size=1, max_size=3, unique_by=tuple))
    world = world_of_kind(kind)
    members = st.sampled_from(["allUsers", "allAuthenticatedUsers", "user:a@example.com"])
    for policy in world.get("iamPolicies", {}).values():  # an instance has none here
        policy["bindings"][0]["members"] = draw(st.lists(members, min_size=1, unique=True))
    if kind is Kind.SERVICE:
        service = service_of(world)
        service["invokerIamDisabled"] = draw(st.booleans())
        service["ingress"] = f"INGRESS_TRAFFIC_{draw(st.sampled_from(['ALL', 'INTERNAL_ONLY']))}"
        if draw(st.booleans()):
            service["traffic"] = []
    return kind, json.dumps(steps), world


@given(case=_cases())
@hypothesis_settings(
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=6,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
async def test_any_plan_is_the_same_in_every_mode(
    tmp_path_factory: pytest.TempPathFactory, case: tuple[Kind, str, JsonDict]
) -> None:
    """Dry run, approve and enforce give the same changes, field for field."""
    kind, steps, world = case
    planned = []
    for mode in ("dry-run", "approve", "enforce"):
        folder = tmp_path_factory.mktemp("mode")
        outcome, _ = await deliver_once(
            folder, kind, world=world, policy_text=policy_for(kind, steps, mode)
        )
        planned.append(
            [{key: change[key] for key in PLANNED_KEYS} for change in outcome["changes"]]
        )
    assert planned[0] == planned[1] == planned[2]


async def test_what_was_only_restricted_by_somebody_else_is_not_called_contained(
    tmp_path: Path,
) -> None:
    """Nothing is to be written, and what runs keeps running: a person must check."""
    world = world_around(sample_notification())
    world["services"][0]["ingress"] = "INGRESS_TRAFFIC_INTERNAL_ONLY"
    rules = "mode: enforce\ncontain:\n  service: [restrict-ingress]\n"
    async with responder_environment(tmp_path, world=world, policy_text=rules) as env:
        answer = await env.deliver()
        assert (answer.outcome.status, answer.alarm) == ("restricted", True)
        assert env.emulator.writes == []
