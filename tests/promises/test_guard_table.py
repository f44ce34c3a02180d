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

from incident.case_file.containments import ContainmentHistory, containment_from_records
from incident.decision.decide import decide
from incident.decision.guards import (
    GUARDS,
    DecisionContext,
    GuardBlock,
    GuardInput,
    Operator,
    ResponderIdentity,
    TakenSlots,
    containing_operator,
    guard_blocks,
)
from incident.model import (
    UNKNOWN_FIELDS,
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
from tests.support.constants import CATEGORY
from tests.support.model import (
    NOW,
    configuration,
    finding,
    record,
    scale_to_zero_change,
    snapshot_record,
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
  instance: [stop-instance]
"""
CONTAINED_RECORDS = (
    snapshot_record(1, scale_to_zero_change()),
    record(2, "written", snapshot=1, finding=finding().finding_id),
)
OTHER_PROJECT_NAME = finding().canonical_name.replace("projects/210987654321", "projects/9")
EXECUTION = Execution("e", "e", NOW, NOW, None, "", "", {}, template(), "")
PUBLIC = {"role": "roles/run.invoker", "members": ["allUsers"]}
TEN_TAKEN = dict.fromkeys(range(1, 11), "other")
THREE_TAKEN = dict.fromkeys(range(1, 4), "other")


def released_history(last: str) -> ContainmentHistory:
    """A containment of the finding whose release has come so far."""
    return ContainmentHistory(
        (containment_from_records("containments/x/1", 1, (*CONTAINED_RECORDS, record(3, last))),)
    )


@dataclass(frozen=True, slots=True)
class GuardRow:
    """What makes one guard speak, beyond a case in which none does.

    Attributes:
        blocking: What makes it object.
        unknown_input: What it asks about and cannot be known; empty where that cannot be: reading
            it
            would have failed before, and nothing would be decided.
    """

    blocking: dict[str, Any]
    unknown_input: dict[str, Any] = field(default_factory=dict)


#: A guard that is added without its row fails below.
GUARD_ROWS: dict[str, GuardRow] = {
    "finding_confirmed": GuardRow({"confirmed": False}, unknown_input={"confirmed": False}),
    "finding_consistent": GuardRow({"finding": {"contradictions": ("two projects",)}}),
    "filed_in_own_project": GuardRow(
        {"finding": {"canonical_name": OTHER_PROJECT_NAME}},
        unknown_input={"finding": {"ancestors": frozenset()}},
    ),
    "project_known": GuardRow(
        {"workload": {"project_id": None}}, unknown_input={"workload": {"project_id": None}}
    ),
    "within_max_age": GuardRow({"around": {"now": NOW + timedelta(days=9)}}),
    "not_the_responder": GuardRow(
        {"around": {"responder": ResponderIdentity("storefront", "example-shop-prod")}},
        unknown_input={"around": {"responder": ResponderIdentity("storefront")}},
    ),
    "never_released": GuardRow({"around": {"history": released_history("released")}}),
    "not_being_released": GuardRow({"around": {"history": released_history("release-started")}}),
    "under_hourly_cap": GuardRow({"around": {"slots": TakenSlots(TEN_TAKEN)}}),
    "under_project_cap": GuardRow({"around": {"slots": TakenSlots({}, THREE_TAKEN)}}),
    "virustotal_gate": GuardRow({"policy": "virustotal: {min_malicious: 3, when_unknown: hold}\n"}),
    "fields_known": GuardRow({"unknown": True}, unknown_input={"unknown": True}),
}
GUARD_BY_NAME = {guard.__name__: guard for guard in GUARDS}


def confirmed_evidence(kind: Kind, changed: dict[str, Any]) -> Evidence:
    """A confirmed finding on a workload of a kind that has something to contain."""
    target: Workload = replace(workload(kind=kind), **changed.get("workload", {}))
    confirmed_finding: Finding = replace(finding(workload=target), **changed.get("finding", {}))
    unknown = changed.get("unknown", False)
    scaling: dict[str, Any] = {UNKNOWN_FIELDS: "mAYB"} if unknown and kind is not Kind.JOB else {}
    scaling["manualInstanceCount" if kind is Kind.WORKER_POOL else "minInstanceCount"] = 2
    current = configuration(
        scaling,
        kind=kind,
        access=Access(
            (), "ab", (PUBLIC,), unknown_fields="x" if unknown and kind is Kind.JOB else ""
        ),
        executions=(EXECUTION,),
        revisions=(),
    )
    return Evidence(
        confirmed_finding, confirmed=changed.get("confirmed", True) is True, configuration=current
    )


def policy_with(changed: dict[str, Any]) -> Policy:
    """A policy that contains every kind, with more keys."""
    return parse_policy(CONTAIN + str(changed.get("policy", "")), source="test")


def circumstances(
    mode: Mode, changed: dict[str, Any], operator: Operator | None = None
) -> DecisionContext:
    """Circumstances to which no guard objects, with parts replaced."""
    plain = DecisionContext(
        now=NOW,
        ceiling=mode,
        ceiling_reason="",
        responder=ResponderIdentity(),
        history=ContainmentHistory(),
        slots=TakenSlots(),
        containment_folder="containments/x/2",
        operator=operator,
    )
    return replace(plain, **changed.get("around", {}))


def decide_case(
    kind: Kind, mode: Mode, changed: dict[str, Any], operator: Operator | None = None
) -> Decision:
    """The decision about a case that is changed so."""
    route = Route(RESPONDER, Verdict.CONTAIN, "")
    around = circumstances(mode, changed, operator)
    return decide(confirmed_evidence(kind, changed), route, policy_with(changed), around)


def guard_case(kind: Kind, changed: dict[str, Any]) -> GuardInput:
    """What a guard looks at."""
    evidence = confirmed_evidence(kind, changed)
    assert evidence.finding.workload
    around = circumstances(Mode.ENFORCE, changed)
    return GuardInput(
        evidence, evidence.finding.workload, policy_with(changed), around, has_changes=True
    )


class UnreadableInput:
    """Stands for whatever a guard looks at, and cannot be looked at."""

    def __getattr__(self, name: str) -> Any:
        raise LookupError(name)


def test_every_guard_is_in_the_table() -> None:
    """A guard that is added without its row, or a row without its guard, fails here."""
    assert list(GUARD_ROWS) == list(GUARD_BY_NAME)


@pytest.mark.parametrize(("kind", "mode"), list(product(Kind, Mode)))
def test_every_kind_is_contained_when_all_guards_pass(kind: Kind, mode: Mode) -> None:
    """The plan is there in every mode; how far it goes is for the stage that writes."""
    decision = decide_case(kind, mode, {})
    assert (decision.verdict, decision.mode) == (Verdict.CONTAIN, mode)
    assert decision.changes
    assert all(guard(guard_case(kind, {})) is None for guard in GUARDS)


#: A call that starts or stops writes no field, so that it resets none that is not known.
INAPPLICABLE = {("fields_known", Kind.INSTANCE)}
CASES = [case for case in product(GUARD_BY_NAME, Kind, Mode) if case[:2] not in INAPPLICABLE]


@pytest.mark.parametrize(("name", "kind", "mode"), CASES)
def test_one_blocking_guard_holds_every_kind(name: str, kind: Kind, mode: Mode) -> None:
    """It alone is enough, whatever the mode: nothing is planned, and its reason is reported."""
    row = GUARD_ROWS[name]
    for changed in filter(None, (row.blocking, row.unknown_input)):
        answers = [guard(guard_case(kind, changed)) for guard in GUARDS]
        (objection,) = filter(None, answers)
        assert objection is not None
        assert answers.index(objection) == list(GUARD_BY_NAME).index(name)
        decision = decide_case(kind, mode, changed)
        assert (decision.verdict, decision.mode, decision.changes) == (Verdict.HOLD, mode, ())
        assert objection.reason in decision.reasons
        # What the plan says of a person's own containment is what its outcome will say.
        by_hand = decide_case(kind, mode, changed, containing_operator("a@example.com"))
        assert [bar.raised_by for bar in decision.blockers] == ([name] if _is_held(by_hand) else [])


@pytest.mark.parametrize(("name", "kind"), list(product(GUARD_BY_NAME, Kind)))
def test_a_guard_that_cannot_be_evaluated_blocks(
    monkeypatch: pytest.MonkeyPatch, name: str, kind: Kind
) -> None:
    """Whatever error it raises: the others are asked nevertheless, and nothing passes."""
    unreadable: Any = UnreadableInput()
    with pytest.raises(LookupError):
        GUARD_BY_NAME[name](
            GuardInput(unreadable, unreadable, unreadable, unreadable, has_changes=True)
        )
    broken = _guard_with_unreadable_input(GUARD_BY_NAME[name])
    monkeypatch.setattr(
        "incident.decision.guards.GUARDS",
        tuple(broken if g is GUARD_BY_NAME[name] else g for g in GUARDS),
    )
    (objection,) = guard_blocks(guard_case(kind, {}))
    assert objection.alarm
    assert name.replace("_", " ") in objection.reason.text
    decision = decide_case(kind, Mode.ENFORCE, {})
    assert (decision.verdict, decision.changes, decision.alarm) == (Verdict.HOLD, (), True)


def _is_held(decision: Decision) -> bool:
    return decision.verdict is Verdict.HOLD


def _guard_with_unreadable_input(
    guard: Callable[[GuardInput], GuardBlock | None],
) -> Callable[[GuardInput], GuardBlock | None]:
    """The same guard, and everything that it looks at cannot be looked at."""
    unreadable: Any = UnreadableInput()

    def stumble(_: GuardInput) -> GuardBlock | None:
        return guard(GuardInput(unreadable, unreadable, unreadable, unreadable, has_changes=True))

    stumble.__name__ = guard.__name__
    return stumble
