"""Texts for people: what is invisible made visible, and changes line by line. Pure.

An attacker chose much of what is shown: names, arguments, log lines. None of it may move the
cursor, colour the terminal or turn the direction of writing.
"""

from __future__ import annotations

import difflib
import json
import re
import unicodedata
from collections.abc import Iterator, Mapping

import yaml

from incident.model import Change, Json, JsonObject

# Control, format (bidirectional overrides among them), surrogate, private and unassigned
# characters, line and paragraph separators.
_INVISIBLE = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))
_MOST_NAMES = 5
_LONGEST_NAME = 200
_OUTSIDE_ASCII = re.compile(r"[^ -~]")


def escape_unprintable(text: str) -> str:
    """A text of one line in which everything invisible shows as an escape."""
    return _OUTSIDE_ASCII.sub(lambda found: _escaped_char(found[0]), text)


def escape_unprintable_lines(text: str) -> str:
    """The same of a text whose lines stay lines."""
    return "\n".join(escape_unprintable(line) for line in text.split("\n"))


def escape_unprintable_json(value: Json) -> str:
    """A value as JSON that reads back as the same value, and is safe to show."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    # Outside of strings JSON has nothing invisible but the ends of its lines.
    lines = (
        _OUTSIDE_ASCII.sub(lambda m: _escaped_json_char(m[0]), line) for line in text.split("\n")
    )
    return "\n".join(lines)


def unreadable_names_text(names: Mapping[str, str]) -> str:
    """What lies in the store under names that nothing can be read by, in one line.

    Args:
        names: Names, what is invisible in them escaped, each with why it cannot be read.
    """
    items = [f"{name[:_LONGEST_NAME]} ({why})" for name, why in sorted(names.items())]
    more = f", and {len(items) - _MOST_NAMES} more" if len(items) > _MOST_NAMES else ""
    return (
        f"{len(items)} that nobody can read, and that the responder did not write:"
        f" {', '.join(items[:_MOST_NAMES])}{more}. Find out who wrote to the store, and take each"
        " away; in a bucket with `gcloud storage rm` and its generation"
    )


def change_diff_lines(change: Change) -> Iterator[str]:
    """The lines of a change: ``-`` goes, ``+`` comes, the rest stays."""
    return diff_lines(change.before, change.after)


def diff_lines(before: JsonObject, after: JsonObject) -> Iterator[str]:
    """The lines of two objects: ``-`` is in the first, ``+`` in the second, the rest in both."""
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
