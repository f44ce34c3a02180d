"""Where the parts of the report's pictures stand: the timeline and the exposure. Pure.

Lengths are in the units of the pictures' own view boxes, 360 wide, so that a phone shows them at
their natural size. What they are drawn with is the template's business.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from incident.model.durations import lasted
from incident.report.text_width import lines
from incident.report.timeline import Event, Lane

WIDTH = 360
LETTERS, SMALL = 13, 11
_TEXT_X, _EDGE = 92, 356
_ROOM = _EDGE - _TEXT_X
_LINE, _BAR_LINE, _BETWEEN, _GAP, _TOP = 16, 14, 12, 20, 14
_LONGEST_BAR = 150
_BOX_ROOM, _BOX_HEAD, _BOX_BETWEEN, _PART_HEAD = 330, 24, 16, 22
_MOST_LINES, _MOST_BOX_LINES = 4, 6
_OURS = (Lane.RESPONDER, Lane.PERSON)


@dataclass(frozen=True, slots=True)
class Row:
    """One event of the timeline, with its place.

    Attributes:
        event: The event.
        y: The base line of its first line of text.
        gap_y: Where the time of quiet before it is written; 0 for none.
        lines: Its text, as much as fits.
        dated: Whether the day is written beneath the time: the first event, or another day.
        bar: How long the bar of its duration is; 0 where it has none.
        bar_y: Where that is.
        took: The duration in words; empty where it has none.
    """

    event: Event
    y: int
    gap_y: int
    lines: tuple[str, ...]
    dated: bool
    bar: float
    bar_y: int
    took: str


class Mark(StrEnum):
    """What a box of the exposure says by its frame, besides by its words."""

    PLAIN = "plain"
    SERIOUS = "serious"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Box:
    """One box of the exposure: what it is, what is known of it, its frame, its place.

    Attributes:
        part: Heading of the part of the picture that begins with it; empty inside of one.
        title: What it is.
        text: What is known of it, whole.
        mark: Whether it makes the incident worse, or is not known.
        lines: The text, as much as fits.
        y: Its upper edge.
        height: How high it is.
    """

    part: str
    title: str
    text: str
    mark: Mark
    lines: tuple[str, ...]
    y: int
    height: int


@dataclass(frozen=True, slots=True)
class Timeline:
    """The rows, and how high the picture is."""

    rows: tuple[Row, ...]
    height: int


@dataclass(frozen=True, slots=True)
class Exposure:
    """The boxes, and how high the picture is."""

    boxes: tuple[Box, ...]
    height: int


def rows(events: Sequence[Event]) -> Timeline:
    """The timeline, from top to bottom."""
    longest = max((event.took_ms or 0.0 for event in events), default=0.0) or 1.0
    placed: list[Row] = []
    y = _TOP
    for at, event in enumerate(events):
        gap_y = y if event.quiet else 0
        y += _GAP if event.quiet else 0
        text = lines(event.text, _ROOM, LETTERS, _MOST_LINES)
        dated = at == 0 or event.at.date() != events[at - 1].at.date()
        bar_y = y + _LINE * len(text)
        timed = event.took_ms is not None
        bar = max((event.took_ms or 0.0) / longest * _LONGEST_BAR, 1.5) if timed else 0.0
        took = lasted(event.took_ms) if event.took_ms is not None else ""
        placed.append(Row(event, y, gap_y, text, dated, bar, bar_y, took))
        y += max(_LINE * len(text) + (_BAR_LINE if timed else 0), 2 * _LINE if dated else 0)
        y += _BETWEEN - (6 if timed and event.lane in _OURS else 0)
    return Timeline(tuple(placed), y)


def boxes(parts: Mapping[str, Sequence[tuple[str, str, Mark]]]) -> Exposure:
    """The way from outside to what is in reach, one box a step.

    Args:
        parts: Heading of each part of the picture, with title, text and mark of its boxes.
    """
    placed: list[Box] = []
    y = 4
    for part, steps in parts.items():
        for at, (title, text, mark) in enumerate(steps):
            y += _PART_HEAD if at == 0 else 0
            shown = lines(text, _BOX_ROOM, LETTERS, _MOST_BOX_LINES)
            height = _BOX_HEAD + _LINE * len(shown)
            placed.append(Box("" if at else part, title, text, mark, shown, y, height))
            y += height + _BOX_BETWEEN
    return Exposure(tuple(placed), max(y - _BOX_BETWEEN + 4, 4))
