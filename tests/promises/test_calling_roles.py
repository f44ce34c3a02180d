"""Every role that only allows calling or starting is closed, read back, and given back exactly."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from incident.model import Kind
from incident.model.calling_roles import PUBLIC_MEMBERS, calling_roles, editable_roles
from tests.support.environment import JsonDict
from tests.support.releases import contained_workload
from tests.support.worlds import CONDITION, rich_world

USER, ACCOUNT = "user:a@example.com", "serviceAccount:ci@p.iam.gserviceaccount.com"
VIEWER: JsonDict = {"role": "roles/run.viewer", "members": ["user:viewer@example.com"]}


def world_with(kind: Kind, *bindings: JsonDict) -> JsonDict:
    """A world whose workload has these bindings, and the check of invokers on."""
    world = rich_world(kind, **({"invokerIamDisabled": False} if kind is Kind.SERVICE else {}))
    (policy,) = world["iamPolicies"].values()
    policy["bindings"] = [copy.deepcopy(each) for each in bindings]
    return world


def current_grants(world: JsonDict) -> set[tuple[str, str]]:
    """Role and member of every binding without a condition, in a dumped world."""
    (policy,) = world["iamPolicies"].values()
    return {
        (binding["role"], member)
        for binding in policy.get("bindings", [])
        if not binding.get("condition")
        for member in binding["members"]
    }


CASES = [(kind, role) for kind in (Kind.SERVICE, Kind.JOB) for role in sorted(editable_roles(kind))]


@pytest.mark.parametrize(("kind", "role"), CASES)
async def test_the_public_is_removed_from_every_calling_role(
    tmp_path: Path, kind: Kind, role: str
) -> None:
    """`restricted` is reported only if nobody may call; the release restores all of it."""
    bindings = (VIEWER, {"role": role, "members": [USER, "allUsers", ACCOUNT]})
    async with contained_workload(
        tmp_path, kind, world=world_with(kind, *bindings), actions="[require-authentication]"
    ) as held:
        assert held.outcome["status"] == "restricted"
        kept = set() if kind is Kind.JOB else {(role, USER), (role, ACCOUNT)}
        assert current_grants(held.world) == {(VIEWER["role"], VIEWER["members"][0]), *kept}
        await held.release()
        assert held.is_restored()


async def test_several_roles_are_closed_in_one_edit(tmp_path: Path) -> None:
    """A job is started by three roles; its execution is cancelled besides."""
    bindings = [{"role": role, "members": [USER]} for role in sorted(editable_roles(Kind.JOB))]
    async with contained_workload(
        tmp_path, Kind.JOB, world=world_with(Kind.JOB, VIEWER, *bindings)
    ) as held:
        assert held.outcome["status"] == "contained"
        assert held.writes().count("SetIamPolicy") == 1
        assert {role for role, _ in current_grants(held.world)} == {VIEWER["role"]}
        await held.release()
        assert held.is_restored()


@pytest.mark.parametrize("closable", [True, False])
@pytest.mark.parametrize("kind", [Kind.SERVICE, Kind.JOB])
async def test_a_broader_role_of_the_public_is_not_called_restricted(
    tmp_path: Path, kind: Kind, *, closable: bool
) -> None:
    """It is reported and never edited, whether or not another role could be closed."""
    admin = {"role": "roles/run.admin", "members": ["allUsers"]}
    invoker = {"role": "roles/run.invoker", "members": ["allUsers"]}
    bindings = (admin, invoker) if closable else (admin,)
    async with contained_workload(
        tmp_path, kind, world=world_with(kind, *bindings), actions="[require-authentication]"
    ) as held:
        assert held.outcome["status"] == "unverified"
        assert "roles/run.admin of allUsers" in json.dumps(held.outcome["decision"]["reasons"])
        assert current_grants(held.world) == {("roles/run.admin", "allUsers")}
        assert held.writes().count("SetIamPolicy") == closable
        await held.release()
        assert held.is_restored()


async def test_conditions_and_broader_roles_are_reported(tmp_path: Path) -> None:
    """Both stay as they are; the outcome names the members."""
    bindings = (
        {"role": "roles/run.jobsExecutor", "members": [USER], "condition": CONDITION},
        {"role": "roles/run.developer", "members": [ACCOUNT]},
        {"role": "roles/run.jobsExecutorWithOverrides", "members": ["allAuthenticatedUsers"]},
    )
    async with contained_workload(
        tmp_path,
        Kind.JOB,
        world=world_with(Kind.JOB, *bindings),
        actions="[require-authentication]",
    ) as held:
        assert held.outcome["status"] == "restricted"
        reasons = json.dumps(held.outcome["decision"]["reasons"])
        assert f"roles/run.jobsExecutor of {USER} under a condition" in reasons
        assert f"roles/run.developer of {ACCOUNT}" in reasons
        assert current_grants(held.world) == {("roles/run.developer", ACCOUNT)}
        await held.release()
        assert held.is_restored()


@pytest.mark.parametrize("role", sorted(calling_roles(Kind.SERVICE)))
async def test_a_caller_that_others_add_is_kept_by_the_release(tmp_path: Path, role: str) -> None:
    """Only what the containment removed comes back, beside what others added by other roles."""
    bindings = ({"role": "roles/run.servicesInvoker", "members": ["allUsers"]},)
    async with contained_workload(
        tmp_path,
        Kind.SERVICE,
        world=world_with(Kind.SERVICE, *bindings),
        actions="[require-authentication]",
    ) as held:
        (policy,) = held.env.emulator.world.iam_policies.values()
        policy.bindings.add(role=role, members=[USER])
        plan = await held.plan_release()
        added_to_edited_role = role in editable_roles(Kind.SERVICE)
        assert bool(plan.differences) is added_to_edited_role
        if not added_to_edited_role:
            await held.release(plan)
            restored = {("roles/run.servicesInvoker", "allUsers"), (role, USER)}
            assert current_grants(held.world) == restored


async def test_the_callers_in_the_evidence_are_those_that_the_action_closes(
    tmp_path: Path,
) -> None:
    """The same table decides what is reported as open, what is closed, and which tasks are left."""
    bindings = ({"role": "roles/run.servicesInvoker", "members": sorted(PUBLIC_MEMBERS)},)
    async with contained_workload(
        tmp_path,
        Kind.SERVICE,
        world=world_with(Kind.SERVICE, *bindings),
        actions="[require-authentication]",
    ) as held:
        assessment: Any = held.outcome["assessment"]
        callers = [each["text"] for each in assessment["reach"] if each["topic"] == "callers"]
        assert sum("may call it: its IAM policy gives" in text for text in callers) == 2
        (change,) = held.outcome["changes"]
        assert change["after"]["bindings"] == []
        assert "run services remove-iam-policy-binding" not in str(assessment["plan"]["people"])


@pytest.mark.parametrize("kind", [Kind.SERVICE, Kind.JOB])
async def test_a_condition_that_always_holds_keeps_nobody_in(tmp_path: Path, kind: Kind) -> None:
    """Such a binding is edited like one without a condition, and released to the letter."""
    world = rich_world(kind)
    (policy,) = world["iamPolicies"].values()
    policy["bindings"] += [
        {"role": "roles/run.invoker", "members": ["allUsers"], "condition": condition}
        for condition in (
            {"title": "business hours", "expression": "true"},
            {"expression": "request.time > timestamp('2020-01-01T00:00:00Z')"},
        )
    ]
    actions = "[require-authentication]"
    async with contained_workload(tmp_path, kind, world=world, actions=actions) as held:
        (now,) = held.world["iamPolicies"].values()
        expressions = [b["condition"]["expression"] for b in now["bindings"] if "condition" in b]
        assert expressions == [CONDITION["expression"]]
        await held.release()
        assert held.is_restored()
