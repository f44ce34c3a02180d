"""Changes and reasons as text for a terminal."""

from __future__ import annotations

from incident.report.terminal import change_diff_lines, escape_unprintable
from tests.support.model import scale_to_zero_change


def test_a_change_is_shown_as_a_line_diff() -> None:
    """Only whole lines, without the marks between them."""
    lines = list(change_diff_lines(scale_to_zero_change()))
    assert "-   minInstanceCount: 2" in lines
    assert "+   manualInstanceCount: 0" in lines
    assert not [line for line in lines if line.startswith("?")]


def test_finding_text_is_escaped_for_terminals() -> None:
    """What is not visible is spelled out; the rest, other scripts included, stays."""
    assert escape_unprintable("a\x1b[2Jb\r\n\u202ec") == "a\\x1b[2Jb\\r\\n\\u202ec"
    assert escape_unprintable("naïve 日本 café") == "naïve 日本 café"
