"""Every guard against every kind of workload: one that objects holds, whatever the kind."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import product
from typing import Any

import pytest

from incident.custody import History, fold
from incident.decide import decide
from incident.guards import GUARDS, Circumstances, Ourselves, Slots
from incident.model import (
    Access,
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
from responders import RESPONDERS
from tests.values import (
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


def decided(kind: Kind, mode: Mode, changed: dict[str, Any]) -> tuple[Verdict, Mode, bool]:
    """Verdict and mode of the decision, and whether it names changes."""
    circumstances = Circumstances(
        now=NOW,
        ceiling=mode,
        ceiling_reason="",
        ourselves=Ourselves(),
        history=History(),
        slots=Slots(),
        folder="containments/x/2",
    )
    around = replace(circumstances, **_part(changed, "around"))
    policy = parse_policy(CONTAIN + str(changed.get("policy", "")), source="test")
    route = Route(RESPONDER, Verdict.CONTAIN, "")
    decision = decide(evidence_of(kind, changed), route, policy, around)
    return decision.verdict, decision.mode, bool(decision.changes)


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
