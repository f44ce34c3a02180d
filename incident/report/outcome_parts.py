"""Parts of the outcome: assessment and detected process, file, image. Pure, redacted."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, replace
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
    Reason,
    RelatedFinding,
    Reputation,
    Suspect,
)
from incident.model.outcome import (
    Detected,
    ReportedAssessment,
    ReportedProcess,
    ReportedRelatedFinding,
    ReportedReputation,
    SourceProperty,
)
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


def reported_assessment(
    assessment: Assessment, evidence: Evidence, redactor: Redactor
) -> ReportedAssessment:
    """Assessment, exposure and related findings."""
    return ReportedAssessment(
        summary=truncated(redactor.text(assessment.summary)),
        confidence=assessment.confidence,
        reasons=tuple(
            Reason(truncated(redactor.text(reason.text)), reason.evidence)
            for reason in assessment.reasons
        ),
        techniques=tuple(
            replace(technique, meaning=truncated(redactor.text(technique.meaning)))
            for technique in assessment.techniques
        ),
        exposure=tuple(_exposure(fact, redactor) for fact in describe_exposure(evidence)),
        related=tuple(
            _related(other, redactor) for other in related_findings(evidence)[:_MOST_RELATED]
        ),
        investigation_steps=tuple(
            truncated(redactor.text(text)) for text in assessment.investigation_steps
        ),
    )


def reported_detection(evidence: Evidence, suspect: Suspect, redactor: Redactor) -> Detected:
    """The detected process, the suspected file, container and image."""
    finding, file = evidence.finding, suspect.file
    container = next(iter(finding.containers), None)
    process = _process(suspect.process, redactor)
    return Detected(
        **{each.name: getattr(process, each.name) for each in fields(process)},
        user_id_claimed=_claimed_user(suspect.process, evidence.claim),
        parents=tuple(
            _process(parent, redactor, _MOST_PARENT_ENCODED)
            for parent in _parents(suspect.process, finding)
        ),
        file=truncated(redactor.text(file.path)) if file else None,
        sha256=file.sha256 if file else None,
        hash_is_partial=bool(file and file.partially_hashed),
        urls=tuple(truncated(redactor.url(url)) for url in finding.urls[:_MOST_URLS]),
        connection=finding.connection,
        container=truncated(redactor.text(container.name)) if container else None,
        image=truncated(redactor.text(container.image)) if container else None,
        digest=_digest(container, redactor),
        reputation=_reputation(evidence.reputation, redactor),
        source_properties=tuple(
            SourceProperty(truncated(name), truncated(text))
            for name, text in shown_source_properties(finding, redactor)
        ),
        affected=reported_affected(evidence, redactor),
    )


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


def _exposure(fact: ExposureFact, redactor: Redactor) -> ExposureFact:
    names = (truncated(redactor.text(name)) for name in fact.names[:_MOST_NAMES])
    return replace(fact, text=truncated(redactor.text(fact.text)), names=tuple(names))


def _related(other: RelatedFinding, redactor: Redactor) -> ReportedRelatedFinding:
    return ReportedRelatedFinding(
        category=truncated(redactor.text(other.category)),
        severity=truncated(redactor.text(other.severity)),
        event_time=other.event_time,
        name=truncated(redactor.text(other.name)),
        same_attack=other.same_attack,
        text=truncated(redactor.text(other.text)),
    )


def _reputation(reputation: Reputation | None, redactor: Redactor) -> ReportedReputation | None:
    """VirusTotal's result in short; the evidence has all of it."""
    if reputation is None:
        return None
    return ReportedReputation(
        lookup=reputation.lookup,
        summary=truncated(redactor.text(reputation.summary)),
        malicious=reputation.malicious,
        engines=reputation.engines,
        label=truncated(redactor.text(reputation.label)) or None,
        file_type=truncated(redactor.text(reputation.file_type)) or None,
        names=tuple(truncated(redactor.text(name)) for name in reputation.names[:_MOST_FILE_NAMES]),
        tags=tuple(truncated(redactor.text(tag)) for tag in reputation.tags[:_MOST_FILE_NAMES]),
        first_seen=reputation.first_seen,
        last_seen=reputation.last_seen,
    )


def _digest(container: Container | None, redactor: Redactor) -> str | None:
    return truncated(redactor.text(container.digest)) if container and container.digest else None


def _process(
    process: DetectedProcess | None, redactor: Redactor, most: int = _MOST_ENCODED
) -> ReportedProcess:
    if process is None:
        return ReportedProcess()
    arguments = redactor.arguments(process.arguments[:_MOST_ARGUMENTS])
    shown = list(_fitting((truncated(text) for text in arguments), most))
    return ReportedProcess(
        binary_path=truncated(redactor.text(process.binary_path)),
        process=truncated(redactor.text(process.name)),
        arguments=tuple(shown),
        arguments_truncated=process.arguments_truncated
        or len(process.arguments) > len(shown)
        or shown != arguments,
        pid=process.pid,
        parent_pid=process.parent_pid,
        user_id=process.user_id,
        script=_script(process.script, redactor),
        libraries=tuple(
            _fitting((truncated(redactor.text(path)) for path in _libraries(process)), most)
        ),
    )


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


def _fitting(texts: Iterable[str], left: int) -> Iterator[str]:
    """As many texts as fit; escaped, a character may take twelve bytes of a log line."""
    for text in texts:
        left -= len(json.dumps(text))
        if left < 0:
            return
        yield text
