"""The outcome of an incident as one JSON object. Pure; everything in it is redacted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from incident.actions.redacted import told_json
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
from incident.playbook.blockers import barred
from incident.playbook.links import finding_page, virustotal_page, workload_page
from incident.playbook.order import Situation
from incident.redaction.redactor import Redactor
from incident.report.outcome_parts import assessment_told, detected_told, short

_IN_EFFECT = (ChangeState.VERIFIED, ChangeState.UNVERIFIED, ChangeState.APPLIED)


@dataclass(frozen=True, slots=True)
class Account:
    """All that an outcome is made of.

    Attributes:
        incident: The incident's id.
        status: What became of it.
        decision: What was decided.
        evidence: What was gathered.
        responder: Who answered; None where none did.
        assessment: What it made of the evidence; None without a responder.
        changes: The changes and how far they came.
        folder: The containment's path in the store.
        drains_until: Until when requests in flight may still run.
        approval_expires: When the plan expires that waits for approval.
        timings_ms: Milliseconds per stage.
        case_file: Where the case file is; None where none is kept.
        policy: Where the policy file is; empty where none is configured.
    """

    incident: str
    status: Status
    decision: Decision
    evidence: Evidence
    responder: Responder | None = None
    assessment: Assessment | None = None
    changes: tuple[Change, ...] = ()
    folder: str | None = None
    drains_until: datetime | None = None
    approval_expires: datetime | None = None
    timings_ms: Mapping[str, float] | None = None
    case_file: str | None = None
    policy: str = ""

    @property
    def suspect(self) -> Suspect:
        """What of the finding is suspected, as the responder reads it."""
        finding = self.evidence.finding
        return self.responder.suspect(finding) if self.responder else finding.suspect


def outcome(account: Account, redactor: Redactor) -> dict[str, Json]:
    """The outcome of an incident."""
    finding = account.evidence.finding
    return {
        "schema_version": SCHEMA_VERSION,
        "incident": account.incident,
        "status": account.status.value,
        "finding": _finding(finding, redactor),
        "workload": _workload(account.evidence),
        "responder": account.responder.name if account.responder else None,
        "rule": account.decision.rule,
        "mode": None if account.status is Status.IGNORED else account.decision.mode.value,
        "decision": _decision(account, redactor),
        "assessment": _assessment(account, redactor),
        "detected": detected_told(account.evidence, account.suspect, redactor),
        "changes": [_change(change, redactor) for change in account.changes],
        "containment": account.folder,
        "drains_until": time_text(account.drains_until),
        "approval_expires": time_text(account.approval_expires),
        "gaps": [_gap(gap, redactor) for gap in account.evidence.gaps],
        "timings_ms": {**(account.timings_ms or {})},
        "links": _links(finding, account),
    }


def _assessment(account: Account, redactor: Redactor) -> dict[str, Json] | None:
    if account.assessment is None:
        return None
    situation = Situation(
        account.incident,
        account.status,
        account.decision.mode,
        account.evidence,
        account.changes,
        account.drains_until,
        account.decision.barred,
        account.policy,
        account.assessment.look_at,
        doubtful=account.responder is not None and account.responder.verdict is Verdict.HOLD,
    )
    return assessment_told(account.assessment, situation, redactor)


def malformed(digest: str, reason: str, case_file: str) -> dict[str, Json]:
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


def duplicate(done: Mapping[str, Json]) -> dict[str, Json]:
    """The outcome of a delivery whose incident is done: it did nothing, and says so."""
    said = f"this event was handled already: its incident is done, as {done.get('status')!r}"
    decision = done.get("decision")
    kept = decision if isinstance(decision, Mapping) else {}
    return {
        **done,
        "status": Status.DUPLICATE.value,
        "decision": {**kept, "reasons": [said]},
        "changes": [],
        "timings_ms": {},
    }


def refers(done: Mapping[str, Json]) -> bool:
    """Whether an incident that took part in a containment has something that a release ends.

    One that was held or whose writes were all refused is as it was: it only waits for a person.
    """
    status, changes = done.get("status"), done.get("changes")
    if status != Status.FAILED:
        return status in (Status.CONTAINED, Status.RESTRICTED, Status.UNVERIFIED)
    listed = changes if isinstance(changes, list) else ()
    states = [change.get("state") for change in listed if isinstance(change, Mapping)]
    return any(state in _IN_EFFECT for state in states)


def released(done: Mapping[str, Json], by: str, lost: Sequence[str] = ()) -> dict[str, Json]:
    """The outcome of an incident whose containment a person has taken back.

    Args:
        done: Its outcome so far.
        by: Who it was.
        lost: What could not be taken back, and what to do about it.
    """
    decision = done.get("decision")
    kept = decision if isinstance(decision, Mapping) else {}
    earlier = kept.get("reasons")
    reasons = [f"released by {by}", *lost, *(earlier if isinstance(earlier, list) else ())]
    return {
        **done,
        "status": Status.RELEASED.value,
        "decision": {**kept, "reasons": reasons},
        "drains_until": None,
        "approval_expires": None,
    }


def taken_up(earlier: Mapping[str, Json], account: Account, redactor: Redactor) -> dict[str, Json]:
    """The outcome of an incident that was taken up again: what was found out before stays."""
    decision = _decision(account, redactor)
    return {
        **earlier,
        "status": account.status.value,
        "workload": _workload(account.evidence),
        "rule": account.decision.rule or earlier.get("rule"),
        "mode": account.decision.mode.value,
        "decision": {**decision, "reasons": _joined(decision["reasons"], earlier)},
        "changes": [_change(change, redactor) for change in account.changes],
        "containment": account.folder or earlier.get("containment"),
        "drains_until": time_text(account.drains_until),
        "approval_expires": None,
    }


def expired(done: Mapping[str, Json], reason: str) -> dict[str, Json]:
    """The outcome of an incident whose plan nobody approved in time."""
    kept = done.get("decision")
    decision = kept if isinstance(kept, Mapping) else {}
    reasons = _joined([reason], done)
    return {
        **done,
        "status": Status.EXPIRED.value,
        "approval_expires": None,
        "decision": {**decision, "verdict": Verdict.HOLD.value, "reasons": reasons},
    }


def _joined(reasons: Json, earlier: Mapping[str, Json]) -> list[Json]:
    """New reasons, and after them the earlier ones that they do not repeat."""
    decision = earlier.get("decision")
    before = decision.get("reasons") if isinstance(decision, Mapping) else None
    lists = (each for each in (reasons, before) if isinstance(each, list))
    return list(dict.fromkeys(text for texts in lists for text in texts))


def _change(change: Change, redactor: Redactor) -> dict[str, Json]:
    shown = told_json(change, redactor)
    return {**shown, "error": None if shown["error"] is None else short(shown["error"])}


def _finding(finding: Finding, redactor: Redactor) -> dict[str, Json]:
    return {
        "name": redactor.text(finding.name),
        "canonical_name": redactor.text(finding.canonical_name),
        "category": short(redactor.text(finding.category)),
        "detector": short(redactor.text(finding.detector)),
        "severity": short(redactor.text(finding.severity)),
        "state": short(redactor.text(finding.state)),
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
        "uid": evidence.settings.uid if evidence.settings else None,
    }


def _decision(account: Account, redactor: Redactor) -> dict[str, Json]:
    """The decision; what is ``barred`` to a person's ``contain`` too says what comes first."""
    decision, workload = account.decision, account.evidence.finding.workload
    bars = [barred(bar, workload, account.policy) for bar in decision.barred] if workload else []
    return {
        "verdict": decision.verdict.value,
        "reasons": [short(redactor.text(reason.text)) for reason in decision.reasons],
        "barred": [
            {
                "text": short(redactor.text(bar.text)),
                "first": short(redactor.text(bar.first)),
                "command": short(redactor.text(bar.command)) or None,
            }
            for bar in bars
        ],
    }


def _gap(gap: Gap, redactor: Redactor) -> dict[str, Json]:
    return {"collector": gap.collector, "reason": short(redactor.text(gap.reason))}


def _links(finding: Finding, account: Account) -> dict[str, Json]:
    techniques = account.assessment.techniques if account.assessment else ()
    file = account.suspect.file
    hashed = file.sha256 if file and not file.partially_hashed else None
    return {
        "console": finding_page(finding),
        "workload": workload_page(finding.workload),
        "virustotal": virustotal_page(hashed) if hashed else None,
        "mitre": [technique.url for technique in techniques],
        "case_file": account.case_file,
        "report": f"{account.case_file}/report.html" if account.case_file else None,
    }
