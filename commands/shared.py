"""What the commands have in common: connecting, JSON, and one clear sentence for what is wrong."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import click

from clients import Clients, Settings, connect, read_settings
from clients.store import Store, open_store
from commands.progress import shown
from incident.model import IncidentError
from incident.texts import visible_json, visible_lines

T = TypeVar("T")


def as_json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command ``--json``, as ``as_json``."""
    return click.option(
        "--json", "as_json", is_flag=True, help="Print one JSON value and nothing else."
    )(command)


def run(
    work: Callable[[Clients], Coroutine[Any, Any, T]],
    settings: Settings | None = None,
    *,
    rehearsing: bool = False,
    failed: Callable[[str], None] | None = None,
) -> T:
    """Connect with the operator's own credentials, do the work, and close what was opened.

    What goes on meanwhile is shown at a terminal: work that writes or asks something itself
    does so in ``progress.paused()``.

    Args:
        work: What to do with the clients.
        settings: Where to; the environment's by default.
        rehearsing: Have the clients refuse every write to a workload.
        failed: Told why, when it fails.
    """

    async def connected() -> T:
        clients = await connect(settings or read_settings(), rehearsing=rehearsing)
        try:
            return await work(clients)
        finally:
            await clients.close()

    return checked(lambda: _shown(connected()), failed)


def read_store(work: Callable[[Store], Coroutine[Any, Any, T]]) -> T:
    """Do work that needs the store alone, and so no credentials where that is a folder."""
    return checked(lambda: _shown(work(open_store(read_settings()))))


def _shown(work: Coroutine[Any, Any, T]) -> T:
    with shown():
        return asyncio.run(work)


def checked(work: Callable[[], T], failed: Callable[[str], None] | None = None) -> T:
    """Do it; what is wrong is one clear sentence on standard error, and exit status 1."""
    try:
        return work()
    except IncidentError as error:
        if failed:
            failed(str(error))
        click.echo(f"Error: {visible_lines(str(error))}", err=True)
        sys.exit(1)


def print_json(value: Any) -> None:
    """Print one JSON value; what is invisible in its texts is escaped."""
    click.echo(visible_json(value))
