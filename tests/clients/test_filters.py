"""Filters: whatever is in a name, it stays one string, and nothing of it becomes syntax."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.filters import (
    audit_log_of,
    findings_of,
    findings_since,
    quote,
    run_logs_of,
    timestamp,
)
from emulator.api import list_filters
from emulator.api.list_filters import (
    LOGGING_DIALECT,
    SECURITY_CENTER_DIALECT,
    All,
    AnyOf,
    Comparison,
    Dialect,
    Node,
)
from incident.model import Kind, Workload
from tests.support.model import NOW, repeatable, workload

END = NOW + timedelta(minutes=30)
HOSTILE = [
    'x" OR resource_name:"',
    'x" AND NOT y="',
    'x\\" OR a="b',
    "x\\",
    'x\\\\"',
    '"',
    "",
    "a\nOR b",
    ") OR (x=1",
    "x' OR 'x",
    "\\u0022 OR \\x22",
    "*",
    "-x",
    "NOT",
    "äöü \u2028",
]
_TEXT = st.one_of(
    st.sampled_from(HOSTILE),
    st.text(max_size=40),
    st.text(alphabet='"\\ORAND()=:.-x\n', max_size=40),
)
_WORKLOADS = st.builds(
    workload, kind=st.sampled_from(list(Kind)), name=_TEXT, location=_TEXT, project_id=_TEXT
)
_BUILDERS = [
    (findings_of, SECURITY_CENTER_DIALECT),
    (run_logs_of, LOGGING_DIALECT),
    (audit_log_of, LOGGING_DIALECT),
]


def values(node: Node, *path: str) -> list[str]:
    """What a field is compared with in a filter."""
    return [each.value.text for each in list_filters.comparisons(node) if each.path == path]


@pytest.mark.parametrize(
    "dialect", [SECURITY_CENTER_DIALECT, LOGGING_DIALECT], ids=["findings", "logs"]
)
@given(value=_TEXT)
@repeatable
def test_a_quoted_value_is_read_back_as_it_was(dialect: Dialect, value: str) -> None:
    """One comparison with exactly that text, whatever is in it, and nothing after it."""
    read = list_filters.parse_filter(f"category={quote(value)}", dialect)
    assert read == Comparison(("category",), "=", list_filters.Value(value, quoted=True))


def shape(node: Node) -> object:
    """A filter without its values."""
    match node:
        case Comparison():
            return node.path, node.operator, node.value.quoted
        case All(operands) | AnyOf(operands):
            return type(node).__name__, [shape(operand) for operand in operands]
        case _:
            return type(node).__name__, shape(node.operand)


@given(_WORKLOADS)
@repeatable
def test_no_name_changes_what_a_filter_is(found: Workload) -> None:
    """Of any workload the filter has the shape that it has of a harmless one."""
    harmless = replace(found, name="storefront", location="europe-west1", project_id="shop")
    for build, dialect in _BUILDERS:
        built, usual = (
            list_filters.parse_filter(build(one, NOW, END), dialect) for one in (found, harmless)
        )
        assert shape(built) == shape(usual)


@given(_WORKLOADS)
@repeatable
def test_the_logs_asked_for_are_those_of_exactly_one_workload(found: Workload) -> None:
    """Name, location and project are compared as wholes."""
    label = {
        Kind.SERVICE: "service_name",
        Kind.JOB: "job_name",
        Kind.WORKER_POOL: "worker_pool_name",
        Kind.INSTANCE: "instance_name",
    }[found.kind]
    for build in (run_logs_of, audit_log_of):
        node = list_filters.parse_filter(build(found, NOW, END), LOGGING_DIALECT)
        assert values(node, "resource", "labels", label) == [found.name]
        assert values(node, "resource", "labels", "location") == [found.location]
        logs = values(node, "logName")
        assert logs
        assert all(log.startswith(f"projects/{found.project}/logs/") for log in logs)
        assert {each.operator for each in list_filters.comparisons(node)} == {"=", ">=", "<="}


def _matches(found: Workload, at: Workload) -> bool:
    """Whether a finding on one workload is listed for another."""
    name = f"//run.googleapis.com/{at.resource_name}"
    node = list_filters.parse_filter(findings_of(found, NOW, END), SECURITY_CENTER_DIALECT)

    def compare(each: Comparison) -> bool:
        return each.path == ("event_time",) or each.value.text in name

    return list_filters.evaluate(node, compare)


@given(_WORKLOADS, _WORKLOADS)
@repeatable
def test_findings_asked_for_are_those_whose_name_contains_the_workloads(
    found: Workload, other: Workload
) -> None:
    """Its own are always among them; another kind's or name's only where the text is there."""
    assert _matches(found, found)
    tail = f"/{found.kind.collection}/{found.name}"
    assert _matches(found, other) is (tail in other.resource_name)


@pytest.mark.parametrize(
    "moment",
    [
        NOW,
        datetime(2026, 10, 2, 10, 14, 12, 318000, tzinfo=timezone(timedelta(hours=2))),
    ],
)
def test_times_are_utc_and_quoted(moment: datetime) -> None:
    """Both languages take RFC 3339."""
    assert timestamp(moment) == '"2026-10-02T08:14:12.318000Z"'
    assert findings_since(moment) == 'event_time>="2026-10-02T08:14:12.318000Z"'
    list_filters.parse_filter(findings_since(moment), SECURITY_CENTER_DIALECT)


def test_the_window_bounds_everything() -> None:
    """No filter reads beyond the time it is asked for."""
    later = datetime(2026, 10, 2, 9, tzinfo=UTC)
    for build, dialect in _BUILDERS:
        node = list_filters.parse_filter(build(workload(), NOW, later), dialect)
        assert isinstance(node, All)
        bounds = {
            (each.operator, each.value.text)
            for each in node.operands
            if isinstance(each, Comparison) and each.operator in {">=", "<="}
        }
        assert bounds == {(">=", timestamp(NOW).strip('"')), ("<=", "2026-10-02T09:00:00Z")}


def test_the_logs_asked_for_are_named() -> None:
    """Four logs of the workload, and two of the audit."""
    node = list_filters.parse_filter(run_logs_of(workload(), NOW, END), LOGGING_DIALECT)
    assert [log.rpartition("/")[2] for log in values(node, "logName")] == [
        "run.googleapis.com%2Frequests",
        "run.googleapis.com%2Fstdout",
        "run.googleapis.com%2Fstderr",
        "run.googleapis.com%2Fvarlog%2Fsystem",
    ]
    node = list_filters.parse_filter(audit_log_of(workload(), NOW, END), LOGGING_DIALECT)
    assert [log.rpartition("%2F")[2] for log in values(node, "logName")] == [
        "activity",
        "system_event",
    ]
