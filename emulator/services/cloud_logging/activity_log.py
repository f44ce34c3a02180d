"""Admin activity audit log: one entry for each accepted write."""

from __future__ import annotations

import contextvars
from typing import Any
from urllib.parse import quote

import grpc.aio
from google.cloud.audit import audit_log_pb2
from google.cloud.logging_v2.types import LogEntry

from emulator.api import proto_json
from emulator.api.resource_names import segment_after
from emulator.services.gate import Method, set_access_token
from emulator.world.cloud_run.resources import DEFAULT_CALLER, current_time
from emulator.world.state import World

#: The metadata in which a client may say who it is; real clients send a token instead.
PRINCIPAL_METADATA = "x-emulator-principal"
_CLOUD_RUN = "/google.cloud.run.v2."
_LOG_ID = quote("cloudaudit.googleapis.com/activity", safe="")
_MONITORED_RESOURCES = {
    "services": ("cloud_run_revision", "service_name"),
    "jobs": ("cloud_run_job", "job_name"),
    "workerPools": ("cloud_run_worker_pool", "worker_pool_name"),
    "instances": ("cloud_run_instance", "instance_name"),
}
_caller: contextvars.ContextVar[str] = contextvars.ContextVar("caller", default=DEFAULT_CALLER)


def current_caller() -> str:
    """Who makes the call that is being answered."""
    return _caller.get()


def set_caller(context: grpc.aio.ServicerContext[Any, Any]) -> None:
    """Take down who makes the call that is about to be answered."""
    metadata = dict(context.invocation_metadata() or ())
    set_access_token(str(metadata.get("authorization", "")))
    _caller.set(str(metadata.get(PRINCIPAL_METADATA, DEFAULT_CALLER)))


def record_call(method: Method, request: Any, world: World) -> None:
    """Write an accepted call into the activity log, if it is one that changed Cloud Run."""
    message = proto_json.unwrap(request)
    asked_only = getattr(message, "validate_only", False)
    if not method.name.startswith(_CLOUD_RUN) or method.writes_to is None or asked_only:
        return
    name = world.canonical(_target(message))
    found = [collection for collection in _MONITORED_RESOURCES if segment_after(name, collection)]
    if found:
        world.log_entries.append(_entry(method, name, found[0], world))


def _target(message: Any) -> str:
    """The resource that a request is about, wherever it names it."""
    for field in ("name", "resource"):
        if isinstance(named := getattr(message, field, None), str):
            return named
    for field in ("service", "worker_pool", "job"):
        if field in message.DESCRIPTOR.fields_by_name:
            return str(getattr(message, field).name)
    return ""


def _entry(method: Method, name: str, collection: str, world: World) -> LogEntry:
    project = segment_after(name, "projects")
    kind, label = _MONITORED_RESOURCES[collection]
    moment = current_time()
    payload = audit_log_pb2.AuditLog(
        service_name="run.googleapis.com",
        method_name=method.name.removeprefix("/").replace("/", "."),
        resource_name=name,
    )
    payload.authentication_info.principal_email = current_caller()
    payload.request_metadata.caller_ip = "192.0.2.201"
    entry = LogEntry(
        log_name=f"projects/{project}/logs/{_LOG_ID}",
        insert_id=proto_json.fingerprint("audit", len(world.log_entries), name)[:16],
        timestamp=moment,
        receive_timestamp=moment,
        severity="NOTICE",
    )
    raw = LogEntry.pb(entry)
    raw.resource.type = kind
    raw.resource.labels.update(
        {
            "project_id": project,
            "location": segment_after(name, "locations"),
            label: segment_after(name, collection),
        }
    )
    raw.proto_payload.Pack(payload)
    return entry
