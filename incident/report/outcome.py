"""Build the outcome of an incident, new or resumed. Pure, redacted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from incident.actions.changes import redact_change
from incident.model import (
    Assessment,
    Change,
    Decision,
    Evidence,
    Finding,
    Gap,
    InvalidPlaybook,
    JsonObject,
    Responder,
    Status,
    Suspect,
    Verdict,
)
from incident.model.outcome import (
    Links,
    Outcome,
    ReportedAssessment,
    ReportedBlocker,
    ReportedDecision,
    ReportedFinding,
    ReportedPlaybook,
    ReportedWorkload,
)
from incident.playbook.blockers import explain_blocker
from incident.playbook.facts import evidence_facts
from incident.playbook.links import finding_page, virustotal_page, workload_page
from incident.playbook.plan import playbook_plan
from incident.playbook.schema import Playbook
from incident.playbook.workload_facts import ended_executions_text, function_name, other_regions
from incident.redaction.redactor import Redactor
from incident.report.outcome_parts import (
    redacted_facts,
    reported_assessment,
    reported_detection,
    truncated,
)
from incident.report.outcome_updates import merged_reasons
from incident.report.source_properties import source_properties_gaps


@dataclass(frozen=True, slots=True)
class OutcomeParts:
    """Everything that an outcome is made of.

    Attributes:
        incident: The incident's id.
        status: The incident's status.
        decision: The decision.
        evidence: The collected evidence.
        responder: The responder for the finding's type; None where there is none.
        assessment: The responder's assessment; None without a responder.
        changes: The changes with their states.
        containment_folder: Path of the containment in the store.
        drains_until: Until when requests in flight may run.
        starts_until: Until when a job may still be started, although its IAM policy is changed.
        approval_expires: When the plan that awaits approval expires.
        timings_ms: Milliseconds per stage.
        case_file: URL of the case file; None where none is kept.
        policy_url: Path or URL of the policy file; empty where none is configured.
        playbook: The playbook; the shipped one by default.
        playbook_url: Where it lies; empty for the shipped one.
        simulated: Whether the emulator stands in for Google.
    """

    incident: str
    status: Status
    decision: Decision
    evidence: Evidence
    responder: Responder | None = None
    assessment: Assessment | None = None
    changes: tuple[Change, ...] = ()
    containment_folder: str | None = None
    drains_until: datetime | None = None
    starts_until: datetime | None = None
    approval_expires: datetime | None = None
    timings_ms: Mapping[str, float] | None = None
    case_file: str | None = None
    policy_url: str = ""
    playbook: Playbook | None = None
    playbook_url: str = ""
    simulated: bool = False

    @property
    def suspect(self) -> Suspect:
        """The suspected process and file, as the responder reads the finding."""
        finding = self.evidence.finding
        return self.responder.suspect(finding) if self.responder else finding.suspect


def build_outcome(parts: OutcomeParts, redactor: Redactor) -> Outcome:
    """The outcome, redacted."""
    finding = parts.evidence.finding
    outcome = Outcome(
        status=parts.status,
        incident=parts.incident,
        finding=_finding(finding, redactor),
        workload=_workload(parts.evidence),
        responder=parts.responder.name if parts.responder else None,
        rule=parts.decision.rule,
        mode=None if parts.status is Status.IGNORED else parts.decision.mode,
        decision=_decision(parts, redactor),
        assessment=_assessment(parts, redactor),
        detected=reported_detection(parts.evidence, parts.suspect, redactor),
        changes=tuple(_change(change, redactor) for change in parts.changes),
        containment=parts.containment_folder,
        drains_until=parts.drains_until,
        starts_until=parts.starts_until,
        approval_expires=parts.approval_expires,
        gaps=tuple(
            Gap(gap.collector, truncated(redactor.text(gap.reason)))
            for gap in (*parts.evidence.gaps, *source_properties_gaps(finding))
        ),
        timings_ms={**(parts.timings_ms or {})},
        links=_links(finding, parts),
        simulated=parts.simulated or None,
    )
    return _with_plan(outcome, parts, redactor)


def _assessment(parts: OutcomeParts, redactor: Redactor) -> ReportedAssessment | None:
    if parts.assessment is None:
        return None
    return reported_assessment(parts.assessment, parts.evidence, redactor)


def _with_plan(outcome: Outcome, parts: OutcomeParts, redactor: Redactor) -> Outcome:
    """The outcome with the tasks for people, where a responder assessed it."""
    if parts.assessment is None or outcome.assessment is None:
        return outcome
    facts = evidence_facts(
        parts.evidence,
        parts.assessment.investigation_steps,
        parts.suspect,
        often_benign=parts.responder is not None and parts.responder.verdict is Verdict.HOLD,
    )
    shown = redacted_facts(facts.to_json(), redactor)
    plan, problem = _plan_or_shipped(outcome, shown, parts)
    planned = replace(outcome, assessment=replace(outcome.assessment, playbook=plan))
    return planned.with_gap("playbook", truncated(problem)) if problem else planned


def _plan_or_shipped(
    outcome: Outcome, facts: JsonObject, parts: OutcomeParts
) -> tuple[ReportedPlaybook, str]:
    """The plan, and why another playbook than the shipped one could not be filled in."""
    try:
        return playbook_plan(outcome, facts, parts.playbook, parts.playbook_url), ""
    except InvalidPlaybook as error:
        if parts.playbook is None:
            raise
        return playbook_plan(outcome, facts), f"{error}. The shipped playbook is used instead"


def malformed_outcome(
    digest: str, reason: str, case_file: str, *, simulated: bool = False
) -> Outcome:
    """The outcome of a message that is no notification."""
    return Outcome(
        status=Status.MALFORMED,
        decision=ReportedDecision(Verdict.HOLD, (reason,)),
        links=Links(case_file=case_file),
        message_sha256=digest,
        simulated=simulated or None,
    )


def resumed_outcome(earlier: Outcome, parts: OutcomeParts, redactor: Redactor) -> Outcome:
    """The outcome of a resumed incident; what the evidence gave stays."""
    decision = _decision(parts, redactor)
    return replace(
        earlier,
        status=parts.status,
        workload=_resumed_workload(earlier, parts.evidence),
        rule=parts.decision.rule or earlier.rule,
        mode=parts.decision.mode,
        decision=replace(decision, reasons=merged_reasons(decision.reasons, earlier)),
        changes=tuple(_change(change, redactor) for change in parts.changes),
        containment=parts.containment_folder or earlier.containment,
        drains_until=parts.drains_until,
        starts_until=parts.starts_until,
        approval_expires=None,
    )


def _resumed_workload(earlier: Outcome, evidence: Evidence) -> ReportedWorkload | None:
    """The workload; what was not read again stays as the earlier outcome has it."""
    workload, before = _workload(evidence), earlier.workload
    if workload is None or before is None:
        return workload
    return replace(
        workload,
        function=workload.function or before.function,
        other_regions=workload.other_regions or before.other_regions,
        execution_ended=workload.execution_ended or before.execution_ended,
    )


def _change(change: Change, redactor: Redactor) -> Change:
    shown = redact_change(change, redactor)
    return replace(shown, error=None if shown.error is None else truncated(shown.error))


def _finding(finding: Finding, redactor: Redactor) -> ReportedFinding:
    return ReportedFinding(
        name=redactor.text(finding.name),
        canonical_name=redactor.text(finding.canonical_name),
        category=truncated(redactor.text(finding.category)),
        detector=truncated(redactor.text(finding.detector)),
        severity=truncated(redactor.text(finding.severity)),
        state=truncated(redactor.text(finding.state)),
        event_time=finding.event_time,
    )


def _workload(evidence: Evidence) -> ReportedWorkload | None:
    finding = evidence.finding
    if finding.workload is None:
        return None
    return ReportedWorkload.of(
        finding.workload,
        revision=finding.revision,
        execution=finding.execution,
        function=function_name(evidence) or None,
        other_regions=tuple(other_regions(evidence)),
        execution_ended=ended_executions_text(evidence) or None,
        uid=evidence.configuration.uid if evidence.configuration else None,
    )


def _decision(parts: OutcomeParts, redactor: Redactor) -> ReportedDecision:
    """The decision, with the reasons why an operator's ``contain`` is refused."""
    decision, workload = parts.decision, parts.evidence.finding.workload
    blockers = (
        [explain_blocker(blocker, workload, parts.policy_url) for blocker in decision.blockers]
        if workload
        else []
    )
    texts = (*(reason.text for reason in decision.reasons), *_workload_notes(parts.evidence))
    return ReportedDecision(
        verdict=decision.verdict,
        reasons=tuple(truncated(redactor.text(text)) for text in texts),
        blockers=tuple(
            ReportedBlocker(
                text=truncated(redactor.text(blocker.text)),
                fix=truncated(redactor.text(blocker.fix)),
                command=truncated(redactor.text(blocker.command)) or None,
            )
            for blocker in blockers
        ),
    )


def _workload_notes(evidence: Evidence) -> Iterator[str]:
    """What limits a containment of this workload."""
    regions, function = other_regions(evidence), function_name(evidence)
    if regions:
        yield f"the service also runs in {', '.join(regions)}: nothing is done there"
    if function:
        yield (
            f"it is the Cloud Run function {function}, deployed from source: deploying it lifts a"
            " containment"
        )


def _links(finding: Finding, parts: OutcomeParts) -> Links:
    techniques = parts.assessment.techniques if parts.assessment else ()
    file = parts.suspect.file
    hashed = file.sha256 if file and not file.partially_hashed else None
    return Links(
        console=finding_page(finding),
        workload=workload_page(finding.workload),
        virustotal=virustotal_page(hashed) if hashed else None,
        mitre=tuple(technique.url for technique in techniques),
        case_file=parts.case_file,
        report=f"{parts.case_file}/report.html" if parts.case_file else None,
    )
