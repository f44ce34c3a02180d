"""Where the parts of the report's pictures stand: the timeline and the exposure. Pure.

Lengths are in the units of the pictures' own view boxes, 360 wide, so that a phone shows them at
their natural size. What they are drawn with is the template's business.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from incident.model.durations import format_milliseconds
from incident.report.text_width import wrapped_lines
from incident.report.timeline import Lane, TimelineEvent

WIDTH = 360
FONT_SIZE, SMALL_FONT_SIZE = 13, 11
_TEXT_X, _RIGHT_EDGE = 92, 356
_TEXT_WIDTH = _RIGHT_EDGE - _TEXT_X
_LINE_HEIGHT, _BAR_HEIGHT, _ROW_SPACING, _QUIET_HEIGHT, _TOP = 16, 14, 12, 20, 14
_LONGEST_BAR = 150
_BOX_TEXT_WIDTH, _BOX_TITLE_HEIGHT, _BOX_SPACING, _COLUMN_TITLE_HEIGHT = 330, 24, 16, 22
_MOST_LINES, _MOST_BOX_LINES = 4, 6
_ACTIVITY_LANES = (Lane.RESPONDER, Lane.PERSON)


@dataclass(frozen=True, slots=True)
class TimelineRow:
    """One event of the timeline, with its place.

    Attributes:
        event: The event.
        y: The base line of its first line of text.
        quiet_y: Where the time of quiet before it is written; 0 for none.
        lines: Its text, as much as fits.
        show_date: Whether the day is written beneath the time: the first event, or another day.
        bar: How long the bar of its duration is; 0 where it has none.
        bar_y: Where that is.
        duration: The duration in words; empty where it has none.
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
    """What a box of the exposure says by its frame, besides by its words."""

    PLAIN = "plain"
    SERIOUS = "serious"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ExposureBox:
    """One box of the exposure: what it is, what is known of it, its frame, its place.

    Attributes:
        column: Heading of the part of the picture that begins with it; empty inside of one.
        title: What it is.
        text: What is known of it, whole.
        frame: Whether it makes the incident worse, or is not known.
        lines: The text, as much as fits.
        y: Its upper edge.
        height: How high it is.
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
    """The rows, and how high the picture is."""

    rows: tuple[TimelineRow, ...]
    height: int


@dataclass(frozen=True, slots=True)
class ExposurePicture:
    """The boxes, and how high the picture is."""

    boxes: tuple[ExposureBox, ...]
    height: int


def timeline_picture(events: Sequence[TimelineEvent]) -> TimelinePicture:
    """The timeline, from top to bottom."""
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
    """The way from outside to what is in reach, one box a step.

    Args:
        columns: Heading of each part of the picture, with title, text and mark of its boxes.
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
