"""``replay``: run a finding against the real project as a dry run.

Uses the operator's own credentials. The mode's ceiling is ``dry-run``, and the clients refuse all
other writes.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import click
from rich.console import Console

from clients import Clients, Settings, read_settings
from commands.console import print_page
from commands.outcome_page import outcome_page
from commands.shared import (
    as_json_option,
    exit_on_error,
    print_json,
    read_notification,
    run_with_clients,
)
from finding_input.command_line import FINDING_FILE, finding_id_option
from incident.model import Mode, Status
from incident.model.outcome import Outcome
from incident.response.deliveries import DeliveryHandler
from wiring import build_process

_CEILING_REASON = "a replay is never more than a dry run"


@click.command()
@click.argument("finding", type=FINDING_FILE)
@finding_id_option
@click.option(
    "--policy",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The policy; by default the one of RESPONDER_POLICY.",
)
@click.option(
    "--store",
    type=click.Path(file_okay=False, path_type=Path),
    help="An empty folder for the records; by default a new one, which is named.",
)
@as_json_option
def replay(
    *,
    finding: Path,
    finding_id: str | None,
    policy: Path | None,
    store: Path | None,
    as_json: bool,
) -> None:
    """Run the finding in FINDING against the real project, always as a dry run.

    FINDING is a file, or - for standard input, with a notification, the output of `gcloud scc
    findings list --format=json` or of `gcloud pubsub subscriptions pull --format=json`, or the
    console's JSON.

    Whatever RESPONDER_MODE and the policy say, nothing is written to a workload or to Security
    Command Center, nothing is published, and the records go to a folder of their own, never to
    RESPONDER_STORE. Exit status: 0 the finding was answered, 1 it could not be or the incident
    failed, 2 wrong use.
    """
    data, _ = read_notification(finding, finding_id)
    settings = exit_on_error(lambda: _settings(policy, _folder(store)))
    outcome = run_with_clients(
        lambda clients: dry_run_outcome(data, settings, clients), settings, dry_run=True
    )
    if as_json:
        print_json(outcome.to_json())
    else:
        print_page(Console(), outcome_page(outcome.to_json()))
        click.echo(f"records: {settings.store}", err=True)
    if outcome.status is Status.FAILED:
        sys.exit(1)


def _folder(store: Path | None) -> Path:
    """Folder for the records; must be empty, so that a replay is not mixed with other records."""
    if store is None:
        return Path(tempfile.mkdtemp(prefix="replay-"))
    if store.exists() and any(store.iterdir()):
        raise click.BadParameter(f"{store} is not empty; name a new folder", param_hint="--store")
    return store


def _settings(policy: Path | None, store: Path) -> Settings:
    """The environment's settings, with those that a replay overrides.

    Raises:
        SettingsError: The environment is invalid.
    """
    overrides = {"mode": Mode.DRY_RUN, "topic": "", "store": str(store)}
    return read_settings(**overrides, **({"policy": str(policy)} if policy else {}))


async def dry_run_outcome(data: bytes, settings: Settings, clients: Clients) -> Outcome:
    """Run a message as a dry run and return its outcome.

    Raises:
        Retry: A service does not answer; replay the finding later.
    """
    process = replace(build_process(settings, clients), mode_ceiling_reason=_CEILING_REASON)
    handler = DeliveryHandler(process)
    result = await handler.receive(data)
    await handler.record_logged(result)
    return result.outcome
