"""The incident as a timeline: what happened when, from the outcome and the stored evidence. Pure.

Knows times and texts; how it is drawn does not belong here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import pairwise

from incident.model import Json, JsonObject, format_duration
from incident.model.durations import parse_time
from incident.report.activity import ActivityEntry

_MOST_EVENTS = 60
_MOST_STEPS = 60
_QUIET = timedelta(seconds=90)
_DEPLOYS = ("Create", "Update", "Replace", "Patch")
_STARTS = "Run"
_IAM = "SetIamPolicy"


class Lane(StrEnum):
    """What an event is about."""

    FINDING = "finding"
    RELATED = "related finding"
    DEPLOYMENT = "deployment"
    EXECUTION = "execution"
    ACCESS = "access change"
    CHANGE = "other change"
    LOGS = "logs"
    RESPONDER = "responder"
    PERSON = "person"


@dataclass(frozen=True, slots=True)
class TimelineEvent:
    """One event.

    Attributes:
        at: When.
        lane: What it is about.
        text: What happened.
        count: How many log entries it stands for; 0 for anything else.
        quiet_before: Time since the event before, where that is long; empty otherwise.
        duration_ms: How long a step of ours took; None where nothing tells, and for anything else.
    """

    at: datetime
    lane: Lane
    text: str
    count: int = 0
    quiet_before: str = ""
    duration_ms: float | None = None


def timeline(
    outcome: JsonObject, evidence: Mapping[str, Json], activity: Sequence[ActivityEntry] = ()
) -> tuple[TimelineEvent, ...]:
    """Everything that has a time, in order; of many, what we did and what is near the finding.

    Args:
        outcome: The outcome.
        evidence: Evidence by its collector, ``logs`` as a list of entries.
        activity: Our own steps.
    """
    finding = _object(outcome.get("finding"))
    category = _text(finding.get("category"))
    found = [
        *_at(finding.get("event_time"), Lane.FINDING, category),
        *_related(evidence.get("related-findings")),
        *_audit_events(evidence.get("audit-log")),
        *_deployments(evidence.get("revisions")),
        *_executions(evidence.get("executions")),
        *_log_bursts(evidence.get("logs")),
    ]
    steps = sorted(_activity_events(activity), key=lambda event: event.at)[-_MOST_STEPS:]
    event_time = parse_time(finding.get("event_time"))
    if event_time and len(found) > _MOST_EVENTS:
        found = sorted(found, key=lambda event: abs(event.at - event_time))[:_MOST_EVENTS]
    return tuple(_with_quiet(sorted([*found, *steps], key=lambda event: event.at)))


def _at(time: Json, lane: Lane, text: str, count: int = 0) -> Iterator[TimelineEvent]:
    at = parse_time(time)
    if at is not None:
        yield TimelineEvent(at, lane, text, count)


def _related(findings: Json) -> Iterator[TimelineEvent]:
    for finding in _objects(findings):
        yield from _at(finding.get("event_time"), Lane.RELATED, _text(finding.get("category")))


def _audit_events(audit: Json) -> Iterator[TimelineEvent]:
    """Who changed the workload, and who changed who may call it: told apart by the method."""
    for event in _objects(audit):
        method = _text(event.get("method")).rpartition(".")[2]
        who = _text(event.get("principal")) or "somebody"
        refused = " (refused)" if event.get("error") else ""
        lane, text = Lane.CHANGE, f"{method or 'change'} by {who}"
        if method == _IAM:
            bindings = event.get("bindings")
            deltas = [str(each) for each in bindings] if isinstance(bindings, list) else []
            binding_text = f": {', '.join(deltas)}" if deltas else ""
            lane, text = Lane.ACCESS, f"IAM policy changed by {who}{binding_text}"
        elif method.startswith(_DEPLOYS):
            lane = Lane.DEPLOYMENT
        elif method.startswith(_STARTS):
            lane = Lane.EXECUTION
        yield from _at(event.get("timestamp"), lane, text + refused)


def _deployments(revisions: Json) -> Iterator[TimelineEvent]:
    for revision in _objects(revisions):
        name = _text(revision.get("revision"))
        yield from _at(revision.get("create_time"), Lane.DEPLOYMENT, f"revision {name} made")


def _executions(executions: Json) -> Iterator[TimelineEvent]:
    """When each execution of a job began and was over, and who Cloud Run says started it."""
    for execution in _objects(executions):
        name, creator = _text(execution.get("short_name")), _text(execution.get("creator"))
        by = f" by {creator}, as Cloud Run says" if creator else ""
        yield from _at(
            execution.get("create_time"), Lane.EXECUTION, f"execution {name} started{by}"
        )
        yield from _at(execution.get("completion_time"), Lane.EXECUTION, f"execution {name} over")


def _log_bursts(logs: Json) -> Iterator[TimelineEvent]:
    """Log entries by the minute."""
    minutes: Counter[datetime] = Counter()
    for entry in _objects(logs):
        at = parse_time(entry.get("timestamp"))
        if at is not None:
            minutes[at.replace(second=0, microsecond=0)] += 1
    for minute, count in minutes.items():
        plural = "entry" if count == 1 else "entries"
        yield TimelineEvent(minute, Lane.LOGS, f"{count} log {plural} in this minute", count)


def _activity_events(steps: Sequence[ActivityEntry]) -> Iterator[TimelineEvent]:
    for step in steps:
        lane = Lane.PERSON if step.by_operator else Lane.RESPONDER
        yield TimelineEvent(step.at, lane, step.text, duration_ms=step.duration_ms)


def _with_quiet(events: Sequence[TimelineEvent]) -> Iterator[TimelineEvent]:
    yield from events[:1]
    for before, event in pairwise(events):
        apart = event.at - before.at
        quiet = format_duration(apart) if apart > _QUIET else ""
        yield replace(event, quiet_before=quiet)


def _object(value: Json) -> JsonObject:
    return value if isinstance(value, Mapping) else {}


def _objects(value: Json) -> list[JsonObject]:
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []


def _text(value: Json) -> str:
    return value if isinstance(value, str) else ""
