"""Lettering: no line is wider than its room, and what is left out is said."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incident.report.text_width import text_width, wrapped_lines
from tests.support.model import repeatable

ROOM, SIZE = 264.0, 13


@repeatable
@given(st.text(max_size=300))
def test_no_line_is_wider_than_its_box(text: str) -> None:
    """Whatever is written: an estimate, and a character where not even one fits."""
    found = wrapped_lines(text, ROOM, SIZE)
    assert 1 <= len(found) <= len(("one", "two"))
    assert all(text_width(line, SIZE) <= ROOM for line in found)


@pytest.mark.parametrize("wide", ["W", "漢", "😀", "\u202e"])
def test_wide_characters_leave_fewer_to_a_line(wide: str) -> None:
    """Two columns count as two, and what is spelled out counts as it is spelled."""
    (line, *_) = wrapped_lines(wide * 100, ROOM, SIZE)
    (usual, *_) = wrapped_lines("e" * 100, ROOM, SIZE)
    assert len(line.encode("unicode_escape").decode()) > 0
    assert text_width(line, SIZE) <= ROOM
    assert line.count(wide) < len(usual)


def test_lines_break_between_words_and_say_what_is_left_out() -> None:
    """A short text stands as it is; the last line of a long one ends in an ellipsis."""
    assert wrapped_lines("revision made", ROOM, SIZE) == ("revision made",)
    first, last = wrapped_lines("word " * 60, ROOM, SIZE)
    assert first.endswith("word")
    assert last.endswith("…")
    assert wrapped_lines("", ROOM, SIZE) == ("",)
