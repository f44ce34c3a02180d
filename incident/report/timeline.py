"""Timeline of an attack: deployments, access changes, findings, requests, log lines. Pure.

The steps of the responder are not in it: they are one line of their own on the page.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from incident.model import AUDIT_WINDOW, Json, JsonObject
from incident.model.json_text import json_list, json_objects, json_string, parse_time
from incident.model.outcome import Outcome
from incident.report.log_lines import LogLine

_MOST_EVENTS = 12
_DEPLOYS = ("Create", "Update", "Replace", "Patch")
_IAM = "SetIamPolicy"
#: A revision is made by the deployment of which the audit log tells within this time.
_SAME_DEPLOYMENT = timedelta(seconds=10)


class EventKind(StrEnum):
    """Kind of an event, as the page marks it."""

    FINDING = "finding"
    RELATED = "related finding"
    DEPLOYMENT = "deployment"
    EXECUTION = "execution"
    ACCESS = "access"
    CHANGE = "change"
    REQUEST = "request"
    LOG = "log line"


@dataclass(frozen=True, slots=True)
class TimelineEvent:
    """An event: when, its kind, and what happened."""

    at: datetime
    kind: EventKind
    text: str


def attack_timeline(
    outcome: Outcome, evidence: Mapping[str, Json], decisive: Sequence[LogLine]
) -> tuple[TimelineEvent, ...]:
    """The events in order; of many, those nearest to the finding.

    Args:
        outcome: The outcome.
        evidence: Evidence by its collector.
        decisive: The log lines that show what happened.
    """
    finding = outcome.finding
    event_time = finding.event_time if finding else None
    category = finding.category if finding else None
    found = [
        *_at(event_time, EventKind.FINDING, f"FINDING: {category}"),
        *_related(evidence.get("related-findings")),
        *_deployments(
            evidence.get("audit-log"),
            evidence.get("revisions"),
            event_time - AUDIT_WINDOW if event_time else None,
        ),
        *_executions(evidence.get("executions"), outcome),
        *(
            TimelineEvent(
                line.at,
                EventKind.REQUEST if line.is_request else EventKind.LOG,
                line.short_text,
            )
            for line in decisive
        ),
    ]
    if event_time and len(found) > _MOST_EVENTS:
        moment = event_time
        found = sorted(found, key=lambda event: abs(event.at - moment))[:_MOST_EVENTS]
    return tuple(sorted(found, key=lambda event: event.at))


def _at(moment: datetime | None, kind: EventKind, text: str) -> Iterator[TimelineEvent]:
    if moment is not None:
        yield TimelineEvent(moment, kind, text)


def _related(findings: Json) -> Iterator[TimelineEvent]:
    for finding in json_objects(findings):
        at, category = parse_time(finding.get("event_time")), json_string(finding.get("category"))
        yield from _at(at, EventKind.RELATED, f"Related finding: {category}")


def _deployments(audit: Json, revisions: Json, since: datetime | None) -> Iterator[TimelineEvent]:
    """Audit log entries, a deployment with the revision that it made; and later revisions."""
    made = {
        json_string(revision.get("revision")): at
        for revision in json_objects(revisions)
        if (at := parse_time(revision.get("create_time")))
    }
    for event in json_objects(audit):
        at, method = parse_time(event.get("timestamp")), json_string(event.get("method"))
        verb = method.rpartition(".")[2]
        if at is None:
            continue
        names = [name for name, when in made.items() if abs(when - at) <= _SAME_DEPLOYMENT]
        if verb.startswith(_DEPLOYS) and not event.get("error"):
            for name in names:
                del made[name]
        yield from _at(at, _audit_kind(verb), _audit_text(event, verb, names))
    for name, at in made.items():
        if since is None or at >= since:
            yield from _at(at, EventKind.DEPLOYMENT, f"Revision {name} deployed")


def _audit_kind(verb: str) -> EventKind:
    if verb == _IAM:
        return EventKind.ACCESS
    if verb.startswith(_DEPLOYS):
        return EventKind.DEPLOYMENT
    return EventKind.EXECUTION if verb.startswith("Run") else EventKind.CHANGE


def _audit_text(event: JsonObject, verb: str, revisions: Sequence[str]) -> str:
    by = f"by {json_string(event.get('principal')) or 'somebody'}"
    refused = " (refused)" if event.get("error") else ""
    if verb == _IAM:
        deltas = "; ".join(map(_delta_text, map(str, json_list(event.get("bindings")))))
        return f"{deltas or 'IAM policy changed'} {by}{refused}"
    if verb.startswith(_DEPLOYS) and revisions and not refused:
        return f"Revision {', '.join(revisions)} deployed {by}"
    return f"{verb or 'Change'} {by}{refused}"


def _delta_text(delta: str) -> str:
    """Such as ``allUsers added to roles/run.invoker``, of ``ADD roles/run.invoker allUsers``."""
    verb, _, rest = delta.partition(" ")
    role, _, member = rest.partition(" ")
    words = {"ADD": "added to", "REMOVE": "removed from"}.get(verb)
    return f"{member} {words} {role}" if words and member else delta


def _executions(executions: Json, outcome: Outcome) -> Iterator[TimelineEvent]:
    """Start and end of each execution, with the creator that Cloud Run names.

    Executions that ended before the detected one started are no part of the attack.
    """
    found = json_objects(executions)
    since = _start_of_detected(found, outcome)
    for execution in found:
        name = json_string(execution.get("short_name"))
        creator = json_string(execution.get("creator"))
        by = f" by {creator}" if creator else ""
        started, ended = _run_time(execution)
        if since and ended and ended < since:
            continue
        yield from _at(started, EventKind.EXECUTION, f"Execution {name} started{by}")
        yield from _at(ended, EventKind.EXECUTION, f"Execution {name} over")


def _start_of_detected(executions: Sequence[JsonObject], outcome: Outcome) -> datetime | None:
    """When the execution that the finding names started, else the first that ran at its event."""
    named = outcome.workload.execution if outcome.workload else None
    event_time = outcome.finding.event_time if outcome.finding else None
    starts = []
    for execution in executions:
        started, ended = _run_time(execution)
        if started is None:
            continue
        if named:
            detected = json_string(execution.get("short_name")) == named
        else:
            detected = event_time is not None and started <= event_time <= (ended or event_time)
        if detected:
            starts.append(started)
    return min(starts, default=None)


def _run_time(execution: JsonObject) -> tuple[datetime | None, datetime | None]:
    """When an execution started and ended."""
    return parse_time(execution.get("create_time")), parse_time(execution.get("completion_time"))
