"""Who is granted what where, as Terraform works it out from the variables."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from commands.permission_catalogue import every_action
from tests.deploy.terraform import GIVEN, evaluated, module
from tests.deploy.test_permissions import ROLES, WRITING, permissions_of_role

FILES = ("grants.tf", "functions.tf", "names.tf")
SANDBOX = "projects/sandbox-1/locations/europe-west1/services/guinea-pig"
PEOPLE = {"operators": ["group:o"], "approvers": ["group:a"], "surveyors": ["group:s"]}
TARGETS = {
    "target_service_accounts": [
        "web@sandbox-1.iam.gserviceaccount.com",
        "projects/accounts-1/serviceAccounts/42-compute@developer.gserviceaccount.com",
    ],
    "image_repositories": ["projects/shared-images/locations/us/repositories/web"],
}
ACTIONS = {kind.value: sorted(names) for kind, names in every_action().items()}
EVERYTHING = {
    **PEOPLE,
    "actions": ACTIONS,
    **TARGETS,
    "mode": "enforce",
    "acting_scopes": ["projects/sandbox-1", "folders/7"],
    "drill_services": [SANDBOX],
}
Grants = set[tuple[str, str, str]]


def granted(folder: Path, **variables: Any) -> tuple[Grants, dict[str, list[str]]]:
    """Every grant as role, member and resource; and what each role is made of."""
    asked = "{grants = local.grants, roles = local.roles, on = local.grants_on}"
    told = evaluated(folder, asked, *FILES, **variables)
    grants = {(each["role"], each["member"], each["on"]) for each in told["grants"]}
    by_kind = [each for some in told["on"].values() for each in some.values()]
    assert {(each["role"], each["member"], each["on"]) for each in by_kind} == grants
    assert len(by_kind) == len(grants)  # each by one resource, and none by two
    return grants, told["roles"]


def writes(permissions: list[str]) -> bool:
    """Whether a role can change anything that it is granted on."""
    return any(WRITING.search(name) for name in permissions)


def test_without_the_acting_switch_no_one_can_write_to_a_workload(tmp_path: Path) -> None:
    """Neither a function nor a person, whatever else the variables say."""
    grants, roles = granted(tmp_path, **EVERYTHING)
    assert {on for _, _, on in grants} == {GIVEN["scope"]}
    assert {role for role, _, _ in grants} == {
        *(f"{role}/scope" for role in ("reader", "operator", "approver", "surveyor")),
        "surveyor/hierarchy",
    }
    assert not [role for role, _, _ in grants if writes(roles[role])]


def test_the_acting_switch_without_scopes_grants_no_writes(tmp_path: Path) -> None:
    """It needs a place as well; naming accounts and images is none."""
    grants, _ = granted(tmp_path, **PEOPLE, **TARGETS, grant_acting_role=True)
    assert {on for _, _, on in grants} == {GIVEN["scope"]}


def test_a_drill_takes_rights_on_one_service_for_approvers_alone(tmp_path: Path) -> None:
    """And what goes with an update of it; nothing in its project, nothing for the functions."""
    variables = {**EVERYTHING, "acting_scopes": [], "grant_acting_role": True}
    grants, roles = granted(tmp_path, **variables)
    acting = {grant for grant in grants if writes(roles[grant[0]])}
    assert {member for _, member, _ in acting} == {"group:a"}
    assert [on for role, _, on in acting if role == "approver/drill"] == [SANDBOX]
    assert set(roles["approver/drill"]) == {"run.services.update", "run.services.setIamPolicy"}
    accounts = {on for role, _, on in grants if role == "approver/runtime-service-account"}
    assert accounts == {
        "projects/sandbox-1/serviceAccounts/web@sandbox-1.iam.gserviceaccount.com",
        "projects/accounts-1/serviceAccounts/42-compute@developer.gserviceaccount.com",
    }
    assert len(acting) == 1 + len(accounts)


def test_acting_is_granted_where_it_is_named_and_nowhere_else(tmp_path: Path) -> None:
    """Functions, operators and approvers in the acting scopes; accounts and images by name."""
    grants, roles = granted(tmp_path, **EVERYTHING, grant_acting_role=True)
    places = {on for role, _, on in grants if role.endswith("/acting")}
    assert places == {"projects/sandbox-1", "folders/7"}
    members = {member for role, member, _ in grants if role.endswith("/acting")}
    assert members == {"function respond", "function patrol", "group:o", "group:a"}
    for role, _, on in grants:
        assert writes(roles[role]) <= (on != GIVEN["scope"])
        assert ("actAs" in str(roles[role])) is ("/serviceAccounts/" in on)
        assert ("downloadArtifacts" in str(roles[role])) is ("/repositories/" in on)


def test_no_permission_is_lost_between_the_list_and_the_grants(tmp_path: Path) -> None:
    """Each role, put together again from its parts, is what the list says."""
    _, roles = granted(tmp_path, actions=ACTIONS)
    for role in ROLES:
        parts = [set(names) for key, names in roles.items() if key.startswith(f"{role}/")]
        assert set().union(*parts) == {name for _, name in permissions_of_role(role)}


def test_with_a_project_as_scope_a_role_lives_where_it_is_granted(tmp_path: Path) -> None:
    """Accounts and images in other projects included: a project's role goes no further."""
    variables = {**EVERYTHING, "scope": "projects/sandbox-1", "grant_acting_role": True}
    variables["acting_scopes"] = ["projects/sandbox-1"]
    asked = "{on = local.grants_on, made = local.project_roles}"
    told = evaluated(tmp_path, asked, *FILES, **variables)
    grants = [each for some in told["on"].values() for each in some.values()]
    for each in grants:
        made = told["made"][each["named"]]
        assert (made["key"], made["project"]) == (each["role"], each["on"].split("/")[1])
    assert {made["project"] for made in told["made"].values()} == {
        *("sandbox-1", "accounts-1", "shared-images", GIVEN["project_id"]),
    }


LONGEST = {"name": "n" * 22, "project_id": "p" * 30}


def test_a_suffix_frees_what_a_removal_leaves_reserved(tmp_path: Path) -> None:
    """Roles and buckets are others with it, and no id is too long or means two roles."""
    asked = """{roles = local.role_ids, buckets = [
      local.evidence_bucket, local.policy_bucket, local.source_bucket]}"""
    asked = " ".join(asked.split())
    before = evaluated(tmp_path / "1", asked, *FILES, **LONGEST)
    after = evaluated(tmp_path / "2", asked, *FILES, **LONGEST, name_suffix="-" + "2" * 7)
    ids = {*before["roles"].values(), *after["roles"].values()}
    assert len(ids) == 2 * len(before["roles"])
    assert all(re.fullmatch("[a-zA-Z0-9_]{3,64}", each) for each in ids)
    assert all(len(name) <= 63 for name in before["buckets"])
    assert not {*before["buckets"]} & {*after["buckets"]}


def test_actions_on_jobs_alone_need_no_account_and_no_image(tmp_path: Path) -> None:
    """There is no role for what nothing needs, and no grant of such a role."""
    variables = {**EVERYTHING, "grant_acting_role": True, "actions": {"job": ["cancel-executions"]}}
    grants, roles = granted(tmp_path, **variables)
    assert {role for role, _, _ in grants} <= set(roles)
    assert not [on for _, _, on in grants if "serviceAccounts" in on or on == SANDBOX]
    assert "run.executions.cancel" in roles["actor/acting"]
    assert all(roles.values())


def test_rights_that_the_shipped_policy_does_not_need_are_in_no_role(tmp_path: Path) -> None:
    """Editing who may invoke a service is the power to invite oneself."""
    _, roles = granted(tmp_path)
    every = {name for names in roles.values() for name in names}
    assert "run.services.update" in every
    assert "run.services.setIamPolicy" not in every


@pytest.mark.parametrize("kind", ["organization", "folder"])
def test_above_projects_the_organization_has_the_roles(tmp_path: Path, kind: str) -> None:
    """They can be granted in every project below, shared ones included."""
    scope = GIVEN["scope"] if kind == "organization" else "folders/7"
    asked = "{on = local.grants_on, made = local.project_roles}"
    variables = {**EVERYTHING, "scope": scope, "grant_acting_role": True}
    told = evaluated(tmp_path, asked, *FILES, **variables)
    assert told["made"] == {}
    for some in told["on"].values():
        assert all(each["named"] == each["role"] for each in some.values())


def test_the_example_first_grants_read_only_access() -> None:
    """Every step after it is a comment until somebody takes it."""
    variables = module().variables
    for name in ("acting_scopes", "drill_services", "image_repositories"):
        assert variables[name]["default"] == []
