"""Lines for people at a terminal, which neither obeys them nor breaks a name in two."""

from __future__ import annotations

import click
from rich.console import Console, RenderableType
from rich.text import Text

from incident.model import Change
from incident.report.terminal import change_diff_lines, escape_unprintable

_DIFF_STYLES = {"-": "red", "+": "green"}


def print_line(console: Console, text: str, style: str = "") -> None:
    """One line as it is; what is invisible in it shows as an escape."""
    console.print(Text(escape_unprintable(text), style=style), soft_wrap=True)


def print_page(console: Console, page: RenderableType) -> None:
    """A page as wide as the console, but for lines that are not to be broken.

    Padding that only a terminal needs would be in the way of grep, diff and whoever copies.
    """
    if console.is_terminal:
        console.print(page, crop=False)
        return
    with console.capture() as captured:
        console.print(page, crop=False)
    click.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))


def print_diff(console: Console, change: Change) -> None:
    """A change line by line: what goes, what comes, what stays."""
    for line in change_diff_lines(change):
        print_line(console, line, _DIFF_STYLES.get(line[:1], ""))
