"""Guard by guard: what binds a person who approves or contains by hand, and what does not."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incident.actions.catalogue import ACTIONS
from incident.actions.recorded_plan import Recorded
from incident.decision.guards import Attendance, approving, containing
from incident.model import Kind, Mode, Verdict
from tests.promises.test_guard_table import TABLE, decided, evidence_of
from tests.support.model import repeatable

#: Which guards do not bind a person who asks for it now, and why.
WAIVED = {
    "young_enough": "the person looks at the workload as it is today",
    "under_hourly_cap": "one person at a time is no burst",
    "under_project_cap": "the same",
    "virustotal_gate": "the person has looked for themselves",
}
BY_HAND = {
    "approve": WAIVED,
    "contain": {**WAIVED, "never_released": "that it is theirs to decide is what the guard says"},
}


def attending(act: str, kind: Kind) -> Attendance:
    """A person who approves the plan that there was, or contains by a fresh one."""
    if act == "contain":
        return containing("ops@example.com")
    evidence = evidence_of(kind, {})
    assert evidence.settings
    plan = decided(kind, Mode.APPROVE, {}).changes
    return approving("ops@example.com", Recorded(evidence.settings.uid, plan))


@pytest.mark.parametrize(("act", "kind"), list(product(BY_HAND, Kind)))
def test_where_no_guard_objects_a_persons_word_is_carried_out(act: str, kind: Kind) -> None:
    """Whatever the mode, since a plan that waits or was rehearsed has a mode of its own."""
    decision = decided(kind, Mode.ENFORCE, {}, attending(act, kind))
    assert (decision.verdict, decision.mode) == (Verdict.CONTAIN, Mode.ENFORCE)


@pytest.mark.parametrize(("act", "guard", "kind"), list(product(BY_HAND, TABLE, Kind)))
def test_a_person_is_bound_by_all_but_what_bounds_unattended_action(
    act: str, guard: str, kind: Kind
) -> None:
    """Protection, confirmation and a release under way bind everybody."""
    decision = decided(kind, Mode.ENFORCE, TABLE[guard].objects, attending(act, kind))
    waived = guard in BY_HAND[act]
    expected = (Verdict.CONTAIN, True) if waived else (Verdict.HOLD, False)
    assert (decision.verdict, bool(decision.changes)) == expected


@pytest.mark.parametrize("act", BY_HAND)
def test_what_is_waived_is_what_the_table_says(act: str) -> None:
    """No guard is waived without its reason here."""
    assert attending(act, Kind.SERVICE).waived == set(BY_HAND[act])
    assert attending(act, Kind.SERVICE).unbounded


@given(
    act=st.sampled_from(list(BY_HAND)),
    kind=st.sampled_from(list(Kind)),
    names=st.lists(st.sampled_from(["*", "storefront", "x*"]), min_size=1),
    steps=st.lists(st.sampled_from(sorted(ACTIONS)), unique=True),
    ceiling=st.sampled_from(list(Mode)),
)
@repeatable
def test_a_person_never_gets_past_protection_or_the_ceiling(
    act: str, kind: Kind, names: list[str], steps: list[str], ceiling: Mode
) -> None:
    """Whatever actions they name: what is protected, or lies above the ceiling, is not written."""
    who = replace(attending(act, kind), steps=tuple((name,) for name in steps))
    key = kind.collection if kind is not Kind.WORKER_POOL else "worker_pools"
    protect = {"policy": f"protect: [{{{key}: {json.dumps(names)}}}]\n"}
    decision = decided(kind, ceiling, protect, who)
    if {"*", "storefront"} & set(names):
        assert (decision.verdict, decision.changes) == (Verdict.HOLD, ())
    assert decision.mode is ceiling
