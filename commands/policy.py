"""``policy check``: validate a policy file and explain what it does about a finding."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import click

from clients import read_settings
from clients.store import PolicySource
from commands.shared import as_json_option, print_json, read_notification
from finding_input.command_line import FINDING_FILE, finding_id_option
from incident.model import IncidentError
from incident.playbook.check import checked_playbook
from incident.policy.resolve import Subject, explain_resolution, parse_policy, resolve
from incident.report.terminal import escape_unprintable, escape_unprintable_lines


@click.group()
def policy() -> None:
    """Check a policy file."""


async def _check_playbook(policy_file: Path, name: str) -> None:
    """Check the playbook that a policy names.

    Raises:
        InvalidPlaybook: There are mistakes.
        GiveUp, Retry: It cannot be read.
    """
    settings = read_settings().model_copy(update={"policy": str(policy_file)})
    checked_playbook(await PolicySource(settings).read_named(name), source=name)


@policy.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--finding",
    type=FINDING_FILE,
    help="A finding, or - for standard input: say which rule would apply to its workload, and why.",
)
@finding_id_option
@as_json_option
def check(*, file: Path, finding: Path | None, finding_id: str | None, as_json: bool) -> None:
    """Check a policy file, and say what it would do about a finding.

    Labels are not read: a rule or protection that matches labels counts as unknown.
    """
    try:
        parsed = parse_policy(file.read_bytes(), source=str(file))
        if parsed.playbook:
            asyncio.run(_check_playbook(file.resolve(), parsed.playbook))
    except IncidentError as error:
        if as_json:
            print_json({"valid": False, "problems": str(error).splitlines()})
        else:
            click.echo(escape_unprintable_lines(str(error)), err=True)
        sys.exit(1)
    result: dict[str, Any] = {"valid": True}
    if finding:
        claim = read_notification(finding, finding_id)[1].finding
        if claim.workload is None:
            raise click.UsageError(f"{finding} names no Cloud Run service, job or worker pool")
        subject = Subject(claim.workload, claim.categories, claim.source_id, None)
        resolution = resolve(parsed, subject)
        result |= {
            "rule": resolution.rule,
            "mode": resolution.mode.value,
            "steps": [list(step) for step in resolution.steps],
            "holds": [hold.text for hold in resolution.holds],
            "explanation": list(explain_resolution(parsed, subject)),
        }
    if as_json:
        print_json(result)
        return
    click.echo(f"{file} is valid")
    for line in result.get("explanation", ()):
        click.echo(f"  {escape_unprintable(line)}")
