"""Remove callers from an IAM policy, and put them back where they were."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from incident.actions.require_authentication import (
    add_missing_invokers,
    bindings_in,
    bindings_to_keep,
    invoker_bindings,
    restore_invokers,
    same_invokers,
)
from incident.model import JsonObject, Kind
from tests.support.model import repeatable

PUBLIC: JsonObject = {"role": "roles/run.invoker", "members": ["allUsers"]}
CONDITIONAL: JsonObject = {**PUBLIC, "condition": {"title": "t", "expression": "true"}}
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
        **({"condition": {"title": condition, "expression": "true"}} if condition else {}),
    },
    st.sampled_from(["roles/run.invoker", "roles/run.viewer", "roles/run.admin"]),
    _members,
    st.sampled_from(["", "", "one", "two"]),
)
_policies = st.lists(_binding, max_size=6).map(tuple)
_kinds = st.sampled_from([Kind.SERVICE, Kind.JOB])


@given(before=_policies, kind=_kinds)
@repeatable
def test_removed_members_are_restored_exactly(before: tuple[JsonObject, ...], kind: Kind) -> None:
    """Bindings and members, in their order, if nobody did anything else."""
    assert restore_invokers(bindings_to_keep(before, kind), before) == before


@given(before=_policies, kind=_kinds, others=_policies)
@repeatable
def test_later_changes_to_other_bindings_are_kept(
    before: tuple[JsonObject, ...], kind: Kind, others: tuple[JsonObject, ...]
) -> None:
    """The invokers are the earlier ones, the others are those of now in their order."""
    left = invoker_bindings(bindings_to_keep(before, kind))
    theirs = tuple(binding for binding in others if binding not in invoker_bindings(others))
    back = restore_invokers((*theirs, *left), before)
    assert invoker_bindings(back) == invoker_bindings(before)
    assert tuple(binding for binding in back if binding not in invoker_bindings(back)) == theirs


@given(before=_policies, kind=_kinds, again=_policies)
@repeatable
def test_members_removed_by_an_earlier_edit_are_restored(
    before: tuple[JsonObject, ...], kind: Kind, again: tuple[JsonObject, ...]
) -> None:
    """The members that are in it now and those that were removed, and nobody else."""
    left = bindings_to_keep(before, kind)
    whole = add_missing_invokers(again, before, left)
    taken = _unconditional_members(before) - _unconditional_members(left)
    assert _unconditional_members(whole) == _unconditional_members(again) | taken


def test_a_restored_binding_follows_its_former_predecessor() -> None:
    """It goes after the nearest earlier binding that still exists."""
    before = (VIEWER, PUBLIC, ADMIN)
    assert restore_invokers((VIEWER, ADMIN), before) == before
    assert restore_invokers((ADMIN, VIEWER), before) == (ADMIN, VIEWER, PUBLIC)
    assert restore_invokers((ADMIN,), before) == (PUBLIC, ADMIN)
    assert restore_invokers((), before) == (PUBLIC,)
    assert restore_invokers((VIEWER, VIEWER, ADMIN), before) == (VIEWER, PUBLIC, VIEWER, ADMIN)


def test_a_conditional_binding_is_left_alone() -> None:
    """It stays as it is now, whatever it was before."""
    assert invoker_bindings((CONDITIONAL, VIEWER)) == ()
    assert restore_invokers((CONDITIONAL,), (PUBLIC,)) == (PUBLIC, CONDITIONAL)
    assert restore_invokers((), (CONDITIONAL, PUBLIC)) == (PUBLIC,)


def test_policies_are_equal_if_they_let_the_same_members_in() -> None:
    """Order and grouping do not count, conditions and other roles neither."""
    both: JsonObject = {**PUBLIC, "members": ["allUsers", "user:a@example.com"]}
    split: tuple[JsonObject, ...] = ({**PUBLIC, "members": ["user:a@example.com"]}, PUBLIC)
    assert same_invokers((both,), (*split, CONDITIONAL, VIEWER))
    assert not same_invokers((both,), (PUBLIC,))
    assert same_invokers((), (CONDITIONAL,))


def test_an_edit_without_bindings_has_none() -> None:
    """An empty policy has no such key at all."""
    assert bindings_in({}) == ()
    assert bindings_in({"bindings": [PUBLIC]}) == (PUBLIC,)


def _unconditional_members(bindings: tuple[JsonObject, ...]) -> set[str]:
    """Everybody whom a policy lets in without a condition."""
    listed: list[Any] = [binding["members"] for binding in invoker_bindings(bindings)]
    return {member for members in listed for member in members}
