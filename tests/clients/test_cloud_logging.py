"""Cloud Logging: bounded, newest first, and nothing of an audit entry but who did what."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from incident.model import AuditEvent, CutList, Denied, GiveUp, Listing, Logs, Retry
from tests.clients.conftest import ConnectClients, ConnectedClients
from tests.support.constants import SERVICE
from tests.support.model import NOW, whole, workload

START, END = NOW - timedelta(minutes=30), NOW + timedelta(minutes=30)
PLANTED = "planted-in-an-audit-entry"
LABELS = {
    "service_name": "storefront",
    "location": "europe-west1",
    "revision_name": "storefront-00042",
}


def entry(
    after_s: float = 0, log: str = "run.googleapis.com%2Fstdout", **changes: Any
) -> dict[str, Any]:
    """An entry of the service, some seconds after the event."""
    return {
        "logName": f"projects/example-shop-prod/logs/{log}",
        "timestamp": (NOW + timedelta(seconds=after_s)).isoformat().replace("+00:00", "Z"),
        "resource": {"type": "cloud_run_revision", "labels": LABELS},
        "severity": "INFO",
        "labels": {"instanceId": "instance-1"},
        **({"textPayload": f"line {after_s:g}"} if "Payload" not in str(changes) else {}),
        **changes,
    }


def audit(after_s: float = 0, **payload: Any) -> dict[str, Any]:
    """An audit entry of the service."""
    return entry(
        after_s,
        "cloudaudit.googleapis.com%2Factivity",
        protoPayload={
            "@type": "type.googleapis.com/google.cloud.audit.AuditLog",
            "serviceName": "run.googleapis.com",
            "methodName": "google.cloud.run.v2.Services.UpdateService",
            "resourceName": SERVICE,
            "authenticationInfo": {"principalEmail": "ci@example.com"},
            "requestMetadata": {"callerIp": "192.0.2.7", "callerSuppliedUserAgent": PLANTED},
            **payload,
        },
    )


def world(*entries: dict[str, Any], **others: Any) -> dict[str, Any]:
    """A world with log entries."""
    projects = [{"projectId": "example-shop-prod", "projectNumber": "210987654321"}]
    return {"projects": projects, "logEntries": list(entries), **others}


async def logs(cloud: ConnectedClients, limit: int = 500) -> Logs:
    """The service's logs around the event."""
    return await cloud.clients.logging.entries(workload(), START, END, limit=limit)


async def events(cloud: ConnectedClients, limit: int = 50) -> Listing[AuditEvent]:
    """Who changed the service around the event."""
    return await cloud.clients.logging.audit(workload(), START, END, limit=limit)


async def test_entries_come_newest_first(connect_clients: ConnectClients) -> None:
    """Each with its log, severity, text, revision and instance."""
    async with connect_clients(world(entry(1), entry(3), entry(2))) as cloud:
        found = await logs(cloud)
    assert [each.text for each in found.entries] == ["line 3", "line 2", "line 1"]
    newest = found.entries[0]
    assert newest.timestamp == NOW + timedelta(seconds=3)
    assert (newest.log, newest.severity, newest.revision, newest.instance) == (
        "stdout",
        "INFO",
        "storefront-00042",
        "instance-1",
    )
    assert newest.request is None
    assert not found.truncated


@pytest.mark.parametrize(
    ("log", "shown"),
    [
        ("requests", "requests"),
        ("stdout", "stdout"),
        ("stderr", "stderr"),
        ("varlog%2Fsystem", "varlog/system"),
    ],
)
async def test_each_log_of_the_workload_is_read(
    connect_clients: ConnectClients, log: str, shown: str
) -> None:
    """Requests, output and system entries alike."""
    async with connect_clients(world(entry(log=f"run.googleapis.com%2F{log}"))) as cloud:
        (found,) = (await logs(cloud)).entries
    assert found.log == shown


async def test_other_workloads_times_and_logs_are_not_read(connect_clients: ConnectClients) -> None:
    """Nothing but the service's own, in the window."""
    foreign = [
        entry(resource={"type": "cloud_run_revision", "labels": {**LABELS, key: "other"}})
        for key in ("service_name", "location")
    ]
    foreign += [
        entry(resource={"type": "cloud_run_job", "labels": LABELS}),
        entry(after_s=1801),
        entry(after_s=-1801),
        entry(log="something-else"),
        audit(),
    ]
    async with connect_clients(world(*foreign)) as cloud:
        assert await logs(cloud) == Logs((), truncated=False)


@pytest.mark.parametrize(
    ("payload", "text", "fields"),
    [
        ({"textPayload": "hello\nworld"}, "hello\nworld", None),
        ({"jsonPayload": {"a": [1, True]}}, "", {"a": [1.0, True]}),
        ({"httpRequest": {"requestMethod": "GET"}, "noPayload": 0}, "", None),
    ],
)
async def test_any_payload_is_kept(
    connect_clients: ConnectClients,
    payload: dict[str, Any],
    text: str,
    fields: dict[str, Any] | None,
) -> None:
    """What the workload wrote, in whatever form: structure is what the redaction reads."""
    changes = {key: value for key, value in payload.items() if key != "noPayload"}
    made = entry(**changes)
    if "noPayload" in payload:
        del made["textPayload"]
    async with connect_clients(world(made)) as cloud:
        (found,) = (await logs(cloud)).entries
    assert (found.text, found.payload) == (text, fields)


async def test_a_request_is_kept_with_its_fields(connect_clients: ConnectClients) -> None:
    """Method, URL and status of a request entry."""
    request = {"requestMethod": "POST", "requestUrl": "https://x/y?z=1", "status": 500}
    async with connect_clients(world(entry(httpRequest=request))) as cloud:
        (found,) = (await logs(cloud)).entries
    assert found.request == request


async def test_a_payload_that_is_a_message_is_named_only(connect_clients: ConnectClients) -> None:
    """What is inside is not the workload's text."""
    payload = {"@type": "type.googleapis.com/google.cloud.audit.AuditLog", "methodName": PLANTED}
    async with connect_clients(world(entry(protoPayload=payload))) as cloud:
        (found,) = (await logs(cloud)).entries
    assert "AuditLog" in found.text
    assert PLANTED not in found.text


@pytest.mark.parametrize(
    ("there", "limit", "kept", "truncated"),
    [(0, 1, 0, False), (3, 3, 3, False), (4, 3, 3, True), (300, 260, 260, True)],
)
async def test_the_count_is_bounded(
    connect_clients: ConnectClients, there: int, limit: int, kept: int, *, truncated: bool
) -> None:
    """The newest are kept, and it is said when there were more."""
    async with connect_clients(world(*(entry(number) for number in range(there)))) as cloud:
        found = await logs(cloud, limit)
    assert (len(found.entries), found.truncated) == (kept, truncated)
    assert [each.text for each in found.entries[:1]] == [f"line {there - 1}"] * bool(kept)


async def test_the_bytes_are_bounded(connect_clients: ConnectClients) -> None:
    """A workload that logs megabytes does not fill our memory."""
    big = [entry(number, textPayload="x" * 900_000) for number in range(8)]
    async with connect_clients(world(*big)) as cloud:
        found = await logs(cloud)
    assert (len(found.entries), found.truncated) == (4, True)


async def test_one_entry_that_is_too_large_is_left_out(connect_clients: ConnectClients) -> None:
    """And it is said."""
    async with connect_clients(world(entry(textPayload="x" * 5_000_000))) as cloud:
        assert await logs(cloud) == Logs((), truncated=True)


# The audit log.


async def test_an_audit_event_says_who_did_what(connect_clients: ConnectClients) -> None:
    """Principal, method, resource and address, newest first."""
    refused = audit(2, status={"code": 7, "message": "denied"})
    async with connect_clients(world(audit(1), refused)) as cloud:
        newest, older = whole(await events(cloud))
    assert (newest.error, older.error) == ("denied", "")
    assert (older.principal, older.method, older.resource, older.caller_ip) == (
        "ci@example.com",
        "google.cloud.run.v2.Services.UpdateService",
        SERVICE,
        "192.0.2.7",
    )
    assert newest.timestamp > older.timestamp


async def test_audit_requests_and_responses_are_dropped(connect_clients: ConnectClients) -> None:
    """They hold environment values; only what is named is taken from an entry."""
    spec = {"service": {"template": {"containers": [{"env": [{"name": "X", "value": PLANTED}]}]}}}
    made = audit(
        request=spec,
        response=spec,
        metadata={"x": PLANTED},
        authenticationInfo={"principalEmail": "ci@example.com", "principalSubject": PLANTED},
        authorizationInfo=[{"resource": PLANTED, "permission": PLANTED}],
        status={"code": 0, "message": PLANTED},
    )
    async with connect_clients(world(made)) as cloud:
        (event,) = whole(await events(cloud))
    assert PLANTED not in repr(event)


async def test_an_iam_policy_change_is_read_with_its_deltas(
    connect_clients: ConnectClients,
) -> None:
    """Who was let in or out is in the entry itself."""
    data = {
        "@type": "type.googleapis.com/google.iam.v1.logging.AuditData",
        "policyDelta": {
            "bindingDeltas": [
                {"action": "ADD", "role": "roles/run.invoker", "member": "allUsers"},
                {"action": "REMOVE", "role": "roles/viewer", "member": "user:x@example.com"},
            ]
        },
    }
    async with connect_clients(world(audit(serviceData=data))) as cloud:
        (event,) = whole(await events(cloud))
    assert event.bindings == (
        "ADD roles/run.invoker allUsers",
        "REMOVE roles/viewer user:x@example.com",
    )


async def test_a_text_entry_in_the_audit_log_is_skipped(connect_clients: ConnectClients) -> None:
    """A text entry names no actor; with more entries than the limit the list is cut."""
    odd = entry(log="cloudaudit.googleapis.com%2Factivity")
    async with connect_clients(world(odd, audit(1), audit(2), audit(3))) as cloud:
        assert len(whole(await events(cloud))) == 3
        newest = await events(cloud, 2)
    assert isinstance(newest, CutList)
    assert len(newest.found) == 2
    assert newest.reason == "only the newest 2 entries of the audit log were read"


@pytest.mark.parametrize(
    ("code", "error", "text"),
    [
        ("PERMISSION_DENIED", Denied, "permission logging.logEntries.list is missing"),
        ("RESOURCE_EXHAUSTED", Retry, "a quota of its project is used up"),
        ("INVALID_ARGUMENT", GiveUp, "Google refuses the call"),
        ("INTERNAL", Retry, "does not answer"),
    ],
)
async def test_logs_that_cannot_be_read_say_why(
    connect_clients: ConnectClients, code: str, error: type[Exception], text: str
) -> None:
    """The message names the workload and what to grant."""
    async with connect_clients(world(faults=[{"method": "ListLogEntries", "code": code}])) as cloud:
        for read in (logs, events):
            with pytest.raises(error, match=f"read the logs of {SERVICE}: .*{text}"):
                await read(cloud)


async def test_a_failed_later_page_is_reported(connect_clients: ConnectClients) -> None:
    """Half of the logs is not all of them."""
    fault = {"method": "ListLogEntries", "code": "PERMISSION_DENIED", "after": 1}
    entries = [entry(number) for number in range(260)]
    async with connect_clients(world(*entries, faults=[fault])) as cloud:
        with pytest.raises(Denied):
            await logs(cloud)


async def test_an_audit_event_keeps_variable_names_and_no_values(
    connect_clients: ConnectClients,
) -> None:
    """The names of environment variables are the rotation list; their values stay behind."""
    container = {"env": [{"name": "API_TOKEN", "value": PLANTED}, {"name": "MODE", "value": "x"}]}
    request = {"service": {"template": {"containers": [container]}}}
    async with connect_clients(world(audit(1, request=request))) as cloud:
        (event,) = whole(await events(cloud))
    assert event.environment_names == ("API_TOKEN", "MODE")
    assert PLANTED not in repr(event)
