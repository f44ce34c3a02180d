"""Recorded values with redaction marks, compared with current values."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incident.model import Json
from incident.redaction.compare import has_mark, matches_recorded
from tests.support.model import repeatable

MARK = "[redacted:0123abcd]"
_PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("recorded", "now"),
    [
        (f"user:{MARK}@example.com", "user:x@example.com"),
        (f"a{MARK}b{MARK}c", "a1b2c"),
        ([f"{MARK}", "b"], ["b", "anything"]),
        ({"a": [f"x{MARK}"]}, {"a": ["xy"]}),
    ],
)
def test_a_redaction_mark_matches_any_text(recorded: Json, now: Json) -> None:
    """Whatever key it was made with."""
    assert has_mark(recorded)
    assert matches_recorded(recorded, now)


@pytest.mark.parametrize(
    ("recorded", "now"),
    [
        (f"user:{MARK}@example.com", "user:x@example.org"),
        (f"ab{MARK}ba", "aba"),
        (f"a{MARK}b{MARK}c", "a1c"),
        ([f"{MARK}", "b"], ["anything", "c"]),
        ([f"{MARK}"], ["b", "c"]),
        ({"a": f"{MARK}"}, {"a": 1}),
        ({"a": f"{MARK}"}, {"a": "x", "b": "y"}),
        (f"{MARK}", None),
    ],
)
def test_all_around_a_mark_must_be_the_same(recorded: Json, now: Json) -> None:
    """One value more, one less, or another text beside it is a difference."""
    assert not matches_recorded(recorded, now)


@given(_PLAIN, _PLAIN)
@repeatable
def test_without_marks_the_same_is_the_same(one: Json, other: Json) -> None:
    """But for the order in lists."""
    assert matches_recorded(one, json.loads(json.dumps(one)))
    if not matches_recorded(one, other):
        assert one != other
