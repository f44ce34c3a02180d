"""Strict JSON: rejects duplicate keys, NaN and deep nesting, in linear time."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable

import pydantic_core

from incident.model import Json, JsonObject
from incident.notification.resource_names import quote_untrusted

_MAX_BYTES = 10_000_000  # Pub/Sub takes no larger message
_MAX_DEPTH = 64  # a finding has about 10 levels; protobuf itself stops at 100


class UnreadableError(Exception):
    """What is wrong, where and why; the callers in ``parse`` add what was being read."""


def load_json_object(data: bytes) -> dict[str, Json]:
    """Read a JSON object.

    The first reader rejects invalid UTF-8, lone surrogates, NaN and deep nesting, without
    recursion in Python; the second finds duplicate keys and numbers that are too large.
    """
    if len(data) > _MAX_BYTES:
        raise UnreadableError(f"it has {len(data)} bytes, expected at most {_MAX_BYTES}")
    if data.startswith(b"\xef\xbb\xbf"):
        raise UnreadableError("it begins with a byte order mark, expected JSON in plain UTF-8")
    try:
        _check_depth(pydantic_core.from_json(data, allow_inf_nan=False))
        document = json.loads(
            data.decode(), object_pairs_hook=_unique, parse_float=_finite, parse_int=_integer
        )
    except ValueError as error:
        raise UnreadableError(f"it is not JSON in UTF-8: {error}") from error
    if not isinstance(document, dict):
        raise UnreadableError("its top level must be an object")
    return document


def dump_json(record: JsonObject) -> bytes:
    """A record as JSON; mappings of another type become a dict."""
    try:
        text = json.dumps(record, ensure_ascii=False, separators=(",", ":"), default=dict)
        return text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise UnreadableError(f"it cannot be written as JSON: {type(error).__name__}") from error


def _check_depth(document: object) -> None:
    """Reject nesting so deep that code which walks the raw record later could fail."""
    level = [document]
    for _ in range(_MAX_DEPTH):
        children = (child for node in level for child in _children(node))
        level = [child for child in children if isinstance(child, (dict, list))]
    if level:
        raise UnreadableError(f"it is nested too deeply, expected at most {_MAX_DEPTH} levels")


def _children(node: object) -> Iterable[object]:
    if isinstance(node, dict):
        return node.values()
    return node if isinstance(node, list) else ()


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    """An object without duplicate keys: another reader might use the other value."""
    document = dict(pairs)
    if len(document) < len(pairs):
        counts = Counter(key for key, _ in pairs)
        twice = next(key for key, count in counts.items() if count > 1)
        raise UnreadableError(f"the key {quote_untrusted(twice)} stands twice in one object")
    return document


def _finite(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise UnreadableError(
            f"the number {quote_untrusted(digits)} is too large, expected a double"
        )
    return value


def _integer(digits: str) -> int:
    _finite(digits)
    return int(digits)
