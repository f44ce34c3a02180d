"""``patrol``: check all containments for drift once."""

from __future__ import annotations

import sys
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from clients import Clients, read_settings
from commands.confirmation import workload_text
from commands.interrupt import WriteAttempt
from commands.shared import as_json_option, print_json, run_with_clients
from incident.model import Workload
from incident.patrol.checked_containment import ContainmentCheck
from incident.patrol.round import RoundResult
from incident.patrol.unfinished import UnfinishedIncident
from wiring import build_patrol


@click.command()
@as_json_option
def patrol(*, as_json: bool) -> None:
    """Check all containments once, with your own credentials.

    Does what the function `patrol` does: verifies every containment that is not released,
    records who undid it, finishes incidents whose deliveries ran out, and expires plans that
    nobody approved. It applies a containment again only if the policy's reapply_limit and
    RESPONDER_MODE allow it. Exit status: 0 all containments are in effect, 1 something was
    undone, is unfinished or could not be checked.
    """
    patrol_round = run_with_clients(_run_round, attempt=WriteAttempt("cloud-run-responder patrol"))
    if as_json:
        print_json(_round_json(patrol_round))
    else:
        _print_round(patrol_round)
    sys.exit(1 if patrol_round.alarm else 0)


async def _run_round(clients: Clients) -> RoundResult:
    patrol = build_patrol(read_settings(), clients)
    patrol_round = await patrol.run_round()
    # The person reads the outcomes here, so they need no log line.
    await patrol.record_logged(patrol_round)
    return patrol_round


def _round_json(patrol_round: RoundResult) -> dict[str, Any]:
    return {
        "summary": {**patrol_round.summary},
        "containments": [check.json for check in patrol_round.checks],
        "incidents": [_incident_json(unfinished) for unfinished in patrol_round.incidents],
        "unchecked": [{"folder": f.folder, "reason": f.reason} for f in patrol_round.faults],
        "problem": patrol_round.problem or None,
    }


def _incident_json(unfinished: UnfinishedIncident) -> dict[str, Any]:
    answer = unfinished.result
    return {
        "incident": unfinished.incident,
        "status": answer.outcome.status.value if answer else None,
        "note": unfinished.note,
        "case_file": (answer or unfinished).case_file,
        "manifest_sha256": (answer or unfinished).manifest_sha256,
    }


def _print_round(patrol_round: RoundResult) -> None:
    console = Console(soft_wrap=True)
    for check in patrol_round.checks:
        for line in _check_lines(check):
            console.print(line)
    for unfinished in patrol_round.incidents:
        text = _incident_json(unfinished)["status"] or f"unfinished: {unfinished.note}"
        console.print(Text(f"incident {unfinished.incident}: {text}"))
    for line in _manifest_lines(patrol_round):
        console.print(line)
    for fault in patrol_round.faults:
        console.print(Text(f"cannot check {fault.folder}: {fault.reason}", style="bold red"))
    if patrol_round.problem:
        console.print(Text(patrol_round.problem, style="bold red"))
    counts = {
        name: count for name, count in patrol_round.summary.items() if count and name != "complete"
    }
    summary = ", ".join(f"{count} {name}" for name, count in counts.items()) or "no containments"
    more = "" if patrol_round.complete else "; ran out of time, the next patrol continues"
    console.print(Text(f"{summary}{more}"))


def _manifest_lines(patrol_round: RoundResult) -> list[Text]:
    """The digests of what this round created, which stand in no log."""
    found = [(check.containment, check.manifest_sha256) for check in patrol_round.checks]
    for unfinished in patrol_round.incidents:
        record = _incident_json(unfinished)
        found.append((record["case_file"], record["manifest_sha256"]))
    found += [(fault.case_file, fault.manifest_sha256) for fault in patrol_round.faults]
    return [
        Text(f"Manifest SHA-256 of {folder} (keep it to verify the case file): {sha256}")
        for folder, sha256 in found
        if sha256
    ]


def _check_lines(check: ContainmentCheck) -> list[Text]:
    style = "bold red" if check.alarm else "yellow"
    workload = Workload.from_resource_name(check.workload)
    name = workload_text(workload) if workload else check.workload
    lines = [Text(f"{name}: {check.state.value}", style=style)]
    lines += [Text(f"  {line}") for line in check.drift]
    if check.attribution:
        lines.append(Text(f"  {check.attribution.clause.lstrip('; ')}"))
    if check.note:
        lines.append(Text(f"  {check.note}"))
    lines += [Text(f"  incident {incident}") for incident in check.incidents]
    return lines
