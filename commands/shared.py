"""Run a command: connect clients, print JSON, report errors, set the exit status."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from clients import Clients, Settings, SettingsError, connect, read_settings, require_emulator
from clients.call_progress import observed_by
from clients.caller_identity import whoami
from clients.observed_secrets import ObservedSecrets
from clients.store import Store, StoreNotFound, open_store, require_folder
from commands.interrupt import (
    EXIT_STATUS,
    Interrupted,
    WriteAttempt,
    blocking_call,
    run_interruptible,
)
from commands.progress import progress_shown
from finding_input.command_line import UnusableFinding, read_finding
from incident.model import IncidentError, Malformed, Notification
from incident.notification.parse import parse_notification
from incident.redaction.redactor import Redactor, redact_error
from incident.report.terminal import (
    escape_unprintable,
    escape_unprintable_json,
    escape_unprintable_lines,
)

T = TypeVar("T")

_KEY = secrets.token_bytes(32)
_JSON_KEY = "cloud-run-responder.json"


def as_json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options ``--format`` and ``--json`` to a command, as ``as_json``."""
    return _with_format(command, "as_json", ("text", "json"), lambda value: value == "json")


def output_option(*formats: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add the options ``--format`` and ``--json`` to a command, as ``output``.

    Args:
        formats: The formats besides ``text`` and ``json``.
    """
    return lambda command: _with_format(command, "output", ("text", "json", *formats), str)


def _with_format(
    command: Callable[..., Any],
    name: str,
    formats: Sequence[str],
    convert: Callable[[str], object],
) -> Callable[..., Any]:
    short = click.option(
        "--json",
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=_remember_json,
        help="The same as --format=json.",
    )
    return short(
        click.option(
            "--format",
            name,
            type=click.Choice(formats),
            default="text",
            callback=lambda ctx, _, value: convert(
                "json" if ctx.meta.get(_JSON_KEY, False) else value
            ),
            help="Text for people, or one JSON value and nothing else.",
        )(command)
    )


def _remember_json(ctx: click.Context, _: click.Parameter, value: bool) -> None:  # noqa: FBT001
    ctx.meta[_JSON_KEY] = value


def run_with_clients(  # noqa: PLR0913 - options of one call
    work: Callable[[Clients], Coroutine[Any, Any, T]],
    settings: Settings | None = None,
    *,
    dry_run: bool = False,
    failed: Callable[[str], None] | None = None,
    attempt: WriteAttempt | None = None,
    new_store: bool = False,
) -> T:
    """Connect with the operator's own credentials, do the work, and close the clients.

    A terminal shows progress: work that prints or asks does so in ``progress_paused()``.

    Args:
        work: The work, given the clients.
        settings: Settings; by default those of the environment, whose store must exist.
        dry_run: Whether the clients refuse every write to a workload.
        failed: Called with the error message on failure.
        attempt: Describes what was changed, for the message after Ctrl-C.
        new_store: Whether a folder for the store may be created.
    """
    observed_secrets = ObservedSecrets()
    attempt = attempt or WriteAttempt()

    async def connected() -> T:
        effective = settings or settings_with_store(new=new_store)
        await require_emulator(effective)
        clients = await connect(effective, dry_run=dry_run, observed_secrets=observed_secrets)
        try:
            return await work(clients)
        finally:
            await clients.close()

    return exit_on_error(
        lambda: _with_progress(connected(), attempt), failed, observed_secrets, attempt
    )


def run_with_store(work: Callable[[Store], Coroutine[Any, Any, T]], *, url: str | None = None) -> T:
    """Do work that needs only the store; a local folder needs no credentials.

    Args:
        work: The work, given the store.
        url: The store; by default that of the environment.
    """

    async def opened() -> T:
        settings = settings_with_store(url=url)
        if settings.store.startswith("gs://"):
            await require_emulator(settings)
        return await work(open_store(settings))

    return exit_on_error(lambda: _with_progress(opened(), WriteAttempt()))


def settings_with_store(*, new: bool = False, url: str | None = None) -> Settings:
    """The environment's settings for a command that uses the store.

    Args:
        new: Whether a folder may be created.
        url: The store, in place of the environment's.

    Raises:
        SettingsError: The environment is invalid, or names no store that exists.
    """
    settings = read_settings(**({"store": url} if url else {}))
    if "store" not in settings.model_fields_set:
        raise SettingsError(
            "cannot read the store: RESPONDER_STORE is not set. Set it to the folder or the gs://"
            " URL of the bucket that the function uses"
        )
    if not new:
        require_folder(settings)
    return settings


def operator_email(settings: Settings) -> str:
    """The e-mail address of the operator's credentials; Ctrl-C ends the look-up.

    Raises:
        Denied: There are no credentials.
        Retry: Google does not answer.
    """
    with blocking_call():
        return whoami(settings)


def _with_progress(work: Coroutine[Any, Any, T], attempt: WriteAttempt) -> T:
    with progress_shown(), observed_by(attempt.observe):
        return run_interruptible(work, attempt)


def exit_on_error(
    work: Callable[[], T],
    failed: Callable[[str], None] | None = None,
    observed_secrets: ObservedSecrets | None = None,
    attempt: WriteAttempt | None = None,
) -> T:
    """Do the work; an error is one line on standard error, and exit status 1.

    A wrong setting, or a store that does not exist, gives exit status 2, and Ctrl-C 130.

    Errors of Google may quote values that were sent to it, or headers of the call: every error of
    a command is printed here, redacted with the secrets that the command has read.
    """
    try:
        return work()
    except Interrupted:
        text = (attempt or WriteAttempt()).text
        if failed:
            failed(text)
        click.echo(f"\n{escape_unprintable(text)}", err=True)
        sys.exit(EXIT_STATUS)
    except IncidentError as error:
        if not isinstance(error, SettingsError):  # names variables, not values
            redact_error(error, observed_redactor(observed_secrets))
        if failed:
            failed(str(error))
        click.echo(f"Error: {escape_unprintable_lines(str(error))}", err=True)
        sys.exit(2 if isinstance(error, SettingsError | StoreNotFound) else 1)


def read_notification(file: Path, finding_id: str | None) -> tuple[bytes, Notification]:
    """The notification in a file that a person gives, or the end with exit status 2.

    Raises:
        UnusableFinding: It has no finding, several, or one that lacks what is needed.
    """
    data = read_finding(file, finding_id)
    try:
        return data, parse_notification(data)
    except Malformed as error:
        cause = error.__cause__ or error
        raise UnusableFinding(
            f"{file}: This is a finding of Security Command Center that cannot be used:"
            f" {escape_unprintable(str(cause))}. Compare it with the type Finding of its API."
        ) from error


def observed_redactor(observed_secrets: ObservedSecrets | None) -> Redactor:
    """Redacts the secrets that a command has read so far."""
    observed = observed_secrets or ObservedSecrets()
    return Redactor(_KEY, observed.secrets, harmless=observed.names)


def print_json(value: Any) -> None:
    """Print one JSON value; unprintable characters in its texts are escaped."""
    click.echo(escape_unprintable_json(value))
