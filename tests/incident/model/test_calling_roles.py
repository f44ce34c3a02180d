"""Conditions of bindings: which of them restrict nobody."""

from __future__ import annotations

import pytest

from incident.model.calling_roles import always_holds

ALWAYS = (
    "true",
    " ( true ) ",
    "1 == 1",
    "'a' == 'a'",
    "'request' != \"resource\"",
    "true || request.time > timestamp('2030-01-01T00:00:00Z')",
    "request.time > timestamp('1970-01-01T00:00:00Z')",
    'request.time >= timestamp("2020-10-01T00:00:00.000Z")',
    "request.time < timestamp('2999-12-31T00:00:00Z')",
    "request.time > timestamp('1970-01-01T00:00:00Z') && (true || false)",
)
SOMETIMES = (
    "false",
    "!true",
    "true && false",
    "request.time.getHours() > 7",
    "request.time < timestamp('2026-12-31T00:00:00Z')",
    "request.time > timestamp('2027-01-01T00:00:00Z')",
    "resource.name.startsWith('projects/')",
    "true && resource.type == 'run.googleapis.com/Service'",
    "(" * 2_000 + "true" + ")" * 1_999,
    "(" * 1_000 + "true" + ")" * 1_000,
    "true && " * 1_000 + "true",
)


@pytest.mark.parametrize("expression", ALWAYS)
def test_a_condition_that_refers_to_nothing_restricts_nobody(expression: str) -> None:
    """Nor does a bound in time that was passed long ago, or is centuries away."""
    assert always_holds({"title": "looks strict", "expression": expression})


@pytest.mark.parametrize("expression", SOMETIMES)
def test_any_other_condition_is_not_evaluated(expression: str) -> None:
    """It may hold or not: its binding stays, and is reported."""
    assert not always_holds({"expression": expression})


def test_no_condition_restricts_nobody() -> None:
    """Missing, empty, or only with a title."""
    assert all(always_holds(each) for each in (None, {}, {"title": "nothing"}))
