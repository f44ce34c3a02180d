"""Run a command: connect clients, print JSON, report errors, set the exit status."""

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
from incident.redaction.redactor import Redactor, redact_error
from incident.report.terminal import escape_unprintable_json, escape_unprintable_lines

T = TypeVar("T")

_KEY = secrets.token_bytes(32)


def as_json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the option ``--json`` to a command, as ``as_json``."""
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
    """Connect with the operator's own credentials, do the work, and close the clients.

    A terminal shows progress: work that prints or asks does so in ``progress_paused()``.

    Args:
        work: The work, given the clients.
        settings: Settings; those of the environment by default.
        dry_run: Whether the clients refuse every write to a workload.
        failed: Called with the error message on failure.
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
    """Do work that needs only the store; a local folder needs no credentials."""
    return exit_on_error(lambda: _with_progress(work(open_store(read_settings()))))


def _with_progress(work: Coroutine[Any, Any, T]) -> T:
    with progress_shown():
        return asyncio.run(work)


def exit_on_error(
    work: Callable[[], T],
    failed: Callable[[str], None] | None = None,
    observed_secrets: ObservedSecrets | None = None,
) -> T:
    """Do the work; an error is one line on standard error, and exit status 1.

    Errors of Google may quote values that were sent to it, or headers of the call: every error of
    a command is printed here, redacted with the secrets that the command has read.
    """
    try:
        return work()
    except IncidentError as error:
        if not isinstance(error, SettingsError):  # names variables, not values
            redact_error(error, observed_redactor(observed_secrets))
        if failed:
            failed(str(error))
        click.echo(f"Error: {escape_unprintable_lines(str(error))}", err=True)
        sys.exit(1)


def observed_redactor(observed_secrets: ObservedSecrets | None) -> Redactor:
    """Redacts the secrets that a command has read so far."""
    observed = observed_secrets or ObservedSecrets()
    return Redactor(_KEY, observed.secrets, harmless=observed.names)


def print_json(value: Any) -> None:
    """Print one JSON value; unprintable characters in its texts are escaped."""
    click.echo(escape_unprintable_json(value))
