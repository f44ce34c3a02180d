"""Outcome as a Detection Finding of the Open Cybersecurity Schema Framework (OCSF). Pure.

Version 1.5.0, class 2004, profiles ``cloud`` and ``security_control``; the numbers are the schema's
(https://schema.ocsf.io/1.5.0/classes/detection_finding). What OCSF has no attribute for is in
``unmapped``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime

from incident.model import Confidence, Json, JsonObject, Lookup, Status, TopicFormat
from incident.model.outcome import Detected, Outcome, ReportedFinding, ReportedWorkload

OCSF_VERSION = "1.5.0"
_CATEGORY, _CLASS = 2, 2004
_CREATE, _UPDATE = 1, 2
_UNKNOWN, _OTHER = 0, 99
_SHA256, _REGULAR_FILE, _GCP_PROJECT, _RULE = 3, 1, 11, 1
_IP_ADDRESS, _URL, _HASH, _PROCESS_NAME, _RESOURCE_UID, _FILE_PATH = 2, 6, 8, 9, 10, 45
_SEVERITIES = {"CRITICAL": 5, "HIGH": 4, "MEDIUM": 3, "LOW": 2}
_CONFIDENCES = {Confidence.HIGH: 3, Confidence.MEDIUM: 2, Confidence.LOW: 1}
_NEW, _IN_PROGRESS = 1, 2
#: Whether a finding is resolved is for people to say: a release does not.
_STATUSES: Mapping[Status, int] = {
    Status.HELD: _NEW,
    Status.PLANNED: _NEW,
    Status.AWAITING_APPROVAL: _NEW,
    Status.EXPIRED: _NEW,
    Status.FAILED: _NEW,
    Status.UNVERIFIED: _IN_PROGRESS,
    Status.RESTRICTED: _IN_PROGRESS,
    Status.CONTAINED: _IN_PROGRESS,
    Status.ALREADY_CONTAINED: _IN_PROGRESS,
}
#: Action and disposition: what the responder made of the workload.
_DENIED, _OBSERVED, _MODIFIED = 2, 3, 4
_BLOCKED, _RESTORED, _PARTIALLY_CORRECTED, _NO_ACTION, _ERROR = 2, 9, 12, 16, 27
_CONTROLS: Mapping[Status, tuple[int, int]] = {
    Status.CONTAINED: (_DENIED, _BLOCKED),
    Status.RESTRICTED: (_MODIFIED, _PARTIALLY_CORRECTED),
    Status.UNVERIFIED: (_MODIFIED, _ERROR),
    Status.FAILED: (_OBSERVED, _ERROR),
    Status.RELEASED: (_MODIFIED, _RESTORED),
}
_HEX = re.compile("[0-9a-fA-F]+")
_LATER = frozenset({Status.RELEASED, Status.EXPIRED})


def detection_finding(outcome: Outcome, at: datetime) -> JsonObject:
    """The outcome as an OCSF event.

    Args:
        outcome: The outcome; its texts are redacted.
        at: When it was made: the event's time where the finding has none.
    """
    finding, activity = outcome.finding, _UPDATE if outcome.status in _LATER else _CREATE
    action, disposition = _CONTROLS.get(outcome.status, (_OBSERVED, _NO_ACTION))
    severity = (finding.severity if finding else None) or ""
    confidence = outcome.assessment.confidence if outcome.assessment else None
    event_time = finding.event_time if finding else None
    resources = [_resource(outcome.workload)] if outcome.workload else []
    return _filled(
        category_uid=_CATEGORY,
        class_uid=_CLASS,
        activity_id=activity,
        type_uid=_CLASS * 100 + activity,
        time=_milliseconds(event_time or at),
        severity_id=_SEVERITIES.get(severity, _OTHER if severity else _UNKNOWN),
        severity=severity,
        confidence_id=_CONFIDENCES.get(confidence, _UNKNOWN) if confidence else _UNKNOWN,
        status_id=_STATUSES.get(outcome.status, _OTHER),
        status=outcome.status.value,
        status_detail="; ".join(outcome.decision.reasons),
        message=_message(outcome),
        is_alert=outcome.status is not Status.IGNORED and not outcome.simulated,
        action_id=action,
        disposition_id=disposition,
        metadata=_metadata(outcome, at),
        cloud=_cloud(outcome.workload),
        finding_info=_finding_info(outcome),
        resources=resources,
        evidences=list(_evidences(outcome.detected)) if outcome.detected else [],
        observables=list(_observables(outcome)),
        enrichments=list(_enrichments(outcome.detected)) if outcome.detected else [],
        remediation=_remediation(outcome),
        unmapped=_unmapped(outcome),
    )


def topic_message(outcome: Outcome, message_format: TopicFormat, at: datetime) -> JsonObject:
    """The outcome as a message on the topic.

    Args:
        outcome: The outcome.
        message_format: The topic's format.
        at: The time.
    """
    ocsf = message_format is TopicFormat.OCSF
    return detection_finding(outcome, at) if ocsf else outcome.to_json()


def _filled(**values: Json) -> JsonObject:
    """An object without what is empty: OCSF knows no null."""
    return {name: value for name, value in values.items() if value not in (None, "", [], {})}


def _milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def _message(outcome: Outcome) -> str:
    category = outcome.finding.category if outcome.finding else None
    where = f" {outcome.workload.name}" if outcome.workload else ""
    simulated = "SIMULATED " if outcome.simulated else ""
    return f"{simulated}{outcome.status.value.upper()}{where}: {category or 'no finding'}"


def _metadata(outcome: Outcome, at: datetime) -> JsonObject:
    return _filled(
        version=OCSF_VERSION,
        profiles=["cloud", "security_control"],
        product={"name": "Cloud Run threat responder", "vendor_name": "cloud-run-responder"},
        uid=f"{outcome.incident or outcome.message_sha256 or ''}/{outcome.status.value}",
        correlation_uid=outcome.incident,
        logged_time=_milliseconds(at),
        labels=["simulated"] if outcome.simulated else [],
    )


def _cloud(workload: ReportedWorkload | None) -> JsonObject:
    if workload is None:
        return {"provider": "GCP"}
    account: JsonObject = {"uid": workload.project, "type_id": _GCP_PROJECT}
    return _filled(provider="GCP", region=workload.location, account=account)


def _finding_info(outcome: Outcome) -> JsonObject:
    finding = outcome.finding or ReportedFinding()
    assessment, links = outcome.assessment, outcome.links
    analytic: JsonObject = {"name": finding.detector, "type_id": _RULE}
    return _filled(
        uid=finding.canonical_name
        or finding.name
        or outcome.incident
        or outcome.message_sha256
        or "unknown",
        title=finding.category,
        desc=assessment.summary if assessment else None,
        types=[finding.category] if finding.category else [],
        analytic=analytic if finding.detector else None,
        created_time=_milliseconds(finding.event_time) if finding.event_time else None,
        src_url=links.console,
        data_sources=["Security Command Center"],
        attacks=[
            {
                "technique": {"uid": each.id, "name": each.name, "src_url": each.url},
                "tactic": {"name": each.tactic},
            }
            for each in (assessment.techniques if assessment else ())
        ],
    )


def _resource(workload: ReportedWorkload) -> JsonObject:
    return _filled(
        uid=f"//run.googleapis.com/{workload.resource_name}",
        name=workload.name,
        type=f"Cloud Run {workload.kind.label}",
        region=workload.location,
        data=_filled(
            revision=workload.revision,
            execution=workload.execution,
            project_number=workload.project_number,
            uid=workload.uid,
        ),
    )


def _evidences(detected: Detected) -> Iterator[JsonObject]:
    """The process or its file, the connection, the addresses: each what was seen."""
    file, container = _file(detected), _container(detected)
    if detected.pid is not None:
        parent = {"pid": detected.parent_pid} if detected.parent_pid is not None else None
        process = _filled(
            pid=detected.pid,
            name=detected.process,
            cmd_line=" ".join(detected.arguments),
            file=file,
            parent_process=parent,
        )
        yield _filled(process=process, container=container)
    elif file:
        yield _filled(file=file, container=container)
    connection = detected.connection
    if connection and connection.remote_ip:
        yield {"dst_endpoint": _filled(ip=connection.remote_ip, port=connection.remote_port)}
    for url in detected.urls:
        yield {"url": {"url_string": url}}


def _file(detected: Detected) -> JsonObject:
    path = detected.file or detected.binary_path
    if not path:
        return {}
    sha256 = _whole_hash(detected)
    hashes: list[Json] = [{"algorithm_id": _SHA256, "value": sha256}] if sha256 else []
    name = path.rpartition("/")[2] or path
    return _filled(name=name, path=path, type_id=_REGULAR_FILE, hashes=hashes)


def _whole_hash(detected: Detected) -> str:
    """The hash of the whole file; empty where there is none."""
    sha256 = detected.sha256 or ""
    return "" if detected.hash_is_partial or not _HEX.fullmatch(sha256) else sha256


def _container(detected: Detected) -> JsonObject:
    image = _filled(uid=detected.digest or detected.image, name=detected.image)
    return _filled(name=detected.container, image=image) if detected.container else {}


def _observables(outcome: Outcome) -> Iterator[JsonObject]:
    """What to search for elsewhere."""
    detected, workload = outcome.detected, outcome.workload
    if workload:
        yield _observable("resources[].uid", _RESOURCE_UID, _resource(workload)["uid"])
    if detected is None:
        return
    if sha256 := _whole_hash(detected):
        yield _observable("evidences[].process.file.hashes[].value", _HASH, sha256)
    if path := detected.file or detected.binary_path:
        yield _observable("evidences[].process.file.path", _FILE_PATH, path)
    if detected.process:
        yield _observable("evidences[].process.name", _PROCESS_NAME, detected.process)
    if detected.connection and detected.connection.remote_ip:
        ip = detected.connection.remote_ip
        yield _observable("evidences[].dst_endpoint.ip", _IP_ADDRESS, ip)
    for url in detected.urls:
        yield _observable("evidences[].url.url_string", _URL, url)


def _observable(name: str, kind: int, value: Json) -> JsonObject:
    return {"name": name, "type_id": kind, "value": value}


def _enrichments(detected: Detected) -> Iterator[JsonObject]:
    known = detected.reputation
    answered = known is not None and known.lookup in (Lookup.KNOWN, Lookup.UNKNOWN)
    if known is None or not answered or not _whole_hash(detected):
        return
    data = _filled(malicious=known.malicious, engines=known.engines, label=known.label)
    yield _filled(
        name="evidences[].process.file.hashes[].value",
        value=detected.sha256,
        provider="VirusTotal",
        data=data or {"known": False},
        short_desc=known.summary,
    )


def _remediation(outcome: Outcome) -> JsonObject:
    """The tasks that are left to people; the page has their commands."""
    tasks = outcome.assessment.playbook.people if outcome.assessment else ()
    titles = dict.fromkeys(task.title or task.text for task in tasks)
    if not titles:
        return {}
    return _filled(desc="; ".join(titles), references=[outcome.links.report or ""])


def _unmapped(outcome: Outcome) -> JsonObject:
    return _filled(
        incident=outcome.incident,
        responder=outcome.responder,
        rule=outcome.rule,
        mode=outcome.mode.value if outcome.mode else None,
        verdict=outcome.decision.verdict.value,
        case_file=outcome.links.case_file,
        changes=[
            _filled(
                action=change.action,
                target=change.target,
                state=change.state.value,
                error=change.error,
            )
            for change in outcome.changes
        ],
        gaps=[{"collector": gap.collector, "reason": gap.reason} for gap in outcome.gaps],
    )
