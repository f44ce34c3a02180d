"""``responders``: list finding types and the most that is done about each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from commands.shared import as_json_option, print_json
from responders import responder_catalogue

_STYLES = {"contain": "bold red", "hold": "yellow"}


@click.command()
@as_json_option
def responders(*, as_json: bool) -> None:
    """List what each finding type means, and the most that is done about it.

    Nothing is contained unless the policy names its category besides: `contain` is a ceiling.
    """
    entries: Sequence[Mapping[str, Any]] = responder_catalogue()
    if as_json:
        print_json(entries)
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 1, 0))
    for title in ("finding type", "at most", "why", "ATT&CK"):
        table.add_column(title, overflow="fold")
    for entry in entries:
        verdict = str(entry["verdict"])
        table.add_row(
            Text("\n".join(entry["categories"]) or "any other of Cloud Run Threat Detection"),
            Text(verdict, style=_STYLES.get(verdict, "")),
            Text(str(entry["because"])),
            Text(", ".join(technique["id"] for technique in entry["techniques"])),
        )
    Console().print(table)
