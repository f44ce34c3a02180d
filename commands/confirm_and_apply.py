"""Show a containment plan, ask for confirmation, apply it, print the result."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from rich.console import Console

from commands.confirmation import apply_question, workload_text
from commands.console import print_diff, print_line, write_and_print_manifest
from commands.interrupt import WriteAttempt, confirm
from commands.progress import progress_paused
from commands.shared import print_json
from incident.actions.changes import redact_change, redacted_json
from incident.case_file.manifest import RecordingStore
from incident.model import ChangeState, JsonObject, Status
from incident.response.apply import apply_proposal
from incident.response.propose import Proposal, Propose, confirm_unchanged

_SUCCESS_STATUSES = {Status.CONTAINED, Status.ALREADY_CONTAINED, Status.RESTRICTED}


async def confirm_and_apply(
    propose: Propose, store: RecordingStore, attempt: WriteAttempt, *, ask: bool, as_json: bool
) -> dict[str, Any]:
    """Propose a plan, show it, ask if required, and apply it; returns the plan and the outcome.

    Args:
        propose: Makes the plan, with ports that have ``store``.
        store: What is created in it is listed in a manifest, also if applying fails.
        attempt: Set to the result, for the message after Ctrl-C.
        ask: Whether to ask the person before anything is written.
        as_json: Whether standard output is for JSON.

    Raises:
        IncidentError: It was not applied; says why.
        click.Abort: The operator declined.
    """
    proposal = await propose()
    try:
        with progress_paused():
            _print_proposal(proposal, Console(stderr=as_json))
        report = {"incident": proposal.case.incident, "plan": _plan_json(proposal)}
        if proposal.already_contained:
            earlier = proposal.case.outcome
            result_json = earlier.to_json() if earlier else None
            return {**report, "result": result_json, "error": None, "manifest_sha256": None}
        if ask:
            confirm(_question(proposal))
            proposal = await confirm_unchanged(proposal, propose)
            report["plan"] = _plan_json(proposal)
        folder = proposal.assessed.inputs.incident_case_file.folder
        try:
            result = await apply_proposal(proposal)
            attempt.result = f"{proposal.case.incident} is {result.status}"
        finally:
            with progress_paused():
                sha256 = await write_and_print_manifest(store, folder, Console(stderr=True))
        return {**report, "result": result.to_json(), "error": None, "manifest_sha256": sha256}
    finally:
        await proposal.close()


def refusal_printer(incident: str, *, as_json: bool) -> Callable[[str], None] | None:
    """Prints a refusal as JSON; None without ``--json``."""
    nothing: dict[str, Any] = {
        "incident": incident,
        "plan": None,
        "result": None,
        "manifest_sha256": None,
    }
    return (lambda error: print_json({**nothing, "error": error})) if as_json else None


def print_report(report: dict[str, Any], *, as_json: bool) -> None:
    """Print the result. Exits with status 1 unless all of the plan is in effect."""
    outcome: JsonObject = report["result"]
    changes: Any = outcome.get("changes") or ()
    incomplete = [change for change in changes if change["state"] != ChangeState.VERIFIED]
    succeeded = outcome["status"] in _SUCCESS_STATUSES and not incomplete
    if as_json:
        print_json(report)
    else:
        style = "green" if succeeded else "bold red"
        console = Console(stderr=True)
        print_line(console, f"{report['incident']} is {outcome['status']}", style)
        for change in incomplete:
            print_line(
                console, f"{change['action']} is {change['state']}: {change['error']}", "red"
            )
    if not succeeded:
        sys.exit(1)


def _question(proposal: Proposal) -> str:
    claim, workload = proposal.session.claim, proposal.assessed.inputs.workload_state.workload
    category = proposal.redactor.text(claim.category)
    return apply_question(proposal.changes, workload, category, proposal.operator.by)


def _print_proposal(proposal: Proposal, console: Console) -> None:
    workload = proposal.assessed.inputs.workload_state.workload
    name = workload_text(workload) if workload else ""
    print_line(console, f"{proposal.case.incident}: {name}", "bold")
    for reason in proposal.reasons:
        print_line(console, f"  {reason}")
    if not proposal.changes:
        print_line(console, "nothing is left to write")
    redactor = proposal.redactor
    for change in proposal.changes:
        print_line(console, f"{change.action} on {change.target}", "bold")
        print_diff(console, redact_change(change, redactor))
        if not change.reversible:
            print_line(console, "this cannot be undone", "bold yellow")


def _plan_json(proposal: Proposal) -> dict[str, Any]:
    workload, redactor = proposal.assessed.inputs.workload_state.workload, proposal.redactor
    return {
        "workload": workload.resource_name if workload else None,
        "reasons": [*proposal.reasons],
        "changes": [redacted_json(change, redactor) for change in proposal.changes],
        "irreversible": [c.target for c in proposal.changes if not c.reversible],
    }
