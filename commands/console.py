"""Print lines, pages, diffs and manifest digests to a terminal safely."""

from __future__ import annotations

import click
from rich.console import Console, RenderableType
from rich.text import Text

from incident.case_file.manifest import RecordingStore, try_write_manifest
from incident.model import Change
from incident.report.terminal import change_diff_lines, escape_unprintable

_UNWRAPPED = 100_000  # columns, more than a line has
_DIFF_STYLES = {"-": "red", "+": "green"}


def print_line(console: Console, text: str, style: str = "") -> None:
    """Print one line unwrapped; unprintable characters are escaped."""
    console.print(Text(escape_unprintable(text), style=style), soft_wrap=True)


def print_page(console: Console, page: RenderableType) -> None:
    """Print a page as wide as the terminal; commands and addresses are not wrapped.

    A pipe gets every paragraph on one line without trailing spaces, for grep, diff and copying.
    """
    if console.is_terminal:
        console.print(page, crop=False)
        return
    console.width = _UNWRAPPED
    with console.capture() as captured:
        console.print(page, crop=False)
    click.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))


def print_diff(console: Console, change: Change) -> None:
    """Print a change as a diff."""
    for line in change_diff_lines(change):
        print_line(console, line, _DIFF_STYLES.get(line[:1], ""))


async def write_and_print_manifest(
    store: RecordingStore, folder: str, console: Console
) -> str | None:
    """List what a command created, in a manifest of a case file or containment.

    Returns:
        The manifest's digest, which stands in no log; None where there is no manifest.
    """
    sha256, problem = await try_write_manifest(store, folder)
    if problem:
        console.print(Text(escape_unprintable(problem), style="bold red"), soft_wrap=True)
    elif sha256:
        text = f"Manifest SHA-256 of {folder} (keep it to verify the case file): {sha256}"
        console.print(Text(escape_unprintable(text)), soft_wrap=True)
    return sha256
