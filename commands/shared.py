"""What the commands have in common: connecting, JSON, and one clear sentence for what is wrong."""

from __future__ import annotations

import asyncio
import secrets
import sys
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import click

from clients import Clients, Settings, SettingsError, connect, read_settings
from clients.heard import Heard
from clients.store import Store, open_store
from commands.progress import shown
from incident.model import IncidentError
from incident.redaction.errors import told_error
from incident.redaction.redactor import Redactor
from incident.report.terminal import visible_json, visible_lines

T = TypeVar("T")

_KEY = secrets.token_bytes(32)


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
    heard = Heard()

    async def connected() -> T:
        there = settings or read_settings()
        clients = await connect(there, rehearsing=rehearsing, heard=heard)
        try:
            return await work(clients)
        finally:
            await clients.close()

    return checked(lambda: _shown(connected()), failed, heard)


def read_store(work: Callable[[Store], Coroutine[Any, Any, T]]) -> T:
    """Do work that needs the store alone, and so no credentials where that is a folder."""
    return checked(lambda: _shown(work(open_store(read_settings()))))


def _shown(work: Coroutine[Any, Any, T]) -> T:
    with shown():
        return asyncio.run(work)


def checked(
    work: Callable[[], T],
    failed: Callable[[str], None] | None = None,
    heard: Heard | None = None,
) -> T:
    """Do it; what is wrong is one clear sentence on standard error, and exit status 1.

    What Google answers may quote the environment that it was sent, or headers of the call: every
    error of a command is told here, without what looks secret and what was read that may be.
    """
    try:
        return work()
    except IncidentError as error:
        if not isinstance(error, SettingsError):  # these are our own words, about names alone
            told_error(error, redactor_of(heard))
        if failed:
            failed(str(error))
        click.echo(f"Error: {visible_lines(str(error))}", err=True)
        sys.exit(1)


def redactor_of(heard: Heard | None) -> Redactor:
    """Redacts what a command has read so far; equal secrets have equal marks within it."""
    known = heard or Heard()
    return Redactor(_KEY, known.secrets, harmless=known.names)


def print_json(value: Any) -> None:
    """Print one JSON value; what is invisible in its texts is escaped."""
    click.echo(visible_json(value))
