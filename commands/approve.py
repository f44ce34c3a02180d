"""``approve``: apply the recorded plan of an incident."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import click

from clients import Clients, read_settings
from clients.caller_identity import whoami
from commands.confirm_and_apply import confirm_and_apply, print_report, refusal_printer
from commands.shared import as_json_option, run_with_clients
from incident.case_file.index import CaseFileIndex
from incident.case_file.manifest import RecordingStore
from incident.decision.guards import Operator
from incident.response.propose import Proposal, propose_approval
from wiring import build_context, build_ports


@click.command()
@click.argument("incident")
@click.option("--yes", is_flag=True, help="Do not ask, even at a terminal.")
@as_json_option
def approve(*, incident: str, yes: bool, as_json: bool) -> None:
    """Apply the recorded plan of INCIDENT, exactly as it was recorded.

    It is written with your own credentials, and your name is recorded. Refuses if the
    workload has changed in what the plan touches, if policy or guards no longer allow the plan,
    and if it has expired. At a terminal it asks first.

    Exit status: 0 all of the plan is in effect, 1 refused, or not all of it is, 2 wrong use.
    """
    ask = not yes and sys.stdin.isatty()
    report = run_with_clients(
        lambda clients: _approve(clients, incident, ask=ask, as_json=as_json),
        failed=refusal_printer(incident, as_json=as_json),
    )
    print_report(report, as_json=as_json)


async def _approve(clients: Clients, incident: str, *, ask: bool, as_json: bool) -> dict[str, Any]:
    cases, settings = CaseFileIndex(clients.store), read_settings()
    await cases.get(incident)
    by = whoami(settings)
    context = build_context(settings, Operator(by, is_person=True))
    store = RecordingStore(clients.store)
    ports = replace(build_ports(clients), store=store)

    async def propose() -> Proposal:
        return await propose_approval(await cases.get(incident), context, ports, by)

    return await confirm_and_apply(propose, store, ask=ask, as_json=as_json)
