"""Guard by guard: what binds a person who approves or contains manually, and what does not."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incident.actions.catalogue import ACTIONS
from incident.actions.recorded_plan import RecordedPlan
from incident.decision.guards import Operator, approving_operator, containing_operator
from incident.model import Kind, Mode, Verdict
from tests.promises.test_guard_table import (
    GUARD_ROWS,
    INAPPLICABLE,
    confirmed_evidence,
    decide_case,
)
from tests.support.model import repeatable

#: Which guards do not bind a person who asks for it now, and why.
WAIVED = {
    "within_max_age": "the person looks at the workload as it is today",
    "under_hourly_cap": "one person at a time is no burst",
    "under_project_cap": "the same",
    "virustotal_gate": "the person has looked for themselves",
}
MANUAL_COMMANDS = {
    "approve": WAIVED,
    "contain": {
        **WAIVED,
        "never_released": "that it is theirs to decide is what the guard says",
        "fields_known": "the gap says which, and the snapshot keeps them",
    },
}


def operator_input(act: str, kind: Kind) -> Operator:
    """A person who approves the plan that there was, or contains by a fresh one."""
    if act == "contain":
        return containing_operator("ops@example.com")
    evidence = confirmed_evidence(kind, {})
    assert evidence.configuration
    plan = decide_case(kind, Mode.APPROVE, {}).changes
    return approving_operator("ops@example.com", RecordedPlan(evidence.configuration.uid, plan))


@pytest.mark.parametrize(("act", "kind"), list(product(MANUAL_COMMANDS, Kind)))
def test_without_a_blocking_guard_the_persons_plan_is_enforced(act: str, kind: Kind) -> None:
    """Whatever the mode, since a plan that waits or was rehearsed has a mode of its own."""
    decision = decide_case(kind, Mode.ENFORCE, {}, operator_input(act, kind))
    assert (decision.verdict, decision.mode) == (Verdict.CONTAIN, Mode.ENFORCE)


@pytest.mark.parametrize(
    ("act", "guard", "kind"),
    [case for case in product(MANUAL_COMMANDS, GUARD_ROWS, Kind) if case[1:] not in INAPPLICABLE],
)
def test_a_person_is_bound_by_every_guard_but_the_waived_ones(
    act: str, guard: str, kind: Kind
) -> None:
    """Protection, confirmation and a release under way bind everybody."""
    decision = decide_case(
        kind, Mode.ENFORCE, GUARD_ROWS[guard].blocking, operator_input(act, kind)
    )
    waived = guard in MANUAL_COMMANDS[act]
    expected = (Verdict.CONTAIN, True) if waived else (Verdict.HOLD, False)
    assert (decision.verdict, bool(decision.changes)) == expected


@pytest.mark.parametrize("act", MANUAL_COMMANDS)
def test_exactly_the_listed_guards_are_waived(act: str) -> None:
    """No guard is waived without its reason here."""
    assert operator_input(act, Kind.SERVICE).waived_guards == set(MANUAL_COMMANDS[act])
    assert operator_input(act, Kind.SERVICE).exempt_from_caps


@given(
    act=st.sampled_from(list(MANUAL_COMMANDS)),
    kind=st.sampled_from(list(Kind)),
    names=st.lists(st.sampled_from(["*", "storefront", "x*"]), min_size=1),
    steps=st.lists(st.sampled_from(sorted(ACTIONS)), unique=True),
    ceiling=st.sampled_from(list(Mode)),
)
@repeatable
def test_a_person_cannot_override_protection_or_the_mode_ceiling(
    act: str, kind: Kind, names: list[str], steps: list[str], ceiling: Mode
) -> None:
    """Whatever actions they name: what is protected, or lies above the ceiling, is not written."""
    who = replace(operator_input(act, kind), steps=tuple((name,) for name in steps))
    key = kind.collection if kind is not Kind.WORKER_POOL else "worker_pools"
    protect = {"policy": f"protect: [{{{key}: {json.dumps(names)}}}]\n"}
    decision = decide_case(kind, ceiling, protect, who)
    if {"*", "storefront"} & set(names):
        assert (decision.verdict, decision.changes) == (Verdict.HOLD, ())
    assert decision.mode is ceiling
