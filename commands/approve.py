"""``approve``: apply the recorded plan of an incident."""

from __future__ import annotations

import sys
from typing import Any

import click

from clients import Clients, read_settings
from commands.confirm_and_apply import confirm_and_apply, print_report, refusal_printer
from commands.interrupt import WriteAttempt
from commands.shared import as_json_option, operator_email, run_with_clients
from incident.case_file.index import CaseFileIndex
from incident.decision.request import Request
from incident.response.approvals import approval_request
from wiring import build_process


@click.command()
@click.argument("incident")
@click.option("--yes", is_flag=True, help="Do not ask. Required without a terminal.")
@as_json_option
def approve(*, incident: str, yes: bool, as_json: bool) -> None:
    """Apply the recorded plan of INCIDENT, exactly as it was recorded.

    It is written with your own credentials, and your name is recorded. Refuses if the
    workload has changed in what the plan touches, if policy or guards no longer allow the plan,
    and if it has expired. It asks first.

    Exit status: 0 all of the plan is in effect, 1 refused, or not all of it is, 2 wrong use.
    """
    if not yes and not sys.stdin.isatty():
        raise click.UsageError("standard input is not a terminal: nobody can be asked. Pass --yes")
    attempt = WriteAttempt(
        f"cloud-run-responder approve {incident}", f"cloud-run-responder release {incident}"
    )
    report = run_with_clients(
        lambda clients: _approve(clients, incident, attempt, ask=not yes, as_json=as_json),
        failed=refusal_printer(incident, as_json=as_json),
        attempt=attempt,
    )
    print_report(report, as_json=as_json)


async def _approve(
    clients: Clients, incident: str, attempt: WriteAttempt, *, ask: bool, as_json: bool
) -> dict[str, Any]:
    cases, settings = CaseFileIndex(clients.store), read_settings()
    await cases.get(incident)
    by = operator_email(settings)
    process = build_process(settings, clients, by_person=True)

    async def request() -> Request:
        return await approval_request(process, await cases.get(incident), by)

    return await confirm_and_apply(request, process, attempt, ask=ask, as_json=as_json)
