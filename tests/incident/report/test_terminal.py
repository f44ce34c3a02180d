"""Text for terminals: line diffs, escapes."""

from __future__ import annotations

from incident.report.terminal import change_diff_lines, escape_unprintable
from tests.support.model import scale_to_zero_change


def test_a_change_is_shown_as_a_line_diff() -> None:
    """Whole lines only, without ndiff's hint lines."""
    lines = list(change_diff_lines(scale_to_zero_change()))
    assert "-   minInstanceCount: 2" in lines
    assert "+   manualInstanceCount: 0" in lines
    assert not [line for line in lines if line.startswith("?")]


def test_finding_text_is_escaped_for_terminals() -> None:
    """Invisible characters become escapes; other scripts stay."""
    assert escape_unprintable("a\x1b[2Jb\r\n\u202ec") == "a\\x1b[2Jb\\r\\n\\u202ec"
    assert escape_unprintable("naïve 日本 café") == "naïve 日本 café"
