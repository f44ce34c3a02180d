"""Resolve the policy for a finding on a workload: rule, mode, actions, holds.

What is unknown about a workload never makes it less protected. The guards, which need a clock, a
count or VirusTotal, are in ``incident/decision``.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace

from incident.actions.action import Steps
from incident.model import Blocker, Kind, Mode
from incident.policy.errors import quote_value
from incident.policy.match import (
    Check,
    MatchResult,
    Subject,
    check_category,
    check_match,
    check_values,
    first_result,
)
from incident.policy.schema import Policy
from incident.policy.values import DEFAULT_CATEGORY, DEFAULTS_RULE
from incident.policy.yaml_file import Document, read_document
from incident.policy.yaml_model import validate_document

__all__ = [
    "DEFAULTS_RULE",
    "DEFAULT_CATEGORY",
    "Hold",
    "IdentityTerms",
    "Policy",
    "Resolution",
    "Steps",
    "Subject",
    "explain_resolution",
    "parse_policy",
    "resolve",
    "with_chosen_steps",
]


@dataclass(frozen=True, slots=True)
class Hold:
    """A reason why nothing may be done.

    Attributes:
        text: One sentence for a person.
        alarm: Whether an attacker may have caused it: it depends on a label, or on something
            unknown.
    """

    text: str
    alarm: bool


@dataclass(frozen=True, slots=True)
class IdentityTerms:
    """Which runtime service accounts may be disabled.

    Attributes:
        dedicated: Patterns of accounts that one workload alone runs as.
        disable_shared: Whether other accounts may be disabled as well.
    """

    dedicated: tuple[str, ...] = ()
    disable_shared: bool = False


@dataclass(frozen=True, slots=True)
class Resolution:
    """The policy's answer for a finding on a workload.

    Attributes:
        rule: Name of the rule that applies, ``defaults`` for the top level; None where none
            applies, or where that is unknown.
        mode: The rule's mode; the top level's where none applies.
        steps: The actions for this kind of workload; each step lists alternatives, of which
            the first that fits is taken.
        holds: Why nothing may be done. Empty: the steps may be taken, as the mode allows.
        identity: Which runtime service accounts may be disabled.
    """

    rule: str | None
    mode: Mode
    steps: Steps
    holds: tuple[Hold, ...]
    identity: IdentityTerms = IdentityTerms()


@dataclass(frozen=True, slots=True)
class _Evaluation:
    """The evaluation of a rule, of the defaults or of an entry of ``protect``."""

    title: str
    checks: tuple[Check, ...]
    rule: str | None = None
    mode: Mode = Mode.DRY_RUN
    steps: Steps = ()

    @property
    def result(self) -> MatchResult:
        """No if any key says no, else unknown if any is unknown, else yes."""
        results = {check.result for check in self.checks}
        return first_result((MatchResult.NO, MatchResult.UNKNOWN, MatchResult.YES), results)

    @property
    def depends_on_labels(self) -> bool:
        """Whether labels made the difference: every other key matches or is unknown."""
        against = {check.key for check in self.checks if check.result is MatchResult.NO}
        return against <= {"labels"} and any(check.key == "labels" for check in self.checks)

    @property
    def explanation(self) -> str:
        """The checks behind the answer, for a person."""
        return "; ".join(check.text for check in self.checks if check.result is self.result)


@functools.lru_cache(maxsize=4)
def parse_policy(text: str | bytes, *, source: str) -> Policy:
    """Parse a policy file. An unchanged one is parsed once.

    Args:
        text: YAML; bytes are UTF-8.
        source: What the file is called in messages, such as its path or URL.

    Raises:
        InvalidPolicy: There are mistakes. Its message lists all of them, each with line,
            column, key, what was found and what was expected; a file that is not YAML at all
            is described as far as it could be read.
    """
    document = read_document(text, source=source)
    _note_repeated_names(document)
    return validate_document(document, Policy)


def resolve(policy: Policy, subject: Subject) -> Resolution:
    """Resolve the policy for a finding on a workload.

    The first rule that matches applies, else the top level. A rule whose match is unknown ends
    the search: it may be the rule that protects the workload.
    """
    evaluations = _evaluate_rules(policy, subject)
    applied = evaluations[-1]
    applies = applied.result is MatchResult.YES
    steps = applied.steps if applies else ()
    holds = [_source_hold(policy, subject), _protection_hold(policy, subject)]
    if not steps:
        holds.append(_no_action_hold(evaluations, subject.workload.kind))
    return Resolution(
        rule=applied.rule if applies else None,
        mode=applied.mode if applies else policy.mode,
        steps=steps,
        holds=tuple(hold for hold in holds if hold),
        identity=_identity_terms(policy, applied.rule if applies else None),
    )


def _identity_terms(policy: Policy, rule_name: str | None) -> IdentityTerms:
    """The rule's terms, and those of the top level where it says nothing."""
    rule = next((each for each in policy.rules if each.name == rule_name), None)
    named = rule.identity.dedicated if rule else None
    return IdentityTerms(
        dedicated=policy.identity.dedicated if named is None else named,
        disable_shared=rule is not None and rule.identity.shared == "disable",
    )


def with_chosen_steps(resolution: Resolution, steps: Steps) -> Resolution:
    """The same with the actions that a person names. Protection still applies.

    The person's choice replaces a hold because no rule names an action, or because it is unknown
    which rule applies.
    """
    # The hold because no action is named comes last, and only without steps.
    holds = resolution.holds if resolution.steps else resolution.holds[:-1]
    return replace(resolution, steps=steps, holds=holds)


def policy_blockers(policy: Policy, subject: Subject) -> tuple[Blocker, ...]:
    """The holds that also refuse a person who names an action."""
    holds = (
        ("source", _source_hold(policy, subject)),
        ("protect", _protection_hold(policy, subject)),
    )
    return tuple(Blocker(by, hold.text) for by, hold in holds if hold)


def explain_resolution(policy: Policy, subject: Subject) -> tuple[str, ...]:
    """How ``resolve`` reaches its answer, one line for each rule and entry that was tried."""
    evaluations = (*_evaluate_protections(policy, subject), *_evaluate_rules(policy, subject))
    lines = [
        f"{evaluation.title}: {evaluation.result.value}, {evaluation.explanation}"
        for evaluation in evaluations
    ]
    resolution = resolve(policy, subject)
    lines.extend(f"held: {hold.text}" for hold in resolution.holds)
    if not resolution.holds:
        steps = ", ".join(" or ".join(step) for step in resolution.steps)
        lines.append(f"may act: {steps}, mode {resolution.mode}")
    return tuple(lines)


def _source_hold(policy: Policy, subject: Subject) -> Hold | None:
    if not policy.sources or subject.source_id in policy.sources:
        return None
    pinned = ", ".join(policy.sources)
    text = f"the finding comes from source {quote_value(subject.source_id)}, not from {pinned}"
    return Hold(text, alarm=False)


def _protection_hold(policy: Policy, subject: Subject) -> Hold | None:
    """The surest protection: known before unknown, then independent of labels."""
    evaluations = [
        trial
        for trial in _evaluate_protections(policy, subject)
        if trial.result is not MatchResult.NO
    ]
    if not evaluations:
        return None
    surest = min(
        evaluations, key=lambda each: (each.result is MatchResult.UNKNOWN, each.depends_on_labels)
    )
    unknown = surest.result is MatchResult.UNKNOWN
    verb = "counts as protected" if unknown else "is protected"
    text = f"the workload {verb} by {surest.title} ({surest.explanation})"
    return Hold(text, alarm=unknown or surest.depends_on_labels)


def _no_action_hold(evaluations: Sequence[_Evaluation], kind: Kind) -> Hold:
    """Why the rules lead to no action."""
    last = evaluations[-1]
    if last.result is MatchResult.UNKNOWN:
        return Hold(f"{last.title} may apply or not ({last.explanation})", alarm=True)
    # A label, perhaps set by an attacker, made this rule apply or kept another from applying.
    by_label = any(each.depends_on_labels and (each is last or each.steps) for each in evaluations)
    if last.result is MatchResult.NO:
        return Hold(
            f"no rule and no default of the policy applies ({last.explanation})", alarm=by_label
        )
    return Hold(f"{last.title}: no action is named for {kind.with_article}", alarm=by_label)


def _evaluate_rules(policy: Policy, subject: Subject) -> list[_Evaluation]:
    """Evaluate rule by rule up to the first that is not a no; the defaults come last."""
    kind, evaluations = subject.workload.kind, []
    default_steps = policy.contain.steps(kind) or ()
    named = check_values("categories", policy.categories, subject.categories, exact=True)
    for rule in policy.rules:
        steps = rule.contain.steps(kind)
        evaluation = _Evaluation(
            title=f"rule {quote_value(rule.name)}",
            checks=(
                check_category(rule.match, subject) or named,
                *check_match(rule.match, subject),
            ),
            rule=rule.name,
            mode=rule.mode or policy.mode,
            steps=default_steps if steps is None else steps,
        )
        evaluations.append(evaluation)
        if evaluation.result is not MatchResult.NO:
            return evaluations
    evaluations.append(
        _Evaluation(DEFAULTS_RULE, (named,), DEFAULTS_RULE, policy.mode, default_steps)
    )
    return evaluations


def _evaluate_protections(policy: Policy, subject: Subject) -> tuple[_Evaluation, ...]:
    return tuple(
        _Evaluation(f"protect[{at}]", check_match(match, subject))
        for at, match in enumerate(policy.protect)
    )


def _note_repeated_names(document: Document) -> None:
    """Note rules that share a name."""
    first: dict[str, int] = {}
    for path, node in document.values.items():
        match path:
            case ("rules", int(), "name") if isinstance(node.value, str):
                line = node.start_mark.line + 1
                if first.setdefault(node.value, line) != line:
                    text = f"{quote_value(node.value)} is the name of the rule on line "
                    text += f"{first[node.value]} too; expected a name of its own"
                    document.note(path, text, at=node.start_mark)
