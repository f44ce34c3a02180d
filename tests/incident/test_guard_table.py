"""Every guard against every kind of workload: one that objects holds, whatever the kind."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incident.actions import ACTIONS
from incident.custody import History, fold
from incident.decide import decide
from incident.guards import (
    GUARDS,
    Attendance,
    Circumstances,
    Ourselves,
    Slots,
    approving,
    containing,
)
from incident.model import (
    Access,
    Decision,
    Evidence,
    Execution,
    Finding,
    Kind,
    Mode,
    Responder,
    Route,
    Verdict,
    Workload,
)
from incident.policy import parse_policy
from incident.recorded import Recorded
from responders import RESPONDERS
from tests.values import (
    CATEGORY,
    NOW,
    before,
    finding,
    record,
    repeatable,
    scaled_to_zero,
    settings,
    template,
    workload,
)

RESPONDER: Responder = RESPONDERS[CATEGORY]
CONTAIN = """
mode: enforce
contain:
  service: [[isolate-revision, scale-to-zero], restrict-ingress, require-authentication]
  worker-pool: [scale-to-zero]
  job: [cancel-executions, require-authentication]
"""
RELEASED = (
    before(1, scaled_to_zero()),
    record(2, "written", image=1, finding=finding().finding_id),
)
ELSEWHERE = finding().canonical_name.replace("projects/210987654321", "projects/9")
EXECUTION = Execution("e", "e", NOW, NOW, None, "", "", {}, template(), "")
PUBLIC = {"role": "roles/run.invoker", "members": ["allUsers"]}


def release(last: str) -> History:
    """A containment of the finding whose release has come so far."""
    return History((fold("containments/x/1", 1, (*RELEASED, record(3, last))),))


#: For each guard, what makes it object, beyond a case to which none does.
OBJECTED: dict[str, dict[str, Any]] = {
    "confirmed": {"confirmed": False},
    "consistent": {"finding": {"contradictions": ("two projects",)}},
    "at_home": {"finding": {"canonical_name": ELSEWHERE}},
    "project_known": {"workload": {"project_id": None}},
    "young_enough": {"around": {"now": NOW + timedelta(days=9)}},
    "not_ourselves": {"around": {"ourselves": Ourselves("storefront")}},
    "never_released": {"around": {"history": release("released")}},
    "not_being_released": {"around": {"history": release("release-intended")}},
    "under_hourly_cap": {"around": {"slots": Slots(tuple(map(str, range(10))))}},
    "under_project_cap": {"around": {"slots": Slots((), ("a", "b", "c"))}},
    "virustotal_gate": {"policy": "virustotal: {min_malicious: 3, when_unknown: hold}\n"},
}


def evidence_of(kind: Kind, changed: dict[str, Any]) -> Evidence:
    """A confirmed finding on a workload of a kind that has something to contain."""
    place: Workload = replace(workload(kind=kind), **_part(changed, "workload"))
    seen: Finding = replace(finding(workload=place), **_part(changed, "finding"))
    scaling = {"manualInstanceCount": 2} if kind is Kind.WORKER_POOL else {"minInstanceCount": 1}
    found = settings(
        scaling,
        kind=kind,
        access=Access((), "ab", (PUBLIC,)),
        executions=(EXECUTION,),
        revisions=(),
    )
    return Evidence(seen, confirmed=changed.get("confirmed", True) is True, settings=found)


def _part(changed: dict[str, Any], name: str) -> dict[str, Any]:
    part = changed.get(name, {})
    assert isinstance(part, dict)
    return part


def decided(
    kind: Kind, mode: Mode, changed: dict[str, Any], attendance: Attendance | None = None
) -> tuple[Verdict, Mode, bool]:
    """Verdict and mode of the decision, and whether it names changes."""
    decision = made(kind, mode, changed, attendance)
    return decision.verdict, decision.mode, bool(decision.changes)


def made(
    kind: Kind, mode: Mode, changed: dict[str, Any], attendance: Attendance | None = None
) -> Decision:
    """The decision."""
    circumstances = Circumstances(
        now=NOW,
        ceiling=mode,
        ceiling_reason="",
        ourselves=Ourselves(),
        history=History(),
        slots=Slots(),
        folder="containments/x/2",
        attendance=attendance,
    )
    around = replace(circumstances, **_part(changed, "around"))
    policy = parse_policy(CONTAIN + str(changed.get("policy", "")), source="test")
    route = Route(RESPONDER, Verdict.CONTAIN, "")
    return decide(evidence_of(kind, changed), route, policy, around)


@pytest.mark.parametrize(("kind", "mode"), list(product(Kind, Mode)))
def test_where_no_guard_objects_every_kind_is_contained(kind: Kind, mode: Mode) -> None:
    """The plan is there in every mode; how far it goes is for the stage that writes."""
    assert decided(kind, mode, {}) == (Verdict.CONTAIN, mode, True)


@pytest.mark.parametrize(("guard", "kind", "mode"), list(product(OBJECTED, Kind, Mode)))
def test_a_guard_that_objects_holds_every_kind(guard: str, kind: Kind, mode: Mode) -> None:
    """One objection is enough, for every kind and every mode: nothing is planned."""
    assert decided(kind, mode, OBJECTED[guard]) == (Verdict.HOLD, mode, False)


def test_every_guard_is_in_the_table() -> None:
    """A guard that is added without its row fails here."""
    assert set(OBJECTED) == {guard.__name__ for guard in GUARDS}


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
    plan = made(kind, Mode.APPROVE, {}).changes
    return approving("ops@example.com", Recorded(evidence.settings.uid, plan))


@pytest.mark.parametrize(("act", "kind"), list(product(BY_HAND, Kind)))
def test_where_no_guard_objects_a_persons_word_is_carried_out(act: str, kind: Kind) -> None:
    """Whatever the mode, since a plan that waits or was rehearsed has a mode of its own."""
    assert decided(kind, Mode.ENFORCE, {}, attending(act, kind))[:2] == (
        Verdict.CONTAIN,
        Mode.ENFORCE,
    )


@pytest.mark.parametrize(("act", "guard", "kind"), list(product(BY_HAND, OBJECTED, Kind)))
def test_a_person_is_bound_by_all_but_what_bounds_unattended_action(
    act: str, guard: str, kind: Kind
) -> None:
    """Protection, confirmation and a release under way bind everybody."""
    verdict, _, writes = decided(kind, Mode.ENFORCE, OBJECTED[guard], attending(act, kind))
    waived = guard in BY_HAND[act]
    assert (verdict, writes) == ((Verdict.CONTAIN, True) if waived else (Verdict.HOLD, False))


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
    decision = made(kind, ceiling, protect, who)
    if {"*", "storefront"} & set(names):
        assert (decision.verdict, decision.changes) == (Verdict.HOLD, ())
    assert decision.mode is ceiling
