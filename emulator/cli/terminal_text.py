"""Escape and lay out text for terminals.

Pure. To be printed with ``crop=False``: what must not be broken is as long as it is.
"""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Iterable, Iterator

from rich.console import Console, ConsoleOptions, RenderableType
from rich.text import Text

#: How a value begins that is one of several: its lines stand beside it.
BULLET = "· "
_MAX_CHARACTERS = 300
_LABEL_WIDTH = 11
_LEAST_WIDTH = 20
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
    """A title, and labels with values; nothing at all where there are no rows."""
    listed = tuple(rows)
    if listed:
        yield Text(title, style="bold")
        yield _Rows(listed)


class _Rows:
    """Labels and values, wrapped between words: a digest or an address stays whole."""

    def __init__(self, rows: tuple[tuple[str, str], ...]) -> None:
        self._rows = rows

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        """One line after the other, as wide as the console."""
        del console
        margin = 2 + _LABEL_WIDTH + 1
        for label, value in self._rows:
            # The lines of a point stand beside it, not under it.
            hanging = " " * len(BULLET) if value.startswith(BULLET) else ""
            lines = textwrap.wrap(
                clean(value),
                max(options.max_width - margin, _LEAST_WIDTH),
                subsequent_indent=hanging,
                break_long_words=False,
                break_on_hyphens=False,
            )
            for at, line in enumerate(lines or [""]):
                head = f"  {clean(label):<{_LABEL_WIDTH}} " if at == 0 else " " * margin
                yield Text.assemble((head, "dim"), line, no_wrap=True, overflow="ignore")


def _visible(char: str) -> str:
    if unicodedata.category(char) not in _INVISIBLE:
        return char
    return char.encode("unicode_escape").decode()
