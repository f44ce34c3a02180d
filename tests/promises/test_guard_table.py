"""The table of guard, kind and outcome, generated from the guards that there are.

Every guard, for every kind of workload and in every mode: it passes, it objects, it cannot be
evaluated. Only where every guard passes is anything planned.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import product
from typing import Any

import pytest

from incident.case_file.containments import History, fold
from incident.decision.decide import decide
from incident.decision.guards import (
    GUARDS,
    Attendance,
    Case,
    Circumstances,
    Objection,
    Ourselves,
    Slots,
    containing,
    objections,
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
from incident.policy.resolve import Policy, parse_policy
from responders import RESPONDERS
from tests.support.model import (
    CATEGORY,
    NOW,
    before,
    finding,
    record,
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


@dataclass(frozen=True, slots=True)
class Row:
    """What makes one guard speak, beyond a case in which none does.

    Attributes:
        objects: What makes it object.
        unknown: What it asks about and cannot be known; empty where that cannot be: reading it
            would have failed before, and nothing would be decided.
    """

    objects: dict[str, Any]
    unknown: dict[str, Any] = field(default_factory=dict)


#: A guard that is added without its row fails below.
TABLE: dict[str, Row] = {
    "confirmed": Row({"confirmed": False}, unknown={"confirmed": False}),
    "consistent": Row({"finding": {"contradictions": ("two projects",)}}),
    "at_home": Row(
        {"finding": {"canonical_name": ELSEWHERE}}, unknown={"finding": {"ancestors": frozenset()}}
    ),
    "project_known": Row(
        {"workload": {"project_id": None}}, unknown={"workload": {"project_id": None}}
    ),
    "young_enough": Row({"around": {"now": NOW + timedelta(days=9)}}),
    "not_ourselves": Row(
        {"around": {"ourselves": Ourselves("storefront", "example-shop-prod")}},
        unknown={"around": {"ourselves": Ourselves("storefront")}},
    ),
    "never_released": Row({"around": {"history": release("released")}}),
    "not_being_released": Row({"around": {"history": release("release-intended")}}),
    "under_hourly_cap": Row({"around": {"slots": Slots(tuple(map(str, range(10))))}}),
    "under_project_cap": Row({"around": {"slots": Slots((), ("a", "b", "c"))}}),
    "virustotal_gate": Row({"policy": "virustotal: {min_malicious: 3, when_unknown: hold}\n"}),
}
NAMED = {guard.__name__: guard for guard in GUARDS}


def evidence_of(kind: Kind, changed: dict[str, Any]) -> Evidence:
    """A confirmed finding on a workload of a kind that has something to contain."""
    place: Workload = replace(workload(kind=kind), **changed.get("workload", {}))
    seen: Finding = replace(finding(workload=place), **changed.get("finding", {}))
    scaling = {"manualInstanceCount": 2} if kind is Kind.WORKER_POOL else {"minInstanceCount": 1}
    found = settings(
        scaling,
        kind=kind,
        access=Access((), "ab", (PUBLIC,)),
        executions=(EXECUTION,),
        revisions=(),
    )
    return Evidence(seen, confirmed=changed.get("confirmed", True) is True, settings=found)


def policy_of(changed: dict[str, Any]) -> Policy:
    """A policy that contains every kind, with more keys."""
    return parse_policy(CONTAIN + str(changed.get("policy", "")), source="test")


def circumstances(
    mode: Mode, changed: dict[str, Any], attendance: Attendance | None = None
) -> Circumstances:
    """Circumstances to which no guard objects, with parts replaced."""
    plain = Circumstances(
        now=NOW,
        ceiling=mode,
        ceiling_reason="",
        ourselves=Ourselves(),
        history=History(),
        slots=Slots(),
        folder="containments/x/2",
        attendance=attendance,
    )
    return replace(plain, **changed.get("around", {}))


def decided(
    kind: Kind, mode: Mode, changed: dict[str, Any], attendance: Attendance | None = None
) -> Decision:
    """The decision about a case that is changed so."""
    route = Route(RESPONDER, Verdict.CONTAIN, "")
    around = circumstances(mode, changed, attendance)
    return decide(evidence_of(kind, changed), route, policy_of(changed), around)


def case_of(kind: Kind, changed: dict[str, Any]) -> Case:
    """What a guard looks at."""
    evidence = evidence_of(kind, changed)
    assert evidence.finding.workload
    around = circumstances(Mode.ENFORCE, changed)
    return Case(evidence, evidence.finding.workload, policy_of(changed), around, writes=True)


class Unreadable:
    """Stands for whatever a guard looks at, and cannot be looked at."""

    def __getattr__(self, name: str) -> Any:
        raise LookupError(name)


def test_every_guard_is_in_the_table() -> None:
    """A guard that is added without its row, or a row without its guard, fails here."""
    assert list(TABLE) == list(NAMED)


@pytest.mark.parametrize(("kind", "mode"), list(product(Kind, Mode)))
def test_where_every_guard_passes_every_kind_is_contained(kind: Kind, mode: Mode) -> None:
    """The plan is there in every mode; how far it goes is for the stage that writes."""
    decision = decided(kind, mode, {})
    assert (decision.verdict, decision.mode) == (Verdict.CONTAIN, mode)
    assert decision.changes
    assert all(guard(case_of(kind, {})) is None for guard in GUARDS)


@pytest.mark.parametrize(("name", "kind", "mode"), list(product(NAMED, Kind, Mode)))
def test_one_guard_that_objects_holds_every_kind(name: str, kind: Kind, mode: Mode) -> None:
    """It alone is enough, whatever the mode: nothing is planned, and its reason is told."""
    row = TABLE[name]
    for changed in filter(None, (row.objects, row.unknown)):
        said = [guard(case_of(kind, changed)) for guard in GUARDS]
        (objection,) = filter(None, said)
        assert objection is not None
        assert said.index(objection) == list(NAMED).index(name)
        decision = decided(kind, mode, changed)
        assert (decision.verdict, decision.mode, decision.changes) == (Verdict.HOLD, mode, ())
        assert objection.reason in decision.reasons
        # What the plan says of a person's own containment is what that will be told.
        by_hand = decided(kind, mode, changed, containing("a@example.com"))
        assert [bar.by for bar in decision.barred] == ([name] if _holds(by_hand) else [])


@pytest.mark.parametrize(("name", "kind"), list(product(NAMED, Kind)))
def test_one_guard_that_cannot_be_evaluated_objects(
    monkeypatch: pytest.MonkeyPatch, name: str, kind: Kind
) -> None:
    """Whatever it stumbles over: the others are asked all the same, and nothing passes."""
    unreadable: Any = Unreadable()
    with pytest.raises(LookupError):
        NAMED[name](Case(unreadable, unreadable, unreadable, unreadable, writes=True))
    broken = _stumbling(NAMED[name])
    monkeypatch.setattr(
        "incident.decision.guards.GUARDS", tuple(broken if g is NAMED[name] else g for g in GUARDS)
    )
    (objection,) = objections(case_of(kind, {}))
    assert objection.alarm
    assert name.replace("_", " ") in objection.reason.text
    decision = decided(kind, Mode.ENFORCE, {})
    assert (decision.verdict, decision.changes, decision.alarm) == (Verdict.HOLD, (), True)


def _holds(decision: Decision) -> bool:
    return decision.verdict is Verdict.HOLD


def _stumbling(guard: Callable[[Case], Objection | None]) -> Callable[[Case], Objection | None]:
    """The same guard, and everything that it looks at cannot be looked at."""
    unreadable: Any = Unreadable()

    def stumble(_: Case) -> Objection | None:
        return guard(Case(unreadable, unreadable, unreadable, unreadable, writes=True))

    stumble.__name__ = guard.__name__
    return stumble
