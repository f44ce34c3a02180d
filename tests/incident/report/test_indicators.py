"""Indicators: what to block, where it was found, and how it is written into a chat room."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incident.model import Connection, ExposureFact, ExposureTopic, Lookup, Status
from incident.model.outcome import (
    Detected,
    Outcome,
    ReportedAssessment,
    ReportedProcess,
    ReportedReputation,
)
from incident.report.indicators import Indicator, IndicatorKind, indicators
from incident.report.log_lines import LogLine
from tests.support.model import repeatable

AT = datetime(2026, 10, 2, 8, 14, tzinfo=UTC)
SHA = "0123456789abcdef" * 4


def found(*lines: LogLine, **detected: Any) -> dict[str, tuple[IndicatorKind, tuple[str, ...]]]:
    """Kind and sources of the indicators, by value."""
    outcome = Outcome(Status.HELD, detected=Detected(**detected))
    return {each.value: (each.kind, each.sources) for each in indicators(outcome, lines)}


def test_every_kind_is_found_and_named_with_its_source() -> None:
    """From the finding, the command line, the settings and the log."""
    account = ExposureFact(ExposureTopic.IDENTITY, "t", "settings", ("web@p.example",))
    outcome = Outcome(
        Status.HELD,
        assessment=ReportedAssessment(exposure=(account,)),
        detected=Detected(
            file="/usr/bin/x",
            binary_path="/usr/bin/x",
            sha256=SHA,
            reputation=ReportedReputation(Lookup.KNOWN, malicious=58, engines=71),
            arguments=("x", "--url", "stratum+tcp://Pool.example.net:3333", "c2.example.org:443"),
            urls=("https://evil.example/a?b=c",),
            connection=Connection("198.51.100.7", 4444, "10.0.0.2", 8080),
            parents=(ReportedProcess(arguments=("curl", "http://203.0.113.5/p.sh")),),
        ),
    )
    lines = (
        LogLine(AT, "stderr", "INFO", "fetched http://198.51.100.23/update.bin to /usr/bin/x"),
        LogLine(AT, "request", "INFO", "GET /?u=http://own.example", "203.0.113.77", "GET"),
    )
    assert [(str(each.kind), each.value, each.sources) for each in indicators(outcome, lines)] == [
        ("SHA-256", SHA, ("finding, VirusTotal 58/71",)),
        ("address", "198.51.100.7", ("finding, connection",)),
        ("address", "203.0.113.5", ("parent's command line",)),
        ("address", "198.51.100.23", ("stderr 08:14:00",)),
        ("address", "203.0.113.77", ("request 08:14:00",)),
        ("domain", "evil.example", ("finding",)),
        ("domain", "pool.example.net", ("command line",)),
        ("domain", "c2.example.org", ("command line",)),
        ("URL", "https://evil.example/a", ("finding",)),
        ("URL", "stratum+tcp://Pool.example.net:3333", ("command line",)),
        ("URL", "http://203.0.113.5/p.sh", ("parent's command line",)),
        ("URL", "http://198.51.100.23/update.bin", ("stderr 08:14:00",)),
        ("path", "/usr/bin/x", ("finding",)),
        ("account", "web@p.example", ("settings: it ran as this",)),
    ]


def test_the_same_indicator_is_listed_once_with_all_its_sources() -> None:
    """A log line may repeat the command line."""
    line = LogLine(AT, "stdout", "INFO", "connecting to 203.0.113.5")
    sources = found(line, line, arguments=("x", "203.0.113.5"))["203.0.113.5"][1]
    assert sources == ("command line", "stdout 08:14:00")


@pytest.mark.parametrize(
    "text", ["10.1.2.3", "127.0.0.1", "169.254.169.254", "192.168.0.1", "1.2.3", "999.1.1.1", "a.b"]
)
def test_what_nobody_can_block_is_no_address(text: str) -> None:
    """Private networks, the metadata server, and what is no address at all."""
    assert found(arguments=("x", text)) == {}


@pytest.mark.parametrize(
    ("text", "url", "host"),
    [
        ("http://u:[redacted:1]@evil.example/x?t=[redacted:2]", "http://evil.example/x", "evil."),
        ("(see https://evil.example/a.sh).", "https://evil.example/a.sh", "evil.example"),
        ("tcp://[2001:db8::1]:4444", "tcp://[2001:db8::1]:4444", "2001:db8::1"),
        ("ftp://203.0.113.5#x", "ftp://203.0.113.5", "203.0.113.5"),
    ],
)
def test_a_url_is_shown_without_what_may_be_secret(text: str, url: str, host: str) -> None:
    """User, query and fragment are left out; they may be redacted, and block nothing."""
    shown = found(arguments=("x", text))
    assert shown[url][0] is IndicatorKind.URL
    assert any(value.startswith(host) for value in shown if value != url)
    assert len(shown) == len((url, host))


def test_a_hash_of_a_part_is_no_indicator() -> None:
    """It matches nothing."""
    assert found(sha256=SHA, hash_is_partial=True) == {}


@pytest.mark.parametrize(
    ("kind", "value", "defanged"),
    [
        (IndicatorKind.ADDRESS, "203.0.113.5", "203[.]0[.]113[.]5"),
        (IndicatorKind.ADDRESS, "2001:db8::1", "2001:db8[::]1"),
        (IndicatorKind.DOMAIN, "pool.example.net", "pool[.]example[.]net"),
        (IndicatorKind.URL, "http://a.example/x.sh", "hxxp://a[.]example/x.sh"),
        (IndicatorKind.URL, "https://a.example", "hxxps://a[.]example"),
        (IndicatorKind.URL, "stratum+tcp://a.example:3", "stratum+tcp[:]//a[.]example:3"),
        (IndicatorKind.PATH, "/usr/bin/x.y", "/usr/bin/x.y"),
        (IndicatorKind.HASH, SHA, SHA),
    ],
)
def test_it_is_defanged_for_chat(kind: IndicatorKind, value: str, defanged: str) -> None:
    """No chat room makes a link of it; what is none stays as it is."""
    assert Indicator(kind, value, ()).defanged == defanged


@repeatable
@given(st.text(max_size=200), st.text(max_size=60))
def test_any_text_is_searched(text: str, url: str) -> None:
    """Untrusted text raises no error."""
    line = LogLine(AT, "stdout", "INFO", text)
    assert len(found(line, arguments=(text, f"http://{url}"), urls=(url,))) <= 24
