"""The decision: policy and guards only lower a verdict, and each reason is reported."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incident.case_file.containments import ContainmentHistory, containment_from_records
from incident.decision.decide import decide, decision_to_finish
from incident.decision.guards import DecisionContext, ResponderIdentity, containing_operator
from incident.model import (
    Assessment,
    Confidence,
    Decision,
    Evidence,
    InvalidPolicy,
    Mode,
    Responder,
    Route,
    Verdict,
    WorkloadConfiguration,
)
from incident.policy.resolve import Policy
from tests.incident.decision.test_guards import (
    AT,
    BLOCKING_CASES,
    CIRCUMSTANCES,
    FOLDER,
    BlockingCase,
    history,
    slots,
)
from tests.support.constants import CATEGORY
from tests.support.model import (
    SCALE_TO_ZERO_STEPS,
    configuration,
    configuration_after,
    evidence,
    finding,
    record,
    repeatable,
    scale_to_zero_change,
    snapshot_record,
    workload,
)

CONTAINING = {"mode": "enforce", "contain": {"service": ["scale-to-zero"]}}


def responder_with(verdict: Verdict = Verdict.CONTAIN) -> Responder:
    """A responder that always says the same."""
    assessment = Assessment("summary", Confidence.HIGH, (), (), verdict)
    return Responder("steady", (CATEGORY,), lambda _: assessment)


ROUTE = Route(responder_with(), Verdict.CONTAIN, "")


def decide_case(
    found: Evidence | None = None,
    policy: dict[str, Any] | InvalidPolicy | None = None,
    route: Route = ROUTE,
    **around: Any,
) -> Decision:
    """The decision on a sound case, unless something in it is not."""
    read = (
        policy
        if isinstance(policy, InvalidPolicy)
        else Policy.model_validate({**CONTAINING, **(policy or {})})
    )
    return decide(found or evidence(), route, read, replace(CIRCUMSTANCES, **around))


def test_a_sound_case_is_contained_and_says_why() -> None:
    """Confirmed, named by the policy, and no guard objects."""
    decision = decide_case()
    assert (decision.verdict, decision.mode) == (Verdict.CONTAIN, Mode.ENFORCE)
    assert (decision.rule, decision.steps) == ("defaults", (("scale-to-zero",),))
    assert [change.mask for change in decision.changes] == [("scaling", "traffic")]
    assert [reason.evidence for reason in decision.reasons] == [
        "security-center",
        "policy",
        "guards",
    ]
    assert not decision.alarm
    assert not decision.failed


@pytest.mark.parametrize("objecting", BLOCKING_CASES, ids=lambda each: f"{each.guard}: {each.text}")
def test_each_guard_alone_lowers_contain_to_hold(objecting: BlockingCase) -> None:
    """One objection is enough; its reason and its alarm are the decision's."""
    found, case = objecting.case.evidence, objecting.case
    if case.workload != workload():
        found = replace(found, finding=replace(found.finding, workload=case.workload))
    policy = case.policy.model_copy(update={"contain": Policy(**CONTAINING).contain})
    decision = decide(found, ROUTE, policy, case.decision_context)
    assert decision.verdict is Verdict.HOLD
    assert [reason.text for reason in decision.reasons if objecting.text in reason.text]
    assert decision.alarm is objecting.alarm
    assert decision.changes == ()


@pytest.mark.parametrize("objecting", BLOCKING_CASES, ids=lambda each: f"{each.guard}: {each.text}")
@pytest.mark.parametrize("verdict", [Verdict.HOLD, Verdict.IGNORE])
def test_no_guard_raises_a_verdict(objecting: BlockingCase, verdict: Verdict) -> None:
    """What the responder leaves to a person stays there, guard or no guard."""
    route = Route(responder_with(verdict), Verdict.CONTAIN, "")
    for found, around in (
        (objecting.case.evidence, objecting.case.decision_context),
        (evidence(), CIRCUMSTANCES),
    ):
        decision = decide(found, route, Policy.model_validate(CONTAINING), around)
        assert (decision.verdict, decision.changes) == (Verdict.HOLD, ())
        assert "steady leaves findings of this type to a person" in [
            reason.text for reason in decision.reasons
        ]


HELD_CASES: dict[str, tuple[Decision, str, bool]] = {
    "no policy": (
        decide_case(policy=InvalidPolicy("the policy is missing")),
        "the policy is missing",
        True,
    ),
    "a held route": (
        decide_case(route=Route(responder_with(), Verdict.HOLD, "the detector is not named")),
        "the detector is not named",
        True,
    ),
    "a held route of what SCC does not list": (
        decide_case(
            evidence(confirmed=False),
            route=Route(responder_with(), Verdict.HOLD, "the detector is not named"),
        ),
        "the detector is not named",
        False,
    ),
    "no responder": (
        decide_case(route=Route(None, Verdict.CONTAIN, "nobody answers")),
        "nobody answers",
        True,
    ),
    "no workload": (
        decide_case(
            evidence(finding=finding(workload=None)), route=replace(ROUTE, reason="no name")
        ),
        "no name",
        True,
    ),
    "no action named": (decide_case(policy={"contain": {}}), "no action is named", False),
    "another category": (decide_case(policy={"categories": ["Reverse Shell"]}), "categor", False),
    "another source": (decide_case(policy={"sources": ["42"]}), "not from 42", False),
    "protected": (
        decide_case(policy={"protect": [{"services": ["store*"]}]}),
        "is protected by protect[0]",
        False,
    ),
    "protected by a label": (
        decide_case(policy={"protect": [{"labels": {"env": "prod"}}]}),
        "is protected by protect[0]",
        True,
    ),
    "labels that are not known": (
        decide_case(evidence(configuration=None), {"protect": [{"labels": {"env": "prod"}}]}),
        "counts as protected",
        True,
    ),
    "settings that are not known": (
        decide_case(evidence(configuration=None)),
        "settings are not known",
        False,
    ),
}


@pytest.mark.parametrize(("decision", "reason", "alarm"), HELD_CASES.values(), ids=HELD_CASES)
def test_a_doubtful_finding_is_held(decision: Decision, reason: str, *, alarm: bool) -> None:
    """A person decides; the reasons say why and how urgently."""
    assert (decision.verdict, decision.changes) == (Verdict.HOLD, ())
    assert reason in " ".join(each.text for each in decision.reasons)
    assert decision.alarm is alarm


def test_without_a_policy_the_mode_is_the_lowest() -> None:
    """Nothing else can be known about how far one may go."""
    decision = decide_case(policy=InvalidPolicy("broken"))
    assert (decision.mode, decision.rule) == (Mode.DRY_RUN, None)


@pytest.mark.parametrize("ceiling", list(Mode))
@pytest.mark.parametrize("mode", list(Mode))
def test_the_mode_is_the_lower_of_two(mode: Mode, ceiling: Mode) -> None:
    """Policy and environment are each a ceiling, and a lowered mode says who lowered it."""
    decision = decide_case(
        policy={"mode": mode}, ceiling=ceiling, ceiling_reason="the environment says so"
    )
    assert decision.mode is Mode.lowest(mode, ceiling)
    reported = "the environment says so" in [reason.text for reason in decision.reasons]
    assert reported is (ceiling.rank < mode.rank)


def test_a_service_that_is_stopped_already_needs_no_change() -> None:
    """It is contained nevertheless, with nothing to write."""
    stopped = configuration_after(scale_to_zero_change(), configuration())
    decision = decide_case(evidence(configuration=stopped), slots=slots(10, 3))
    assert (decision.verdict, decision.changes) == (Verdict.CONTAIN, ())


# A containment of this very incident that is in effect.

STOPPED = configuration_after(scale_to_zero_change(), configuration())
OWN_CONTAINMENT = containment_from_records(
    "containments/x/1",
    1,
    (snapshot_record(1, scale_to_zero_change()), record(2, "written", snapshot=1)),
)


def decision_after(
    found: WorkloadConfiguration | None, now: ContainmentHistory, incident: str = "i-1"
) -> Decision | None:
    """The decision for an incident that may have been contained before."""
    return decision_to_finish(incident, found, now)


def test_an_existing_containment_is_finished_despite_later_reasons() -> None:
    """The write is in effect: it is reported truthfully, and nothing new is written."""
    decision = decision_after(STOPPED, ContainmentHistory((OWN_CONTAINMENT,)))
    assert decision
    assert (decision.verdict, decision.mode) == (Verdict.CONTAIN, Mode.ENFORCE)
    assert decision.changes == ()
    assert (
        decision_after(STOPPED, ContainmentHistory((OWN_CONTAINMENT,), uid=STOPPED.uid)) == decision
    )


@pytest.mark.parametrize(
    ("found", "now", "incident"),
    [
        (configuration({"minInstanceCount": 1}), ContainmentHistory((OWN_CONTAINMENT,)), "i-1"),
        (None, ContainmentHistory((OWN_CONTAINMENT,)), "i-1"),
        (STOPPED, ContainmentHistory((OWN_CONTAINMENT,)), "i-2"),
        (STOPPED, ContainmentHistory((replace(OWN_CONTAINMENT, released=True),)), "i-1"),
        (STOPPED, ContainmentHistory((OWN_CONTAINMENT,), uid="of-a-namesake"), "i-1"),
        (STOPPED, ContainmentHistory(), "i-1"),
    ],
)
def test_only_an_own_containment_in_effect_is_finished(
    found: WorkloadConfiguration | None, now: ContainmentHistory, incident: str
) -> None:
    """Undone, unknown, another incident's, released or a namesake's: it is decided again."""
    assert decision_after(found, now, incident) is None


# For any policy and any circumstances.

_OTHER_SELECTORS = [{"services": ["checkout"]}, {"labels": {"env": "sandbox"}}, {"jobs": ["*"]}]
_MATCHING_SELECTORS = [
    {"services": ["store*"]},
    {"projects": ["example-*", "other"]},
    {"projects": ["210987654321"]},
    {"folders": ["345678901234"]},
    {"labels": {"env": "prod"}, "regions": ["europe-*"]},
]
_ACTING = {"service": ["scale-to-zero"]}


@st.composite
def _sound_policies(draw: st.DrawFn) -> dict[str, Any]:
    """Policies that let the sample finding be contained, by a rule or by the defaults."""
    by_rule = draw(st.booleans())
    modes = st.sampled_from(list(Mode))
    rules = [
        {"name": f"other {at}", "match": match, "mode": draw(modes), "contain": {"service": []}}
        for at, match in enumerate(draw(st.lists(st.sampled_from(_OTHER_SELECTORS), max_size=3)))
    ]
    if by_rule:
        match = draw(st.sampled_from(_MATCHING_SELECTORS))
        rules.append({"name": "ours", "match": match, "contain": _ACTING})
    return {
        "mode": draw(modes),
        "contain": draw(st.sampled_from([_ACTING, {"job": []}])) if by_rule else _ACTING,
        "rules": rules,
        "protect": draw(st.lists(st.sampled_from(_OTHER_SELECTORS), max_size=2)),
        "categories": draw(st.sampled_from([[CATEGORY], ["Reverse Shell", CATEGORY]])),
        "sources": draw(st.sampled_from([[], ["42", finding().source_id]])),
        "virustotal": draw(st.none() | st.just({"min_malicious": 2, "when_unknown": "contain"})),
    }


_SOUND_EVIDENCE = st.builds(
    evidence,
    configuration=st.sampled_from([configuration({"minInstanceCount": 1}), configuration()]),
)
_SOUND_CIRCUMSTANCES = st.builds(
    DecisionContext,
    containment_folder=st.just(FOLDER),
    now=st.timedeltas(timedelta(0), timedelta(hours=24)).map(lambda age: AT + age),
    ceiling=st.sampled_from(list(Mode)),
    ceiling_reason=st.just("the environment says so"),
    responder=st.sampled_from(
        [ResponderIdentity(), ResponderIdentity("responder"), ResponderIdentity("storefront", "x")]
    ),
    history=st.sampled_from([ContainmentHistory(), history("another")]),
    slots=st.one_of(
        st.builds(slots, st.integers(0, 9), st.integers(0, 2)),
        st.builds(slots, st.integers(1, 99), st.integers(1, 99), own=st.just(True)),
    ),
)
#: What is wrong with evidence, with a workload in it, with the policy or around it.
_WRONG_EVIDENCE: list[dict[str, Any]] = [
    {"confirmed": False},
    {"configuration": None},
    {"finding": finding(contradictions=("says two things",))},
    {"finding": finding(workload=workload(project_id=None))},
    {"finding": finding(workload=None)},
    {"finding": finding(category="Reverse Shell of another kind")},
]
_WRONG_POLICIES: list[dict[str, Any]] = [
    {"contain": {}, "rules": []},
    {"contain": {"service": []}, "rules": [{"name": "r", "match": {"services": ["*"]}}]},
    *({"protect": [match]} for match in _MATCHING_SELECTORS),
    {"sources": ["42"]},
    {"categories": ["Reverse Shell"]},
    {"virustotal": {"min_malicious": 1}},
    {"guards": {"max_containments_per_hour": 0, "max_finding_age": "1s"}},
]
_WRONG_CIRCUMSTANCES: list[dict[str, Any]] = [
    {"now": AT + timedelta(hours=24, seconds=1)},
    {"responder": ResponderIdentity("storefront")},
    {"history": history(finding().finding_id)},
    {"slots": slots(10)},
    {"slots": slots(3, 3)},
]
_WRONG_ROUTES = [
    Route(responder_with(), Verdict.HOLD, "held"),
    Route(responder_with(Verdict.HOLD), Verdict.CONTAIN, ""),
    Route(responder_with(Verdict.IGNORE), Verdict.CONTAIN, ""),
    Route(None, Verdict.CONTAIN, ""),
]


@given(_SOUND_EVIDENCE, _sound_policies(), _SOUND_CIRCUMSTANCES)
@repeatable
def test_without_any_reason_against_it_the_finding_is_contained(
    found: Evidence, rules: dict[str, Any], around: DecisionContext
) -> None:
    """Whatever else policy and circumstances say, in the lower of the two modes."""
    policy = Policy.model_validate(rules)
    decision = decide(found, ROUTE, policy, around)
    assert decision.verdict is Verdict.CONTAIN
    assert decision.mode is Mode.lowest(policy.mode, around.ceiling)
    assert len(decision.changes) == 1
    assert decision.steps == (("scale-to-zero",),)


@given(
    _SOUND_EVIDENCE,
    _sound_policies(),
    _SOUND_CIRCUMSTANCES,
    st.tuples(
        st.sampled_from([{}, *_WRONG_EVIDENCE]),
        st.sampled_from([{}, *_WRONG_POLICIES]),
        st.sampled_from([{}, *_WRONG_CIRCUMSTANCES]),
        st.sampled_from([ROUTE, *_WRONG_ROUTES]),
    ).filter(lambda wrong: wrong != ({}, {}, {}, ROUTE)),
)
@repeatable
def test_any_reason_against_containment_holds_it(
    found: Evidence,
    rules: dict[str, Any],
    around: DecisionContext,
    wrong: tuple[dict[str, Any], dict[str, Any], dict[str, Any], Route],
) -> None:
    """One thing wrong or several, of any kind: nothing is contained, and it is said why."""
    taken = around.slots if "guards" not in wrong[1] else slots(0)
    decision = decide(
        replace(found, **wrong[0]),
        wrong[3],
        Policy.model_validate({**rules, **wrong[1]}),
        replace(around, **{"slots": taken, **wrong[2]}),
    )
    assert (decision.verdict, decision.changes) == (Verdict.HOLD, ())
    assert decision.reasons
    assert decision.mode.rank <= around.ceiling.rank


@given(_SOUND_EVIDENCE, _SOUND_CIRCUMSTANCES)
@repeatable
def test_an_invalid_policy_never_contains(found: Evidence, around: DecisionContext) -> None:
    """Without a policy everything is held, with an alarm, at the lowest mode."""
    decision = decide(found, ROUTE, InvalidPolicy("broken"), around)
    assert (decision.verdict, decision.mode) == (Verdict.HOLD, Mode.DRY_RUN)
    assert decision.alarm


@pytest.mark.parametrize(
    ("by", "policy", "route"),
    [
        ("protect", {"protect": [{"labels": {"env": "prod"}}]}, ROUTE),
        ("source", {"sources": ["2"]}, ROUTE),
        ("policy", InvalidPolicy("cannot use it: 1 mistake\nline 2: why"), ROUTE),
        ("route", None, Route(responder_with(), Verdict.HOLD, "the detector disagrees")),
        ("", {"contain": {}}, ROUTE),
        ("", {"categories": ["Other"]}, ROUTE),
        ("", None, Route(responder_with(Verdict.HOLD), Verdict.CONTAIN, "")),
    ],
)
def test_a_hold_has_a_blocker_exactly_where_a_person_is_refused(
    by: str, policy: Any, route: Route
) -> None:
    """What names no action, or is left to a person, is overruled by naming one."""
    held = decide_case(policy=policy, route=route)
    by_hand = decide_case(
        policy=policy,
        route=route,
        operator=containing_operator("a@example.com", SCALE_TO_ZERO_STEPS),
    )
    assert held.verdict is Verdict.HOLD
    assert [bar.raised_by for bar in held.blockers] == ([by] if by else [])
    assert (by_hand.verdict is Verdict.HOLD) is bool(by)
