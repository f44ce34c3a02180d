"""How long things take: a stopwatch for stages, and durations in words."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from incident.model import span

__all__ = ["Stopwatch", "span"]


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
            self._stages[name] = _ms(time.monotonic() - started)

    @property
    def timings_ms(self) -> Mapping[str, float]:
        """The stages so far, and the time since the beginning as ``total``."""
        return {**self._stages, "total": _ms(time.monotonic() - self._started)}


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)
