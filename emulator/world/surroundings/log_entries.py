"""Log and audit entries around the event."""

from __future__ import annotations

import datetime as dt
import hashlib

# Registered by being imported: entries about IAM policies carry this type inside an Any.
from google.iam.v1.logging import audit_data_pb2  # noqa: F401

from emulator.api.resource_names import ProjectEntry
from emulator.world.surroundings.cloud_run_resources import (
    DEPLOYED_AFTER_EVENT,
    PLAIN_SECRET,
    deployer_account,
    execution_name,
    revision_names,
)
from emulator.world.surroundings.listed_findings import json_time
from emulator.world.surroundings.notification_fields import (
    AffectedWorkload,
    JsonObject,
    NotificationFields,
)

_VISITOR_IP, _ATTACKER_IP, _OPERATOR_IP = "192.0.2.10", "203.0.113.77", "192.0.2.200"
#: Seconds after the event, the log, and what the entry holds.
_Line = tuple[float, str, JsonObject]
_PUBLIC_ACCESS_DELAY = dt.timedelta(minutes=9)


def workload_log_entries(
    fields: NotificationFields,
    workload: AffectedWorkload,
    project: ProjectEntry,
    *,
    plausible_attack: bool = True,
) -> list[JsonObject]:
    """The entries of a workload, oldest first: audit entries, then the minutes of the event.

    Args:
        fields: The notification.
        workload: The workload.
        project: Its project.
        plausible_attack: Whether an attacker left entries as well.
    """
    lines = [
        *_usual_lines(workload),
        *(_attack_lines(fields, workload) if plausible_attack else ()),
    ]
    ordered = sorted(lines, key=lambda line: line[0])
    return [
        *_audit_entries(fields, workload, project),
        *(_entry(fields, workload, *line) for line in ordered),
    ]


def _usual_lines(workload: AffectedWorkload) -> list[_Line]:
    """What the workload and its visitors leave. A query string and one line hold secrets."""
    lines: list[_Line] = [
        (-612, "varlog%2Fsystem", _text("INFO", "Starting new instance. Reason: AUTOSCALING")),
        (
            -95.2,
            "stdout",
            {"severity": "INFO", "jsonPayload": {"message": "cart loaded", "ms": 12}},
        ),
        (-12.6, "stderr", _text("ERROR", f"partner refused key {PLAIN_SECRET}: HTTP 401")),
    ]
    if workload.kind == "services":
        visit = _request("GET", "/cart?session=not-a-real-session", _VISITOR_IP)
        lines.append((-95.3, "requests", visit))
    return lines


def _attack_lines(fields: NotificationFields, workload: AffectedWorkload) -> list[_Line]:
    """What an attacker leaves; the query strings hold secrets."""
    fetch = f"fetched http://198.51.100.23/update.bin to {fields.binary}"
    lines: list[_Line] = [
        (-7.1, "stderr", _text("WARNING", fetch)),
        (-0.4, "stdout", _text("DEFAULT", f"{fields.binary} started")),
        (3.5, "varlog%2Fsystem", _text("WARNING", "Container CPU usage above 95 % for 3 s")),
    ]
    if workload.kind == "services":
        lines += [
            (-8.2, "requests", _request("POST", "/upload?name=../../x&token=none", _ATTACKER_IP)),
            (2.0, "requests", _request("GET", "/status?verbose=1", _ATTACKER_IP)),
        ]
    return lines


def _entry(
    fields: NotificationFields,
    workload: AffectedWorkload,
    seconds: float,
    log: str,
    content: JsonObject,
) -> JsonObject:
    """One entry of a log of Cloud Run, some seconds after the event."""
    moment = json_time(fields.event_time + dt.timedelta(seconds=seconds))
    return content | {
        "logName": f"projects/{workload.project}/logs/run.googleapis.com%2F{log}",
        "insertId": _digest(workload.full_name, log, moment)[:16],
        "timestamp": moment,
        "receiveTimestamp": moment,
        "resource": _resource(workload),
        "labels": _labels(workload),
    }


def _audit_entries(
    fields: NotificationFields, workload: AffectedWorkload, project: ProjectEntry
) -> list[JsonObject]:
    """The last deployment, and opening the workload to those who may invoke it."""
    collection = workload.kind[0].upper() + workload.kind[1:]
    deployed = fields.event_time + DEPLOYED_AFTER_EVENT
    member = (
        "allUsers" if workload.kind == "services" else f"user:{deployer_account(workload.project)}"
    )
    delta = {"action": "ADD", "role": "roles/run.invoker", "member": member}
    opened = {
        "@type": "type.googleapis.com/google.iam.v1.logging.AuditData",
        "policyDelta": {"bindingDeltas": [delta]},
    }
    environment = [{"name": "PARTNER_API_KEY", "value": PLAIN_SECRET}]
    container = {"name": workload.container, "image": workload.image, "env": environment}
    request = {"service": {"name": workload.full_name, "template": {"containers": [container]}}}
    verb = collection.removesuffix("s")
    return [
        _audit_entry(
            workload, project, deployed, f"{collection}.Update{verb}", {"request": request}
        ),
        _audit_entry(
            workload,
            project,
            deployed + _PUBLIC_ACCESS_DELAY,
            f"{collection}.SetIamPolicy",
            {"serviceData": opened, "request": {"resource": workload.full_name}},
        ),
    ]


def _audit_entry(
    workload: AffectedWorkload,
    project: ProjectEntry,
    moment: dt.datetime,
    method: str,
    more: JsonObject,
) -> JsonObject:
    """One entry of the admin activity log."""
    kind, labels = _resource(workload)["type"], _resource(workload)["labels"]
    payload = {
        "@type": "type.googleapis.com/google.cloud.audit.AuditLog",
        "serviceName": "run.googleapis.com",
        "methodName": f"google.cloud.run.v2.{method}",
        "resourceName": workload.full_name,
        "authenticationInfo": {"principalEmail": deployer_account(workload.project)},
        "requestMetadata": {
            "callerIp": _OPERATOR_IP,
            "callerSuppliedUserAgent": "google-cloud-sdk",
        },
    }
    return {
        "logName": f"projects/{project.project_id}/logs/cloudaudit.googleapis.com%2Factivity",
        "insertId": _digest(workload.full_name, method)[:16],
        "timestamp": json_time(moment),
        "receiveTimestamp": json_time(moment),
        "severity": "NOTICE",
        # An admin's call is about the whole workload, not about one of its revisions.
        "resource": {
            "type": kind,
            "labels": labels | dict.fromkeys(_resource_details(workload), ""),
        },
        "protoPayload": payload | more,
    }


def _resource(workload: AffectedWorkload) -> JsonObject:
    """The monitored resource that entries of a workload are filed under."""
    kind, label = {
        "services": ("cloud_run_revision", "service_name"),
        "jobs": ("cloud_run_job", "job_name"),
        "workerPools": ("cloud_run_worker_pool", "worker_pool_name"),
        "instances": ("cloud_run_instance", "instance_name"),
    }[workload.kind]
    own = {"project_id": workload.project, "location": workload.location, label: workload.name}
    return {"type": kind, "labels": own | _resource_details(workload)}


def _resource_details(workload: AffectedWorkload) -> dict[str, str]:
    if workload.kind in ("jobs", "instances"):
        return {}
    named = {"revision_name": revision_names(workload)[1]}
    return named | ({"configuration_name": workload.name} if workload.kind == "services" else {})


def _labels(workload: AffectedWorkload) -> dict[str, str]:
    if workload.kind == "jobs":
        return {"run.googleapis.com/execution_name": execution_name(workload)}
    return {"instanceId": _digest("instance", workload.full_name)}


def _text(severity: str, line: str) -> JsonObject:
    return {"severity": severity, "textPayload": line}


def _request(method: str, path: str, caller: str) -> JsonObject:
    request = {
        "requestMethod": method,
        "requestUrl": f"https://www.example.com{path}",
        "status": 200,
        "remoteIp": caller,
        "userAgent": "curl/8.5.0" if caller == _ATTACKER_IP else "Mozilla/5.0",
        "latency": "0.041s",
        "protocol": "HTTP/1.1",
    }
    return {"severity": "INFO", "httpRequest": request}


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
