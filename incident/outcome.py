"""The outcome of an incident as one JSON object. Pure; everything in it is redacted."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any
from urllib.parse import quote

from incident.images import change_json
from incident.journal import SCHEMA_VERSION
from incident.model import (
    Assessment,
    Change,
    Container,
    Decision,
    Evidence,
    Finding,
    Gap,
    Json,
    Kind,
    Process,
    Reason,
    Responder,
    Status,
    Verdict,
    Workload,
)
from incident.redaction import Redactor

_LONGEST_TEXT = 1000
_LONGEST_ENCODED = 3000
_MOST_ARGUMENTS = 50
_MOST_ENCODED = 32_000
_CONSOLE = "https://console.cloud.google.com"
_RUN_PAGES = {Kind.SERVICE: "detail", Kind.JOB: "jobs/details", Kind.WORKER_POOL: "workerpools"}


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
        "decision": _decision(account.decision, redactor),
        "assessment": _assessment(account.assessment, redactor),
        "detected": _detected(finding, redactor),
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


def taken_up(earlier: Mapping[str, Json], account: Account, redactor: Redactor) -> dict[str, Json]:
    """The outcome of an incident that was taken up again: what was found out before stays."""
    decision = _decision(account.decision, redactor)
    return {
        **earlier,
        "status": account.status.value,
        "workload": _workload(account.evidence),
        "rule": account.decision.rule or earlier.get("rule"),
        "mode": account.decision.mode.value,
        "decision": {**decision, "reasons": _joined(decision["reasons"], earlier)},
        "changes": [_change(change, redactor) for change in account.changes],
        "containment": account.folder or earlier.get("containment"),
        "drains_until": _time(account.drains_until),
    }


def expired(done: Mapping[str, Json], reason: str) -> dict[str, Json]:
    """The outcome of an incident whose plan nobody approved in time."""
    kept = done.get("decision")
    decision = kept if isinstance(kept, Mapping) else {}
    reasons = _joined([reason], done)
    return {
        **done,
        "status": Status.EXPIRED.value,
        "decision": {**decision, "verdict": Verdict.HOLD.value, "reasons": reasons},
    }


def _joined(reasons: Json, earlier: Mapping[str, Json]) -> list[Json]:
    """New reasons, and after them the earlier ones that they do not repeat."""
    decision = earlier.get("decision")
    before = decision.get("reasons") if isinstance(decision, Mapping) else None
    lists = (each for each in (reasons, before) if isinstance(each, list))
    return list(dict.fromkeys(text for texts in lists for text in texts))


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


def _decision(decision: Decision, redactor: Redactor) -> dict[str, Json]:
    return {
        "verdict": decision.verdict.value,
        "reasons": [_short(redactor.text(reason.text)) for reason in decision.reasons],
    }


def _assessment(assessment: Assessment | None, redactor: Redactor) -> dict[str, Json] | None:
    if assessment is None:
        return None
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
    }


def _reason(reason: Reason, redactor: Redactor) -> dict[str, Json]:
    return {"text": _short(redactor.text(reason.text)), "evidence": reason.evidence}


def _gap(gap: Gap, redactor: Redactor) -> dict[str, Json]:
    return {"collector": gap.collector, "reason": _short(redactor.text(gap.reason))}


def _detected(finding: Finding, redactor: Redactor) -> dict[str, Json]:
    process = finding.main_process
    container = next(iter(finding.containers), None)
    return {
        **_process(process, redactor),
        "container": _short(redactor.text(container.name)) if container else None,
        "image": _short(redactor.text(container.image)) if container else None,
        "digest": _digest(container, redactor),
    }


def _digest(container: Container | None, redactor: Redactor) -> str | None:
    return _short(redactor.text(container.digest)) if container and container.digest else None


def _process(process: Process | None, redactor: Redactor) -> dict[str, Json]:
    if process is None:
        nothing: dict[str, Json] = dict.fromkeys(
            ("binary_path", "process", "sha256", "pid", "parent_pid", "user_id")
        )
        return {**nothing, "arguments": [], "arguments_truncated": False, "hash_is_partial": False}
    arguments = redactor.arguments(process.arguments[:_MOST_ARGUMENTS])
    shown = list(_within(_short(text) for text in arguments))
    return {
        "binary_path": _short(redactor.text(process.binary_path)),
        "process": _short(redactor.text(process.name)),
        "arguments": shown,
        "arguments_truncated": process.arguments_truncated
        or len(process.arguments) > len(shown)
        or shown != arguments,
        "sha256": process.sha256,
        "hash_is_partial": process.partially_hashed,
        "pid": process.pid,
        "parent_pid": process.parent_pid,
        "user_id": process.user_id,
    }


def _links(finding: Finding, account: Account) -> dict[str, Json]:
    techniques = account.assessment.techniques if account.assessment else ()
    process = finding.main_process
    virustotal = None
    if process and process.sha256 and not process.partially_hashed:
        virustotal = f"https://www.virustotal.com/gui/file/{process.sha256}"
    return {
        "console": _finding_page(finding),
        "workload": _workload_page(finding.workload),
        "virustotal": virustotal,
        "mitre": [technique.url for technique in techniques],
        "case_file": account.case_file,
        "report": None,
    }


def _finding_page(finding: Finding) -> str:
    """The finding in the console, which takes its name as a parameter."""
    project = finding.workload.project if finding.workload else ""
    scope = f"?project={quote(project, safe='')}&" if project else "?"
    name = quote(finding.canonical_name, safe="")
    return f"{_CONSOLE}/security/command-center/findingsv2{scope}resourceId={name}"


def _workload_page(workload: Workload | None) -> str | None:
    if workload is None:
        return None
    page, place = _RUN_PAGES[workload.kind], f"{workload.location}/{workload.name}"
    return f"{_CONSOLE}/run/{page}/{place}?project={quote(workload.project, safe='')}"


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
