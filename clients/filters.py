"""Build quoted list filters for SCC findings and log entries. Pure.

Names come from a finding, whose text the attacker may have chosen: all go through :func:`quote`.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from incident.model import Kind, Workload

_LOG_RESOURCES = {
    Kind.SERVICE: ("cloud_run_revision", "service_name"),
    Kind.JOB: ("cloud_run_job", "job_name"),
    Kind.WORKER_POOL: ("cloud_run_worker_pool", "worker_pool_name"),
    Kind.INSTANCE: ("cloud_run_instance", "instance_name"),
}
_RUN_LOGS = ("requests", "stdout", "stderr", "varlog/system")
_AUDIT_LOGS = ("activity", "system_event")


def quote(value: str) -> str:
    r"""Quote a value as a string of both filter languages: ``"`` and ``\`` are escaped.

    The result is one string literal, whatever the value.
    """
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def timestamp(moment: datetime) -> str:
    """A time for both filter languages: RFC 3339 in UTC, quoted."""
    return quote(moment.astimezone(UTC).isoformat().replace("+00:00", "Z"))


def findings_since(moment: datetime) -> str:
    """Findings of a source that were detected or updated at that time or later."""
    return f"event_time>={timestamp(moment)}"


def findings_named(names: Iterable[str]) -> str:
    """Findings with one of these resource names; ``OR`` binds tighter than ``AND`` there."""
    return " OR ".join(f"name={quote(name)}" for name in names)


def findings_of(workload: Workload, start: datetime, end: datetime) -> str:
    """Findings whose resource name may be the workload's: the API matches substrings only."""
    tail = f"/{workload.kind.collection}/{workload.name}"
    return (
        f'resource_name:"//run.googleapis.com/" AND resource_name:{quote(tail)}'
        f" AND event_time>={timestamp(start)} AND event_time<={timestamp(end)}"
    )


def run_logs_of(workload: Workload, start: datetime, end: datetime) -> str:
    """The workload's logs: requests, output, system."""
    names = [f"run.googleapis.com%2F{log.replace('/', '%2F')}" for log in _RUN_LOGS]
    return _logs(workload, names, start, end)


def audit_log_of(workload: Workload, start: datetime, end: datetime) -> str:
    """Audit log entries of changes to the workload or its IAM policy."""
    names = [f"cloudaudit.googleapis.com%2F{log}" for log in _AUDIT_LOGS]
    return _logs(workload, names, start, end)


def _logs(workload: Workload, names: list[str], start: datetime, end: datetime) -> str:
    resource_type, label = _LOG_RESOURCES[workload.kind]
    logs = " OR ".join(quote(f"projects/{workload.project}/logs/{name}") for name in names)
    return (
        f"logName=({logs}) AND resource.type={quote(resource_type)}"
        f" AND resource.labels.{label}={quote(workload.name)}"
        f" AND resource.labels.location={quote(workload.location)}"
        f" AND timestamp>={timestamp(start)} AND timestamp<={timestamp(end)}"
    )
