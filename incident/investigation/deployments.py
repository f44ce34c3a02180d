"""Who put the code there that ran, who started it, and when, from the evidence. Pure.

The audit log is Google's, and no workload can forge it; where it does not show it, the account that
Cloud Run itself names stands in, and why the log does not show it is told.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from incident.model import (
    AUDIT_EVENTS,
    AUDIT_WINDOW,
    AuditEvent,
    Evidence,
    Execution,
    Kind,
    Point,
    Template,
    Topic,
)

#: Beginnings of the Admin API's methods, of both its versions, that deploy or start.
_DEPLOYS = ("Create", "Update", "Replace", "Patch")
_STARTS = ("Run",)
#: The audit entry of a deployment and the revision that it made are this near to one another.
_WITHIN = timedelta(minutes=5)
_MOST = 5


@dataclass(frozen=True, slots=True)
class _Deed:
    """Something that somebody did.

    Attributes:
        what: What was done, for a sentence.
        moment: When.
        methods: Beginnings of the methods that do it.
        claimed: Whom Cloud Run names; empty where it names nobody.
        source: The evidence in which it does.
    """

    what: str
    moment: datetime
    methods: tuple[str, ...]
    claimed: str
    source: str


def deployment(evidence: Evidence) -> tuple[Point, ...]:
    """Who made what ran, who started it, and who changed the workload since."""
    workload = evidence.finding.workload
    if workload is None:
        return ()
    if workload.kind is Kind.JOB:
        return (*_executions(evidence), *_job(evidence), *_since(evidence, workload.kind))
    return (*_revisions(evidence), *_since(evidence, workload.kind))


def _revisions(evidence: Evidence) -> Iterator[Point]:
    made = [each for each in evidence.ran.templates if each.revision and each.create_time]
    if not made:
        text = f"who deployed what ran is {_not_told(evidence, 'revisions')}"
        yield Point(Topic.DEPLOYMENT, text, "revisions")
    for template in made[:_MOST]:
        yield _revision(template, evidence)


def _revision(template: Template, evidence: Evidence) -> Point:
    assert template.create_time is not None  # noqa: S101 - only such are asked for
    what = f"revision {template.revision} was deployed"
    return _told(
        _Deed(what, template.create_time, _DEPLOYS, template.creator, "revisions"), evidence
    )


def _executions(evidence: Evidence) -> Iterator[Point]:
    """Who started what ran: of a job that is as telling as who deployed it."""
    executions = evidence.ran.executions
    if not executions:
        text = f"who started what ran is {_not_told(evidence, 'executions')}"
        yield Point(Topic.DEPLOYMENT, text, "executions")
    for execution in executions[:_MOST]:
        if execution.create_time:
            yield _execution(execution, execution.create_time, evidence)


def _execution(execution: Execution, moment: datetime, evidence: Evidence) -> Point:
    what = f"execution {execution.short_name} was started"
    return _told(_Deed(what, moment, _STARTS, execution.creator, "executions"), evidence)


def _job(evidence: Evidence) -> Iterator[Point]:
    """The last deployment before the execution began, or before the event."""
    begun = [each.create_time for each in evidence.ran.executions if each.create_time]
    moment = min([*begun, evidence.finding.event_time])
    before = [event for event in _events(evidence, _DEPLOYS) if event.timestamp <= moment]
    if before:
        event = max(before, key=lambda event: event.timestamp)
        text = f"the job had been deployed last on {_time(event.timestamp)} by {_account(event)}"
        yield Point(Topic.DEPLOYMENT, text, "audit-log", _names(event.principal))
        return
    settings = evidence.settings
    if settings is None:
        yield Point(
            Topic.DEPLOYMENT,
            f"who deployed the job is {evidence.unknown('settings')}; {_silent(evidence, None)}",
            "settings",
        )
    elif settings.update_time and settings.update_time <= moment:
        what = "the job had been changed last"
        who, at = settings.last_modifier, settings.update_time
        yield _told(_Deed(what, at, _DEPLOYS, who, "settings"), evidence)
    else:
        by = f"; {settings.creator} made it, as Cloud Run says" if settings.creator else ""
        text = f"who deployed the job before that is not known: {_silent(evidence, None)}{by}"
        yield Point(Topic.DEPLOYMENT, text, "audit-log", _names(settings.creator))


def _since(evidence: Evidence, kind: Kind) -> Iterator[Point]:
    """A change between the event and our reading: what ran is not what is there now."""
    settings, event = evidence.settings, evidence.finding.event_time
    if settings is None or settings.update_time is None or settings.update_time <= event:
        return
    what = f"the {kind.spelled} was changed after the event,"
    who, at = settings.last_modifier, settings.update_time
    yield _told(_Deed(what, at, (*_DEPLOYS, "Set", "Delete"), who, "settings"), evidence)


def _told(deed: _Deed, evidence: Evidence) -> Point:
    """A sentence of what was done, when, and by whom."""
    moment, claimed = deed.moment, deed.claimed
    near = [e for e in _events(evidence, deed.methods) if abs(e.timestamp - moment) <= _WITHIN]
    if near:
        event = min(near, key=lambda event: abs(event.timestamp - moment))
        text = f"{deed.what} on {_time(moment)} by {_account(event)}"
        return Point(Topic.DEPLOYMENT, text, "audit-log", _names(event.principal))
    by = f" by {claimed}, as Cloud Run says" if claimed else ""
    text = f"{deed.what} on {_time(moment)}{by}; {_silent(evidence, moment)}"
    return Point(Topic.DEPLOYMENT, text, deed.source, _names(claimed))


def _events(evidence: Evidence, methods: tuple[str, ...]) -> Sequence[AuditEvent]:
    """The calls of some methods that succeeded."""
    return [
        event
        for event in evidence.audit or ()
        if not event.error and event.method.rpartition(".")[2].startswith(methods)
    ]


def _account(event: AuditEvent) -> str:
    who = event.principal or "an account that the audit log does not name"
    return f"{who}, from {event.caller_ip}" if event.caller_ip else who


def _silent(evidence: Evidence, moment: datetime | None) -> str:
    """Why the audit log does not say who it was."""
    if evidence.audit is None:
        return f"what the audit log says is {evidence.unknown('audit-log')}"
    times = [event.timestamp for event in evidence.audit]
    if len(times) >= AUDIT_EVENTS and (moment is None or min(times) > moment):
        return f"of the audit log only the newest {AUDIT_EVENTS} entries were read"
    if moment is None or moment < evidence.finding.event_time - AUDIT_WINDOW:
        return f"the audit log was read for the {AUDIT_WINDOW.days} days before the event only"
    return "the audit log does not show it"


def _not_told(evidence: Evidence, collector: str) -> str:
    """Why nothing is said of what ran."""
    had = evidence.executions if collector == "executions" else evidence.revisions
    if had is None:
        return evidence.unknown(collector)
    return "not known: it is not listed"


def _names(account: str) -> tuple[str, ...]:
    return (account,) if account else ()


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
