"""The incident as a timeline: what happened when, from the outcome and the stored evidence. Pure.

Knows times and texts; how it is drawn does not belong here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import pairwise

from incident.model import Json, JsonObject
from incident.timing import span

_MOST_EVENTS = 60
_QUIET = timedelta(seconds=90)
_STEPS = {
    "received": "The responder took it up",
    "decided": "The responder decided",
    "contained": "The responder wrote, and read back",
    "concluded": "The outcome was settled",
    "written-back": "Security Command Center was told",
    "announced": "The outcome was announced",
    "approved": "A person approved the plan",
    "released": "A person took the containment back",
    "expired": "The plan expired",
    "reverted": "Somebody undid the containment",
}


class Lane(StrEnum):
    """What an event is about."""

    FINDING = "finding"
    RELATED = "related finding"
    DEPLOYMENT = "deployment"
    LOGS = "logs"
    RESPONDER = "responder"


@dataclass(frozen=True, slots=True)
class Event:
    """One event.

    Attributes:
        at: When.
        lane: What it is about.
        text: What happened.
        count: How many log entries it stands for; 0 for anything else.
        quiet: Time since the event before, where that is long; empty otherwise.
    """

    at: datetime
    lane: Lane
    text: str
    count: int = 0
    quiet: str = ""


def timeline(
    outcome: JsonObject, evidence: Mapping[str, Json], records: Sequence[JsonObject]
) -> tuple[Event, ...]:
    """Everything that has a time, in order; of many, the ones nearest to the finding.

    Args:
        outcome: The outcome.
        evidence: Evidence by its collector, ``logs`` as a list of entries.
        records: The records of the case file.
    """
    finding = _object(outcome.get("finding"))
    category = _text(finding.get("category"))
    found = [
        *_at(finding.get("event_time"), Lane.FINDING, category),
        *_related(evidence.get("related-findings")),
        *_deployments(evidence.get("audit-log"), evidence.get("revisions")),
        *_bursts(evidence.get("logs")),
        *_own(records),
    ]
    event_time = moment(finding.get("event_time"))
    if event_time and len(found) > _MOST_EVENTS:
        found = sorted(found, key=lambda event: abs(event.at - event_time))[:_MOST_EVENTS]
    return tuple(_with_quiet(sorted(found, key=lambda event: event.at)))


def moment(value: Json) -> datetime | None:
    """A time as records and evidence spell it; None for anything else."""
    if not isinstance(value, str):
        return None
    try:
        return datetime.fromisoformat(value).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _at(time: Json, lane: Lane, text: str, count: int = 0) -> Iterator[Event]:
    at = moment(time)
    if at is not None:
        yield Event(at, lane, text, count)


def _related(findings: Json) -> Iterator[Event]:
    for finding in _objects(findings):
        yield from _at(finding.get("event_time"), Lane.RELATED, _text(finding.get("category")))


def _deployments(audit: Json, revisions: Json) -> Iterator[Event]:
    for event in _objects(audit):
        method = _text(event.get("method")).rpartition(".")[2] or "change"
        who = _text(event.get("principal")) or "somebody"
        refused = " (refused)" if event.get("error") else ""
        yield from _at(event.get("timestamp"), Lane.DEPLOYMENT, f"{method} by {who}{refused}")
    for revision in _objects(revisions):
        name = _text(revision.get("revision"))
        yield from _at(revision.get("create_time"), Lane.DEPLOYMENT, f"revision {name} made")


def _bursts(logs: Json) -> Iterator[Event]:
    """Log entries by the minute."""
    minutes: Counter[datetime] = Counter()
    for entry in _objects(logs):
        at = moment(entry.get("timestamp"))
        if at is not None:
            minutes[at.replace(second=0, microsecond=0)] += 1
    for minute, count in minutes.items():
        plural = "entry" if count == 1 else "entries"
        yield Event(minute, Lane.LOGS, f"{count} log {plural} in this minute", count)


def _own(records: Sequence[JsonObject]) -> Iterator[Event]:
    for record in records:
        text = _STEPS.get(_text(record.get("kind")))
        if text:
            yield from _at(record.get("recorded_at"), Lane.RESPONDER, text)


def _with_quiet(events: Sequence[Event]) -> Iterator[Event]:
    yield from events[:1]
    for before, event in pairwise(events):
        apart = event.at - before.at
        quiet = span(apart) if apart > _QUIET else ""
        yield Event(event.at, event.lane, event.text, event.count, quiet)


def _object(value: Json) -> JsonObject:
    return value if isinstance(value, Mapping) else {}


def _objects(value: Json) -> list[JsonObject]:
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []


def _text(value: Json) -> str:
    return value if isinstance(value, str) else ""
