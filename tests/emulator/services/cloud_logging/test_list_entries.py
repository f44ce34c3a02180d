"""Listing log entries."""

from __future__ import annotations

from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud.audit import audit_log_pb2
from google.cloud.logging_v2.types import LogEntry

from tests.support.constants import PROJECT_ID, PROJECT_NUMBER
from tests.support.google_clients import GoogleClients, google_clients, world_with_services

PARENT = f"projects/{PROJECT_ID}"
METHOD = "google.cloud.run.v2.Services.UpdateService"


def entry(second: int, log: str = "run.googleapis.com%2Fstdout", **fields: Any) -> dict[str, Any]:
    """An entry that was written so many seconds after 08:00, called by that number."""
    return {
        "logName": f"{PARENT}/logs/{log}",
        "timestamp": f"2026-10-02T08:00:{second:02}.5Z",
        "insertId": f"{second:02}",
        "resource": {
            "type": "cloud_run_revision",
            "labels": {"service_name": "storefront", "location": "europe-west1"},
        },
    } | fields


ENTRIES = [
    entry(3, severity="ERROR", textPayload="Connection refused", labels={"instanceId": "abc"}),
    entry(1, severity="INFO", jsonPayload={"message": "started", "port": 8080, "ok": True}),
    entry(2, "run.googleapis.com%2Frequests",
          httpRequest={"status": 503, "requestUrl": "https://x/", "requestSize": "120"}),
    entry(4, "cloudaudit.googleapis.com%2Factivity",
          labels={"run.googleapis.com/execution_name": "e-1"},
          protoPayload={
              "@type": "type.googleapis.com/google.cloud.audit.AuditLog",
              "methodName": METHOD,
              "authenticationInfo": {"principalEmail": "someone@example.com"},
              "authorizationInfo": [{"permission": "run.services.update", "granted": True}],
              "request": {"service": {"name": "storefront"}},
          }),
    {"logName": "projects/other/logs/x", "timestamp": "2026-10-02T08:00:00Z"},
]  # fmt: skip


async def listed(google: GoogleClients, text: str = "", **request: Any) -> list[LogEntry]:
    """The entries that a request lists, all pages of them."""
    whole = {"resource_names": [PARENT], "filter": text, **request}
    pages = await google.logging.list_log_entries(request=whole, retry=None)
    return [found async for found in pages]


async def ids(google: GoogleClients, text: str = "", **request: Any) -> str:
    """The same, as one digit for each entry."""
    return "".join(found.insert_id[1:] for found in await listed(google, text, **request))


@pytest.mark.parametrize(
    ("order_by", "found"),
    [("", "1234"), ("timestamp asc", "1234"), ("timestamp desc", "4321")],
)
async def test_entries_come_in_the_order_of_time(order_by: str, found: str) -> None:
    """Oldest first unless the newest are asked for, whatever the order of the world."""
    async with google_clients(world_with_services(logEntries=ENTRIES)) as google:
        assert await ids(google, order_by=order_by) == found


async def test_entries_are_those_of_the_named_projects() -> None:
    """A project is meant by its id and by its number; views count as their project."""
    async with google_clients(world_with_services(logEntries=ENTRIES)) as google:
        assert await ids(google, resource_names=[f"projects/{PROJECT_NUMBER}"]) == "1234"
        view = f"{PARENT}/locations/global/buckets/_Default/views/_AllLogs"
        assert await ids(google, resource_names=[view]) == "1234"
        assert len(await listed(google, resource_names=[PARENT, "projects/other"])) == 5
        for bad in ([], ["nonsense"], ["projects/"], [PARENT] * 101):
            with pytest.raises(exceptions.InvalidArgument):
                await listed(google, resource_names=bad)


async def test_an_audit_entry_carries_its_payload() -> None:
    """The payload is an audit log in an Any, as a real client expects it."""
    async with google_clients(world_with_services(logEntries=ENTRIES)) as google:
        (found,) = await listed(google, f'protoPayload.methodName="{METHOD}"')
        payload = audit_log_pb2.AuditLog()
        assert LogEntry.pb(found).proto_payload.Unpack(payload)
        assert payload.authentication_info.principal_email == "someone@example.com"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            'resource.type="cloud_run_revision" AND resource.labels.service_name="storefront"',
            "1234",
        ),
        ('resource.labels.service_name="store"', ""),
        ('resource.labels.service_name:"store"', "1234"),
        (f'logName="{PARENT}/logs/run.googleapis.com%2Frequests"', "2"),
        (f'log_name:"{PARENT}/logs/run.googleapis.com"', "123"),
        (f'logName=("{PARENT}/logs/run.googleapis.com%2Fstdout" OR "{PARENT}/logs/x")', "13"),
        ("severity>=WARNING", "3"),
        ("severity=INFO", "1"),
        ('severity="error" OR severity=200', "13"),
        ("severity!=DEFAULT", "13"),
        ('timestamp>="2026-10-02T08:00:02.5Z" AND timestamp<="2026-10-02T10:00:03.5+02:00"', "23"),
        ('timestamp>"2026-10-02" timestamp<"2026-10-03"', "1234"),
        ('labels.instanceId="abc"', "3"),
        ('labels.instance_id="abc"', ""),
        ('labels."run.googleapis.com/execution_name"="e-1"', "4"),
        ("labels.instanceId:*", "3"),
        ("labels:instanceId", "3"),
        ('textPayload:"connection"', "3"),
        ('textPayload="connection REFUSED"', "3"),
        ('NOT textPayload:"connection"', "124"),
        ('textPayload!="x"', "3"),
        ("jsonPayload.port>8000", "1"),
        ("jsonPayload.port=8080 jsonPayload.ok=true", "1"),
        ("httpRequest.status>=500 httpRequest.requestSize<1000", "2"),
        ("http_request.status=503", "2"),
        ('protoPayload.authenticationInfo.principalEmail:"@example.com"', "4"),
        ('protoPayload.authorizationInfo.permission="run.services.update"', "4"),
        ('protoPayload.request.service.name="storefront"', "4"),
        ('insertId=("01" OR "02")', "12"),
        ("insertId>02", "34"),
        ('insertId>"a"', ""),
        ("", "1234"),
    ],
)
async def test_filters_choose_entries(text: str, found: str) -> None:
    """Fields of every kind, by the rules of the Logging query language."""
    async with google_clients(world_with_services(logEntries=ENTRIES)) as google:
        assert await ids(google, text) == found


@pytest.mark.parametrize(
    "text",
    [
        'nonsense="x"', '"search term"', "error", 'textPayload=~"x"', "severity>=LOUD",
        'timestamp>="yesterday"', "textPayload=", 'a="', "insertId=abc:def",
    ],
)  # fmt: skip
async def test_a_filter_that_is_not_understood_is_refused(text: str, google: GoogleClients) -> None:
    """Unknown fields, and what this subset of the language does not have."""
    with pytest.raises(exceptions.InvalidArgument, match="Unparseable filter"):
        await listed(google, text)


async def test_a_filter_may_be_twenty_thousand_characters_long(google: GoogleClients) -> None:
    """One character more is refused."""
    text = 'insertId="' + "x" * (20_000 - 11) + '"'
    assert not await listed(google, text)
    with pytest.raises(exceptions.InvalidArgument, match="20000"):
        await listed(google, text + " ")


async def test_pages_are_of_fifty_and_at_most_a_thousand() -> None:
    """The sizes that the API documents; a longer page is refused rather than cut."""
    entries = [entry(0, insertId=f"{n:04}") for n in range(120)]
    async with google_clients(world_with_services(logEntries=entries)) as google:
        request = {"resource_names": [PARENT]}
        first = await anext((await google.logging.list_log_entries(request=request)).pages)
        assert len(first.entries) == 50
        assert len(await listed(google, page_size=50)) == 120
        for bad in (-1, 1001):
            with pytest.raises(exceptions.InvalidArgument, match="page_size"):
                await listed(google, page_size=bad)
        with pytest.raises(exceptions.InvalidArgument, match="page_token"):
            await listed(google, "severity=INFO", page_token=first.next_page_token)
        with pytest.raises(exceptions.InvalidArgument, match="order_by"):
            await listed(google, order_by="severity")


async def test_sixty_reads_a_minute_are_allowed_to_a_project() -> None:
    """The sixty-first is refused; another project is not affected."""
    async with google_clients(world_with_services(logEntries=ENTRIES)) as google:
        for _ in range(60):
            await listed(google)
        with pytest.raises(exceptions.ResourceExhausted, match="Quota exceeded"):
            await listed(google, resource_names=[f"projects/{PROJECT_NUMBER}"])
        assert await listed(google, resource_names=["projects/other"])
