"""Before and after of a change as a line diff.

Nothing is styled here, and nothing made safe for a terminal: that is `show`'s business.
"""

from __future__ import annotations

import difflib
import re
from typing import Any

# Prefixes that every value of an enum repeats.
_ENUM_PREFIX = re.compile(
    r"^(?:TRAFFIC_TARGET_ALLOCATION_TYPE|INSTANCE_SPLIT_ALLOCATION_TYPE|INGRESS_TRAFFIC)_(?=.)"
)


def line_diff(before: object, after: object) -> list[tuple[str, str]]:
    """The lines of both, each with `-`, `+` or a space in front for what became of it."""
    old, new = _lines(before), _lines(after)
    found: list[tuple[str, str]] = []
    for tag, a, b, c, d in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal":
            found += [(" ", line) for line in old[a:b]]
        else:
            found += [("-", line) for line in old[a:b]] + [("+", line) for line in new[c:d]]
    return found


def _lines(value: object, indent: str = "") -> list[str]:
    if isinstance(value, dict):
        return [line for key in value for line in _field(key, value[key], indent)]
    if isinstance(value, list | tuple):
        return [f"{indent}- {_inline(item)}" for item in value]
    return [] if value is None else [f"{indent}{_inline(value)}"]


def _field(key: object, value: Any, indent: str) -> list[str]:
    if isinstance(value, dict | list | tuple) and value:
        return [f"{indent}{key}:", *_lines(value, f"{indent}  ")]
    return [f"{indent}{key}: {_inline(value)}"]


def _inline(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_inline(item)}" for key, item in value.items()) or "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_inline, value))}]"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "not set"}[value]
    return _ENUM_PREFIX.sub("", str(value))
