"""Changes as text for people: what is there now and what would be there, line by line. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

import yaml

from incident.model import Change, JsonObject


def diff(change: Change) -> Iterator[str]:
    """The lines of a change: ``-`` goes, ``+`` comes, the rest stays."""
    return diff_lines(change.before, change.after)


def diff_lines(before: JsonObject, after: JsonObject) -> Iterator[str]:
    """The lines of two objects: ``-`` is in the first, ``+`` in the second, the rest in both."""
    for line in difflib.ndiff(_lines(before), _lines(after)):
        if not line.startswith("?"):
            yield line.rstrip()


def printable(text: str) -> str:
    """Text that a terminal shows and does not obey: what is not printable is spelled out."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _lines(fields: JsonObject) -> list[str]:
    plain = {name: value for name, value in fields.items() if value is not None}
    return yaml.safe_dump(plain, sort_keys=True, default_flow_style=False).splitlines()
