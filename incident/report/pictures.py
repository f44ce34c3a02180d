"""Layout of the report's SVG pictures: timeline rows, exposure boxes, line breaks. Pure.

Lengths are in units of the view box, 360 wide: a phone shows it at its natural size. Fonts of
readers differ, so text widths are estimates for wide fonts; the template clips what overruns.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from incident.model.durations import format_milliseconds
from incident.report.terminal import escape_unprintable
from incident.report.timeline import Lane, TimelineEvent

WIDTH = 360
FONT_SIZE = 13
_TEXT_X, _RIGHT_EDGE = 92, 356
_TEXT_WIDTH = _RIGHT_EDGE - _TEXT_X
_LINE_HEIGHT, _BAR_HEIGHT, _ROW_SPACING, _QUIET_HEIGHT, _TOP = 16, 14, 12, 20, 14
_LONGEST_BAR = 150
_BOX_TEXT_WIDTH, _BOX_TITLE_HEIGHT, _BOX_SPACING, _COLUMN_TITLE_HEIGHT = 330, 24, 16, 22
_MOST_LINES, _MOST_BOX_LINES = 4, 6
_ACTIVITY_LANES = (Lane.RESPONDER, Lane.PERSON)


@dataclass(frozen=True, slots=True)
class TimelineRow:
    """A row of the timeline.

    Attributes:
        event: The event.
        y: Base line of the first line of text.
        quiet_y: Base line of the time since the event before; 0 for none.
        lines: The text in lines, cut to fit.
        show_date: Whether the date is shown: for the first event and for a new day.
        bar: Length of the duration bar; 0 for none.
        bar_y: Base line of the bar.
        duration: The duration as text; empty for none.
    """

    event: TimelineEvent
    y: int
    quiet_y: int
    lines: tuple[str, ...]
    show_date: bool
    bar: float
    bar_y: int
    duration: str


class BoxFrame(StrEnum):
    """Frame of an exposure box, by meaning."""

    PLAIN = "plain"
    SERIOUS = "serious"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ExposureBox:
    """A box of the exposure picture.

    Attributes:
        column: Heading of the column, for its first box; else empty.
        title: Title.
        text: Whole text.
        frame: Plain, serious or unknown.
        lines: The text in lines, cut to fit.
        y: Upper edge.
        height: Height.
    """

    column: str
    title: str
    text: str
    frame: BoxFrame
    lines: tuple[str, ...]
    y: int
    height: int


@dataclass(frozen=True, slots=True)
class TimelinePicture:
    """Rows and height of the timeline."""

    rows: tuple[TimelineRow, ...]
    height: int


@dataclass(frozen=True, slots=True)
class ExposurePicture:
    """Boxes and height of the exposure picture."""

    boxes: tuple[ExposureBox, ...]
    height: int


def timeline_picture(events: Sequence[TimelineEvent]) -> TimelinePicture:
    """Lay out the timeline, from top to bottom."""
    longest = max((event.duration_ms or 0.0 for event in events), default=0.0) or 1.0
    placed: list[TimelineRow] = []
    y = _TOP
    for at, event in enumerate(events):
        quiet_y = y if event.quiet_before else 0
        y += _QUIET_HEIGHT if event.quiet_before else 0
        text = wrapped_lines(event.text, _TEXT_WIDTH, FONT_SIZE, _MOST_LINES)
        show_date = at == 0 or event.at.date() != events[at - 1].at.date()
        bar_y = y + _LINE_HEIGHT * len(text)
        timed = event.duration_ms is not None
        bar = max((event.duration_ms or 0.0) / longest * _LONGEST_BAR, 1.5) if timed else 0.0
        duration = format_milliseconds(event.duration_ms) if event.duration_ms is not None else ""
        placed.append(TimelineRow(event, y, quiet_y, text, show_date, bar, bar_y, duration))
        y += max(
            _LINE_HEIGHT * len(text) + (_BAR_HEIGHT if timed else 0),
            2 * _LINE_HEIGHT if show_date else 0,
        )
        y += _ROW_SPACING - (6 if timed and event.lane in _ACTIVITY_LANES else 0)
    return TimelinePicture(tuple(placed), y)


def exposure_picture(columns: Mapping[str, Sequence[tuple[str, str, BoxFrame]]]) -> ExposurePicture:
    """Lay out the exposure picture, from entry point to blast radius.

    Args:
        columns: Title, text and frame of each box, by heading of the column.
    """
    placed: list[ExposureBox] = []
    y = 4
    for column, contents in columns.items():
        for at, (title, text, frame) in enumerate(contents):
            y += _COLUMN_TITLE_HEIGHT if at == 0 else 0
            shown = wrapped_lines(text, _BOX_TEXT_WIDTH, FONT_SIZE, _MOST_BOX_LINES)
            height = _BOX_TITLE_HEIGHT + _LINE_HEIGHT * len(shown)
            placed.append(ExposureBox("" if at else column, title, text, frame, shown, y, height))
            y += height + _BOX_SPACING
    return ExposurePicture(tuple(placed), max(y - _BOX_SPACING + 4, 4))


_NARROW = frozenset("iljtfrI.,:;'|!()[]{}/\\ `\"-")
_BROAD = frozenset("mwMW@%&—…")
_NARROW_EM, _USUAL_EM, _UPPER_EM, _BROAD_EM = 0.4, 0.63, 0.76, 1.0
#: Characters of two columns, such as emoji; other scripts.
_WIDE_EM, _FOREIGN_EM = 1.4, 1.1
_ASCII = 128
_MOST_CHARACTERS = 400


def text_width(text: str, font_size: float) -> float:
    """Estimated width of a text, in the unit of the font size."""
    return font_size * sum(_em(char) for char in text)


def wrapped_lines(
    text: str, max_width: float, font_size: float, max_lines: int = 2
) -> tuple[str, ...]:
    """Break a text into lines of a width, between words where possible.

    Args:
        text: Any text; invisible characters become escapes.
        max_width: Width of a line.
        font_size: The font size.
        max_lines: Number of lines; the last one ends in ``…`` where text is cut.
    """
    rest = escape_unprintable(text[:_MOST_CHARACTERS]).strip()
    found: list[str] = []
    while rest and len(found) < max_lines:
        end = _fitting(rest, max_width, font_size)
        if end < len(rest):
            if len(found) == max_lines - 1:
                end = _fitting(rest, max_width - text_width("…", font_size), font_size)
                return (*found, f"{rest[:end].rstrip()}…")
            space = rest.rfind(" ", 0, end + 1)
            end = space if space > end // 2 else end
        found.append(rest[:end].rstrip())
        rest = rest[end:].lstrip()
    return tuple(found) or ("",)


def _fitting(text: str, max_width: float, font_size: float) -> int:
    """How many characters fit; at least one, so that every line takes some."""
    for count, used in enumerate(_widths(text, font_size)):
        if used > max_width:
            return max(count, 1)
    return len(text)


def _widths(text: str, font_size: float) -> Iterator[float]:
    used = 0.0
    for char in text:
        used += font_size * _em(char)
        yield used


def _em(char: str) -> float:
    if ord(char) < _ASCII:
        if char in _NARROW:
            return _NARROW_EM
        if char in _BROAD:
            return _BROAD_EM
        return _UPPER_EM if char.isupper() else _USUAL_EM
    if unicodedata.category(char) in ("Mn", "Me"):
        return 0.0
    if unicodedata.east_asian_width(char) in ("W", "F") or unicodedata.category(char) == "So":
        return _WIDE_EM
    return _BROAD_EM if char in _BROAD else _FOREIGN_EM
