"""Compare recorded values that contain redaction marks with current values.

Marks are never compared with marks: a process without a configured key makes a key of its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from incident.model import Json
from incident.redaction.credential_contexts import MARK_PATTERN

_MARK = re.compile(MARK_PATTERN)


def matches_recorded(recorded: Json, current: Json) -> bool:
    """Whether a value may be what was recorded: a mark matches any text, the rest must be equal.

    The order of lists does not matter. What a mark replaced is unknown: a match shows that nothing
    else changed, and does not permit writing the recorded value.
    """
    if isinstance(recorded, str):
        return isinstance(current, str) and _text_matches(recorded, current)
    if isinstance(recorded, Mapping):
        if not isinstance(current, Mapping) or recorded.keys() != current.keys():
            return False
        return all(matches_recorded(value, current[name]) for name, value in recorded.items())
    if isinstance(recorded, Sequence):
        return (
            isinstance(current, Sequence)
            and not isinstance(current, str)
            and _matches_in_any_order(recorded, current)
        )
    return recorded == current


def has_mark(value: Json) -> bool:
    """Whether any text in it has a mark."""
    if isinstance(value, str):
        return bool(_MARK.search(value))
    if isinstance(value, Mapping):
        return any(map(has_mark, value.values()))
    return isinstance(value, Sequence) and any(map(has_mark, value))


def _text_matches(recorded: str, current: str) -> bool:
    prefix, *middle = _MARK.split(recorded)
    if not middle:
        return recorded == current
    suffix = middle.pop()
    if (
        len(current) < len(prefix) + len(suffix)
        or not current.startswith(prefix)
        or not current.endswith(suffix)
    ):
        return False
    at, end = len(prefix), len(current) - len(suffix)
    for part in middle:
        found = current.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True


def _matches_in_any_order(recorded: Sequence[Json], current: Sequence[Json]) -> bool:
    """Whether each of some values has one of the others for itself; those without a mark first."""
    unmatched = list(current)
    for value in sorted(recorded, key=has_mark):
        at = next((at for at, each in enumerate(unmatched) if matches_recorded(value, each)), None)
        if at is None:
            return False
        del unmatched[at]
    return not unmatched
