"""The outcome of an incident as one JSON object. Pure; everything in it is redacted."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any

from incident.images import change_json
from incident.journal import SCHEMA_VERSION
from incident.links import finding_page, virustotal_page, workload_page
from incident.model import (
    Assessment,
    Change,
    Container,
    Decision,
    Evidence,
    File,
    Finding,
    Gap,
    Json,
    Point,
    Process,
    Reason,
    Related,
    Reputation,
    Responder,
    Status,
    Step,
    Suspect,
    Verdict,
)
from incident.reach import reach, related
from incident.redaction import Redactor
from incident.response_plan import Situation, automatic, for_people

_LONGEST_TEXT = 1000
_LONGEST_ENCODED = 3000
_MOST_ARGUMENTS = 50
_MOST_NAMES = 100
_MOST_FILE_NAMES = 10
_MOST_RELATED = 50
_MOST_ENCODED = 32_000
_MOST_URLS = 5


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
        timings_ms: Milliseconds per stage.
        case_file: Where the case file is; None where none is kept.
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
    timings_ms: Mapping[str, float] | None = None
    case_file: str | None = None

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
        "workload": _workload(finding),
        "responder": account.responder.name if account.responder else None,
        "rule": account.decision.rule,
        "mode": None if account.status is Status.IGNORED else account.decision.mode.value,
        "decision": _decision(account.decision, redactor),
        "assessment": _assessment(account, redactor),
        "detected": _detected(account, redactor),
        "changes": [_change(change, redactor) for change in account.changes],
        "containment": account.folder,
        "drains_until": _time(account.drains_until),
        "gaps": [_gap(gap, redactor) for gap in account.evidence.gaps],
        "timings_ms": {**(account.timings_ms or {})},
        "links": _links(finding, account),
    }


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


def released(done: Mapping[str, Json], by: str) -> dict[str, Json]:
    """The outcome of an incident whose containment a person has taken back."""
    decision = done.get("decision")
    kept = decision if isinstance(decision, Mapping) else {}
    earlier = kept.get("reasons")
    reasons = [f"released by {by}", *(earlier if isinstance(earlier, list) else ())]
    return {
        **done,
        "status": Status.RELEASED.value,
        "decision": {**kept, "reasons": reasons},
        "drains_until": None,
    }


def plain(value: Any) -> Any:
    """Any value of the model as JSON. What a type does not print of itself stays out."""
    if is_dataclass(value) and not isinstance(value, type):
        shown = (field for field in fields(value) if field.repr)
        return {field.name: plain(getattr(value, field.name)) for field in shown}
    if isinstance(value, datetime):
        return _time(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | frozenset):
        return [plain(item) for item in (sorted(value) if isinstance(value, frozenset) else value)]
    return value


def _change(change: Change, redactor: Redactor) -> dict[str, Json]:
    error = None if change.error is None else _short(redactor.text(change.error))
    return {**change_json(change), "error": error}


def _finding(finding: Finding, redactor: Redactor) -> dict[str, Json]:
    return {
        "name": redactor.text(finding.name),
        "canonical_name": redactor.text(finding.canonical_name),
        "category": _short(redactor.text(finding.category)),
        "detector": _short(redactor.text(finding.detector)),
        "severity": _short(redactor.text(finding.severity)),
        "state": _short(redactor.text(finding.state)),
        "event_time": _time(finding.event_time),
    }


def _workload(finding: Finding) -> dict[str, Json] | None:
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
    }


def _decision(decision: Decision, redactor: Redactor) -> dict[str, Json]:
    return {
        "verdict": decision.verdict.value,
        "reasons": [_short(redactor.text(reason.text)) for reason in decision.reasons],
    }


def _assessment(account: Account, redactor: Redactor) -> dict[str, Json] | None:
    assessment, evidence = account.assessment, account.evidence
    if assessment is None:
        return None
    mode = account.decision.mode
    situation = Situation(account.incident, account.status, mode, evidence, account.changes)
    return {
        "summary": _short(redactor.text(assessment.summary)),
        "confidence": assessment.confidence.value,
        "reasons": [_reason(reason, redactor) for reason in assessment.reasons],
        "techniques": plain(
            [
                {**plain(technique), "meaning": _short(redactor.text(technique.meaning))}
                for technique in assessment.techniques
            ]
        ),
        "reach": [_point(point, redactor) for point in reach(evidence)],
        "related": [_related(other, redactor) for other in related(evidence)[:_MOST_RELATED]],
        "plan": {
            "automatic": [_step(step, redactor) for step in automatic(situation)],
            "people": [_step(step, redactor) for step in for_people(situation)],
        },
        "look_at": [_short(redactor.text(text)) for text in assessment.look_at],
    }


def _point(point: Point, redactor: Redactor) -> dict[str, Json]:
    return {
        "topic": point.topic.value,
        "text": _short(redactor.text(point.text)),
        "evidence": point.evidence,
        "names": [_short(redactor.text(name)) for name in point.names[:_MOST_NAMES]],
        "serious": point.serious,
    }


def _related(other: Related, redactor: Redactor) -> dict[str, Json]:
    return {
        "category": _short(redactor.text(other.category)),
        "severity": _short(redactor.text(other.severity)),
        "event_time": _time(other.event_time),
        "name": _short(redactor.text(other.name)),
        "linked": other.linked,
        "text": _short(redactor.text(other.text)),
    }


def _step(step: Step, redactor: Redactor) -> dict[str, Json]:
    return {
        "text": _short(redactor.text(step.text)),
        "command": _short(redactor.text(step.command)) if step.command else None,
        "link": step.link or None,
    }


def _reason(reason: Reason, redactor: Redactor) -> dict[str, Json]:
    return {"text": _short(redactor.text(reason.text)), "evidence": reason.evidence}


def _gap(gap: Gap, redactor: Redactor) -> dict[str, Json]:
    return {"collector": gap.collector, "reason": _short(redactor.text(gap.reason))}


def _detected(account: Account, redactor: Redactor) -> dict[str, Json]:
    finding, suspect = account.evidence.finding, account.suspect
    container = next(iter(finding.containers), None)
    return {
        **_process(suspect.process, redactor),
        **_file(suspect.file, redactor),
        "urls": [_short(redactor.url(url)) for url in finding.urls[:_MOST_URLS]],
        "connection": plain(finding.connection),
        "container": _short(redactor.text(container.name)) if container else None,
        "image": _short(redactor.text(container.image)) if container else None,
        "digest": _digest(container, redactor),
        "virustotal": _reputation(account.evidence.reputation, redactor),
    }


def _reputation(reputation: Reputation | None, redactor: Redactor) -> dict[str, Json] | None:
    """What VirusTotal says, in short; the case file has all of it."""
    if reputation is None:
        return None
    return {
        "lookup": reputation.lookup.value,
        "said": _short(redactor.text(reputation.sentence)),
        "malicious": reputation.malicious,
        "engines": reputation.engines,
        "label": _short(redactor.text(reputation.label)) or None,
        "file_type": _short(redactor.text(reputation.file_type)) or None,
        "names": [_short(redactor.text(name)) for name in reputation.names[:_MOST_FILE_NAMES]],
        "tags": [_short(redactor.text(tag)) for tag in reputation.tags[:_MOST_FILE_NAMES]],
        "first_seen": _time(reputation.first_seen),
        "last_seen": _time(reputation.last_seen),
    }


def _digest(container: Container | None, redactor: Redactor) -> str | None:
    return _short(redactor.text(container.digest)) if container and container.digest else None


def _process(process: Process | None, redactor: Redactor) -> dict[str, Json]:
    if process is None:
        nothing: dict[str, Json] = dict.fromkeys(
            ("binary_path", "process", "pid", "parent_pid", "user_id")
        )
        return {**nothing, "arguments": [], "arguments_truncated": False}
    arguments = redactor.arguments(process.arguments[:_MOST_ARGUMENTS])
    shown = list(_within(_short(text) for text in arguments))
    return {
        "binary_path": _short(redactor.text(process.binary_path)),
        "process": _short(redactor.text(process.name)),
        "arguments": shown,
        "arguments_truncated": process.arguments_truncated
        or len(process.arguments) > len(shown)
        or shown != arguments,
        "pid": process.pid,
        "parent_pid": process.parent_pid,
        "user_id": process.user_id,
    }


def _file(file: File | None, redactor: Redactor) -> dict[str, Json]:
    """The file that is suspected: the binary, or what it loaded or interpreted."""
    if file is None:
        return {"file": None, "sha256": None, "hash_is_partial": False}
    return {
        "file": _short(redactor.text(file.path)),
        "sha256": file.sha256,
        "hash_is_partial": file.partially_hashed,
    }


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


def _time(moment: datetime | None) -> str | None:
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _short(text: str) -> str:
    """Evidence text at a length that a log line can bear; the case file has the rest."""
    kept = text[:_LONGEST_TEXT]
    while len(json.dumps(kept)) > _LONGEST_ENCODED:
        kept = kept[: len(kept) // 2]
    return text if kept == text else f"{kept}… ({len(text) - len(kept)} more characters)"


def _within(texts: Iterable[str]) -> Iterator[str]:
    """As many texts as fit: escaped, a character may take twelve bytes of a log line."""
    left = _MOST_ENCODED
    for text in texts:
        left -= len(json.dumps(text))
        if left < 0:
            return
        yield text
