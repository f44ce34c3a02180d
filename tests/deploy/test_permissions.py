"""The custom roles: each permission with its reason, none wider than needed."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from commands.permission_catalogue import Role, actions_of, every_action, permission_catalogue
from incident.model import GrantScope, Kind
from incident.policy.resolve import parse_policy
from tests.deploy.terraform import DEPLOY, EXAMPLES, ORGANIZATION, module, read_module

PERMISSIONS: list[dict[str, Any]] = json.loads((DEPLOY / "permissions.json").read_text())
ROLES = {"reader", "actor", "operator", "approver", "surveyor", "policy-editor"}
#: Where a permission is needed; of the last, which only runbooks have people type, the code knows
#: nothing.
RUNBOOKS_ONLY = "responder-project"
SCOPES = {*GrantScope, RUNBOOKS_ONLY}
#: What runbooks have people type beside what the code needs.
FOR_RUNBOOKS = {
    "reader": {("policy", "storage.objects.list")},  # one role for all that read the policy
    "operator": {
        ("workload", "run.executions.list"),
        ("policy", "storage.objects.get"),
        ("policy", "storage.objects.list"),
    },
    "approver": {("policy", "storage.objects.list")},
    "surveyor": {("policy", "storage.objects.list")},
}
#: What changes something outside of the responder's own bucket and topic.
WRITING = re.compile(r"\.(update|setIamPolicy|cancel|actAs|delete|create)$")


def permissions_of_role(role: str) -> set[tuple[str, str]]:
    """What a role may do: scope and permission."""
    return {(p["scope"], p["permission"]) for p in PERMISSIONS if role in p["roles"]}


@pytest.mark.parametrize("entry", PERMISSIONS, ids=lambda e: f"{e['permission']} on {e['scope']}")
def test_a_permission_has_its_reason(entry: dict[str, Any]) -> None:
    """A name that IAM could know, a scope, roles that exist, and why."""
    assert set(entry) - {"actions"} == {"permission", "scope", "roles", "reason"}
    assert ("actions" in entry) is ("actor" in entry["roles"])
    assert re.fullmatch(r"[a-z]+\.[a-zA-Z]+\.[a-zA-Z]+", entry["permission"])
    assert entry["scope"] in SCOPES
    assert entry["roles"]
    assert set(entry["roles"]) <= ROLES
    assert len(entry["reason"].split()) > 1 or entry["reason"] == "cancel-executions"


def test_nothing_is_granted_twice() -> None:
    """Each permission stands once for each scope."""
    keys = [(p["scope"], p["permission"]) for p in PERMISSIONS]
    assert len(keys) == len(set(keys))


def test_the_reader_role_cannot_write_to_any_workload() -> None:
    """The reader writes records and announcements of its own, and that is all."""
    writing = {key for key in permissions_of_role("reader") if WRITING.search(key[1])}
    assert writing == {("store", "storage.objects.create")}


def test_no_role_can_delete() -> None:
    """Neither workloads nor records; without delete a record cannot be overwritten either.

    A person who changes the policy saves over it, in a bucket that keeps what was there.
    """
    deleting = [p for p in PERMISSIONS if "delete" in p["permission"].lower()]
    assert [(p["scope"], p["roles"]) for p in deleting] == [("policy", ["policy-editor"])]


def test_only_surveyors_may_impersonate_the_function() -> None:
    """Until a time that the operator names; Terraform's own tests hold the grant against that."""
    entries = [p for p in PERMISSIONS if "getAccessToken" in p["permission"]]
    assert [(p["scope"], p["roles"]) for p in entries] == [("responder-account", ["surveyor"])]


def test_approvers_have_every_permission_of_the_functions() -> None:
    """A plan that a person approves is carried out with that person's rights."""
    counting = {("quota-project", "serviceusage.services.use")}
    on_duty = {(p["scope"], p["permission"]) for p in PERMISSIONS if p["scope"] == RUNBOOKS_ONLY}
    assert (
        permissions_of_role("approver")
        == permissions_of_role("reader") | permissions_of_role("actor") | counting | on_duty
    )
    assert on_duty <= permissions_of_role("operator")


def test_every_operator_role_can_use_the_quota_project() -> None:
    """A person's calls count on the responder's project; a function's count on its own anyway."""
    (entry,) = (p for p in PERMISSIONS if p["scope"] == "quota-project")
    assert set(entry["roles"]) == {"operator", "approver", "surveyor"}
    grant = module().one("google_project_iam_member", "quota_for_people")
    assert grant["project"] == "${var.project_id}"
    assert grant["for_each"] == "${local.people}"
    text = (DEPLOY / "README.md").read_text()
    login = text.index("gcloud auth application-default login\n")
    assert login < text.index("gcloud auth application-default set-quota-project")


def test_releasing_cancels_nothing() -> None:
    """Operators give back; they cannot stop what runs for good."""
    assert "run.executions.cancel" not in {name for _, name in permissions_of_role("operator")}


def test_the_roles_are_what_the_code_says_it_needs() -> None:
    """What is declared beside the calls, role by role, is what Terraform grants."""
    roles = permission_catalogue(every_action(), announces=True)
    expected = {
        role.value: {(grant.scope.value, grant.name) for grant in grants}
        for role, grants in roles.items()
    }
    granted = {
        role: {key for key in permissions_of_role(role) if key[0] != RUNBOOKS_ONLY}
        for role in ROLES
    }
    granted["actor"] |= granted["reader"]  # the functions are granted both
    for role, beside in FOR_RUNBOOKS.items():
        assert beside <= granted[role]
        expected[role] |= beside
    expected["actor"] |= FOR_RUNBOOKS["reader"]
    assert granted == expected


EVERY = sorted(f"{kind}/{name}" for kind, names in every_action().items() for name in names)


@pytest.mark.parametrize("chosen", [*((each,) for each in EVERY), tuple(EVERY), ()])
def test_what_no_action_needs_is_left_out(chosen: tuple[str, ...]) -> None:
    """For each action by itself: what the list has it for is what the code says it needs."""
    actions = {
        kind: frozenset(n for n in every_action()[kind] if f"{kind}/{n}" in chosen) for kind in Kind
    }
    catalogued = permission_catalogue(actions, announces=True)[Role.ACTOR]
    needed = {
        (p["scope"], p["permission"])
        for p in PERMISSIONS
        if "reader" in p["roles"] or {*p.get("actions", ())} & {*chosen}
    } - FOR_RUNBOOKS["reader"]
    assert needed == {(grant.scope.value, grant.name) for grant in catalogued}


def test_by_default_the_actions_are_those_of_the_shipped_policy() -> None:
    """Nobody is granted a right that only another policy would need."""
    policy = parse_policy((DEPLOY / "policy.yaml").read_bytes(), source="shipped")
    named = {kind.value: set(names) for kind, names in actions_of(policy).items()}
    default = module(ORGANIZATION).variables["actions"]["default"]
    assert {kind: set(names) for kind, names in default.items()} == named


def test_the_full_example_names_every_action() -> None:
    """So that Terraform takes all of them, and a plan of it grants all that they need."""
    called = read_module(EXAMPLES / "full").calls["organization"]["actions"]
    assert {kind: set(names) for kind, names in called.items()} == {
        kind.value: set(names) for kind, names in every_action().items()
    }
