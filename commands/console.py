"""Print lines, pages, diffs and manifest digests to a terminal safely."""

from __future__ import annotations

import click
from rich.console import Console, RenderableType
from rich.text import Text

from incident.case_file.journal import ObjectStore
from incident.case_file.recording_store import as_recording_store
from incident.model import Change, Json
from incident.report.terminal import change_diff_lines, escape_unprintable

_DIFF_STYLES = {"-": "red", "+": "green"}


def print_line(console: Console, text: str, style: str = "") -> None:
    """Print one line unwrapped; unprintable characters are escaped."""
    console.print(Text(escape_unprintable(text), style=style), soft_wrap=True)


def print_page(console: Console, page: RenderableType) -> None:
    """Print a page as wide as the console; commands and addresses are not wrapped.

    Trailing padding is removed unless this is a terminal, for grep, diff and copying.
    """
    if console.is_terminal:
        console.print(page, crop=False)
        return
    with console.capture() as captured:
        console.print(page, crop=False)
    click.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))


def print_diff(console: Console, change: Change) -> None:
    """Print a change as a diff."""
    for line in change_diff_lines(change):
        print_line(console, line, _DIFF_STYLES.get(line[:1], ""))


def manifest_digests(store: ObjectStore) -> dict[str, Json]:
    """Digest of the newest manifest written through a store, by case file."""
    return {**dict(sorted(as_recording_store(store).manifest_digests.items()))}


def print_manifest_digests(console: Console, store: ObjectStore) -> None:
    """Print the digests, for the operator to keep: a copy outside the store."""
    for folder, sha256 in manifest_digests(store).items():
        text = escape_unprintable(f"{folder} is sealed. Keep this, for `verify --sha256`: {sha256}")
        console.print(Text(text), soft_wrap=True)
