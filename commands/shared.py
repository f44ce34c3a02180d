"""What the commands have in common: connecting, JSON, and one clear sentence for what is wrong."""

from __future__ import annotations

import asyncio
import secrets
import sys
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import click

from clients import Clients, Settings, SettingsError, connect, read_settings
from clients.observed_secrets import ObservedSecrets
from clients.store import Store, open_store
from commands.progress import progress_shown
from incident.model import IncidentError
from incident.redaction.errors import redact_error
from incident.redaction.redactor import Redactor
from incident.report.terminal import escape_unprintable_json, escape_unprintable_lines

T = TypeVar("T")

_KEY = secrets.token_bytes(32)


def as_json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command ``--json``, as ``as_json``."""
    return click.option(
        "--json", "as_json", is_flag=True, help="Print one JSON value and nothing else."
    )(command)


def run_with_clients(
    work: Callable[[Clients], Coroutine[Any, Any, T]],
    settings: Settings | None = None,
    *,
    dry_run: bool = False,
    failed: Callable[[str], None] | None = None,
) -> T:
    """Connect with the operator's own credentials, do the work, and close what was opened.

    What goes on meanwhile is shown at a terminal: work that writes or asks something itself
    does so in ``progress.paused()``.

    Args:
        work: What to do with the clients.
        settings: Where to; the environment's by default.
        dry_run: Have the clients refuse every write to a workload.
        failed: Told why, when it fails.
    """
    observed_secrets = ObservedSecrets()

    async def connected() -> T:
        effective = settings or read_settings()
        clients = await connect(effective, dry_run=dry_run, observed_secrets=observed_secrets)
        try:
            return await work(clients)
        finally:
            await clients.close()

    return exit_on_error(lambda: _with_progress(connected()), failed, observed_secrets)


def run_with_store(work: Callable[[Store], Coroutine[Any, Any, T]]) -> T:
    """Do work that needs the store alone, and so no credentials where that is a folder."""
    return exit_on_error(lambda: _with_progress(work(open_store(read_settings()))))


def _with_progress(work: Coroutine[Any, Any, T]) -> T:
    with progress_shown():
        return asyncio.run(work)


def exit_on_error(
    work: Callable[[], T],
    failed: Callable[[str], None] | None = None,
    observed_secrets: ObservedSecrets | None = None,
) -> T:
    """Do it; what is wrong is one clear sentence on standard error, and exit status 1.

    What Google answers may quote the environment that it was sent, or headers of the call: every
    error of a command is told here, without what looks secret and what was read that may be.
    """
    try:
        return work()
    except IncidentError as error:
        if not isinstance(error, SettingsError):  # these are our own words, about names alone
            redact_error(error, observed_redactor(observed_secrets))
        if failed:
            failed(str(error))
        click.echo(f"Error: {escape_unprintable_lines(str(error))}", err=True)
        sys.exit(1)


def observed_redactor(observed_secrets: ObservedSecrets | None) -> Redactor:
    """Redacts what a command has read so far; equal secrets have equal marks within it."""
    observed = observed_secrets or ObservedSecrets()
    return Redactor(_KEY, observed.secrets, harmless=observed.names)


def print_json(value: Any) -> None:
    """Print one JSON value; what is invisible in its texts is escaped."""
    click.echo(escape_unprintable_json(value))
