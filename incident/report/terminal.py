"""Escape unprintable characters for terminals; line diffs of changes. Pure.

Names, arguments and log lines are untrusted. They must not move the cursor, change colours or
reverse the direction of writing.
"""

from __future__ import annotations

import difflib
import json
import re
import unicodedata
from collections.abc import Iterator, Mapping

import yaml

from incident.model import Change, Json, JsonObject

# Control, format (bidirectional overrides too), surrogate, private, unassigned and separator
# characters.
_INVISIBLE = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))
_MOST_NAMES = 5
_LONGEST_NAME = 200
_OUTSIDE_ASCII = re.compile(r"[^ -~]")


def escape_unprintable(text: str) -> str:
    """A line of text with invisible characters as escapes."""
    return _OUTSIDE_ASCII.sub(lambda found: _escaped_char(found[0]), text)


def escape_unprintable_lines(text: str) -> str:
    """The same for a text of several lines."""
    return "\n".join(escape_unprintable(line) for line in text.split("\n"))


def escape_unprintable_json(value: Json) -> str:
    """A value as JSON with invisible characters as JSON escapes."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    # Outside strings, JSON's only invisible characters are line ends.
    lines = (
        _OUTSIDE_ASCII.sub(lambda m: _escaped_json_char(m[0]), line) for line in text.split("\n")
    )
    return "\n".join(lines)


def unreadable_names_text(names: Mapping[str, str]) -> str:
    """Objects of the store with unreadable names, as one line.

    Args:
        names: The reason why each cannot be read, by escaped name.
    """
    items = [f"{name[:_LONGEST_NAME]} ({why})" for name, why in sorted(names.items())]
    more = f", and {len(items) - _MOST_NAMES} more" if len(items) > _MOST_NAMES else ""
    return (
        f"{len(items)} that nobody can read, and that the responder did not write:"
        f" {', '.join(items[:_MOST_NAMES])}{more}. Find out who wrote to the store, and take each"
        " away; in a bucket with `gcloud storage rm` and its generation"
    )


def change_diff_lines(change: Change) -> Iterator[str]:
    """The diff of a change: ``-`` before, ``+`` after, else unchanged."""
    return diff_lines(change.before, change.after)


def diff_lines(before: JsonObject, after: JsonObject) -> Iterator[str]:
    """The diff of two objects: ``-`` first, ``+`` second, else in both."""
    for line in difflib.ndiff(_lines(before), _lines(after)):
        if not line.startswith("?"):
            yield line.rstrip()


def _escaped_char(char: str) -> str:
    if unicodedata.category(char) not in _INVISIBLE:
        return char
    return char.encode("unicode_escape").decode()


def _escaped_json_char(char: str) -> str:
    if unicodedata.category(char) not in _INVISIBLE:
        return char
    units = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


def _lines(fields: JsonObject) -> list[str]:
    plain = {name: value for name, value in fields.items() if value is not None}
    return yaml.safe_dump(plain, sort_keys=True, default_flow_style=False).splitlines()
