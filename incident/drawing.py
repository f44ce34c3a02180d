"""Where the parts of the report's pictures stand: the timeline, the durations, the exposure. Pure.

Lengths are in the units of the pictures' own view boxes, 360 wide, so that a phone shows them at
their natural size. What they are drawn with is the template's business.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from incident.model import Json, JsonObject
from incident.timeline import Event

WIDTH = 360
_ROW, _GAP, _TOP = 40, 22, 16
_BAR = 26
_LONGEST_BAR = 230
_LABEL = 40
_BOX, _BOX_GAP, _BOX_TEXT = 44, 20, 52


@dataclass(frozen=True, slots=True)
class Row:
    """One event of the timeline, with its place.

    Attributes:
        event: The event.
        y: The middle of its dot.
        gap_y: Where the time of quiet before it is written; 0 for none.
        label: Its text, as much as fits a line.
        rest: What of the text fits a second line.
    """

    event: Event
    y: int
    gap_y: int
    label: str
    rest: str


@dataclass(frozen=True, slots=True)
class Bar:
    """One stage's duration: its name, milliseconds, place and length."""

    name: str
    ms: float
    y: int
    length: float


@dataclass(frozen=True, slots=True)
class Box:
    """One box of the exposure: what it is, what is known of it, whether it is open, its place."""

    title: str
    text: str
    open: bool
    y: int


@dataclass(frozen=True, slots=True)
class Picture:
    """Rows, bars or boxes, and how high the picture is."""

    parts: tuple[Row, ...] | tuple[Bar, ...] | tuple[Box, ...]
    height: int


def rows(events: Sequence[Event]) -> Picture:
    """The timeline, from top to bottom."""
    placed, y = [], _TOP
    for event in events:
        gap_y = 0
        if event.quiet:
            gap_y = y + _GAP // 2 - 4
            y += _GAP
        placed.append(Row(event, y, gap_y, *_two_lines(event.text)))
        y += _ROW
    return Picture(tuple(placed), y + 4)


def bars(timings_ms: Json) -> Picture:
    """The durations of our stages, the longest one full."""
    known: dict[str, float] = {}
    if isinstance(timings_ms, Mapping):
        for name, value in timings_ms.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                known[name] = float(value)
    longest = max(known.values(), default=0.0) or 1.0
    placed = tuple(
        Bar(name, ms, at * _BAR + 4, max(ms / longest * _LONGEST_BAR, 1.0))
        for at, (name, ms) in enumerate(known.items())
    )
    return Picture(placed, len(placed) * _BAR + 4)


def boxes(workload: str, points: Sequence[JsonObject]) -> Picture:
    """The way from outside to what is in reach, one box a step."""
    by_topic = {str(point.get("topic")): point for point in reversed(points)}
    steps: list[tuple[str, str, bool]] = []
    for topic, title in (("entry", "Ingress"), ("callers", "Callers")):
        if topic in by_topic:
            steps.append(_step(title, by_topic[topic]))
    steps.append(("Workload", workload, False))
    for topic, title in (
        ("identity", "Runs as"),
        ("secrets", "Secrets in reach"),
        ("volumes", "Volumes"),
    ):
        if topic in by_topic:
            steps.append(_step(title, by_topic[topic]))
    placed = tuple(
        Box(title, _fitting(text, _BOX_TEXT), is_open, at * (_BOX + _BOX_GAP) + 4)
        for at, (title, text, is_open) in enumerate(steps)
    )
    return Picture(placed, len(placed) * (_BOX + _BOX_GAP))


def _step(title: str, point: JsonObject) -> tuple[str, str, bool]:
    names = point.get("names")
    listed = [str(name) for name in names] if isinstance(names, list | tuple) else []
    text = str(point.get("text", ""))
    if title in ("Runs as", "Secrets in reach", "Volumes") and listed:
        text = ", ".join(name.rpartition("/")[2] for name in listed)
    return title, text, point.get("serious") is True


def _two_lines(text: str) -> tuple[str, str]:
    """A text on at most two lines, broken between words where that is possible."""
    if len(text) <= _LABEL:
        return text, ""
    cut = text.rfind(" ", 0, _LABEL + 1)
    cut = cut if cut > _LABEL // 2 else _LABEL
    return text[:cut], _fitting(text[cut:].strip(), _LABEL)


def _fitting(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
