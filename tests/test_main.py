"""The forms in which events reach the function, and its answers, log lines and settings."""

from __future__ import annotations

import asyncio
import base64
import datetime as dt
import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from emulator.runner.function_process import FunctionFailed
from emulator.services.loopback import NO_TLS
from emulator.services.pubsub.push import push_body
from tests.support.constants import EVENT_TIME
from tests.support.findings import SampleFinding
from tests.support.function_process import (
    FIVE_SECONDS_LATER,
    JsonDict,
    RunningFunction,
    connections_to,
    has_client_threads,
    running_function,
    threads_of,
)
from tests.support.worlds import world_with_findings

pytestmark = pytest.mark.asyncio(loop_scope="module")

PUSHED, STRUCTURED, BINARY, TRACED, ALWAYS = (SampleFinding(str(n)) for n in range(1, 6))
LISTED_FINDINGS = (PUSHED, STRUCTURED, BINARY, TRACED, ALWAYS)
UNLISTED_FINDING = SampleFinding("a")
PROJECT = "example-security"
JSON = "application/json"
CLOUD_EVENT = {
    "specversion": "1.0",
    "id": "1096434104173400",
    "source": "//pubsub.googleapis.com/projects/example-security/topics/findings",
    "type": "google.cloud.pubsub.topic.v1.messagePublished",
    "time": "2026-10-02T08:14:10.1Z",
}
SUBSCRIPTION = {"subscription": "projects/example-security/subscriptions/findings"}


def event(data: object = None, **message: object) -> JsonDict:
    """What Eventarc carries as the data of an event; without data, no message data."""
    return {
        "message": {"messageId": "1"} | ({"data": data} if data else {}) | message
    } | SUBSCRIPTION


def message_data(reported: SampleFinding) -> str:
    """A notification as the data of a message."""
    return base64.b64encode(reported.notification).decode()


def json_body(value: object) -> bytes:
    """A body of JSON."""
    return json.dumps(value).encode()


# What the framework rejects before our code runs, or our code finds no message in.
REJECTED: dict[str, tuple[str, bytes]] = {
    "not JSON": (JSON, b'{"message": '),
    "empty": (JSON, b""),
    "no UTF-8": (JSON, b"\xff\xfe\xfd"),
    "wrong content type": ("text/plain", json_body(push_body(b"{}", EVENT_TIME))),
    "no data": (JSON, json_body(event())),
    "an empty object": (JSON, b"{}"),
    "a list": (JSON, b"[1]"),
    "a string": (JSON, b'"hello"'),
    "nothing": (JSON, b"null"),
    "nested too deeply": (JSON, b"[" * 100_000 + b"]" * 100_000),
    "not base64": (JSON, json_body(event("%%%"))),
    "a CloudEvent without data": ("application/cloudevents+json", json_body(CLOUD_EVENT)),
    "a CloudEvent without message data": (
        "application/cloudevents+json",
        json_body(CLOUD_EVENT | {"data": event()}),
    ),
    "a CloudEvent with data that is not base64": (
        "application/cloudevents+json",
        json_body(CLOUD_EVENT | {"data": event("%%%")}),
    ),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def staged_function(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[RunningFunction]:
    """One function for everything that is delivered here, with every mode at its default."""
    folder = tmp_path_factory.mktemp("main")
    settings = FIVE_SECONDS_LATER | {"RESPONDER_PROJECT": PROJECT}
    async with running_function(
        world_with_findings(*LISTED_FINDINGS), folder, settings=settings
    ) as ready:
        yield ready


@pytest_asyncio.fixture(loop_scope="module")
async def function_without_store(tmp_path: Path) -> AsyncIterator[RunningFunction]:
    """A function that cannot open its store: obstore refuses the name."""
    settings = FIVE_SECONDS_LATER | {
        "RESPONDER_STORE": "gs://case-files/%ff",
        "THREADS": "1",
    }
    async with running_function(world_with_findings(PUSHED), tmp_path, settings=settings) as ready:
        yield ready


async def post(
    staged_function: RunningFunction, body: bytes, headers: dict[str, str], *, method: str = "POST"
) -> tuple[int, list[JsonDict]]:
    """How a request is answered, and what is logged about it."""
    before, reported_text = (
        len(staged_function.function.outcome_entries),
        len(staged_function.function.logged_outcomes),
    )
    async with httpx.AsyncClient(timeout=30, trust_env=False, verify=NO_TLS) as client:
        answer = await client.request(
            method, staged_function.function.url, content=body, headers=headers
        )
    if method == "POST":
        await staged_function.function.wait_for_outcomes(reported_text + 1)
    return answer.status_code, staged_function.function.outcome_entries[before:]


async def push_finding(
    staged_function: RunningFunction, reported: SampleFinding, **headers: str
) -> tuple[int, list[JsonDict]]:
    """The same for a raw push of a finding."""
    body = json_body(push_body(reported.notification, reported.event_time))
    return await post(staged_function, body, {"content-type": JSON, **headers})


def statuses(entries: list[JsonDict]) -> list[str | None]:
    """What log lines give as outcomes; None for a retry."""
    return [entry["outcome"] and entry["outcome"]["status"] for entry in entries]


async def test_no_client_is_created_before_the_first_event(tmp_path: Path) -> None:
    """Gunicorn forks first: until an event comes, there are no clients and no threads of them."""
    async with running_function(world_with_findings(PUSHED), tmp_path) as fresh:
        await post(fresh, b"", {}, method="GET")
        while not fresh.function.worker_pids:  # noqa: ASYNC110 - the socket listens before it is there
            await asyncio.sleep(0.05)
        (worker,) = fresh.function.worker_pids
        cloud = fresh.emulator.grpc_address

        assert not has_client_threads(worker)
        assert connections_to(cloud) == 0
        await fresh.deliver(PUSHED)
        assert has_client_threads(worker)
        assert connections_to(cloud) > 0


async def test_a_raw_push_is_answered(staged_function: RunningFunction) -> None:
    """The form in which Pub/Sub pushes by itself."""
    status, entries = await push_finding(staged_function, PUSHED)

    assert (status // 100, statuses(entries)) == (2, ["planned"])


async def test_a_structured_cloud_event_is_answered(staged_function: RunningFunction) -> None:
    """Eventarc's event as one JSON object."""
    body = json_body(
        CLOUD_EVENT | {"datacontenttype": JSON, "data": event(message_data(STRUCTURED))}
    )

    status, entries = await post(
        staged_function, body, {"content-type": "application/cloudevents+json"}
    )

    assert (status // 100, statuses(entries)) == (2, ["planned"])


async def test_a_binary_cloud_event_is_answered(staged_function: RunningFunction) -> None:
    """Eventarc's event with its attributes in headers, as Cloud Run gets it."""
    attributes = {f"ce-{name}": value for name, value in CLOUD_EVENT.items()}

    status, entries = await post(
        staged_function,
        json_body(event(message_data(BINARY))),
        {"content-type": JSON, **attributes},
    )

    assert (status // 100, statuses(entries)) == (2, ["planned"])


@pytest.mark.parametrize(("kind", "body"), REJECTED.values(), ids=REJECTED)
async def test_an_unreadable_message_is_quarantined(
    staged_function: RunningFunction, kind: str, body: bytes
) -> None:
    """It never comes again: kept by its digest, acknowledged, and one ERROR says so."""
    status, entries = await post(staged_function, body, {"content-type": kind})

    digest = hashlib.sha256(body).hexdigest()
    kept = staged_function.read_records("quarantine")[digest]
    assert status // 100 == 2
    assert [(e["severity"], s) for e, s in zip(entries, statuses(entries), strict=True)] == [
        ("ERROR", "malformed")
    ]
    assert entries[0]["outcome"]["message_sha256"] == digest
    assert (kept["sha256"], kept["size"]) == (digest, len(body))


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_other_requests_are_no_events(staged_function: RunningFunction, method: str) -> None:
    """A probe or a browser is turned away; nothing is quarantined and nothing is logged."""
    before = staged_function.read_records("quarantine")

    status, entries = await post(staged_function, b"", {}, method=method)

    assert (status, entries) == (405, [])
    assert staged_function.read_records("quarantine") == before


async def test_a_finding_that_is_not_listed_yet_is_to_come_again(
    staged_function: RunningFunction,
) -> None:
    """A young finding that Security Command Center does not show: 503, and no outcome."""
    status, entries = await push_finding(staged_function, UNLISTED_FINDING)

    assert (status, statuses(entries)) == (503, [None])
    assert "does not list it yet" in entries[0]["reason"]


async def test_the_trace_of_a_delivery_is_in_its_line(staged_function: RunningFunction) -> None:
    """Cloud Logging links it to the request, by either header; its labels can be filtered by."""
    new, old = "4bf92f3577b34da6a3ce929d0e0e4736", "105445aa7843bc8bf206b12000100000"

    _, first = await push_finding(
        staged_function, TRACED, traceparent=f"00-{new}-00f067aa0ba902b7-01"
    )
    _, second = await push_finding(
        staged_function, TRACED, **{"x-cloud-trace-context": f"{old}/1;o=0"}
    )
    _, third = await push_finding(staged_function, TRACED, traceparent="00-nonsense")

    special = "logging.googleapis.com"
    (newer,), (older,), (untraced,) = first, second, third
    assert newer["trace"] == new
    assert newer[f"{special}/trace"] == f"projects/{PROJECT}/traces/{new}"
    assert (newer[f"{special}/spanId"], newer[f"{special}/trace_sampled"]) == (
        "00f067aa0ba902b7",
        True,
    )
    assert older[f"{special}/trace"] == f"projects/{PROJECT}/traces/{old}"
    assert (older[f"{special}/spanId"], older[f"{special}/trace_sampled"]) == (
        "0000000000000001",
        False,
    )
    assert not [key for key in untraced if "trace" in key]
    assert newer[f"{special}/labels"] == {
        "incident": newer["incident"],
        "status": "planned",
        "workload_kind": "service",
        "project": TRACED.project,
    }


async def test_every_line_is_an_object_that_cloud_logging_reads(
    staged_function: RunningFunction,
) -> None:
    """Whatever the result of a delivery, it is one line with one JSON object."""
    for reported in (ALWAYS, ALWAYS, UNLISTED_FINDING):
        await push_finding(staged_function, reported)
    await post(staged_function, b"not JSON either", {"content-type": JSON})

    lines = staged_function.function.lines
    entries: list[Any] = [json.loads(line) for line in lines]
    assert len(entries) == len(staged_function.function.logged_outcomes)
    for entry in entries:
        assert entry["severity"] in {"INFO", "WARNING", "ERROR"}
        assert entry["message"]
        assert dt.datetime.fromisoformat(entry["time"]).tzinfo is not None


@pytest.mark.parametrize(
    "body",
    [json_body(push_body(PUSHED.notification, EVENT_TIME)), b"not JSON"],
    ids=["a finding", "not JSON"],
)
async def test_an_internal_error_is_logged_and_retried(
    function_without_store: RunningFunction, body: bytes
) -> None:
    """What nobody foresaw is not acknowledged: 503, and one ERROR with the traceback."""
    status, entries = await post(function_without_store, body, {"content-type": JSON})

    assert (status, statuses(entries)) == (503, [None])
    assert entries[0]["severity"] == "ERROR"
    assert "Traceback" in entries[0]["exc_info"]


async def test_a_fault_at_every_event_leaves_nothing_behind(
    function_without_store: RunningFunction,
) -> None:
    """A store that cannot be opened is tried for each event; no threads pile up meanwhile."""
    await function_without_store.deliver(PUSHED)  # the socket listens before the worker is there
    (worker,) = function_without_store.function.worker_pids
    before = threads_of(worker)

    for _ in range(20):
        await function_without_store.deliver(PUSHED)

    assert threads_of(worker) < before + 10


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        (
            {"RESPONDER_EMULATOR": '{"grpc": "203.0.113.7:80", "http": "127.0.0.1:80"}'},
            "RESPONDER_EMULATOR.GRPC: Value error, expected a loopback address",
        ),
        (
            {"RESPONDER_EMULATOR": '{"grpc": "127.0.0.1:80", "http": "run.googleapis.com:443"}'},
            "RESPONDER_EMULATOR.HTTP: Value error, expected a loopback address",
        ),
        (
            {"RESPONDER_EMULATOR": "", "RESPONDER_NOW": "2026-10-02T08:14:12Z"},
            "RESPONDER_NOW is refused unless RESPONDER_EMULATOR is set",
        ),
        ({"RESPONDER_MODE": "full"}, "RESPONDER_MODE: Input should be 'dry-run', 'approve' or"),
    ],
    ids=["gRPC not on loopback", "HTTP not on loopback", "a time in earnest", "no such mode"],
)
async def test_a_wrong_setting_stops_the_process(
    tmp_path: Path, settings: dict[str, str], complaint: str
) -> None:
    """It ends as it starts, and its last words name the variable and what is wrong with it."""
    with pytest.raises(FunctionFailed) as failure:
        async with running_function({}, tmp_path, settings=settings):
            pass

    words = str(failure.value)
    assert "it ended at once with status" in words
    assert "cannot start: invalid environment; correct it and start again" in words
    assert complaint in words
