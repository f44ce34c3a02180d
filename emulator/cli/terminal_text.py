"""Escape and lay out text for terminals.

Pure. To be printed with ``crop=False``: what must not be broken is as long as it is.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from itertools import groupby

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

#: How a value begins that is one of several: its lines stand beside it.
BULLET = "· "
_MAX_CHARACTERS = 300
_LABEL_WIDTH = 11
# Control, format (bidirectional overrides among them), surrogate, private and unassigned
# characters, line and paragraph separators.
_INVISIBLE = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))


def clean(value: object) -> str:
    """A text in which everything invisible shows as an escape, cut to a length in characters."""
    text = value if isinstance(value, str) else str(value)
    visible = escape_invisible(text[:_MAX_CHARACTERS])
    return (
        visible
        if len(text) <= _MAX_CHARACTERS
        else f"{visible}… ({len(text) - _MAX_CHARACTERS} more)"
    )


def escape_invisible(text: str) -> str:
    """The same, not cut: a command or an address of which a part is missing is none."""
    return "".join(_visible(char) for char in text)


def clean_lines(text: str) -> str:
    """The same for a text of several lines, which stay lines."""
    return "\n".join(clean(line) for line in text.splitlines())


def command_lines(rows: Iterable[tuple[str, str]]) -> Iterator[Text]:
    """Labels, each with a line beneath it that is neither broken nor indented."""
    for label, command in rows:
        yield Text(clean(label), style="bold")
        yield Text(escape_invisible(command), no_wrap=True, overflow="ignore")


def section(title: str, rows: Iterable[tuple[str, str]]) -> Iterator[RenderableType]:
    """A titled table of labels and values; nothing at all where there are no rows.

    A value of one word, such as a digest, has a line of its own as long as it is.
    """
    for at, (one_word, several) in enumerate(groupby(rows, lambda row: " " not in row[1])):
        if at == 0:
            yield Text(title, style="bold")
        yield from map(_unwrapped, several) if one_word else [_table(several)]


def _unwrapped(row: tuple[str, str]) -> Text:
    segments = (f"  {clean(row[0]):<{_LABEL_WIDTH}} ", "dim"), clean(row[1])
    return Text.assemble(*segments, no_wrap=True, overflow="ignore")


def _table(rows: Iterable[tuple[str, str]]) -> Padding:
    """Labels and values; the lines of a point stand beside it, not under it."""
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(width=_LABEL_WIDTH, style="dim", overflow="fold")
    table.add_column(overflow="fold")
    for label, value in rows:
        text, is_bulleted = Text(clean(value.removeprefix(BULLET))), value.startswith(BULLET)
        table.add_row(Text(clean(label)), _bulleted(text) if is_bulleted else text)
    return Padding(table, (0, 0, 0, 2))


def _bulleted(text: Text) -> Table:
    table = Table.grid()
    table.add_column(width=len(BULLET))
    table.add_column(overflow="fold")
    table.add_row(BULLET, text)
    return table


def _visible(char: str) -> str:
    if unicodedata.category(char) not in _INVISIBLE:
        return char
    return char.encode("unicode_escape").decode()
