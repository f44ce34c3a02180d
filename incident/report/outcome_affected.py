"""The part of an outcome about other workloads that share the image or account. Pure, redacted."""

from __future__ import annotations

from incident.model import AffectedWorkload, Evidence, Finding, Relation
from incident.model.outcome import AffectedFinding, ReportedAffected, ReportedAffectedWorkload
from incident.redaction.redactor import Redactor

_MOST_WORKLOADS, _MOST_FINDINGS = 50, 5
_LONGEST_TEXT = 300


def reported_affected(evidence: Evidence, redactor: Redactor) -> ReportedAffected | None:
    """The affected workloads of an outcome; None where they were not searched."""
    affected = evidence.affected
    if affected is None:
        return None
    return ReportedAffected(
        scope=affected.scope,
        complete=affected.complete,
        found=len(affected.workloads),
        workloads=tuple(_workload(each, redactor) for each in affected.workloads[:_MOST_WORKLOADS]),
    )


def _workload(each: AffectedWorkload, redactor: Redactor) -> ReportedAffectedWorkload:
    workload, findings = each.workload, each.findings
    return ReportedAffectedWorkload(
        kind=workload.kind,
        project=workload.project,
        location=workload.location,
        name=workload.name,
        resource_name=workload.resource_name,
        relations=tuple(relation for relation in Relation if relation in each.relations),
        service_account=next(iter(each.service_accounts), None),
        exposure=each.exposure,
        findings=None
        if findings is None
        else tuple(_finding(found, redactor) for found in findings[:_MOST_FINDINGS]),
    )


def _finding(finding: Finding, redactor: Redactor) -> AffectedFinding:
    return AffectedFinding(
        category=redactor.text(finding.category)[:_LONGEST_TEXT],
        severity=redactor.text(finding.severity)[:_LONGEST_TEXT],
        event_time=finding.event_time,
        name=redactor.text(finding.canonical_name)[:_LONGEST_TEXT],
    )
