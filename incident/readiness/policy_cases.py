"""Policy tests: cases beside a policy, decided by the responder's own code and compared. Pure.

Run as a module it prints the JSON Schema of a file of cases, for editors.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from incident.actions.catalogue import ACTIONS
from incident.decision.decide import decide
from incident.model import Decision, Evidence, Finding, Mode, Notification, Route, Verdict
from incident.policy.errors import invalid_value
from incident.policy.resolve import Policy, Subject, explain_resolution
from incident.policy.yaml_file import read_document
from incident.policy.yaml_model import schema_of, validate_document
from incident.readiness.policy_facts import (
    Facts,
    context_of_facts,
    evidence_of_facts,
    finding_of_facts,
)

#: What ``rule`` is where no rule and no default of the policy applies.
NO_RULE = "none"

_Text = Annotated[str, StringConstraints(min_length=1)]


class _Section(BaseModel):
    """A mapping of the file; unknown keys are mistakes."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Expected(_Section):
    """What is to be decided; what is left out is not compared."""

    verdict: Verdict | None = Field(default=None, description="contain, hold or ignore.")
    mode: Mode | None = Field(default=None, description="The mode, after RESPONDER_MODE.")
    rule: _Text | None = Field(
        default=None, description="Name of the rule; `defaults` for the top level, `none` for none."
    )
    actions: tuple[_Text, ...] | None = Field(
        default=None, description="The actions chosen, in any order; [] for none."
    )
    reason: _Text | None = Field(
        default=None, description="A text that stands in one of the reasons."
    )

    @model_validator(mode="after")
    def _compares_something(self) -> Self:
        if not self.model_fields_set:
            raise invalid_value(f"expected at least one of: {', '.join(type(self).model_fields)}")
        unknown = [name for name in self.actions or () if name not in ACTIONS]
        if unknown:
            raise invalid_value(f"no such action: {unknown[0]}; there are: {', '.join(ACTIONS)}")
        return self


class Case(_Section):
    """One case."""

    name: _Text = Field(description="What it shows, in a sentence.")
    finding: _Text | None = Field(
        default=None, description="A file with one finding, beside this file."
    )
    facts: Facts = Facts()
    expect: Expected

    @model_validator(mode="after")
    def _says_everything_once(self) -> Self:
        if self.finding and self.facts.restated:
            restated = ", ".join(self.facts.restated)
            raise invalid_value(f"the file of `finding` says already: {restated}; leave that out")
        return self


class CaseFile(_Section):
    """A file of cases for one policy."""

    policy: _Text | None = Field(
        default=None, description="The policy, beside this file; by default of the same name."
    )
    cases: Annotated[tuple[Case, ...], Field(min_length=1)]


@dataclass(frozen=True, slots=True)
class Difference:
    """A key whose expected value is not what was decided."""

    key: str
    expected: str
    decided: str


@dataclass(frozen=True, slots=True)
class CaseResult:
    """What was decided about a case.

    Attributes:
        name: The case's name.
        differences: What is not as expected; empty where the case passes.
        decided: The decision, with the keys of ``expect``; ``reason`` has all reasons.
        explanation: How the policy came to it, line by line.
    """

    name: str
    differences: tuple[Difference, ...]
    decided: Mapping[str, str | tuple[str, ...]]
    explanation: tuple[str, ...]


def parse_cases(text: str | bytes, *, source: str) -> tuple[CaseFile, tuple[int, ...]]:
    """The cases of a file, and the line on which each begins, counted from 1.

    Raises:
        InvalidPolicy: There are mistakes, each with line and column.
    """
    document = read_document(text, source=source, title="policy test")
    cases = validate_document(document, CaseFile)
    nodes = (document.values["cases", at] for at in range(len(cases.cases)))
    return cases, tuple(node.start_mark.line + 1 for node in nodes)


def run_case(
    case: Case,
    claim: Finding | None,
    policy: Policy,
    route: Callable[[Notification], Route],
) -> CaseResult:
    """Decide one case as the responder would, and compare.

    Args:
        case: The case.
        claim: The finding of its file; None where facts take its place.
        policy: The policy under test.
        route: Which responder answers.
    """
    finding = claim or finding_of_facts(case.facts, policy.sources)
    evidence = evidence_of_facts(case.facts, finding)
    decision = decide(
        evidence,
        route(Notification(finding, deleted=False)),
        policy,
        context_of_facts(case.facts, finding),
    )
    decided = decided_values(decision)
    return CaseResult(
        case.name,
        tuple(_differences(case.expect, decided)),
        decided,
        _explanation(policy, evidence),
    )


def decided_values(decision: Decision) -> Mapping[str, str | tuple[str, ...]]:
    """The decision with the keys of ``expect``."""
    return {
        "verdict": decision.verdict.value,
        "mode": decision.mode.value,
        "rule": decision.rule or NO_RULE,
        "actions": decision.actions,
        "reason": tuple(reason.text for reason in decision.reasons),
    }


def _differences(
    expected: Expected, decided: Mapping[str, str | tuple[str, ...]]
) -> Iterator[Difference]:
    for key in ("verdict", "mode", "rule"):
        wanted = getattr(expected, key)
        if wanted is not None and wanted != decided[key]:
            yield Difference(key, str(wanted), str(decided[key]))
    actions, reasons = decided["actions"], decided["reason"]
    if expected.actions is not None and set(expected.actions) != set(actions):
        yield Difference("actions", _list_text(expected.actions), _list_text(actions))
    if expected.reason and not any(expected.reason in reason for reason in reasons):
        yield Difference("reason", f"… {expected.reason} …", "; ".join(reasons))


def _list_text(values: str | tuple[str, ...]) -> str:
    return ", ".join(values) or "none"


def _explanation(policy: Policy, evidence: Evidence) -> tuple[str, ...]:
    finding, configuration = evidence.finding, evidence.configuration
    if finding.workload is None:
        return ()
    labels = configuration.labels if configuration else None
    subject = Subject(finding.workload, finding.categories, finding.source_id, labels)
    return explain_resolution(policy, subject)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(schema_of(CaseFile, "Policy test"), indent=2) + "\n")
