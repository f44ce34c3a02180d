"""Values that were recorded with marks in place of secrets, compared with the values themselves.

A mark cannot be compared with a mark: without a key of its own each process makes others.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from incident.model import Json
from incident.redaction.credential_patterns import MARK

_MARK = re.compile(MARK)


def reads_as(recorded: Json, now: Json) -> bool:
    """Whether a value may be what was recorded: the same wherever no mark stands.

    Of two lists the order does not matter. What stands under a mark is not known; so this tells
    that nothing else changed, and is no ground to write what was recorded.
    """
    if isinstance(recorded, str):
        return isinstance(now, str) and _text_reads_as(recorded, now)
    if isinstance(recorded, Mapping):
        if not isinstance(now, Mapping) or recorded.keys() != now.keys():
            return False
        return all(reads_as(value, now[name]) for name, value in recorded.items())
    if isinstance(recorded, Sequence):
        return isinstance(now, Sequence) and not isinstance(now, str) and _pairs(recorded, now)
    return recorded == now


def has_mark(value: Json) -> bool:
    """Whether any text in it has a mark."""
    if isinstance(value, str):
        return bool(_MARK.search(value))
    if isinstance(value, Mapping):
        return any(map(has_mark, value.values()))
    return isinstance(value, Sequence) and any(map(has_mark, value))


def _text_reads_as(recorded: str, now: str) -> bool:
    first, *others = _MARK.split(recorded)
    if not others:
        return recorded == now
    last = others.pop()
    if len(now) < len(first) + len(last) or not now.startswith(first) or not now.endswith(last):
        return False
    at, end = len(first), len(now) - len(last)
    for part in others:
        found = now.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True


def _pairs(recorded: Sequence[Json], now: Sequence[Json]) -> bool:
    """Whether each of some values has one of the others for itself; those without a mark first."""
    left = list(now)
    for value in sorted(recorded, key=has_mark):
        at = next((at for at, each in enumerate(left) if reads_as(value, each)), None)
        if at is None:
            return False
        del left[at]
    return not left
