"""The outcome of an incident as one JSON object. Pure; everything in it is redacted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from incident.actions.redacted import redacted_json
from incident.case_file.journal import SCHEMA_VERSION
from incident.model import (
    Assessment,
    Change,
    ChangeState,
    Decision,
    Evidence,
    Finding,
    Gap,
    Json,
    Responder,
    Status,
    Suspect,
    Verdict,
)
from incident.model.json_text import time_text
from incident.playbook.blockers import explain_blocker
from incident.playbook.links import finding_page, virustotal_page, workload_page
from incident.playbook.plan import PlaybookInputs
from incident.redaction.redactor import Redactor
from incident.report.outcome_parts import assessment_json, detected_json, truncated

_WRITTEN_STATES = (ChangeState.VERIFIED, ChangeState.UNVERIFIED, ChangeState.APPLIED)


@dataclass(frozen=True, slots=True)
class OutcomeParts:
    """All that an outcome is made of.

    Attributes:
        incident: The incident's id.
        status: What became of it.
        decision: What was decided.
        evidence: What was gathered.
        responder: Who answered; None where none did.
        assessment: What it made of the evidence; None without a responder.
        changes: The changes and how far they came.
        containment_folder: The containment's path in the store.
        drains_until: Until when requests in flight may still run.
        approval_expires: When the plan expires that waits for approval.
        timings_ms: Milliseconds per stage.
        case_file: Where the case file is; None where none is kept.
        policy_url: Where the policy file is; empty where none is configured.
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
    approval_expires: datetime | None = None
    timings_ms: Mapping[str, float] | None = None
    case_file: str | None = None
    policy_url: str = ""

    @property
    def suspect(self) -> Suspect:
        """What of the finding is suspected, as the responder reads it."""
        finding = self.evidence.finding
        return self.responder.suspect(finding) if self.responder else finding.suspect


def build_outcome(parts: OutcomeParts, redactor: Redactor) -> dict[str, Json]:
    """The outcome of an incident."""
    finding = parts.evidence.finding
    return {
        "schema_version": SCHEMA_VERSION,
        "incident": parts.incident,
        "status": parts.status.value,
        "finding": _finding(finding, redactor),
        "workload": _workload(parts.evidence),
        "responder": parts.responder.name if parts.responder else None,
        "rule": parts.decision.rule,
        "mode": None if parts.status is Status.IGNORED else parts.decision.mode.value,
        "decision": _decision(parts, redactor),
        "assessment": _assessment(parts, redactor),
        "detected": detected_json(parts.evidence, parts.suspect, redactor),
        "changes": [_change(change, redactor) for change in parts.changes],
        "containment": parts.containment_folder,
        "drains_until": time_text(parts.drains_until),
        "approval_expires": time_text(parts.approval_expires),
        "gaps": [_gap(gap, redactor) for gap in parts.evidence.gaps],
        "timings_ms": {**(parts.timings_ms or {})},
        "links": _links(finding, parts),
    }


def _assessment(parts: OutcomeParts, redactor: Redactor) -> dict[str, Json] | None:
    if parts.assessment is None:
        return None
    situation = PlaybookInputs(
        parts.incident,
        parts.status,
        parts.decision.mode,
        parts.evidence,
        parts.changes,
        parts.drains_until,
        parts.decision.blockers,
        parts.policy_url,
        parts.assessment.investigation_steps,
        often_benign=parts.responder is not None and parts.responder.verdict is Verdict.HOLD,
    )
    return assessment_json(parts.assessment, situation, redactor)


def malformed_outcome(digest: str, reason: str, case_file: str) -> dict[str, Json]:
    """The outcome of a message that is no notification: no incident, no finding."""
    keys = "incident finding workload responder rule mode assessment detected containment"
    return {
        "schema_version": SCHEMA_VERSION,
        **dict.fromkeys(keys.split()),
        "status": Status.MALFORMED.value,
        "decision": {"verdict": Verdict.HOLD.value, "reasons": [reason]},
        "changes": [],
        "drains_until": None,
        "approval_expires": None,
        "gaps": [],
        "timings_ms": {},
        "links": {"case_file": case_file},
        "message_sha256": digest,
    }


def duplicate_outcome(current: Mapping[str, Json]) -> dict[str, Json]:
    """The outcome of a delivery whose incident is done: it did nothing, and says so."""
    reason = f"this event was handled already: its incident is done, as {current.get('status')!r}"
    decision = current.get("decision")
    kept = decision if isinstance(decision, Mapping) else {}
    return {
        **current,
        "status": Status.DUPLICATE.value,
        "decision": {**kept, "reasons": [reason]},
        "changes": [],
        "timings_ms": {},
    }


def has_active_containment(current: Mapping[str, Json]) -> bool:
    """Whether an incident that took part in a containment has something that a release ends.

    One that was held or whose writes were all refused is as it was: it only waits for a person.
    """
    status, changes = current.get("status"), current.get("changes")
    if status != Status.FAILED:
        return status in (Status.CONTAINED, Status.RESTRICTED, Status.UNVERIFIED)
    listed = changes if isinstance(changes, list) else ()
    states = [change.get("state") for change in listed if isinstance(change, Mapping)]
    return any(state in _WRITTEN_STATES for state in states)


def released_outcome(
    current: Mapping[str, Json], by: str, irreversible: Sequence[str] = ()
) -> dict[str, Json]:
    """The outcome of an incident whose containment a person has taken back.

    Args:
        current: Its outcome so far.
        by: Who it was.
        irreversible: What could not be taken back, and what to do about it.
    """
    decision = current.get("decision")
    kept = decision if isinstance(decision, Mapping) else {}
    earlier = kept.get("reasons")
    reasons = [f"released by {by}", *irreversible, *(earlier if isinstance(earlier, list) else ())]
    return {
        **current,
        "status": Status.RELEASED.value,
        "decision": {**kept, "reasons": reasons},
        "drains_until": None,
        "approval_expires": None,
    }


def resumed_outcome(
    earlier: Mapping[str, Json], parts: OutcomeParts, redactor: Redactor
) -> dict[str, Json]:
    """The outcome of an incident that was taken up again: what was found out before stays."""
    decision = _decision(parts, redactor)
    return {
        **earlier,
        "status": parts.status.value,
        "workload": _workload(parts.evidence),
        "rule": parts.decision.rule or earlier.get("rule"),
        "mode": parts.decision.mode.value,
        "decision": {**decision, "reasons": _merged_reasons(decision["reasons"], earlier)},
        "changes": [_change(change, redactor) for change in parts.changes],
        "containment": parts.containment_folder or earlier.get("containment"),
        "drains_until": time_text(parts.drains_until),
        "approval_expires": None,
    }


def expired_outcome(current: Mapping[str, Json], reason: str) -> dict[str, Json]:
    """The outcome of an incident whose plan nobody approved in time."""
    kept = current.get("decision")
    decision = kept if isinstance(kept, Mapping) else {}
    reasons = _merged_reasons([reason], current)
    return {
        **current,
        "status": Status.EXPIRED.value,
        "approval_expires": None,
        "decision": {**decision, "verdict": Verdict.HOLD.value, "reasons": reasons},
    }


def _merged_reasons(reasons: Json, earlier: Mapping[str, Json]) -> list[Json]:
    """New reasons, and after them the earlier ones that they do not repeat."""
    decision = earlier.get("decision")
    before = decision.get("reasons") if isinstance(decision, Mapping) else None
    lists = (each for each in (reasons, before) if isinstance(each, list))
    return list(dict.fromkeys(text for texts in lists for text in texts))


def _change(change: Change, redactor: Redactor) -> dict[str, Json]:
    shown = redacted_json(change, redactor)
    return {**shown, "error": None if shown["error"] is None else truncated(shown["error"])}


def _finding(finding: Finding, redactor: Redactor) -> dict[str, Json]:
    return {
        "name": redactor.text(finding.name),
        "canonical_name": redactor.text(finding.canonical_name),
        "category": truncated(redactor.text(finding.category)),
        "detector": truncated(redactor.text(finding.detector)),
        "severity": truncated(redactor.text(finding.severity)),
        "state": truncated(redactor.text(finding.state)),
        "event_time": time_text(finding.event_time),
    }


def _workload(evidence: Evidence) -> dict[str, Json] | None:
    finding = evidence.finding
    workload = finding.workload
    if workload is None:
        return None
    return {
        "kind": workload.kind.value,
        "project": workload.project,
        "project_number": workload.project_number,
        "location": workload.location,
        "name": workload.name,
        "revision": finding.revision,
        "execution": finding.execution,
        "resource_name": workload.resource_name,
        "uid": evidence.configuration.uid if evidence.configuration else None,
    }


def _decision(parts: OutcomeParts, redactor: Redactor) -> dict[str, Json]:
    """The decision; what is ``barred`` to a person's ``contain`` too says what comes first."""
    decision, workload = parts.decision, parts.evidence.finding.workload
    blockers = (
        [explain_blocker(blocker, workload, parts.policy_url) for blocker in decision.blockers]
        if workload
        else []
    )
    return {
        "verdict": decision.verdict.value,
        "reasons": [truncated(redactor.text(reason.text)) for reason in decision.reasons],
        "barred": [
            {
                "text": truncated(redactor.text(bar.text)),
                "first": truncated(redactor.text(bar.fix)),
                "command": truncated(redactor.text(bar.command)) or None,
            }
            for bar in blockers
        ],
    }


def _gap(gap: Gap, redactor: Redactor) -> dict[str, Json]:
    return {"collector": gap.collector, "reason": truncated(redactor.text(gap.reason))}


def _links(finding: Finding, parts: OutcomeParts) -> dict[str, Json]:
    techniques = parts.assessment.techniques if parts.assessment else ()
    file = parts.suspect.file
    hashed = file.sha256 if file and not file.partially_hashed else None
    return {
        "console": finding_page(finding),
        "workload": workload_page(finding.workload),
        "virustotal": virustotal_page(hashed) if hashed else None,
        "mitre": [technique.url for technique in techniques],
        "case_file": parts.case_file,
        "report": f"{parts.case_file}/report.html" if parts.case_file else None,
    }
