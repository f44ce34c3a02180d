"""Labels and values for a terminal, wrapped between words only.

A digest, an address or a command that is longer than a line stays whole: the terminal may show it
on two lines, and copying it gives what it is.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator

from rich.console import Console, ConsoleOptions
from rich.text import Text

from incident.report.terminal import escape_unprintable

#: How a value begins that is one of several: its lines stand beside it.
BULLET = "· "
LABEL_WIDTH = 11
_INDENT = 2
_LEAST_WIDTH = 20


class WrappedRows:
    """Rows of a label and a value, as a renderable; print it with ``crop=False``.

    Args:
        rows: Labels and values, in which unprintable characters are escaped here.
    """

    def __init__(self, rows: Iterable[tuple[str, str]]) -> None:
        self._rows = tuple(rows)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        """One line after the other, as wide as the console."""
        del console
        margin = _INDENT + LABEL_WIDTH + 1
        for label, value in self._rows:
            head = f"{' ' * _INDENT}{escape_unprintable(label):<{LABEL_WIDTH}} "
            for at, line in enumerate(wrapped(value, options.max_width - margin)):
                start = (head, "dim") if at == 0 else " " * margin
                yield Text.assemble(start, line, no_wrap=True, overflow="ignore")


def wrapped(text: str, width: int) -> list[str]:
    """A text in lines, broken between words; a line may be longer than the width by one word."""
    hanging = " " * len(BULLET) if text.startswith(BULLET) else ""
    return textwrap.wrap(
        escape_unprintable(text),
        max(width, _LEAST_WIDTH),
        subsequent_indent=hanging,
        break_long_words=False,
        break_on_hyphens=False,
    ) or [""]


class WrappedText:
    """A paragraph with an indent, as a renderable; print it with ``crop=False``.

    Args:
        text: The paragraph.
        indent: Spaces in front of its first line.
        hanging: Spaces in front of the others.
        style: Its style.
    """

    def __init__(self, text: str, indent: int = 0, hanging: int = 0, style: str = "") -> None:
        self._text, self._indent, self._hanging, self._style = text, indent, hanging, style

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        """One line after the other, as wide as the console."""
        del console
        for at, line in enumerate(wrapped(self._text, options.max_width - self._hanging)):
            spaces = " " * (self._hanging if at else self._indent)
            yield Text(f"{spaces}{line}", style=self._style, no_wrap=True, overflow="ignore")
