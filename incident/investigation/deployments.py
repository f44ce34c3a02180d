"""Describe who deployed and started the affected revision, from the audit log. Pure.

A workload cannot forge the audit log. Where the log has no entry, the account that Cloud Run names
is used instead, with the reason why the log has none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from incident.model import (
    AUDIT_WINDOW,
    AuditEvent,
    CutList,
    Evidence,
    Execution,
    ExposureFact,
    ExposureTopic,
    Kind,
    Template,
    found_in,
)

#: Prefixes of the Admin API's methods, v1 and v2, that deploy or start.
_DEPLOY_METHODS = ("Create", "Update", "Replace", "Patch")
_START_METHODS = ("Run",)
#: Maximum time between the audit entry of a deployment and the revision that it created.
_MATCH_WINDOW = timedelta(minutes=5)
_MAX_LISTED = 5


@dataclass(frozen=True, slots=True)
class _Operation:
    """A deployment, a start or a change.

    Attributes:
        description: What was done, for a sentence.
        moment: When.
        methods: Prefixes of the methods that do it.
        reported_principal: The account that Cloud Run names; empty if it names none.
        source: The evidence that names the account.
    """

    description: str
    moment: datetime
    methods: tuple[str, ...]
    reported_principal: str
    source: str


def describe_deployment(evidence: Evidence) -> tuple[ExposureFact, ...]:
    """Who deployed the affected revision, who started it, and who changed the workload since."""
    workload = evidence.finding.workload
    if workload is None:
        return ()
    if workload.kind is Kind.JOB:
        return (
            *_describe_executions(evidence),
            *_describe_workload_deployment(evidence, workload.kind),
            *_describe_later_change(evidence, workload.kind),
        )
    if workload.kind is Kind.INSTANCE:
        return (
            *_describe_workload_deployment(evidence, workload.kind),
            *_describe_later_change(evidence, workload.kind),
        )
    return (*_describe_revisions(evidence), *_describe_later_change(evidence, workload.kind))


def _describe_revisions(evidence: Evidence) -> Iterator[ExposureFact]:
    dated = [
        each for each in evidence.affected_revision.templates if each.revision and each.create_time
    ]
    if not dated:
        text = f"who deployed what ran is {_missing_reason(evidence, 'revisions')}"
        yield ExposureFact(ExposureTopic.DEPLOYMENT, text, "revisions")
    for template in dated[:_MAX_LISTED]:
        yield _describe_revision(template, evidence)


def _describe_revision(template: Template, evidence: Evidence) -> ExposureFact:
    assert template.create_time is not None  # noqa: S101 - only such are asked for
    description = f"revision {template.revision} was deployed"
    return _describe_operation(
        _Operation(
            description, template.create_time, _DEPLOY_METHODS, template.creator, "revisions"
        ),
        evidence,
    )


def _describe_executions(evidence: Evidence) -> Iterator[ExposureFact]:
    """Who started the affected executions."""
    executions = evidence.affected_revision.executions
    if not executions:
        text = f"who started what ran is {_missing_reason(evidence, 'executions')}"
        yield ExposureFact(ExposureTopic.DEPLOYMENT, text, "executions")
    for execution in executions[:_MAX_LISTED]:
        if execution.create_time:
            yield _describe_execution(execution, execution.create_time, evidence)


def _describe_execution(execution: Execution, moment: datetime, evidence: Evidence) -> ExposureFact:
    description = f"execution {execution.short_name} was started"
    return _describe_operation(
        _Operation(description, moment, _START_METHODS, execution.creator, "executions"), evidence
    )


def _describe_workload_deployment(evidence: Evidence, kind: Kind) -> Iterator[ExposureFact]:
    """The last deployment before the execution started, or before the event."""
    started = [
        each.create_time for each in evidence.affected_revision.executions if each.create_time
    ]
    moment = min([*started, evidence.finding.event_time])
    before = [
        event for event in _successful_calls(evidence, _DEPLOY_METHODS) if event.timestamp <= moment
    ]
    if before:
        event = max(before, key=lambda event: event.timestamp)
        text = (
            f"the {kind.label} had been deployed last on {_format_time(event.timestamp)} by"
            f" {_caller_text(event)}"
        )
        yield ExposureFact(
            ExposureTopic.DEPLOYMENT, text, "audit-log", _account_names(event.principal)
        )
        return
    configuration = evidence.configuration
    if configuration is None:
        yield ExposureFact(
            ExposureTopic.DEPLOYMENT,
            f"who deployed the {kind.label} is {evidence.describe_gap('settings')};"
            f" {_audit_gap_reason(evidence, None)}",
            "settings",
        )
    elif configuration.update_time and configuration.update_time <= moment:
        description = f"the {kind.label} had been changed last"
        principal, moment_changed = configuration.last_modifier, configuration.update_time
        yield _describe_operation(
            _Operation(description, moment_changed, _DEPLOY_METHODS, principal, "settings"),
            evidence,
        )
    else:
        creator_text = (
            f"; {configuration.creator} made it, as Cloud Run says" if configuration.creator else ""
        )
        text = (
            f"who deployed the {kind.label} before that is not known:"
            f" {_audit_gap_reason(evidence, None)}{creator_text}"
        )
        yield ExposureFact(
            ExposureTopic.DEPLOYMENT, text, "audit-log", _account_names(configuration.creator)
        )


def _describe_later_change(evidence: Evidence, kind: Kind) -> Iterator[ExposureFact]:
    """A change after the event: the current settings are not those that ran."""
    configuration, event = evidence.configuration, evidence.finding.event_time
    if (
        configuration is None
        or configuration.update_time is None
        or configuration.update_time <= event
    ):
        return
    description = f"the {kind.label} was changed after the event,"
    principal, changed_at = configuration.last_modifier, configuration.update_time
    yield _describe_operation(
        _Operation(
            description, changed_at, (*_DEPLOY_METHODS, "Set", "Delete"), principal, "settings"
        ),
        evidence,
    )


def _describe_operation(operation: _Operation, evidence: Evidence) -> ExposureFact:
    """Describe an operation: what, when, by whom."""
    moment, principal = operation.moment, operation.reported_principal
    near = [
        e
        for e in _successful_calls(evidence, operation.methods)
        if abs(e.timestamp - moment) <= _MATCH_WINDOW
    ]
    if near:
        event = min(near, key=lambda event: abs(event.timestamp - moment))
        text = f"{operation.description} on {_format_time(moment)} by {_caller_text(event)}"
        return ExposureFact(
            ExposureTopic.DEPLOYMENT, text, "audit-log", _account_names(event.principal)
        )
    principal_text = f" by {principal}, as Cloud Run says" if principal else ""
    text = (
        f"{operation.description} on {_format_time(moment)}{principal_text};"
        f" {_audit_gap_reason(evidence, moment)}"
    )
    return ExposureFact(ExposureTopic.DEPLOYMENT, text, operation.source, _account_names(principal))


def _successful_calls(evidence: Evidence, methods: tuple[str, ...]) -> Sequence[AuditEvent]:
    """The successful calls of methods with these prefixes."""
    return [
        event
        for event in found_in(evidence.audit)
        if not event.error and event.method.rpartition(".")[2].startswith(methods)
    ]


def _caller_text(event: AuditEvent) -> str:
    principal = event.principal or "an account that the audit log does not name"
    return f"{principal}, from {event.caller_ip}" if event.caller_ip else principal


def _audit_gap_reason(evidence: Evidence, moment: datetime | None) -> str:
    """Why the audit log does not name the account."""
    if evidence.audit is None:
        return f"what the audit log says is {evidence.describe_gap('audit-log')}"
    times = [event.timestamp for event in found_in(evidence.audit)]
    if isinstance(evidence.audit, CutList) and (moment is None or not times or min(times) > moment):
        return f"of the audit log only the newest {len(times)} entries were read"
    if moment is None or moment < evidence.finding.event_time - AUDIT_WINDOW:
        return f"the audit log was read for the {AUDIT_WINDOW.days} days before the event only"
    return "the audit log does not show it"


def _missing_reason(evidence: Evidence, collector: str) -> str:
    """Why the affected revision or execution is unknown."""
    listed = evidence.executions if collector == "executions" else evidence.revisions
    if listed is None:
        return evidence.describe_gap(collector)
    if isinstance(listed, CutList):
        return f"not known: {listed.reason}"
    return "not known: it is not listed"


def _account_names(account: str) -> tuple[str, ...]:
    return (account,) if account else ()


def _format_time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
