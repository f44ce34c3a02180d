"""What ``approve`` and ``contain`` have in common: show the plan, ask, apply, tell."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import click
from rich.console import Console

from commands.progress import paused
from commands.saying import say, say_diff
from commands.sealing import say_sealed, seals_of
from commands.shared import print_json
from incident.actions.redacted import told as told_change
from incident.actions.redacted import told_json
from incident.model import ChangeState, JsonObject, Status
from incident.response.apply import carry_out
from incident.response.propose import Proposal, Propose, confirmed

_DONE = {Status.CONTAINED, Status.ALREADY_CONTAINED, Status.RESTRICTED}


async def intervene(propose: Propose, *, ask: bool, as_json: bool) -> dict[str, Any]:
    """Propose, show, ask if need be, and do it; the plan and what became of it.

    Raises:
        IncidentError: It was not done; says why.
        click.Abort: The person said no.
    """
    proposal = await propose()
    try:
        with paused():
            _show(proposal, Console(stderr=as_json))
        told = {"incident": proposal.case.incident, "plan": _plan(proposal)}
        if proposal.over:
            outcome = proposal.case.outcome
            return {**told, "result": outcome, "error": None, "manifest_sha256": {}}
        if ask:
            with paused():
                click.confirm("Do this?", abort=True, err=True)
            proposal = await confirmed(proposal, propose)
            told["plan"] = _plan(proposal)
        result, store = await carry_out(proposal), proposal.bench.outside.store
        with paused():
            say_sealed(Console(stderr=True), store)
        return {**told, "result": result, "error": None, "manifest_sha256": seals_of(store)}
    finally:
        await proposal.close()


def refused(incident: str, *, as_json: bool) -> Callable[[str], None] | None:
    """What says in JSON that nothing came of it, and why; None where nobody wants JSON."""
    nothing: dict[str, Any] = {
        "incident": incident,
        "plan": None,
        "result": None,
        "manifest_sha256": {},
    }
    return (lambda error: print_json({**nothing, "error": error})) if as_json else None


def tell(told: dict[str, Any], *, as_json: bool) -> None:
    """Say what became of it. Ends with status 1 unless all of the plan is in effect."""
    outcome: JsonObject = told["result"]
    changes: Any = outcome.get("changes") or ()
    lacking = [change for change in changes if change["state"] != ChangeState.VERIFIED]
    good = outcome["status"] in _DONE and not lacking
    if as_json:
        print_json(told)
    else:
        style = "green" if good else "bold red"
        console = Console(stderr=True)
        say(console, f"{told['incident']} is {outcome['status']}", style)
        for change in lacking:
            say(console, f"{change['action']} is {change['state']}: {change['error']}", "red")
    if not good:
        sys.exit(1)


def _show(proposal: Proposal, console: Console) -> None:
    workload = proposal.judged.core.place.workload
    place = workload.resource_name if workload else ""
    say(console, f"{proposal.case.incident}: {place}", "bold")
    for reason in proposal.reasons:
        say(console, f"  {reason}")
    if not proposal.changes:
        say(console, "nothing is left to be written")
    hide = proposal.hide
    for change in proposal.changes:
        say(console, f"{change.action} on {change.target}", "bold")
        say_diff(console, told_change(change, hide))
        if not change.reversible:
            say(console, "this cannot be taken back", "bold yellow")


def _plan(proposal: Proposal) -> dict[str, Any]:
    workload, hide = proposal.judged.core.place.workload, proposal.hide
    return {
        "workload": workload.resource_name if workload else None,
        "reasons": [*proposal.reasons],
        "changes": [told_json(change, hide) for change in proposal.changes],
        "irreversible": [c.target for c in proposal.changes if not c.reversible],
    }
