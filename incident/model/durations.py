"""Stopwatch for the stages of an incident, and durations as text."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta

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


def format_duration(duration: timedelta) -> str:
    """A duration for a person, in the two largest of its units."""
    seconds = max(int(duration.total_seconds()), 0)
    parts = []
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2]) or "0 s"
