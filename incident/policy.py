"""The policy: what may be done to which workload, and why not.

A policy is made from its file and asked about one finding on one workload. What cannot be
known about a workload never makes it less protected. Guards that need a clock, a count or
VirusTotal do not belong here.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase
from typing import get_args

from pydantic import BaseModel, ValidationError

from incident.model import Kind, Mode, Workload
from incident.policy_file import Document, KeyPath, quoted, read_document
from incident.policy_schema import (
    ACTIONS,
    CATEGORY,
    DEFAULTS,
    Match,
    Policy,
    RuleMatch,
    Steps,
)

__all__ = [
    "ACTIONS",
    "CATEGORY",
    "DEFAULTS",
    "Hold",
    "Policy",
    "Resolution",
    "Steps",
    "Subject",
    "explain",
    "parse_policy",
    "resolve",
]


@dataclass(frozen=True, slots=True)
class Subject:
    """What the policy is asked about.

    Attributes:
        workload: Where it was found; its project id, number and folders may be unknown.
        category: The finding type.
        source_id: Digits of the SCC source that reported it.
        labels: The workload's labels; None where they are not known.
    """

    workload: Workload
    category: str
    source_id: str
    labels: Mapping[str, str] | None


@dataclass(frozen=True, slots=True)
class Hold:
    """Why nothing may be done.

    Attributes:
        text: For a person.
        alarm: Whether an attacker may have caused it: it hangs on a label, or on something
            that could not be known.
    """

    text: str
    alarm: bool


@dataclass(frozen=True, slots=True)
class Resolution:
    """What the policy says about a subject.

    Attributes:
        rule: Name of the rule that applies, ``defaults`` for the top level; None where none
            applies, or where that cannot be known.
        mode: The rule's mode; the top level's where none applies.
        steps: The actions for this kind of workload; each step lists alternatives, of which
            the first that fits is taken.
        holds: Why nothing may be done. Empty: the steps may be taken, as far as the mode goes.
    """

    rule: str | None
    mode: Mode
    steps: Steps
    holds: tuple[Hold, ...]


class _Answer(Enum):
    """Whether something matches, as far as can be known."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class _Check:
    """One key of a match, held against a subject."""

    key: str
    answer: _Answer
    text: str


@dataclass(frozen=True, slots=True)
class _Trial:
    """A rule, the defaults or an entry of ``protect``, held against a subject."""

    title: str
    checks: tuple[_Check, ...]
    rule: str | None = None
    mode: Mode = Mode.DRY_RUN
    steps: Steps = ()

    @property
    def answer(self) -> _Answer:
        """No if any key says no, else unknown if any is unknown, else yes."""
        answers = {check.answer for check in self.checks}
        return _first_of((_Answer.NO, _Answer.UNKNOWN, _Answer.YES), answers)

    @property
    def hangs_on_labels(self) -> bool:
        """Whether labels made the difference: nothing else speaks against a match."""
        against = {check.key for check in self.checks if check.answer is _Answer.NO}
        return against <= {"labels"} and any(check.key == "labels" for check in self.checks)

    @property
    def because(self) -> str:
        """The checks behind the answer, for a person."""
        return "; ".join(check.text for check in self.checks if check.answer is self.answer)


def _first_of(order: Iterable[_Answer], answers: Container[_Answer]) -> _Answer:
    return next(answer for answer in order if answer in answers)


def parse_policy(text: str | bytes, *, source: str) -> Policy:
    """Read a policy file.

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
    try:
        policy = Policy.model_validate(document.data)
    except ValidationError as error:
        document.note_all(error, known_keys=_known_keys)
        raise document.refusal() from error
    if document.mistakes:
        raise document.refusal()
    return policy


def resolve(policy: Policy, subject: Subject) -> Resolution:
    """What the policy says about a finding on a workload.

    The first rule that matches applies, else the top level. A rule of which it cannot be
    known whether it matches ends the search: what it says may be what protects the workload.
    """
    trials = _trials(policy, subject)
    chosen = trials[-1]
    applies = chosen.answer is _Answer.YES
    steps = chosen.steps if applies else ()
    holds = [_source_hold(policy, subject), _protection(policy, subject)]
    if not steps:
        holds.append(_nothing_to_do(trials, subject.workload.kind))
    return Resolution(
        rule=chosen.rule if applies else None,
        mode=chosen.mode if applies else policy.mode,
        steps=steps,
        holds=tuple(hold for hold in holds if hold),
    )


def explain(policy: Policy, subject: Subject) -> tuple[str, ...]:
    """How ``resolve`` comes to its answer, one line for each thing that was tried."""
    tried = (*_protections(policy, subject), *_trials(policy, subject))
    lines = [f"{trial.title}: {trial.answer.value}, {trial.because}" for trial in tried]
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
    text = f"the finding comes from source {quoted(subject.source_id)}, not from {pinned}"
    return Hold(text, alarm=False)


def _protection(policy: Policy, subject: Subject) -> Hold | None:
    """The surest reason for protecting the workload: no label can shake it, then no doubt."""
    trials = [trial for trial in _protections(policy, subject) if trial.answer is not _Answer.NO]
    if not trials:
        return None
    surest = min(trials, key=lambda each: (each.answer is _Answer.UNKNOWN, each.hangs_on_labels))
    unknown = surest.answer is _Answer.UNKNOWN
    verb = "counts as protected" if unknown else "is protected"
    text = f"the workload {verb} by {surest.title} ({surest.because})"
    return Hold(text, alarm=unknown or surest.hangs_on_labels)


def _nothing_to_do(trials: Sequence[_Trial], kind: Kind) -> Hold:
    """Why the trials of the rules came to no action."""
    last = trials[-1]
    if last.answer is _Answer.UNKNOWN:
        return Hold(f"{last.title} may apply or not ({last.because})", alarm=True)
    # An attacker's label brought this rule about, or kept one away that would have acted.
    by_label = any(each.hangs_on_labels and (each is last or each.steps) for each in trials)
    if last.answer is _Answer.NO:
        return Hold(f"no rule applies, nor do the defaults ({last.because})", alarm=by_label)
    return Hold(f"{last.title}: no action is named for a {kind}", alarm=by_label)


def _trials(policy: Policy, subject: Subject) -> list[_Trial]:
    """Rule by rule to the first that does not say no; the defaults come last."""
    kind, trials = subject.workload.kind, []
    default_steps = policy.contain.steps(kind) or ()
    named = _values("categories", policy.categories, (subject.category,), exact=True)
    for rule in policy.rules:
        steps = rule.contain.steps(kind)
        trial = _Trial(
            title=f"rule {quoted(rule.name)}",
            checks=(_category(rule.match, subject) or named, *_checks(rule.match, subject)),
            rule=rule.name,
            mode=rule.mode or policy.mode,
            steps=default_steps if steps is None else steps,
        )
        trials.append(trial)
        if trial.answer is not _Answer.NO:
            return trials
    trials.append(_Trial(DEFAULTS, (named,), DEFAULTS, policy.mode, default_steps))
    return trials


def _protections(policy: Policy, subject: Subject) -> tuple[_Trial, ...]:
    return tuple(
        _Trial(f"protect[{at}]", _checks(match, subject)) for at, match in enumerate(policy.protect)
    )


def _category(match: RuleMatch, subject: Subject) -> _Check | None:
    if not match.categories:
        return None
    return _values("categories", match.categories, (subject.category,))


def _checks(match: Match, subject: Subject) -> tuple[_Check, ...]:
    """Every key of a match that is given, held against the subject."""
    workload = subject.workload
    checks = (
        _project(match.projects, workload),
        _values("folders", match.folders, workload.folders) if match.folders else None,
        _values("regions", match.regions, (workload.location,)) if match.regions else None,
        _name(match, workload),
        _labels(match.labels, subject.labels) if match.labels else None,
    )
    return tuple(check for check in checks if check)


def _values(
    key: str, patterns: Sequence[str], values: Sequence[str] | None, *, exact: bool = False
) -> _Check:
    """Whether any value matches any pattern; unknown where the values are not known."""
    if values is None:
        return _Check(key, _Answer.UNKNOWN, f"{key}: not known for this workload")
    wanted = ", ".join(quoted(pattern) for pattern in patterns)
    for value in values:
        if value in patterns if exact else any(fnmatchcase(value, each) for each in patterns):
            return _Check(key, _Answer.YES, f"{key}: {quoted(value)} is among {wanted}")
    found = ", ".join(quoted(value) for value in values) or "nothing"
    return _Check(key, _Answer.NO, f"{key}: {found} is not among {wanted}")


def _project(patterns: Sequence[str], workload: Workload) -> _Check | None:
    """Patterns of digits mean the project's number, all others its id; one match is enough."""
    numbers = [pattern for pattern in patterns if re.fullmatch("[0-9]+", pattern)]
    ids = [pattern for pattern in patterns if pattern not in numbers]
    checks = [
        _values(key, wanted, None if value is None else (value,))
        for key, wanted, value in (
            ("projects (number)", numbers, workload.project_number),
            ("projects (id)", ids, workload.project_id),
        )
        if wanted
    ]
    if not checks:
        return None
    order = (_Answer.YES, _Answer.UNKNOWN, _Answer.NO)
    answer = _first_of(order, {check.answer for check in checks})
    text = "; ".join(check.text for check in checks if check.answer is answer)
    return _Check("projects", answer, text)


def _name(match: Match, workload: Workload) -> _Check | None:
    """Each of the three keys speaks of its own kind; a kind left out by them is not meant."""
    by_kind = {
        Kind.SERVICE: match.services,
        Kind.JOB: match.jobs,
        Kind.WORKER_POOL: match.worker_pools,
    }
    if not any(by_kind.values()):
        return None
    if patterns := by_kind[workload.kind]:
        return _values("name", patterns, (workload.name,))
    return _Check("name", _Answer.NO, f"name: a {workload.kind} is not meant")


def _labels(wanted: Mapping[str, str], labels: Mapping[str, str] | None) -> _Check:
    """Every label named must be there and its value match."""
    if labels is None:
        return _Check("labels", _Answer.UNKNOWN, "labels: not known for this workload")
    for key, pattern in wanted.items():
        if key not in labels or not fnmatchcase(labels[key], pattern):
            return _Check("labels", _Answer.NO, f"labels: {key}={pattern} does not match")
    pairs = ", ".join(f"{key}={pattern}" for key, pattern in wanted.items())
    return _Check("labels", _Answer.YES, f"labels: {pairs} matches")


def _note_repeated_names(document: Document) -> None:
    """Note rules that share a name, whatever else is wrong with them."""
    first: dict[str, int] = {}
    for path, node in document.values.items():
        match path:
            case ("rules", int(), "name") if isinstance(node.value, str):
                line = node.start_mark.line + 1
                if first.setdefault(node.value, line) != line:
                    text = f"{quoted(node.value)} is the name of the rule on line "
                    text += f"{first[node.value]} too; expected a name of its own"
                    document.note(path, text, at=node.start_mark)


def _known_keys(path: KeyPath) -> tuple[str, ...]:
    """The keys that may stand in the mapping at a path of the file."""
    section: type[BaseModel] = Policy
    for part in path:
        for name, entry in section.model_fields.items():
            if part == (entry.alias or name):
                inner = (entry.annotation, *get_args(entry.annotation))
                section = next(
                    each for each in inner if isinstance(each, type) and issubclass(each, BaseModel)
                )
                break
    return tuple(entry.alias or name for name, entry in section.model_fields.items())
