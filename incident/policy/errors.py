"""Policy file errors with line, column and key."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from pydantic_core import PydanticCustomError

from incident.model import InvalidPolicy

MAX_MISTAKES = 100

KeyPath: TypeAlias = tuple[int | str, ...]

_MAX_QUOTED = 80


@dataclass(frozen=True, slots=True, order=True)
class Mistake:
    """One mistake in the file.

    Attributes:
        line: Counted from 1.
        column: Counted from 1.
        text: The key, what was found and what was expected.
    """

    line: int
    column: int
    text: str


def invalid_value(text: str) -> PydanticCustomError:
    """A validation error with our own text: what was expected."""
    return PydanticCustomError("policy", "{text}", {"text": text})


def invalid_policy(source: str, *mistakes: Mistake, title: str = "policy") -> InvalidPolicy:
    """The error that lists mistakes, in the order of the file; ``title`` says what the file is."""
    found = sorted(mistakes)
    count = "1 mistake" if len(found) == 1 else f"{len(found)} mistakes"
    lines = [f"  {source}:{each.line}:{each.column}: {each.text}" for each in found[:MAX_MISTAKES]]
    if len(found) > MAX_MISTAKES:
        lines.append(f"  … and {len(found) - MAX_MISTAKES} more")
    return InvalidPolicy("\n".join((f"Cannot use the {title} {source}: {count}", *lines)))


def quote_value(text: str) -> str:
    """Quote untrusted text for a message: one line, bounded, printable."""
    short = text if len(text) <= _MAX_QUOTED else f"{text[:_MAX_QUOTED]}…"
    return f'"{short}"' if short.isprintable() else ascii(short)


def did_you_mean(text: str, known: Iterable[str]) -> str:
    """The nearest known word, as the end of a message; empty where none is near."""
    near = difflib.get_close_matches(text, tuple(known), n=1)
    return f" (did you mean {near[0]}?)" if near else ""


def format_path(path: KeyPath) -> str:
    """A path as people write it: ``rules[0].match.projects[1]``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            name = quote_value(part).strip('"')
            text += f".{name}" if text else name
    return text
