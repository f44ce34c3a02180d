"""The headers that name a trace, and what log lines make of them."""

from __future__ import annotations

import json
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incident.response.log import Trace, parse_trace

ID, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
W3C = f"00-{ID}-{SPAN}-01"
PROJECT = "example-security"


def w3c(header: str) -> Trace | None:
    """The trace of a request with this `traceparent` and no other header."""
    return parse_trace(header, "", PROJECT)


def older(header: str) -> Trace | None:
    """The trace of a request with this `X-Cloud-Trace-Context` and no other header."""
    return parse_trace("", header, PROJECT)


def test_a_line_links_to_the_trace_of_the_request() -> None:
    """The names and forms are those that Cloud Logging documents; the plain id stays."""
    trace = w3c(W3C)
    assert trace
    assert trace.keys == {
        "trace": ID,
        "logging.googleapis.com/trace": f"projects/{PROJECT}/traces/{ID}",
        "logging.googleapis.com/spanId": SPAN,
        "logging.googleapis.com/trace_sampled": True,
    }


@pytest.mark.parametrize("project", ["", "210987654321"])
def test_without_the_id_of_a_project_the_plain_id_is_all(project: str) -> None:
    """A link to nowhere would be worse than none: traces are not named by a project's number."""
    trace = parse_trace(W3C, "", project)
    assert trace
    assert trace.keys == {"trace": ID}


@pytest.mark.parametrize(
    ("header", "span", "sampled"),
    [
        (ID, "", False),
        (f"{ID.upper()}/1;o=1", "0000000000000001", True),
        (f"{ID}/67667974448284343;o=0", SPAN, False),
        (f"{ID}/18446744073709551615", "f" * 16, False),
        (f"{ID}/0;o=1", "", True),
        (f"{ID};o=1", "", True),
    ],
)
def test_the_older_header_is_read_too(header: str, span: str, *, sampled: bool) -> None:
    """Its span is a decimal number; both the span and the options may be missing."""
    trace = older(header)
    assert trace == Trace(ID, span, sampled, PROJECT)
    assert ("logging.googleapis.com/spanId" in trace.keys) == bool(span)


def test_the_header_of_the_w3c_goes_first() -> None:
    """The older one counts where that one is missing or malformed."""
    other = f"{'a' * 32}/1;o=0"
    assert parse_trace(W3C, other, PROJECT) == Trace(ID, SPAN, sampled=True, project=PROJECT)
    assert parse_trace("nonsense", other, PROJECT) == older(other)


@pytest.mark.parametrize(
    ("header", "sampled"),
    [(W3C, True), (W3C[:-1] + "0", False), (W3C[:-2] + "ff", True), (f"01{W3C[2:]}-more", True)],
)
def test_the_sampling_is_one_bit_of_the_flags(header: str, *, sampled: bool) -> None:
    """Other flags are not ours to read, nor what a later version adds."""
    trace = w3c(header)
    assert trace
    assert trace.sampled == sampled


@pytest.mark.parametrize(
    "header",
    [
        f"{W3C}-more",
        f"ff{W3C[2:]}",
        W3C.upper(),
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{ID}-{'0' * 16}-01",
        f"{W3C}\n",
        f"{W3C},{W3C}",
        f" {W3C}",
        W3C.replace("4", "\N{ARABIC-INDIC DIGIT FOUR}"),
        f'00-"}}\n{{"severity":"EMERGENCY"}}-{SPAN}-01',
    ],
)
def test_a_malformed_header_is_ignored(header: str) -> None:
    """Nothing of it gets into a line."""
    assert w3c(header) is None


@pytest.mark.parametrize(
    "header",
    [f"{ID}/", f"{ID}/-1", f"{ID}/18446744073709551616", f"{ID}/1;o=x", "0" * 32, f"{ID[1:]}/1"],
)
def test_a_malformed_older_header_is_ignored(header: str) -> None:
    """As the other one."""
    assert older(header) is None


@given(
    st.text(alphabet=string.hexdigits + "-/;o=", max_size=80) | st.text(max_size=80),
    st.text(alphabet=string.hexdigits + "-/;o=", max_size=80) | st.text(max_size=80),
)
def test_any_header_makes_short_plain_keys_or_none(first: str, second: str) -> None:
    """Whatever arrives: no error, and only digits get into a line."""
    trace = parse_trace(first, second, PROJECT)
    if trace:
        assert set(trace.trace_id + trace.span_id) <= set(string.hexdigits.lower())
        assert len(json.dumps(trace.keys)) < 400
