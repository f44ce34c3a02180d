"""Cloud Logging client: workload logs and audit log.

Uses the generated client only: the handwritten one starts threads and reads metadata.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from typing import Any

from google.cloud.audit import audit_log_pb2
from google.cloud.logging_v2.services.logging_service_v2 import LoggingServiceV2AsyncClient
from google.cloud.logging_v2.types import ListLogEntriesRequest
from google.cloud.logging_v2.types import LogEntry as GoogleEntry
from google.iam.v1.logging import audit_data_pb2
from google.logging.type import log_severity_pb2
from google.protobuf.json_format import MessageToDict

from clients.errors import google_call
from clients.filters import audit_log_of, run_logs_of
from clients.retries import PATIENT
from incident.model import (
    AuditEvent,
    CutList,
    GrantScope,
    JsonObject,
    Listing,
    LogEntry,
    Logs,
    Permission,
    Workload,
)

# An entry may be 256 KiB: a page of 1,000 could be over 100 MB.
_PAGE_SIZE = 250
_MAX_BYTES = 4_000_000
# A page can be empty and still have a successor, and the quota is 60 reads a minute.
_MAX_SECONDS = 8

LIST_ENTRIES = Permission(
    "logging.logEntries.list",
    GrantScope.PROJECT,
    "reads what the workload logged, and in the audit log who changed it",
)

# Of the permissions in an audit entry only these are kept: that a shell was opened.
_SHELL_PERMISSION = re.compile(r"run\.[A-Za-z]{1,40}\.ssh(Root|Read)")


class CloudLogging:
    """Reads log entries, newest first, bounded by count and by bytes."""

    def __init__(self, client: LoggingServiceV2AsyncClient) -> None:
        self._client = client

    async def entries(
        self, workload: Workload, start: datetime, end: datetime, *, limit: int
    ) -> Logs:
        """The workload's own logs between two moments.

        Raises:
            Retry: A transient failure; the quota is 60 reads a minute for each project.
            GiveUp: A permanent failure.
        """
        kept: list[LogEntry] = []
        size = 0
        query = run_logs_of(workload, start, end)
        async with contextlib.aclosing(self._read(workload, query, limit)) as entries:
            async for entry in entries:
                size += type(entry).pb(entry).ByteSize() if entry else 0
                if entry is None or len(kept) == limit or size > _MAX_BYTES:
                    return Logs(tuple(kept), truncated=True)
                kept.append(_entry(entry))
        return Logs(tuple(kept), truncated=False)

    async def audit(
        self, workload: Workload, start: datetime, end: datetime, *, limit: int
    ) -> Listing[AuditEvent]:
        """Audit log entries of changes to the workload between two moments.

        Raises:
            Retry: A transient failure; the quota is 60 reads a minute for each project.
            GiveUp: A permanent failure.
        """
        events: list[AuditEvent] = []
        query = audit_log_of(workload, start, end)
        async with contextlib.aclosing(self._read(workload, query, limit)) as entries:
            async for entry in entries:
                event = _audit_event(entry) if entry else None
                if entry is None or (event and len(events) == limit):
                    text = f"only the newest {len(events)} entries of the audit log were read"
                    return CutList(tuple(events), text)
                if event:
                    events.append(event)
        return tuple(events)

    async def _read(
        self, workload: Workload, query: str, limit: int
    ) -> AsyncGenerator[GoogleEntry | None, None]:
        """The entries, newest first; None at last where not all were read within the time."""
        project = f"projects/{workload.project}"
        request = ListLogEntriesRequest(
            resource_names=[project],
            filter=query,
            order_by="timestamp desc",
            page_size=min(limit + 1, _PAGE_SIZE),
        )
        end = time.monotonic() + _MAX_SECONDS
        with google_call("read the logs of", workload.resource_name, LIST_ENTRIES):
            answer = await self._client.list_log_entries(request, **PATIENT.options())
            async for page in answer.pages:
                for entry in page.entries:
                    yield entry
                if page.next_page_token and time.monotonic() > end:
                    yield None
                    return


def _entry(entry: GoogleEntry) -> LogEntry:
    message = type(entry).pb(entry)
    labels = dict(message.labels)
    return LogEntry(
        timestamp=_moment(message.timestamp),
        log=_short_log(message.log_name),
        severity=_severity(message.severity),
        text=_text(message),
        payload=_payload(message),
        revision=message.resource.labels.get("revision_name", ""),
        instance=labels.get("instanceId", ""),
        request=_request(message),
    )


def _severity(number: int) -> str:
    """A severity by name, or by its number where this library does not know it."""
    known = log_severity_pb2.LogSeverity.DESCRIPTOR.values_by_number
    return known[number].name if number in known else str(number)


def _short_log(name: str) -> str:
    return name.rpartition("run.googleapis.com%2F")[2].replace("%2F", "/")


def _text(message: Any) -> str:
    match message.WhichOneof("payload"):
        case "text_payload":
            return str(message.text_payload)
        case "proto_payload":
            return f"payload of type {message.proto_payload.type_url}"
        case _:
            return ""


def _payload(message: Any) -> JsonObject | None:
    if message.WhichOneof("payload") != "json_payload":
        return None
    payload: JsonObject = MessageToDict(message.json_payload)
    return payload


def _request(message: Any) -> JsonObject | None:
    if not message.HasField("http_request"):
        return None
    request: JsonObject = MessageToDict(message.http_request)
    return request


def _audit_event(entry: GoogleEntry) -> AuditEvent | None:
    """Who did what. Request and response hold values, so they are not kept."""
    message = type(entry).pb(entry)
    log = audit_log_pb2.AuditLog()
    if not message.proto_payload.Unpack(log):
        return None
    return AuditEvent(
        timestamp=_moment(message.timestamp),
        principal=log.authentication_info.principal_email,
        method=log.method_name,
        resource=log.resource_name,
        caller_ip=log.request_metadata.caller_ip,
        error=log.status.message if log.status.code else "",
        bindings=_binding_deltas(log.service_data),
        environment_names=_environment_names(
            [MessageToDict(log.request), MessageToDict(log.response)]
        ),
        permissions=tuple(
            dict.fromkeys(
                each.permission
                for each in log.authorization_info
                if _SHELL_PERMISSION.fullmatch(each.permission)
            )
        ),
    )


def _environment_names(bodies: list[Any]) -> tuple[str, ...]:
    """Names of the variables in every list called ``env``: what there is to rotate."""
    names: dict[str, None] = {}
    left = list(bodies)
    while left:
        here = left.pop()
        if isinstance(here, list):
            left.extend(here)
        elif isinstance(here, dict):
            left.extend(here.values())
            for variable in here["env"] if isinstance(here.get("env"), list) else ():
                if isinstance(variable, dict) and isinstance(variable.get("name"), str):
                    names[variable["name"]] = None
    return tuple(sorted(names))


def _binding_deltas(service_data: Any) -> tuple[str, ...]:
    data = audit_data_pb2.AuditData()
    if not service_data.Unpack(data):
        return ()
    return tuple(
        f"{_action(delta.action)} {delta.role} {delta.member}"
        for delta in data.policy_delta.binding_deltas
    )


def _action(number: int) -> str:
    return {1: "ADD", 2: "REMOVE"}.get(number, str(number))


def _moment(timestamp: Any) -> datetime:
    moment: datetime = timestamp.ToDatetime(tzinfo=UTC)
    return moment
