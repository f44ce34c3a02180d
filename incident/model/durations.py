"""How long things take: a stopwatch for stages, and times and durations in words."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from incident.model import Json, format_duration

_SECOND_MS, _MINUTE_MS = 1000, 60_000


class Stopwatch:
    """Milliseconds per stage; stages may overlap."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._stages: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time one stage."""
        started = time.monotonic()
        try:
            yield
        finally:
            self._stages[name] = _milliseconds(time.monotonic() - started)

    @property
    def stages_ms(self) -> Mapping[str, float]:
        """The stages so far."""
        return {**self._stages}

    @property
    def timings_ms(self) -> Mapping[str, float]:
        """The stages so far, and the time since the beginning as ``total``."""
        return {**self._stages, "total": _milliseconds(time.monotonic() - self._started)}


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 1)


def format_milliseconds(ms: float) -> str:
    """A short duration for a person, in milliseconds, seconds or larger units."""
    if ms < 1:
        return "under 1 ms"
    if ms < _SECOND_MS:
        return f"{ms:.0f} ms"
    if ms < _MINUTE_MS:
        return f"{ms / _SECOND_MS:.1f} s"
    return format_duration(timedelta(milliseconds=ms))


def parse_time(value: Json) -> datetime | None:
    """A time as records and evidence spell it; None for anything else."""
    if not isinstance(value, str):
        return None
    try:
        return datetime.fromisoformat(value).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
