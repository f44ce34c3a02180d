"""``contain``: a fresh plan for an incident, by hand."""

from __future__ import annotations

from typing import Any

import click

from clients import Clients, read_settings
from clients.identity import whoami
from commands.intervening import intervene, refused, tell
from commands.shared import as_json_option, run
from incident.case_file.index import Case, Cases
from incident.decision.guards import Attendance
from incident.policy.resolve import Steps
from incident.policy.values import ACTIONS, available
from incident.response.propose import Proposal, propose_containment
from wiring import outside_of, standing_of


@click.command()
@click.argument("incident")
@click.option(
    "--action",
    "actions",
    multiple=True,
    type=click.Choice(list(ACTIONS)),
    help="Do this instead of what the policy names; may be given several times.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@as_json_option
def contain(*, incident: str, actions: tuple[str, ...], yes: bool, as_json: bool) -> None:
    """Contain INCIDENT's workload by hand: make a fresh plan, show it, ask, and apply it.

    It is written with your own credentials, and your name goes on the record. Neither the mode
    nor the finding's age nor the hourly caps bind you; what is protected, and what Security
    Command Center does not confirm, is refused all the same.

    Exit status: 0 all of the plan is in effect, 1 refused, or not all of it is, 2 wrong use.
    """
    told = run(
        lambda clients: _contain(clients, incident, actions, ask=not yes, as_json=as_json),
        failed=refused(incident, as_json=as_json),
    )
    tell(told, as_json=as_json)


async def _contain(
    clients: Clients, incident: str, actions: tuple[str, ...], *, ask: bool, as_json: bool
) -> dict[str, Any]:
    cases, settings = Cases(clients.store), read_settings()
    steps = _steps(await cases.one(incident), actions)
    by = whoami(settings)
    standing = standing_of(settings, Attendance(by, person=True))
    outside = outside_of(clients)

    async def propose() -> Proposal:
        case = await cases.one(incident)
        return await propose_containment(case, standing, outside, by, steps)

    return await intervene(propose, ask=ask, as_json=as_json)


def _steps(case: Case, actions: tuple[str, ...]) -> Steps:
    """Each action is a step of its own; it must be one for the workload's kind."""
    if case.workload:
        there = available(case.workload.kind)
        for action in actions:
            if action not in there:
                raise click.UsageError(
                    f"{action} does not fit a {case.workload.kind}; available: {', '.join(there)}"
                )
    return tuple((action,) for action in dict.fromkeys(actions))
