"""Who may invoke a workload, taken out of its policy and put back where they were."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from incident.actions.catalogue import bindings_left
from incident.actions.invokers import alike, bindings_in, invokers, restored, reunited
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
def test_what_an_edit_took_out_comes_back_to_the_letter(
    before: tuple[JsonObject, ...], kind: Kind
) -> None:
    """Bindings and members, in their order, if nobody did anything else."""
    assert restored(bindings_left(before, kind), before) == before


@given(before=_policies, kind=_kinds, others=_policies)
@repeatable
def test_whatever_others_did_to_other_bindings_stays(
    before: tuple[JsonObject, ...], kind: Kind, others: tuple[JsonObject, ...]
) -> None:
    """The invokers are the earlier ones, the others are those of now in their order."""
    left = invokers(bindings_left(before, kind))
    theirs = tuple(binding for binding in others if binding not in invokers(others))
    back = restored((*theirs, *left), before)
    assert invokers(back) == invokers(before)
    assert tuple(binding for binding in back if binding not in invokers(back)) == theirs


@given(before=_policies, kind=_kinds, again=_policies)
@repeatable
def test_nobody_that_an_earlier_edit_took_out_is_forgotten(
    before: tuple[JsonObject, ...], kind: Kind, again: tuple[JsonObject, ...]
) -> None:
    """Everybody who is in now and everybody who was taken out, and nobody else."""
    left = bindings_left(before, kind)
    whole = reunited(again, before, left)
    taken = _in(before) - _in(left)
    assert _in(whole) == _in(again) | taken


def test_a_place_is_found_among_others_that_came_and_went() -> None:
    """After the nearest binding that was before it and still is there."""
    before = (VIEWER, PUBLIC, ADMIN)
    assert restored((VIEWER, ADMIN), before) == before
    assert restored((ADMIN, VIEWER), before) == (ADMIN, VIEWER, PUBLIC)
    assert restored((ADMIN,), before) == (PUBLIC, ADMIN)
    assert restored((), before) == (PUBLIC,)
    assert restored((VIEWER, VIEWER, ADMIN), before) == (VIEWER, PUBLIC, VIEWER, ADMIN)


def test_a_conditional_binding_is_none_of_ours() -> None:
    """It stays as it is now, whatever it was before."""
    assert invokers((CONDITIONAL, VIEWER)) == ()
    assert restored((CONDITIONAL,), (PUBLIC,)) == (PUBLIC, CONDITIONAL)
    assert restored((), (CONDITIONAL, PUBLIC)) == (PUBLIC,)


def test_likeness_is_a_matter_of_who_gets_in() -> None:
    """Order and grouping do not count, conditions and other roles neither."""
    both: JsonObject = {**PUBLIC, "members": ["allUsers", "user:a@example.com"]}
    split: tuple[JsonObject, ...] = ({**PUBLIC, "members": ["user:a@example.com"]}, PUBLIC)
    assert alike((both,), (*split, CONDITIONAL, VIEWER))
    assert not alike((both,), (PUBLIC,))
    assert alike((), (CONDITIONAL,))


def test_an_edit_without_bindings_has_none() -> None:
    """An empty policy has no such key at all."""
    assert bindings_in({}) == ()
    assert bindings_in({"bindings": [PUBLIC]}) == (PUBLIC,)


def _in(bindings: tuple[JsonObject, ...]) -> set[str]:
    """Everybody whom a policy lets in without a condition."""
    listed: list[Any] = [binding["members"] for binding in invokers(bindings)]
    return {member for members in listed for member in members}
