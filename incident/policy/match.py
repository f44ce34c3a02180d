"""Match policy selectors against a workload: yes, no or unknown."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase

from incident.model import Kind, Workload
from incident.policy.errors import quote_value
from incident.policy.schema import Match, RuleMatch


@dataclass(frozen=True, slots=True)
class Subject:
    """What the policy is evaluated for.

    Attributes:
        workload: The workload; its project id, number and folders may be unknown.
        categories: The finding type, in each of its spellings.
        source_id: Digits of the SCC source that reported it.
        labels: The workload's labels; None where they are not known.
    """

    workload: Workload
    categories: tuple[str, ...]
    source_id: str
    labels: Mapping[str, str] | None


class MatchResult(Enum):
    """Whether something matches; unknown where the workload lacks the value."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one key of a selector."""

    key: str
    result: MatchResult
    text: str


def first_result(order: Iterable[MatchResult], results: Container[MatchResult]) -> MatchResult:
    """The first result of an order that is among those given."""
    return next(answer for answer in order if answer in results)


def check_category(match: RuleMatch, subject: Subject) -> Check | None:
    """Match a rule's own categories; None where it has none."""
    if not match.categories:
        return None
    return check_values("categories", match.categories, subject.categories)


def check_match(match: Match, subject: Subject) -> tuple[Check, ...]:
    """Match every key that the selector has."""
    workload = subject.workload
    checks = (
        _check_project(match.projects, workload),
        check_values("folders", match.folders, workload.folders) if match.folders else None,
        check_values("regions", match.regions, (workload.location,)) if match.regions else None,
        _check_name(match, workload),
        _check_labels(match.labels, subject.labels) if match.labels else None,
    )
    return tuple(check for check in checks if check)


def check_values(
    key: str, patterns: Sequence[str], values: Sequence[str] | None, *, exact: bool = False
) -> Check:
    """Whether any value matches any pattern; unknown where the values are not known."""
    if values is None:
        return Check(key, MatchResult.UNKNOWN, f"{key}: not known for this workload")
    wanted = ", ".join(quote_value(pattern) for pattern in patterns)
    for value in values:
        if value in patterns if exact else any(fnmatchcase(value, each) for each in patterns):
            return Check(key, MatchResult.YES, f"{key}: {quote_value(value)} is among {wanted}")
    found = ", ".join(quote_value(value) for value in values) or "nothing"
    return Check(key, MatchResult.NO, f"{key}: {found} is not among {wanted}")


def _check_project(patterns: Sequence[str], workload: Workload) -> Check | None:
    """Match digits with the project's number, other patterns with its id; one match is enough."""
    numbers = [pattern for pattern in patterns if re.fullmatch("[0-9]+", pattern)]
    ids = [pattern for pattern in patterns if pattern not in numbers]
    checks = [
        check_values(key, wanted, None if value is None else (value,))
        for key, wanted, value in (
            ("projects (number)", numbers, workload.project_number),
            ("projects (id)", ids, workload.project_id),
        )
        if wanted
    ]
    if not checks:
        return None
    order = (MatchResult.YES, MatchResult.UNKNOWN, MatchResult.NO)
    result = first_result(order, {check.result for check in checks})
    text = "; ".join(check.text for check in checks if check.result is result)
    return Check("projects", result, text)


def _check_name(match: Match, workload: Workload) -> Check | None:
    """Match the key of the workload's kind; with only keys of other kinds it does not match."""
    by_kind = {
        Kind.SERVICE: match.services,
        Kind.JOB: match.jobs,
        Kind.WORKER_POOL: match.worker_pools,
        Kind.INSTANCE: match.instances,
    }
    if not any(by_kind.values()):
        return None
    if patterns := by_kind[workload.kind]:
        return check_values("name", patterns, (workload.name,))
    return Check("name", MatchResult.NO, f"name: {workload.kind.with_article} is not meant")


def _check_labels(wanted: Mapping[str, str], labels: Mapping[str, str] | None) -> Check:
    """Match every label: its key must be present and its value match."""
    if labels is None:
        return Check("labels", MatchResult.UNKNOWN, "labels: not known for this workload")
    for key, pattern in wanted.items():
        if key not in labels or not fnmatchcase(labels[key], pattern):
            return Check("labels", MatchResult.NO, f"labels: {key}={pattern} does not match")
    pairs = ", ".join(f"{key}={pattern}" for key, pattern in wanted.items())
    return Check("labels", MatchResult.YES, f"labels: {pairs} matches")
