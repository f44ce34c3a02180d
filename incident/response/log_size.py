"""Cut what a log line holds, so that the line stays below 64 KiB. Pure.

The record of an outcome has all of it. In the log line long lists and texts are cut, and what was
cut is counted. Cloud Logging takes entries of up to 256 KiB; longer lines are split, and are no
JSON any more (https://cloud.google.com/logging/quotas).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from incident.model import Json, JsonObject

#: Longest line, and what is left of it for the keys that are not the outcome's.
MAX_LINE_BYTES = 64 * 1024
_RESERVED_BYTES = 8 * 1024
#: How many items of a list or an object, and characters of a text, are kept: tried in turn.
_STEPS = ((500, 8_000), (200, 4_000), (100, 2_000), (50, 1_000), (20, 500), (10, 250), (4, 120))
#: The keys that even the shortest line has.
_LAST_KEYS = ("schema_version", "incident", "status", "mode", "responder", "rule", "containment")
_MAX_COUNTED = 40
#: Objects have so many keys at least: an outcome's own are never cut.
_MIN_KEYS = 60


@dataclass
class _Cut:
    """Counts what is left out of one value."""

    max_items: int
    max_characters: int
    counted: list[Json] = field(default_factory=list)
    more: int = 0

    def value(self, value: Json, path: str) -> Json:
        """The value with its long lists, objects and texts cut."""
        if isinstance(value, str):
            return self._text(value, path)
        if isinstance(value, Mapping):
            items = list(value.items())
            kept = items[: max(self.max_items, _MIN_KEYS)]
            self._count(path, len(kept), len(items), "keys")
            return {
                self._text(key, f"{path}.{key[:40]}"): self.value(each, f"{path}.{key[:40]}")
                for key, each in kept
            }
        if isinstance(value, list | tuple):
            self._count(path, min(len(value), self.max_items), len(value), "items")
            return [
                self.value(each, f"{path}[{index}]")
                for index, each in enumerate(value[: self.max_items])
            ]
        return value

    def _text(self, text: str, path: str) -> str:
        if len(text) <= self.max_characters:
            return text
        self._count(path, self.max_characters, len(text), "characters")
        return f"{text[: self.max_characters]}…"

    def _count(self, path: str, kept: int, total: int, unit: str) -> None:
        if kept == total:
            return
        if len(self.counted) == _MAX_COUNTED:
            self.more += 1
            return
        self.counted.append({"path": path[:200], "kept": kept, "of": total, "unit": unit})


def fit_keys(keys: JsonObject) -> dict[str, Json]:
    """The keys of a log line, cut where the line would be too long.

    Args:
        keys: The keys of one line.

    Returns:
        The same keys; if anything was cut, also ``cut``: for each place ``path``, ``kept`` and
        ``of`` in items, keys or characters, and ``cut_more``: at how many further places.
    """
    limit = MAX_LINE_BYTES - _RESERVED_BYTES
    if _size(keys) <= limit:
        return dict(keys)
    for max_items, max_characters in _STEPS:
        cut = _Cut(max_items, max_characters)
        fitted = {key: cut.value(value, key) for key, value in keys.items()}
        fitted |= {"cut": cut.counted, "cut_more": cut.more}
        if _size(fitted) <= limit:
            return fitted
    return _shortest(keys)


def _shortest(keys: JsonObject) -> dict[str, Json]:
    """Only what identifies the incident: the rest is nested too deeply to be cut."""
    cut = _Cut(*_STEPS[-1])
    outcome = keys.get("outcome")
    short = {key: value for key, value in keys.items() if not isinstance(value, Mapping | list)}
    fitted = {key: cut.value(value, key) for key, value in short.items()}
    if isinstance(outcome, Mapping):
        fitted["outcome"] = {
            key: cut.value(outcome[key], f"outcome.{key}")
            for key in _LAST_KEYS
            if isinstance(outcome.get(key), str | int | float | None)
        }
    left = [key for key in keys if key not in fitted or key == "outcome"]
    return {**fitted, "cut": [{"path": key, "kept": 0, "of": None, "unit": "keys"} for key in left]}


def _size(value: Json) -> int:
    """Length of a value as JSON, in ASCII as it is logged."""
    return len(json.dumps(value))
