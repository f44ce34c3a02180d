"""Changes and reasons as text for a terminal."""

from __future__ import annotations

from incident.report.terminal import diff, visible
from tests.support.model import scaled_to_zero


def test_what_goes_and_what_comes_is_told_line_by_line() -> None:
    """Only whole lines, without the marks between them."""
    lines = list(diff(scaled_to_zero()))
    assert "-   minInstanceCount: 2" in lines
    assert "+   manualInstanceCount: 0" in lines
    assert not [line for line in lines if line.startswith("?")]


def test_a_terminal_does_not_obey_finding_text() -> None:
    """What is not visible is spelled out; the rest, other scripts included, stays."""
    assert visible("a\x1b[2Jb\r\n\u202ec") == "a\\x1b[2Jb\\r\\n\\u202ec"
    assert visible("naïve 日本 café") == "naïve 日本 café"
