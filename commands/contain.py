"""``contain``: make and apply a fresh containment plan for an incident."""

from __future__ import annotations

from typing import Any

import click

from clients import Clients, read_settings
from commands.confirm_and_apply import confirm_and_apply, print_report, refusal_printer
from commands.interrupt import WriteAttempt
from commands.shared import as_json_option, operator_email, run_with_clients
from incident.actions.catalogue import ACTIONS, available_actions
from incident.case_file.index import CaseFileIndex, CaseSummary
from incident.decision.request import Request
from incident.policy.resolve import Steps
from incident.response.approvals import containment_request
from wiring import build_process


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
    """Contain INCIDENT's workload: make a fresh plan, show it, ask, and apply it.

    It is written with your own credentials, and your name is recorded. The mode, the finding's
    age and the hourly caps do not apply to you. Protected workloads are refused, and so are
    findings that Security Command Center does not confirm.

    Exit status: 0 all of the plan is in effect, 1 refused, or not all of it is, 2 wrong use.
    """
    options = "".join(f" --action {action}" for action in actions)
    attempt = WriteAttempt(
        f"cloud-run-responder contain {incident}{options}",
        f"cloud-run-responder release {incident}",
    )
    report = run_with_clients(
        lambda clients: _contain(clients, incident, actions, attempt, ask=not yes, as_json=as_json),
        failed=refusal_printer(incident, as_json=as_json),
        attempt=attempt,
    )
    print_report(report, as_json=as_json)


async def _contain(  # noqa: PLR0913 - the command's own arguments
    clients: Clients,
    incident: str,
    actions: tuple[str, ...],
    attempt: WriteAttempt,
    *,
    ask: bool,
    as_json: bool,
) -> dict[str, Any]:
    cases, settings = CaseFileIndex(clients.store), read_settings()
    steps = _steps(await cases.get(incident), actions)
    by = operator_email(settings)
    process = build_process(settings, clients, by_person=True)

    async def request() -> Request:
        return await containment_request(process, await cases.get(incident), by, steps)

    return await confirm_and_apply(request, process, attempt, ask=ask, as_json=as_json)


def _steps(case: CaseSummary, actions: tuple[str, ...]) -> Steps:
    """One step for each action, which must fit the workload's kind."""
    if case.workload:
        allowed = available_actions(case.workload.kind)
        for action in actions:
            if action not in allowed:
                raise click.UsageError(
                    f"{action} does not fit a {case.workload.kind}; available: {', '.join(allowed)}"
                )
    return tuple((action,) for action in dict.fromkeys(actions))
