"""``approve``: apply the plan that an incident waits with."""

from __future__ import annotations

import sys
from typing import Any

import click

from clients import Clients, read_settings
from clients.identity import whoami
from commands.intervening import intervene, refused, tell
from commands.shared import as_json_option, run
from incident.case_file.index import Cases
from incident.decision.guards import Attendance
from incident.response.propose import Proposal, propose_approval
from wiring import outside_of, standing_of


@click.command()
@click.argument("incident")
@click.option("--yes", is_flag=True, help="Do not ask, even at a terminal.")
@as_json_option
def approve(*, incident: str, yes: bool, as_json: bool) -> None:
    """Apply the plan that INCIDENT waits with, exactly as it was recorded.

    It is written with your own credentials, and your name goes on the record. Refuses when the
    workload has changed in what the plan touches, when policy or guards would not let the plan
    be made any more, and when it has expired. At a terminal it asks first.

    Exit status: 0 all of the plan is in effect, 1 refused, or not all of it is, 2 wrong use.
    """
    ask = not yes and sys.stdin.isatty()
    told = run(
        lambda clients: _approve(clients, incident, ask=ask, as_json=as_json),
        failed=refused(incident, as_json=as_json),
    )
    tell(told, as_json=as_json)


async def _approve(clients: Clients, incident: str, *, ask: bool, as_json: bool) -> dict[str, Any]:
    cases, settings = Cases(clients.store), read_settings()
    await cases.one(incident)
    by = whoami(settings)
    standing = standing_of(settings, Attendance(by, person=True))
    outside = outside_of(clients)

    async def propose() -> Proposal:
        return await propose_approval(await cases.one(incident), standing, outside, by)

    return await intervene(propose, ask=ask, as_json=as_json)
