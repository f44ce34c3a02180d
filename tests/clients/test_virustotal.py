"""VirusTotal: what is known of a file, and everything that may prevent an answer."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from clients import virustotal as virustotal_client
from clients.retries import RetryPolicy
from clients.virustotal import VirusTotal, VirusTotalEndpoint, parse_report
from emulator.server.emulator import Emulator
from emulator.services.gate import CallPoint
from emulator.world.state import parse_world
from incident.model import Denied, GiveUp, Lookup, Retry
from tests.support.constants import SHA256
from tests.support.model import repeatable

OTHER = "0" * 64
KEY = "planted-virustotal-key"
STATS = {"malicious": 58, "suspicious": 1, "undetected": 12, "harmless": 0, "failure": 9}


def report(**attributes: Any) -> dict[str, Any]:
    """VirusTotal's answer about the file, with attributes added or replaced."""
    file_attributes = {"sha256": SHA256, "last_analysis_stats": STATS, **attributes}
    return {"data": {"id": SHA256, "type": "file", "attributes": file_attributes}}


def impatient_client(host: str, key: str = KEY, patience: RetryPolicy | None = None) -> VirusTotal:
    """A client that waits long for nothing."""
    return VirusTotal(
        VirusTotalEndpoint(host, SecretStr(key)), patience or RetryPolicy(attempt_s=2, total_s=4)
    )


@asynccontextmanager
async def virustotal(
    answer: object = None, **world: Any
) -> AsyncIterator[tuple[VirusTotal, list[CallPoint]]]:
    """A client of an emulated VirusTotal that knows one file, and the requests that it got."""
    asked: list[CallPoint] = []

    def hook(moment: CallPoint) -> None:
        if moment.phase == "before":
            asked.append(moment)

    known = {"virustotal": {SHA256: report() if answer is None else answer}, **world}
    async with Emulator(parse_world(known, source="test"), hook=hook) as emulator:
        yield impatient_client(f"http://{emulator.http_address}"), asked


@asynccontextmanager
async def server(answer: Callable[[str], bytes]) -> AsyncIterator[tuple[str, list[str]]]:
    """Something that speaks HTTP, or does not: its address, and the requests that it got."""
    requests: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(answer(requests[-1]))
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}", requests


def http(status: str, body: str, kind: str = "application/json", more: str = "") -> bytes:
    """An HTTP answer."""
    head = f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\n{more}connection: close\r\n"
    return f"{head}content-length: {len(body.encode())}\r\n\r\n{body}".encode()


async def test_a_known_file_is_reported() -> None:
    """With how many engines know it, as what, and since when."""
    answer = report(
        first_submission_date=1_700_000_000,
        last_submission_date=1_700_086_400,
        popular_threat_classification={"suggested_threat_label": "trojan.mirai/gafgyt"},
        type_description="ELF",
        meaningful_name="kworkerds",
        names=["healthcheck", "kworkerds"],
        tags=["elf"],
    )
    async with virustotal(answer) as (client, _):
        found = await client.file(SHA256)
    assert (found.lookup, found.sha256) == (Lookup.KNOWN, SHA256)
    assert (found.malicious, found.suspicious, found.engines) == (58, 1, 71)
    assert (found.label, found.file_type) == ("trojan.mirai/gafgyt", "ELF")
    assert (found.names, found.tags) == (("kworkerds", "healthcheck"), ("elf",))
    assert found.first_seen
    assert found.last_seen
    assert (found.last_seen - found.first_seen).days == 1


async def test_a_file_that_it_never_saw_is_unknown() -> None:
    """That is an answer, and no error."""
    async with virustotal() as (client, _):
        found = await client.file(OTHER)
    assert (found.lookup, found.sha256, found.engines) == (Lookup.UNKNOWN, OTHER, 0)
    assert found.summary == "VirusTotal does not know the suspected file"


async def test_a_file_without_engine_verdicts_is_unknown() -> None:
    """0 of 0 engines is not an acquittal."""
    async with virustotal(report(last_analysis_stats={"failure": 9})) as (client, _):
        found = await client.file(SHA256)
    assert found.lookup is Lookup.UNKNOWN
    assert found.summary == "VirusTotal has the suspected file, but no engine has judged it"


async def test_a_file_is_asked_about_once() -> None:
    """Findings come in bursts, one after another or at once, and the quota is small."""
    async with virustotal(latency={"GetFileReport": "20ms"}) as (client, asked):
        found = await asyncio.gather(*(client.file(SHA256) for _ in range(5)), client.file(OTHER))
        again = await client.file(SHA256)
    assert len(asked) == 2
    assert {one.lookup for one in (*found[:5], again)} == {Lookup.KNOWN}


async def test_a_failure_is_not_kept() -> None:
    """The next finding asks again."""
    async with virustotal(faults=[_fault("RESOURCE_EXHAUSTED", times=1)]) as (client, asked):
        with pytest.raises(Retry):
            await client.file(SHA256)
        assert (await client.file(SHA256)).malicious == 58
    assert len(asked) == 2


async def test_a_cancelled_caller_does_not_cancel_the_shared_request() -> None:
    """One incident's end is not another's."""
    async with virustotal(latency={"GetFileReport": "50ms"}) as (client, _):
        first = asyncio.ensure_future(client.file(SHA256))
        second = asyncio.ensure_future(client.file(SHA256))
        await asyncio.sleep(0)
        first.cancel()
        assert (await second).lookup is Lookup.KNOWN


def _fault(code: str, times: int | None = None) -> dict[str, Any]:
    fault = {"method": "GetFileReport", "code": code, "message": f"no {KEY} <script>"}
    return fault if times is None else {**fault, "times": times}


@pytest.mark.parametrize(
    ("code", "kind", "reason", "requests"),
    [
        ("RESOURCE_EXHAUSTED", Retry, "the quota of the key is used up (QuotaExceededError)", 1),
        ("UNAUTHENTICATED", Denied, "the key (WrongCredentialsError): check VIRUSTOTAL_API", 1),
        ("PERMISSION_DENIED", Denied, "does not accept the key (ForbiddenError)", 1),
        ("INVALID_ARGUMENT", GiveUp, "it refuses the call (BadRequestError)", 1),
        ("UNAVAILABLE", Retry, "it has a fault of its own (ServerError)", 3),
        ("INTERNAL", Retry, "it has a fault of its own (ServerError)", 3),
    ],
)
async def test_a_refusal_is_reported_without_its_text(
    code: str, kind: type[Exception], reason: str, requests: int
) -> None:
    """They might say anything, the key among others; only what may pass is tried again."""
    async with virustotal(faults=[_fault(code)]) as (client, asked):
        with pytest.raises(kind) as raised:
            await client.file(SHA256)
    message = str(raised.value)
    assert message.startswith(f"cannot look up file {SHA256} at VirusTotal: ")
    assert reason in message
    assert type(raised.value) is kind or kind is Retry
    assert len(asked) == requests
    assert KEY not in message
    assert "script" not in message


async def test_a_transient_fault_is_retried() -> None:
    """One bad answer is no gap."""
    async with virustotal(faults=[_fault("UNAVAILABLE", times=1)]) as (client, asked):
        assert (await client.file(SHA256)).malicious == 58
    assert len(asked) == 2


async def test_a_hanging_request_times_out() -> None:
    """However long each attempt may take."""
    async with virustotal(latency={"GetFileReport": "30s"}) as (client, _):
        impatient = impatient_client(
            client._endpoint.host,  # noqa: SLF001 - where the emulator is
            patience=RetryPolicy(attempt_s=9, total_s=0.2),
        )
        with pytest.raises(Retry, match=r"no answer within 0\.2 s"):
            await impatient.file(SHA256)
        hasty = impatient_client(
            client._endpoint.host,  # noqa: SLF001 - where the emulator is
            patience=RetryPolicy(attempt_s=0.05, total_s=5),
        )
        with pytest.raises(Retry, match="does not answer in time"):
            await hasty.file(SHA256)


async def test_a_refused_connection_is_reported() -> None:
    """A refused connection says no more than that."""
    async with server(lambda _: b"") as (host, _):
        pass
    with pytest.raises(Retry, match="cannot be reached"):
        await impatient_client(host).file(SHA256)


NO_REPORTS: list[object] = [
    [],
    "text",
    0,
    {},
    {"data": None},
    {"data": [report()["data"]]},
    {"data": {"id": OTHER, "attributes": {"last_analysis_stats": STATS}}},
    report(last_analysis_stats=[58]),
    report(last_analysis_stats={"malicious": "58"}),
    report(last_analysis_stats={"malicious": True}),
    report(last_analysis_stats={"malicious": -1}),
    report(last_analysis_stats={"malicious": 10**30}),
    report(last_analysis_stats={"malicious": 1.5}),
]


@pytest.mark.parametrize("answer", NO_REPORTS, ids=lambda answer: json.dumps(answer)[:60])
async def test_what_is_no_report_on_the_file_is_refused(answer: object) -> None:
    """An answer about another file, or with an invalid number, must not satisfy the gate."""
    async with virustotal(answer) as (client, _):
        with pytest.raises(GiveUp, match="its answer cannot be read"):
            await client.file(SHA256)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (http("200 OK", "{"), GiveUp),
        (http("200 OK", "[" * 100_000), GiveUp),
        (http("200 OK", "<html>sign in</html>", "text/html"), GiveUp),
        (http("404 Not Found", "<html>no such page</html>", "text/html"), GiveUp),
        (http("404 Not Found", json.dumps({"error": {}})), GiveUp),
        (http("404 Not Found", json.dumps({"error": {"message": "x"}})), GiveUp),
        (http("404 Not Found", json.dumps({"error": {"code": f"no {KEY}"}})), GiveUp),
        (http("404 Not Found", json.dumps([])), GiveUp),
        (http("502 Bad Gateway", KEY, "text/plain"), Retry),
        (http("204 No Content", ""), Retry),
        (b"", Retry),
        (b"SSH-2.0-OpenSSH_9.2\r\n", GiveUp),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{", Retry),
    ],
)
async def test_an_answer_of_another_server_is_refused(answer: bytes, kind: type[Exception]) -> None:
    """A proxy's page that says 404 does not mean that the file is unknown."""
    async with server(lambda _: answer) as (host, _):
        with pytest.raises((Retry, GiveUp)) as raised:
            await impatient_client(host).file(SHA256)
    assert isinstance(raised.value, kind), raised.value
    assert KEY not in str(raised.value)
    assert KEY not in repr(raised.value.__cause__)


async def test_the_key_goes_to_one_host_only() -> None:
    """A redirection does not carry it elsewhere, with the emulator least of all."""
    async with server(lambda _: http("200 OK", json.dumps(report()))) as (elsewhere, stolen):
        location = f"location: {elsewhere}/api/v3/files/{SHA256}\r\n"
        async with server(lambda _: http("302 Found", "", more=location)) as (host, requests):
            with pytest.raises((Retry, GiveUp)):
                await impatient_client(host).file(SHA256)
    assert f"X-Apikey: {KEY}" in requests[0]
    assert requests[0].startswith(f"GET /api/v3/files/{SHA256} ")
    assert stolen == []


async def test_an_endless_answer_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A report is some hundred kilobytes; what is longer is no report."""
    monkeypatch.setattr(virustotal_client, "_MAX_ANSWER_BYTES", 1000)
    async with server(lambda _: http("200 OK", "[" * 2000)) as (host, requests):
        with pytest.raises(GiveUp, match="its answer cannot be read"):
            await impatient_client(host).file(SHA256)
    assert len(requests) == 1


async def test_names_are_text_and_no_more() -> None:
    """Who uploads a file names it: long, strange or not even storable."""
    hostile = ["<script>alert(1)</script>", "x" * 5000, "\ud800", "a\n\x1b[31m", 7, None, ""]
    answer = report(names=[*hostile, *map(str, range(100))], tags={"a": 1}, type_description=[])
    async with server(lambda _: http("200 OK", json.dumps(answer))) as (host, _):
        found = await impatient_client(host).file(SHA256)
    assert found.names[:4] == (hostile[0], "x" * 200, "?", hostile[3])
    assert len(found.names) == 20
    assert (found.tags, found.file_type) == ((), "")
    json.dumps(found.names, ensure_ascii=False).encode()


def test_the_key_is_nowhere_to_be_read() -> None:
    """Not in what a client prints of itself."""
    client = impatient_client("https://virustotal.example")
    assert KEY not in f"{client!r} {client._endpoint!r}"  # noqa: SLF001


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=9,
)
ATTRIBUTES = st.fixed_dictionaries(
    {},
    optional={
        "last_analysis_stats": st.dictionaries(st.sampled_from(["malicious", "harmless"]), JSON)
        | JSON,
        "popular_threat_classification": st.fixed_dictionaries({"suggested_threat_label": JSON}),
        "names": st.lists(JSON, max_size=4) | JSON,
        "meaningful_name": JSON,
        "tags": st.lists(JSON, max_size=4) | JSON,
        "type_description": JSON,
        "first_submission_date": st.integers() | JSON,
        "last_submission_date": st.integers() | JSON,
        "last_analysis_date": st.integers() | JSON,
    },
)


@repeatable
@given(JSON)
def test_anything_is_refused_that_is_no_report(answer: Any) -> None:
    """Whatever JSON comes, it is either read or refused in one way."""
    with contextlib.suppress(ValueError):
        parse_report(answer, SHA256)


@repeatable
@given(ATTRIBUTES)
def test_whatever_is_read_can_be_stored_and_counted(attributes: dict[str, Any]) -> None:
    """Texts are bounded and storable; only counted engines make a file known."""
    with contextlib.suppress(ValueError):
        found = parse_report({"data": {"id": SHA256.upper(), "attributes": attributes}}, SHA256)
        assert 0 <= found.malicious <= found.engines
        assert (found.lookup is Lookup.KNOWN) == bool(found.engines)
        for text in (found.label, found.file_type, *found.names, *found.tags):
            assert len(text.encode()) <= 4 * 200
        assert "" not in (*found.names, *found.tags)
