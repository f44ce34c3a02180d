"""The decision: policy and guards only lower a verdict, and each reason is told."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incident.case_file.containments import History, fold
from incident.decision.decide import decide, finishing
from incident.decision.guards import Circumstances, Ourselves, containing
from incident.model import (
    Assessment,
    Confidence,
    Decision,
    Evidence,
    InvalidPolicy,
    Mode,
    Responder,
    Route,
    Settings,
    Verdict,
)
from incident.policy.resolve import Policy
from tests.incident.decision.test_guards import (
    AT,
    CIRCUMSTANCES,
    FOLDER,
    OBJECTING,
    Objecting,
    history,
    slots,
)
from tests.support.model import (
    CATEGORY,
    STEPS,
    applied,
    before,
    evidence,
    finding,
    record,
    repeatable,
    scaled_to_zero,
    settings,
    workload,
)

CONTAINING = {"mode": "enforce", "contain": {"service": ["scale-to-zero"]}}


def answering(verdict: Verdict = Verdict.CONTAIN) -> Responder:
    """A responder that always says the same."""
    assessment = Assessment("summary", Confidence.HIGH, (), (), verdict)
    return Responder("steady", (CATEGORY,), lambda _: assessment)


ROUTE = Route(answering(), Verdict.CONTAIN, "")


def decided(
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
    decision = decided()
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


@pytest.mark.parametrize("objecting", OBJECTING, ids=lambda each: f"{each.guard}: {each.text}")
def test_each_guard_alone_lowers_contain_to_hold(objecting: Objecting) -> None:
    """One objection is enough; its reason and its alarm are the decision's."""
    found, case = objecting.case.evidence, objecting.case
    if case.workload != workload():
        found = replace(found, finding=replace(found.finding, workload=case.workload))
    policy = case.policy.model_copy(update={"contain": Policy(**CONTAINING).contain})
    decision = decide(found, ROUTE, policy, case.circumstances)
    assert decision.verdict is Verdict.HOLD
    assert [reason.text for reason in decision.reasons if objecting.text in reason.text]
    assert decision.alarm is objecting.alarm
    assert decision.changes == ()


@pytest.mark.parametrize("objecting", OBJECTING, ids=lambda each: f"{each.guard}: {each.text}")
@pytest.mark.parametrize("verdict", [Verdict.HOLD, Verdict.IGNORE])
def test_no_guard_raises_a_verdict(objecting: Objecting, verdict: Verdict) -> None:
    """What the responder leaves to a person stays there, guard or no guard."""
    route = Route(answering(verdict), Verdict.CONTAIN, "")
    for found, around in (
        (objecting.case.evidence, objecting.case.circumstances),
        (evidence(), CIRCUMSTANCES),
    ):
        decision = decide(found, route, Policy.model_validate(CONTAINING), around)
        assert (decision.verdict, decision.changes) == (Verdict.HOLD, ())
        assert "steady leaves findings of this type to a person" in [
            reason.text for reason in decision.reasons
        ]


HELD: dict[str, tuple[Decision, str, bool]] = {
    "no policy": (
        decided(policy=InvalidPolicy("the policy is missing")),
        "the policy is missing",
        True,
    ),
    "a held route": (
        decided(route=Route(answering(), Verdict.HOLD, "the detector is not named")),
        "the detector is not named",
        False,
    ),
    "no responder": (
        decided(route=Route(None, Verdict.CONTAIN, "nobody answers")),
        "nobody answers",
        False,
    ),
    "no workload": (
        decided(evidence(finding=finding(workload=None)), route=replace(ROUTE, reason="no name")),
        "no name",
        False,
    ),
    "no action named": (decided(policy={"contain": {}}), "no action is named", False),
    "another category": (decided(policy={"categories": ["Reverse Shell"]}), "categor", False),
    "another source": (decided(policy={"sources": ["42"]}), "not from 42", False),
    "protected": (
        decided(policy={"protect": [{"services": ["store*"]}]}),
        "is protected by protect[0]",
        False,
    ),
    "protected by a label": (
        decided(policy={"protect": [{"labels": {"env": "prod"}}]}),
        "is protected by protect[0]",
        True,
    ),
    "labels that are not known": (
        decided(evidence(settings=None), {"protect": [{"labels": {"env": "prod"}}]}),
        "counts as protected",
        True,
    ),
    "settings that are not known": (
        decided(evidence(settings=None)),
        "settings are not known",
        False,
    ),
}


@pytest.mark.parametrize(("decision", "reason", "alarm"), HELD.values(), ids=HELD)
def test_what_is_not_plain_is_held(decision: Decision, reason: str, *, alarm: bool) -> None:
    """A person decides, and is told why and how urgently."""
    assert (decision.verdict, decision.changes) == (Verdict.HOLD, ())
    assert reason in " ".join(each.text for each in decision.reasons)
    assert decision.alarm is alarm


def test_without_a_policy_the_mode_is_the_lowest() -> None:
    """Nothing else can be known about how far one may go."""
    decision = decided(policy=InvalidPolicy("broken"))
    assert (decision.mode, decision.rule) == (Mode.DRY_RUN, None)


@pytest.mark.parametrize("ceiling", list(Mode))
@pytest.mark.parametrize("mode", list(Mode))
def test_the_mode_is_the_lower_of_two(mode: Mode, ceiling: Mode) -> None:
    """Policy and environment are each a ceiling, and a lowered mode says who lowered it."""
    decision = decided(
        policy={"mode": mode}, ceiling=ceiling, ceiling_reason="the environment says so"
    )
    assert decision.mode is Mode.lowest(mode, ceiling)
    told = "the environment says so" in [reason.text for reason in decision.reasons]
    assert told is (ceiling.rank < mode.rank)


def test_a_service_that_is_stopped_already_needs_no_change() -> None:
    """It is contained all the same, with nothing to write."""
    stopped = applied(scaled_to_zero(), settings())
    decision = decided(evidence(settings=stopped), slots=slots(10, 3))
    assert (decision.verdict, decision.changes) == (Verdict.CONTAIN, ())


# A containment of this very incident that is in effect.

STOPPED = applied(scaled_to_zero(), settings())
OURS = fold("containments/x/1", 1, (before(1, scaled_to_zero()), record(2, "written", image=1)))


def finished(found: Settings | None, now: History, incident: str = "i-1") -> Decision | None:
    """The decision for an incident that may have been contained before."""
    return finishing(incident, found, now)


def test_what_was_begun_is_finished_whatever_is_said_by_now() -> None:
    """The write stands: it is told truthfully, and nothing new is written."""
    decision = finished(STOPPED, History((OURS,)))
    assert decision
    assert (decision.verdict, decision.mode) == (Verdict.CONTAIN, Mode.ENFORCE)
    assert decision.changes == ()
    assert finished(STOPPED, History((OURS,), uid=STOPPED.uid)) == decision


@pytest.mark.parametrize(
    ("found", "now", "incident"),
    [
        (settings({"minInstanceCount": 1}), History((OURS,)), "i-1"),
        (None, History((OURS,)), "i-1"),
        (STOPPED, History((OURS,)), "i-2"),
        (STOPPED, History((replace(OURS, released=True),)), "i-1"),
        (STOPPED, History((OURS,), uid="of-a-namesake"), "i-1"),
        (STOPPED, History(), "i-1"),
    ],
)
def test_only_our_own_containment_in_effect_is_finished(
    found: Settings | None, now: History, incident: str
) -> None:
    """Undone, unknown, another incident's, released or a namesake's: it is decided anew."""
    assert finished(found, now, incident) is None


# For any policy and any circumstances.

_OTHERS = [{"services": ["checkout"]}, {"labels": {"env": "sandbox"}}, {"jobs": ["*"]}]
_OURS = [
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
        for at, match in enumerate(draw(st.lists(st.sampled_from(_OTHERS), max_size=3)))
    ]
    if by_rule:
        match = draw(st.sampled_from(_OURS))
        rules.append({"name": "ours", "match": match, "contain": _ACTING})
    return {
        "mode": draw(modes),
        "contain": draw(st.sampled_from([_ACTING, {"job": []}])) if by_rule else _ACTING,
        "rules": rules,
        "protect": draw(st.lists(st.sampled_from(_OTHERS), max_size=2)),
        "categories": draw(st.sampled_from([[CATEGORY], ["Reverse Shell", CATEGORY]])),
        "sources": draw(st.sampled_from([[], ["42", finding().source_id]])),
        "virustotal": draw(st.none() | st.just({"min_malicious": 2, "when_unknown": "contain"})),
    }


_SOUND_EVIDENCE = st.builds(
    evidence, settings=st.sampled_from([settings({"minInstanceCount": 1}), settings()])
)
_SOUND_CIRCUMSTANCES = st.builds(
    Circumstances,
    folder=st.just(FOLDER),
    now=st.timedeltas(timedelta(0), timedelta(hours=24)).map(lambda age: AT + age),
    ceiling=st.sampled_from(list(Mode)),
    ceiling_reason=st.just("the environment says so"),
    ourselves=st.sampled_from([Ourselves(), Ourselves("responder"), Ourselves("storefront", "x")]),
    history=st.sampled_from([History(), history("another")]),
    slots=st.one_of(
        st.builds(slots, st.integers(0, 9), st.integers(0, 2)),
        st.builds(slots, st.integers(1, 99), st.integers(1, 99), ours=st.just(True)),
    ),
)
#: What is wrong with evidence, with a workload in it, with the policy or around it.
_WRONG_EVIDENCE: list[dict[str, Any]] = [
    {"confirmed": False},
    {"settings": None},
    {"finding": finding(contradictions=("says two things",))},
    {"finding": finding(workload=workload(project_id=None))},
    {"finding": finding(workload=None)},
    {"finding": finding(category="Reverse Shell of another kind")},
]
_WRONG_POLICIES: list[dict[str, Any]] = [
    {"contain": {}, "rules": []},
    {"contain": {"service": []}, "rules": [{"name": "r", "match": {"services": ["*"]}}]},
    *({"protect": [match]} for match in _OURS),
    {"sources": ["42"]},
    {"categories": ["Reverse Shell"]},
    {"virustotal": {"min_malicious": 1}},
    {"guards": {"max_containments_per_hour": 0, "max_finding_age": "1s"}},
]
_WRONG_CIRCUMSTANCES: list[dict[str, Any]] = [
    {"now": AT + timedelta(hours=24, seconds=1)},
    {"ourselves": Ourselves("storefront")},
    {"history": history(finding().finding_id)},
    {"slots": slots(10)},
    {"slots": slots(3, 3)},
]
_WRONG_ROUTES = [
    Route(answering(), Verdict.HOLD, "held"),
    Route(answering(Verdict.HOLD), Verdict.CONTAIN, ""),
    Route(answering(Verdict.IGNORE), Verdict.CONTAIN, ""),
    Route(None, Verdict.CONTAIN, ""),
]


@given(_SOUND_EVIDENCE, _sound_policies(), _SOUND_CIRCUMSTANCES)
@repeatable
def test_what_nothing_speaks_against_is_contained(
    found: Evidence, rules: dict[str, Any], around: Circumstances
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
def test_whatever_speaks_against_it_holds_it(
    found: Evidence,
    rules: dict[str, Any],
    around: Circumstances,
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
def test_an_invalid_policy_never_contains(found: Evidence, around: Circumstances) -> None:
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
        ("route", None, Route(answering(), Verdict.HOLD, "the detector disagrees")),
        ("", {"contain": {}}, ROUTE),
        ("", {"categories": ["Other"]}, ROUTE),
        ("", None, Route(answering(Verdict.HOLD), Verdict.CONTAIN, "")),
    ],
)
def test_a_hold_is_barred_exactly_where_a_person_is_refused_as_well(
    by: str, policy: Any, route: Route
) -> None:
    """What names no action, or is left to a person, is overruled by naming one."""
    held = decided(policy=policy, route=route)
    by_hand = decided(policy=policy, route=route, attendance=containing("a@example.com", STEPS))
    assert held.verdict is Verdict.HOLD
    assert [bar.by for bar in held.barred] == ([by] if by else [])
    assert (by_hand.verdict is Verdict.HOLD) is bool(by)
