"""Parts of the outcome: assessment and detected process, file, image. Pure, redacted."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from incident.investigation.exposure import describe_exposure, related_findings
from incident.model import (
    Assessment,
    Container,
    DetectedProcess,
    Evidence,
    ExposureFact,
    File,
    Finding,
    Json,
    Reason,
    RelatedFinding,
    Reputation,
    Suspect,
    json_codec,
)
from incident.model.json_text import json_value, time_text
from incident.redaction.redactor import Redactor
from incident.report.outcome_affected import reported_affected
from incident.report.source_properties import shown_source_properties

_LONGEST_TEXT = 1000
_LONGEST_ENCODED = 3000
_MOST_ARGUMENTS = 50
_MOST_NAMES = 100
_MOST_FILE_NAMES = 10
_MOST_RELATED = 50
_MOST_ENCODED = 32_000
_MOST_URLS = 5
_MOST_PARENTS, _MOST_PARENT_ENCODED = 3, 4_000
_MOST_LIBRARIES = 10
#: Facts of a playbook that are console pages, made of names.
_PAGES = frozenset({"page", "secrets_page"})


def assessment_json(
    assessment: Assessment, evidence: Evidence, redactor: Redactor
) -> dict[str, Json]:
    """Assessment, exposure and related findings."""
    return {
        "summary": truncated(redactor.text(assessment.summary)),
        "confidence": assessment.confidence.value,
        "reasons": [_reason(reason, redactor) for reason in assessment.reasons],
        "techniques": json_value(
            [
                {**json_value(technique), "meaning": truncated(redactor.text(technique.meaning))}
                for technique in assessment.techniques
            ]
        ),
        "reach": [_point(point, redactor) for point in describe_exposure(evidence)],
        "related": [
            _related(other, redactor) for other in related_findings(evidence)[:_MOST_RELATED]
        ],
        "look_at": [truncated(redactor.text(text)) for text in assessment.investigation_steps],
    }


def detected_json(evidence: Evidence, suspect: Suspect, redactor: Redactor) -> dict[str, Json]:
    """The detected process, the suspected file, container and image."""
    finding = evidence.finding
    container = next(iter(finding.containers), None)
    return {
        **_process(suspect.process, redactor),
        "user_id_claimed": _claimed_user(suspect.process, evidence.claim),
        "parents": [
            _process(parent, redactor, _MOST_PARENT_ENCODED)
            for parent in _parents(suspect.process, finding)
        ],
        **_file(suspect.file, redactor),
        "urls": [truncated(redactor.url(url)) for url in finding.urls[:_MOST_URLS]],
        "connection": json_value(finding.connection),
        "container": truncated(redactor.text(container.name)) if container else None,
        "image": truncated(redactor.text(container.image)) if container else None,
        "digest": _digest(container, redactor),
        "virustotal": _reputation(evidence.reputation, redactor),
        "source_properties": [
            {"name": truncated(name), "text": truncated(text)}
            for name, text in shown_source_properties(finding, redactor)
        ],
        "affected": json_codec.to_json(reported_affected(evidence, redactor)),
    }


def redacted_facts(value: Any, redactor: Redactor) -> Any:
    """The facts of a playbook with every text redacted and cut; pages of the console stay."""
    if isinstance(value, Mapping):
        return {
            key: item if key in _PAGES else redacted_facts(item, redactor)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [redacted_facts(item, redactor) for item in value]
    return truncated(redactor.text(value)) if isinstance(value, str) else value


def truncated(text: str) -> str:
    """Untrusted text cut to a length that a log line can bear."""
    kept = text[:_LONGEST_TEXT]
    while len(json.dumps(kept)) > _LONGEST_ENCODED:
        kept = kept[: len(kept) // 2]
    return text if kept == text else f"{kept}… ({len(text) - len(kept)} more characters)"


def _point(point: ExposureFact, redactor: Redactor) -> dict[str, Json]:
    return {
        "topic": point.topic.value,
        "text": truncated(redactor.text(point.text)),
        "evidence": point.evidence,
        "names": [truncated(redactor.text(name)) for name in point.names[:_MOST_NAMES]],
        "serious": point.serious,
        "known": point.known,
    }


def _related(other: RelatedFinding, redactor: Redactor) -> dict[str, Json]:
    return {
        "category": truncated(redactor.text(other.category)),
        "severity": truncated(redactor.text(other.severity)),
        "event_time": time_text(other.event_time),
        "name": truncated(redactor.text(other.name)),
        "linked": other.same_attack,
        "text": truncated(redactor.text(other.text)),
    }


def _reason(reason: Reason, redactor: Redactor) -> dict[str, Json]:
    return {"text": truncated(redactor.text(reason.text)), "evidence": reason.evidence}


def _reputation(reputation: Reputation | None, redactor: Redactor) -> dict[str, Json] | None:
    """VirusTotal's result in short; the evidence has all of it."""
    if reputation is None:
        return None
    return {
        "lookup": reputation.lookup.value,
        "said": truncated(redactor.text(reputation.summary)),
        "malicious": reputation.malicious,
        "engines": reputation.engines,
        "label": truncated(redactor.text(reputation.label)) or None,
        "file_type": truncated(redactor.text(reputation.file_type)) or None,
        "names": [truncated(redactor.text(name)) for name in reputation.names[:_MOST_FILE_NAMES]],
        "tags": [truncated(redactor.text(tag)) for tag in reputation.tags[:_MOST_FILE_NAMES]],
        "first_seen": time_text(reputation.first_seen),
        "last_seen": time_text(reputation.last_seen),
    }


def _digest(container: Container | None, redactor: Redactor) -> str | None:
    return truncated(redactor.text(container.digest)) if container and container.digest else None


def _process(
    process: DetectedProcess | None, redactor: Redactor, most: int = _MOST_ENCODED
) -> dict[str, Json]:
    if process is None:
        empty: dict[str, Json] = dict.fromkeys(
            ("binary_path", "process", "pid", "parent_pid", "user_id", "script")
        )
        return {**empty, "arguments": [], "arguments_truncated": False, "libraries": []}
    arguments = redactor.arguments(process.arguments[:_MOST_ARGUMENTS])
    shown = list(_fitting((truncated(text) for text in arguments), most))
    return {
        "binary_path": truncated(redactor.text(process.binary_path)),
        "process": truncated(redactor.text(process.name)),
        "arguments": shown,
        "arguments_truncated": process.arguments_truncated
        or len(process.arguments) > len(shown)
        or shown != arguments,
        "pid": process.pid,
        "parent_pid": process.parent_pid,
        "user_id": process.user_id,
        "script": _script(process.script, redactor),
        "libraries": list(
            _fitting((truncated(redactor.text(path)) for path in _libraries(process)), most)
        ),
    }


def _libraries(process: DetectedProcess) -> Iterator[str]:
    return (file.path for file in process.libraries[:_MOST_LIBRARIES] if file.path)


def _script(script: File | None, redactor: Redactor) -> str | None:
    """Path of the script; its contents are in the evidence."""
    return truncated(redactor.text(script.path)) or "of no named file" if script else None


def _parents(process: DetectedProcess | None, finding: Finding) -> tuple[DetectedProcess, ...]:
    """The finding's known parent processes, nearest first.

    Process ids are untrusted: a circle of parents ends where it began.
    """
    line = [process] if process else []
    while line and line[-1].parent_pid and len(line) <= _MOST_PARENTS:
        of, before = line[-1].parent_pid, {each.pid for each in line}
        parent = next((p for p in finding.processes if p.pid == of and of not in before), None)
        if parent is None:
            break
        line.append(parent)
    return tuple(line[1:])


def _claimed_user(process: DetectedProcess | None, claim: Finding | None) -> int | None:
    """The user id that only the notification has: Security Command Center omits 0."""
    if process is None or process.user_id is not None or claim is None:
        return None
    same = (
        each.user_id
        for each in claim.processes
        if (each.pid, each.binary_path) == (process.pid, process.binary_path)
    )
    return next(same, None)


def _file(file: File | None, redactor: Redactor) -> dict[str, Json]:
    """The suspected file: binary, library or script."""
    if file is None:
        return {"file": None, "sha256": None, "hash_is_partial": False}
    return {
        "file": truncated(redactor.text(file.path)),
        "sha256": file.sha256,
        "hash_is_partial": file.partially_hashed,
    }


def _fitting(texts: Iterable[str], left: int) -> Iterator[str]:
    """As many texts as fit; escaped, a character may take twelve bytes of a log line."""
    for text in texts:
        left -= len(json.dumps(text))
        if left < 0:
            return
        yield text
