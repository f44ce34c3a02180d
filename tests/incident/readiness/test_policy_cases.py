"""Policy tests: facts become what the decision is made of, and differences are named."""

from __future__ import annotations

from typing import Any

import pytest

from incident.actions.catalogue import ACTIONS
from incident.model import InvalidPolicy, Kind
from incident.policy.resolve import parse_policy
from incident.readiness.policy_cases import (
    Case,
    CaseResult,
    Expected,
    parse_cases,
    run_case,
)
from incident.readiness.policy_facts import Facts
from responders import RESPONDERS, route
from tests.support.constants import REPOSITORY
from tests.support.model import finding

ENFORCE = """
mode: enforce
contain:
  service: [[isolate-revision, scale-to-zero], restrict-ingress]
  worker-pool: [scale-to-zero]
  job: [cancel-executions, require-authentication]
rules:
  - name: shop
    match: {services: ["shop-*"], labels: {env: prod}}
    mode: approve
protect: [{projects: ["security-*"]}]
virustotal: {min_malicious: 5}
"""


def decided(policy: str = ENFORCE, **facts: Any) -> CaseResult:
    """What a policy decides about some facts; VirusTotal knows the file, unless they say so."""
    case = Case(
        name="case",
        facts=Facts.model_validate({"virustotal": 58, **facts}),
        expect=Expected.model_validate({"verdict": "contain"}),
    )
    return run_case(case, None, parse_policy(policy, source="policy.yaml"), route)


def values(*keys: str, **facts: Any) -> tuple[Any, ...]:
    """Some keys of what is decided about some facts."""
    result = decided(**facts).decided
    return tuple(result[key] for key in keys)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        pytest.param(
            {"name": "shop-web", "labels": {"env": "prod"}},
            ("contain", "approve", "shop", ("scale-to-zero", "restrict-ingress")),
            id="by a rule",
        ),
        pytest.param(
            {"name": "shop-web", "known_good": "shop-web-00001-old"},
            ("contain", "enforce", "defaults", ("isolate-revision", "restrict-ingress")),
            id="with a known-good revision",
        ),
        pytest.param(
            {"kind": "job", "executions": 0},
            ("contain", "enforce", "defaults", ("cancel-executions", "require-authentication")),
            id="a job that does not run",
        ),
        pytest.param(
            {"responder_mode": "dry-run"},
            ("contain", "dry-run", "defaults", ("scale-to-zero", "restrict-ingress")),
            id="under a ceiling",
        ),
        pytest.param(
            {"project": "security-tools"}, ("hold", "enforce", "defaults", ()), id="protected"
        ),
    ],
)
def test_rule_mode_verdict_and_actions_are_those_of_the_decision(
    facts: dict[str, Any], expected: tuple[Any, ...]
) -> None:
    """Facts lead to the rule, the mode and the actions that fit."""
    assert values("verdict", "mode", "rule", "actions", **facts) == expected


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"virustotal": 4}, "the policy wants 5 VirusTotal detections"),
        ({"virustotal": "unknown"}, "holds what is unknown"),
        ({"virustotal": "no-hash"}, "holds what is unknown"),
        ({"age": "25h"}, "the policy's limit is"),
        ({"scc": "not-listed"}, "does not list the finding"),
        ({"history": "released"}, "has released this finding"),
        ({"history": "being-released"}, "is releasing the workload's containment"),
        ({"containments_this_hour": 10}, "in all is reached"),
        ({"containments_this_hour_in_project": 3}, "in this project is reached"),
        ({"category": "Reverse Shell"}, "no rule and no default"),
    ],
)
def test_every_fact_that_a_guard_looks_at_reaches_it(facts: dict[str, Any], reason: str) -> None:
    """The real guards hold, each by its own reason, and nothing else does."""
    result = decided(**facts).decided
    assert result["verdict"] == "hold"
    assert reason in " ".join(result["reason"])
    assert len(result["reason"]) == 1


@pytest.mark.parametrize("kind", list(Kind))
def test_what_is_left_out_lets_every_action_fit(kind: Kind) -> None:
    """A case with few facts fails by the policy, not because a fact is missing."""
    fitting = [name for name, each in ACTIONS.items() if kind in each.kinds]
    for name in fitting:
        policy = f"mode: enforce\ncontain: {{{kind.value}: [{name}]}}\n"
        policy += "identity: {dedicated: ['example-runtime@*.iam.gserviceaccount.com']}\n"
        known_good = {"known_good": "example-00001-old"} if name == "isolate-revision" else {}
        assert decided(policy, kind=kind.value, **known_good).decided["actions"] == (name,)


def test_facts_are_a_finding_that_every_containing_responder_contains() -> None:
    """No finding type is held for want of a detail that a policy says nothing about."""
    for category, responder in RESPONDERS.items():
        policy = f'mode: enforce\ncategories: ["{category}"]\ncontain: {{service: [scale-to-zero]}}'
        assert decided(policy, category=category).decided["verdict"] == responder.verdict.value


def test_a_difference_names_key_expected_and_decided() -> None:
    """Only what is expected is compared, and each difference once."""
    expected = {
        "verdict": "hold",
        "mode": "enforce",
        "rule": "shop",
        "actions": ["restrict-ingress"],
        "reason": "no such reason",
    }
    case = Case(name="x", facts=Facts(virustotal=9), expect=Expected.model_validate(expected))
    result = run_case(case, None, parse_policy(ENFORCE, source="p"), route)
    assert [(each.key, each.expected) for each in result.differences] == [
        ("verdict", "hold"),
        ("rule", "shop"),
        ("actions", "restrict-ingress"),
        ("reason", "… no such reason …"),
    ]
    assert [each.decided for each in result.differences][:3] == [
        "contain",
        "defaults",
        "scale-to-zero, restrict-ingress",
    ]


def test_actions_are_compared_in_any_order() -> None:
    """The order in which actions are applied is the responder's."""
    wanted = Expected(actions=("restrict-ingress", "scale-to-zero"))
    case = Case(name="x", facts=Facts(virustotal=9), expect=wanted)
    assert not run_case(case, None, parse_policy(ENFORCE, source="p"), route).differences


def test_a_finding_says_what_it_is_about() -> None:
    """Workload, category and time are the finding's own; labels are facts."""
    policy = "mode: enforce\ncontain: {service: [scale-to-zero]}\nprotect: [{labels: {keep: '*'}}]"
    facts = Facts(labels={"keep": "yes"})
    case = Case(name="x", finding="f.json", facts=facts, expect=Expected(reason="protect[0]"))
    assert not run_case(case, finding(), parse_policy(policy, source="p"), route).differences


@pytest.mark.parametrize(
    ("text", "mistakes"),
    [
        ("cases: []", ["1:8: cases: found an empty list; expected at least one entry"]),
        (
            "cases:\n- name: x\n  facts: {kin: job}\n  expect: {verdict: stop}",
            [
                "3:11: cases[0].facts.kin: unknown key (did you mean kind?)",
                "4:21: cases[0].expect.verdict: found \"stop\"; expected 'contain'",
            ],
        ),
        (
            "cases:\n- name: x\n  finding: f\n  facts: {project: p}\n  expect: {rule: x}",
            ["2:3: cases[0]: found a mapping; the file of `finding` says already: project"],
        ),
        (
            "cases:\n- name: x\n  facts: {folders: [12]}\n  expect: {actions: [explode]}",
            [
                "3:21: cases[0].facts.folders[0]: found the number 12; expected a text",
                "4:11: cases[0].expect: found a mapping; no such action: explode",
            ],
        ),
        ("cases:\n- name: x\n  expect: {}", ["3:11: cases[0].expect: found an empty mapping"]),
    ],
)
def test_mistakes_have_line_column_and_key(text: str, mistakes: list[str]) -> None:
    """Every mistake of a file is found at once, where it stands."""
    with pytest.raises(InvalidPolicy) as caught:
        parse_cases(text, source="t.yaml")
    lines = str(caught.value).splitlines()
    assert lines[0].startswith("Cannot use the policy test t.yaml: ")
    assert len(lines) == 1 + len(mistakes)
    for line, mistake in zip(lines[1:], mistakes, strict=True):
        assert line.startswith(f"  t.yaml:{mistake}")


def test_the_line_of_a_case_is_where_it_begins() -> None:
    """A failure leads into the file."""
    text = (
        "cases:\n  - name: a\n    expect: {mode: enforce}\n\n  - name: b\n    expect: {rule: x}\n"
    )
    assert parse_cases(text, source="t.yaml")[1] == (2, 5)


@pytest.mark.parametrize("model", [Facts, Expected])
def test_the_document_explains_every_key(model: type[Facts | Expected]) -> None:
    """No fact has to be looked up in the code."""
    text = (REPOSITORY / "docs/policy-tests.md").read_text()
    assert [name for name in model.model_fields if f"`{name}`" not in text] == []
