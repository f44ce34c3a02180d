"""Show a containment plan, ask for confirmation, apply it, print the result."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from rich.console import Console

from commands.confirmation import apply_question, workload_text
from commands.console import print_diff, print_line, write_and_print_manifest
from commands.interrupt import WriteAttempt, confirm
from commands.progress import progress_paused
from commands.shared import print_json
from incident.actions.changes import redact_change, redacted_json
from incident.case_file.manifest import RecordingStore
from incident.decision.process import Process
from incident.decision.request import Request
from incident.model import ChangeState, JsonObject, Status
from incident.response.finish_run import record_logged
from incident.response.pipeline import Proposal, propose, respond

_SUCCESS_STATUSES = {Status.CONTAINED, Status.ALREADY_CONTAINED, Status.RESTRICTED}


async def confirm_and_apply(
    make_request: Callable[[], Awaitable[Request]],
    process: Process,
    attempt: WriteAttempt,
    *,
    ask: bool,
    as_json: bool,
) -> dict[str, Any]:
    """Propose a plan, show it, ask if required, and apply it; returns the plan and the outcome.

    Args:
        make_request: Makes the request, from the case file as it is then.
        process: What holds for the command. What is created in its store is listed in a manifest,
            also if applying fails.
        attempt: Set to the result, for the message after Ctrl-C.
        ask: Whether to ask the person before anything is written.
        as_json: Whether standard output is for JSON.

    Raises:
        IncidentError: It was not applied; says why.
        click.Abort: The operator declined.
    """
    store = RecordingStore(process.store)
    process = replace(process, store=store)
    request = await make_request()
    proposal = await propose(process, request)
    with progress_paused():
        _print_proposal(request, proposal, Console(stderr=as_json))
    report = {"incident": request.incident, "plan": _plan_json(proposal), "error": None}
    case = proposal.inputs.incident_case_file
    if proposal.already_contained and case.newest_outcome:
        return {**report, "result": case.newest_outcome.to_json(), "manifest_sha256": None}
    if ask:
        confirm(_question(request, proposal))
        request = await make_request()
    try:
        response = await respond(process, replace(request, confirmed=proposal.changes))
        attempt.result = f"{request.incident} is {response.outcome.status}"
        # The person reads the outcome here, so it needs no log line.
        await record_logged(store, response)
    finally:
        with progress_paused():
            sha256 = await write_and_print_manifest(store, case.folder, Console(stderr=True))
    return {**report, "result": response.outcome.to_json(), "manifest_sha256": sha256}


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


def _question(request: Request, proposal: Proposal) -> str:
    category = proposal.redactor.text(request.finding.category)
    by = request.operator.by if request.operator else ""
    return apply_question(proposal.changes, proposal.inputs.workload, category, by)


def _print_proposal(request: Request, proposal: Proposal, console: Console) -> None:
    print_line(console, f"{request.incident}: {workload_text(proposal.inputs.workload)}", "bold")
    for reason in proposal.reasons:
        print_line(console, f"  {reason}")
    if not proposal.changes:
        print_line(console, "nothing is left to write")
    for change in proposal.changes:
        print_line(console, f"{change.action} on {change.target}", "bold")
        print_diff(console, redact_change(change, proposal.redactor))
        if not change.reversible:
            print_line(console, "this cannot be undone", "bold yellow")


def _plan_json(proposal: Proposal) -> dict[str, Any]:
    return {
        "workload": proposal.inputs.workload.resource_name,
        "reasons": [*proposal.reasons],
        "changes": [redacted_json(change, proposal.redactor) for change in proposal.changes],
        "irreversible": [c.target for c in proposal.changes if not c.reversible],
    }
