"""Remove callers from an IAM policy, and put them back where they were."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from incident.actions.masked_changes import in_effect, plan_changes
from incident.actions.require_authentication import (
    add_missing_callers,
    bindings_in,
    bindings_to_keep,
    caller_bindings,
    restore_callers,
    same_callers,
)
from incident.model import Access, JsonObject, Kind
from incident.model.calling_roles import CALLING_ROLES, PUBLIC_MEMBERS, calling_roles
from tests.support.model import configuration, finding, repeatable

MORNINGS = "request.time.getHours() < 12"
PUBLIC: JsonObject = {"role": "roles/run.invoker", "members": ["allUsers"]}
CONDITIONAL: JsonObject = {
    **PUBLIC,
    "condition": {"title": "t", "expression": MORNINGS},
}
VIEWER: JsonObject = {"role": "roles/run.viewer", "members": ["user:v@example.com"]}
ADMIN: JsonObject = {"role": "roles/run.admin", "members": ["user:a@example.com"]}

_members = st.lists(
    st.sampled_from(["allUsers", "allAuthenticatedUsers", "user:a@x.com", "user:b@x.com"]),
    min_size=1,
    unique=True,
)
_binding = st.builds(
    lambda role, members, condition: {
        "role": role,
        "members": members,
        **({"condition": {"title": condition, "expression": MORNINGS}} if condition else {}),
    },
    st.sampled_from([*(role.name for role in CALLING_ROLES), "roles/run.viewer"]),
    _members,
    st.sampled_from(["", "", "one", "two"]),
)
_policies = st.lists(_binding, max_size=6).map(tuple)
_kinds = st.sampled_from([Kind.SERVICE, Kind.JOB])


@given(before=_policies, kind=_kinds)
@repeatable
def test_removed_members_are_restored_exactly(before: tuple[JsonObject, ...], kind: Kind) -> None:
    """Bindings and members, in their order, if nobody did anything else."""
    assert restore_callers(bindings_to_keep(before, kind), before, kind) == before


@given(before=_policies, kind=_kinds, others=_policies)
@repeatable
def test_later_changes_to_other_bindings_are_kept(
    before: tuple[JsonObject, ...], kind: Kind, others: tuple[JsonObject, ...]
) -> None:
    """The invokers are the earlier ones, the others are those of now in their order."""
    left = caller_bindings(bindings_to_keep(before, kind), kind)
    theirs = tuple(binding for binding in others if binding not in caller_bindings(others, kind))
    back = restore_callers((*theirs, *left), before, kind)
    assert caller_bindings(back, kind) == caller_bindings(before, kind)
    assert (
        tuple(binding for binding in back if binding not in caller_bindings(back, kind)) == theirs
    )


@given(before=_policies, kind=_kinds, again=_policies)
@repeatable
def test_members_removed_by_an_earlier_edit_are_restored(
    before: tuple[JsonObject, ...], kind: Kind, again: tuple[JsonObject, ...]
) -> None:
    """The members that are in it now and those that were removed, and nobody else."""
    left = bindings_to_keep(before, kind)
    whole = add_missing_callers(again, before, left, kind)
    taken = _unconditional_members(before, kind) - _unconditional_members(left, kind)
    assert _unconditional_members(whole, kind) == _unconditional_members(again, kind) | taken


def test_a_restored_binding_follows_its_former_predecessor() -> None:
    """It goes after the nearest earlier binding that still exists."""
    before = (VIEWER, PUBLIC, ADMIN)
    assert restore_callers((VIEWER, ADMIN), before, Kind.SERVICE) == before
    assert restore_callers((ADMIN, VIEWER), before, Kind.SERVICE) == (ADMIN, VIEWER, PUBLIC)
    assert restore_callers((ADMIN,), before, Kind.SERVICE) == (PUBLIC, ADMIN)
    assert restore_callers((), before, Kind.SERVICE) == (PUBLIC,)
    assert restore_callers((VIEWER, VIEWER, ADMIN), before, Kind.SERVICE) == (
        VIEWER,
        PUBLIC,
        VIEWER,
        ADMIN,
    )


def test_a_conditional_binding_is_left_alone() -> None:
    """It stays as it is now, whatever it was before."""
    assert caller_bindings((CONDITIONAL, VIEWER), Kind.SERVICE) == ()
    assert restore_callers((CONDITIONAL,), (PUBLIC,), Kind.SERVICE) == (PUBLIC, CONDITIONAL)
    assert restore_callers((), (CONDITIONAL, PUBLIC), Kind.SERVICE) == (PUBLIC,)


def test_policies_are_equal_if_they_let_the_same_members_in() -> None:
    """Order and grouping do not count, conditions and other roles neither."""
    both: JsonObject = {**PUBLIC, "members": ["allUsers", "user:a@example.com"]}
    split: tuple[JsonObject, ...] = ({**PUBLIC, "members": ["user:a@example.com"]}, PUBLIC)
    assert same_callers((both,), (*split, CONDITIONAL, VIEWER), Kind.SERVICE)
    assert not same_callers((both,), (PUBLIC,), Kind.SERVICE)
    assert same_callers((), (CONDITIONAL,), Kind.SERVICE)


def test_an_edit_without_bindings_has_none() -> None:
    """An empty policy has no such key at all."""
    assert bindings_in({}) == ()
    assert bindings_in({"bindings": [PUBLIC]}) == (PUBLIC,)


def _unconditional_members(bindings: tuple[JsonObject, ...], kind: Kind) -> set[tuple[str, str]]:
    """Role and member of all that a policy lets in without a condition, as far as it is edited."""
    listed: list[Any] = [*caller_bindings(bindings, kind)]
    return {(each["role"], member) for each in listed for member in each["members"]}


def _open_to(bindings: tuple[JsonObject, ...], kind: Kind) -> set[str]:
    """Who may call or start a workload by its policy, without a condition: written out again."""
    roles = {
        Kind.SERVICE: {"roles/run.invoker", "roles/run.servicesInvoker", "roles/run.admin"},
        Kind.JOB: {
            "roles/run.invoker",
            "roles/run.jobsExecutor",
            "roles/run.jobsExecutorWithOverrides",
            "roles/run.admin",
            "roles/run.developer",
        },
    }
    listed: list[Any] = [b for b in bindings if b["role"] in roles[kind] and "condition" not in b]
    return {member for binding in listed for member in binding["members"]}


@given(before=_policies, kind=_kinds)
@repeatable
def test_no_policy_is_called_closed_while_the_public_is_let_in(
    before: tuple[JsonObject, ...], kind: Kind
) -> None:
    """After the edit the public is out, or what lets it in is named; so are a job's starters."""
    access = Access((), "ab", before)
    open_workload = configuration(kind=kind, access=access, fields={})
    plan = plan_changes((("require-authentication",),), open_workload, finding())
    assert plan.applicable
    after = before
    for change in plan.changes:
        assert not in_effect(change, open_workload)
        after = bindings_in(change.after)
    closed = replace(open_workload, access=Access((), "cd", after))
    assert all(in_effect(change, closed) for change in plan.changes)
    assert bool(_open_to(after, kind) & PUBLIC_MEMBERS) is bool(plan.unreached)
    assert (
        plan.unreached == plan_changes((("require-authentication",),), closed, finding()).unreached
    )
    named_starters = _open_to(after, kind) - PUBLIC_MEMBERS if kind is Kind.JOB else set()
    conditional = any("condition" in each for each in after if each["role"] in calling_roles(kind))
    if named_starters or (kind is Kind.JOB and conditional):
        assert plan.remarks
