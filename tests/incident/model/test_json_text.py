"""Workloads and times as JSON, and values of a parsed JSON object."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incident.model import (
    Json,
    Kind,
    Workload,
    json_list,
    json_object,
    json_objects,
    json_string,
    json_strings,
)
from incident.model.json_text import parse_time, parse_workload, time_text, workload_json
from tests.support.model import repeatable

_names = st.from_regex(r"[a-z][a-z0-9-]{0,20}", fullmatch=True)
_numbers = st.from_regex(r"[0-9]{6,12}", fullmatch=True)
_workloads = st.builds(
    lambda kind, location, name, project: Workload(kind, location, name, *project),
    st.sampled_from(Kind),
    _names,
    _names,
    st.tuples(_names, st.none() | _numbers) | st.tuples(st.none(), _numbers),
)


@given(_workloads)
@repeatable
def test_a_workload_reads_back_from_its_json(workload: Workload) -> None:
    """With the project's id, its number, or both."""
    assert parse_workload(workload_json(workload)) == workload


@given(_workloads)
@repeatable
def test_a_workload_reads_back_from_its_resource_name(workload: Workload) -> None:
    """With the project as the name spells it."""
    found = Workload.from_resource_name(workload.resource_name)
    assert found is not None
    assert found.resource_name == workload.resource_name
    assert found.same_as(workload)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "projects/p/locations/l/services",
        "projects/p/locations/l/volumes/v",
        "projects/p/locations/l/services/s/revisions/r",
        "//run.googleapis.com/projects/p/locations/l/services/s",
    ],
)
def test_any_other_name_is_no_workload(name: str) -> None:
    """Neither more nor fewer segments, nor another collection."""
    assert Workload.from_resource_name(name) is None


@pytest.mark.parametrize("value", [None, "service", [], {}, {"kind": "function"}, {"kind": 3}])
def test_json_without_a_kind_is_no_workload(value: Json) -> None:
    """A stored object that names no known kind is not read as a workload."""
    assert parse_workload(value) is None


@given(st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30))])))
@repeatable
def test_a_time_reads_back_from_its_text(moment: datetime) -> None:
    """In UTC, to the microsecond; times next to the limits of the calendar apart."""
    if timedelta(days=1) < moment - datetime(1, 1, 1, tzinfo=UTC):
        text = time_text(moment)
        assert text is not None
        assert text.endswith("Z")
        assert parse_time(text) == moment


@pytest.mark.parametrize("value", [None, 5, "", "yesterday", "2026-13-01T00:00:00Z"])
def test_anything_else_is_no_time(value: Json) -> None:
    """Neither raises nor guesses."""
    assert parse_time(value) is None
    assert time_text(None) is None


@pytest.mark.parametrize("value", [None, 1, True, "x", ["x", {"a": 1}, 2], {"a": 1}])
def test_values_of_another_type_read_as_empty(value: Any) -> None:
    """Each reader returns its own type, whatever was stored."""
    assert json_object(value) == (value if isinstance(value, dict) else {})
    assert json_list(value) == (value if isinstance(value, list) else ())
    assert json_string(value) == (value if isinstance(value, str) else "")
    assert json_objects(value) == ([{"a": 1}] if isinstance(value, list) else [])
    assert json_strings(value) == (["x"] if isinstance(value, list) else [])
