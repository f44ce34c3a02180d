"""Timeline of an incident, from outcome, evidence and activity. Pure; no layout."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import pairwise

from incident.model import Json, JsonObject, format_duration
from incident.model.json_text import json_object, json_objects, json_string, parse_time
from incident.report.activity import ActivityEntry

_MOST_EVENTS = 60
_MOST_STEPS = 60
_QUIET = timedelta(seconds=90)
_DEPLOYS = ("Create", "Update", "Replace", "Patch")
_STARTS = "Run"
_IAM = "SetIamPolicy"


class Lane(StrEnum):
    """Kind of a timeline event."""

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
    """An event.

    Attributes:
        at: Time.
        lane: Kind.
        text: What happened.
        count: Number of log entries; 0 for other events.
        quiet_before: Time since the event before, if long; else empty.
        duration_ms: Duration of a step of the activity; None where unknown, and for other events.
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
    """All dated events in order; of many, the activity and those nearest to the finding.

    Args:
        outcome: The outcome.
        evidence: Evidence by its collector, ``logs`` as a list of entries.
        activity: Steps of the responder and operators.
    """
    finding = json_object(outcome.get("finding"))
    category = json_string(finding.get("category"))
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
    for finding in json_objects(findings):
        yield from _at(
            finding.get("event_time"), Lane.RELATED, json_string(finding.get("category"))
        )


def _audit_events(audit: Json) -> Iterator[TimelineEvent]:
    """Audit log entries, their lane by method."""
    for event in json_objects(audit):
        method = json_string(event.get("method")).rpartition(".")[2]
        who = json_string(event.get("principal")) or "somebody"
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
    for revision in json_objects(revisions):
        name = json_string(revision.get("revision"))
        yield from _at(revision.get("create_time"), Lane.DEPLOYMENT, f"revision {name} made")


def _executions(executions: Json) -> Iterator[TimelineEvent]:
    """Start and end of each execution, with the creator that Cloud Run names."""
    for execution in json_objects(executions):
        name = json_string(execution.get("short_name"))
        creator = json_string(execution.get("creator"))
        by = f" by {creator}, as Cloud Run says" if creator else ""
        yield from _at(
            execution.get("create_time"), Lane.EXECUTION, f"execution {name} started{by}"
        )
        yield from _at(execution.get("completion_time"), Lane.EXECUTION, f"execution {name} over")


def _log_bursts(logs: Json) -> Iterator[TimelineEvent]:
    """Number of log entries per minute."""
    minutes: Counter[datetime] = Counter()
    for entry in json_objects(logs):
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
