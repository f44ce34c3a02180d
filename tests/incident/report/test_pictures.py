"""SVG pictures: text width, line breaks and truncation."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incident.report.pictures import text_width, wrapped_lines
from tests.support.model import repeatable

ROOM, SIZE = 264.0, 13


@repeatable
@given(st.text(max_size=300))
def test_no_line_is_wider_than_its_box(text: str) -> None:
    """Any text fits by the estimate, at least one character a line."""
    found = wrapped_lines(text, ROOM, SIZE)
    assert 1 <= len(found) <= len(("one", "two"))
    assert all(text_width(line, SIZE) <= ROOM for line in found)


@pytest.mark.parametrize("wide", ["W", "漢", "😀", "\u202e"])
def test_wide_characters_leave_fewer_to_a_line(wide: str) -> None:
    """Wide characters count more, and escapes count as spelled."""
    (line, *_) = wrapped_lines(wide * 100, ROOM, SIZE)
    (usual, *_) = wrapped_lines("e" * 100, ROOM, SIZE)
    assert len(line.encode("unicode_escape").decode()) > 0
    assert text_width(line, SIZE) <= ROOM
    assert line.count(wide) < len(usual)


def test_lines_break_between_words_and_say_what_is_left_out() -> None:
    """A long text ends in an ellipsis, a short one stays."""
    assert wrapped_lines("revision made", ROOM, SIZE) == ("revision made",)
    first, last = wrapped_lines("word " * 60, ROOM, SIZE)
    assert first.endswith("word")
    assert last.endswith("…")
    assert wrapped_lines("", ROOM, SIZE) == ("",)
