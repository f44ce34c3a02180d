"""``show``: one incident on one screen, and the rest of it on request."""

from __future__ import annotations

import re
from collections.abc import Sequence

import click
from rich.console import Console

from clients import read_settings
from clients.store import Store
from commands.case_row import CaseRow, case_row, utc_text
from commands.console import print_line, print_page
from commands.incident_summary import incident_summary
from commands.open_attempts import find_open_attempts
from commands.outcome_page import ALL_PARTS, EVIDENCE_PARTS, PLAN_PARTS, outcome_page
from commands.quarantined_messages import QuarantinedMessage, get_quarantined
from commands.shared import exit_on_error, output_option, print_json, run_with_store
from incident.case_file.index import CaseFileIndex
from incident.model import JsonObject
from incident.report.ocsf import detection_finding
from wiring import build_clock

_DIGEST = re.compile(r"(?=.*[a-f]|.{9})[0-9a-f]{8,64}")
_HELP = {
    "plan": "The tasks for people, with their commands.",
    "evidence": "What was detected and found out, and what is missing.",
    "all": "All of the outcome, and the records.",
}


@click.command()
@click.argument("incident")
@click.option("--plan", "part", flag_value="plan", help=_HELP["plan"])
@click.option("--evidence", "part", flag_value="evidence", help=_HELP["evidence"])
@click.option("--all", "part", flag_value="all", help=_HELP["all"])
@output_option("ocsf")
def show(*, incident: str, part: str | None, output: str) -> None:
    """Show one incident: a summary of one screen, or more of it.

    INCIDENT is its id, or the beginning of it, or the digest of a message that is quarantined.
    With --format=ocsf its outcome is printed as an OCSF Detection Finding, version 1.5.0.
    """
    if _DIGEST.fullmatch(incident):
        if output == "ocsf":
            raise click.UsageError("a quarantined message has no outcome: leave --format=ocsf out")
        message = run_with_store(lambda store: get_quarantined(store, incident))
        _print_message(message, as_json=output == "json")
        return
    row = run_with_store(lambda store: _read(store, incident))
    if output == "json":
        print_json(_report(row))
        return
    if output == "ocsf":
        print_json(_event(row))
        return
    console = Console()
    if row.outcome and row.outcome.partial:
        names = ", ".join(row.outcome.unreadable)
        print_line(console, f"Not readable in the stored outcome: {names}", "bold yellow")
    if part is None:
        now = build_clock(exit_on_error(read_settings))()
        print_page(console, incident_summary(row, now))
        return
    if row.attempt:
        print_line(console, row.attempt.text, "bold yellow")
    parts = {"plan": PLAN_PARTS, "evidence": EVIDENCE_PARTS, "all": ALL_PARTS}[part]
    print_page(console, outcome_page(_outcome_json(row), parts))
    if part == "all":
        print_line(console, "")
        _print_records(console, row)


async def _read(store: Store, incident: str) -> CaseRow:
    found = await CaseFileIndex(store).get(incident)
    attempts = await find_open_attempts((found,), store)
    return case_row(found, attempts.get(found.folder))


def _outcome_json(row: CaseRow) -> JsonObject:
    """The outcome; an unfinished incident has none yet."""
    unfinished: JsonObject = {"status": row.case.status, "incident": row.case.incident}
    return row.outcome.to_json() if row.outcome else unfinished


def _event(row: CaseRow) -> JsonObject:
    """The newest outcome as an OCSF event."""
    if row.outcome is None:
        raise click.ClickException(f"incident {row.case.incident} has no outcome yet")
    return detection_finding(row.outcome, row.case.records[-1].recorded_at)


def _report(row: CaseRow) -> JsonObject:
    case = row.case
    return {
        "incident": case.incident,
        "status": case.status,
        "confirmed": row.confirmed,
        "open_attempt": row.attempt.json if row.attempt else None,
        "outcome": row.outcome.to_json() if row.outcome else None,
        "unreadable": [*row.outcome.unreadable] if row.outcome else [],
        "records": [
            {"number": r.number, "kind": r.kind, "recorded_at": r.recorded_at.isoformat()}
            for r in case.records
        ],
    }


def _print_records(console: Console, row: CaseRow) -> None:
    print_line(console, "Records", "bold")
    for record in row.case.records:
        print_line(console, f"  {utc_text(record.recorded_at)}  {record.number:04d}  {record.kind}")


def _print_message(message: QuarantinedMessage, *, as_json: bool) -> None:
    if as_json:
        print_json(message.json)
        return
    console = Console()
    lines: Sequence[tuple[str, str]] = (
        ("MALFORMED  quarantined: not a notification of Security Command Center", "bold red"),
        (f"  SHA-256    {message.sha256}", ""),
        (f"  size       {message.size} bytes", ""),
        (f"  error      {message.error}", ""),
        ("  beginning, redacted:", ""),
    )
    for text, style in lines:
        print_line(console, text, style)
    for line in message.excerpt.splitlines():
        print_line(console, f"    {line}")
