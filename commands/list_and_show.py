"""``list`` and ``show``: incidents and their outcomes."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from clients.store import Store
from commands.console import print_line, print_page
from commands.open_attempts import OpenAttempt, find_open_attempts
from commands.outcome_page import outcome_page, status_style
from commands.shared import as_json_option, print_json, run_with_store
from incident.case_file.index import CaseFileIndex, CaseSummary
from incident.case_file.paths import DRILLS, DRY_RUNS
from incident.model import JsonObject, Status
from incident.model.concurrency import gather_all
from incident.report.terminal import escape_unprintable, escape_unprintable_json

_MOST_LISTED = 5


@click.command(name="list")
@click.option(
    "--status",
    type=click.Choice([*map(str, Status), "open"]),
    help="Only incidents of this status; `open` for unfinished ones.",
)
@click.option("--project", help="Only incidents of this project.")
@click.option(
    "--since", type=click.DateTime(["%Y-%m-%d"]), help="Only events of this day or later."
)
@click.option(
    "--dry-runs", "section", flag_value=DRY_RUNS, help="The dry runs instead of the incidents."
)
@click.option("--drills", "section", flag_value=DRILLS, help="The drills instead of them.")
@as_json_option
def list_(
    *,
    status: str | None,
    project: str | None,
    since: datetime | None,
    section: str | None,
    as_json: bool,
) -> None:
    """List incidents, the newest event first.

    What cannot be read is reported on standard error, with --json as one object with the list
    `unreadable`. Exit status: 0 done; 1 something could not be read, or it failed; 2 wrong use.
    """

    async def work(store: Store) -> _Listing:
        asked = {"dry_runs": section == DRY_RUNS, "drills": section == DRILLS}
        found = await CaseFileIndex(store).list_all(**asked)
        unreadable_names = await gather_all(*map(store.unreadable, found.roots))
        unreadable = {
            **found.unreadable,
            **{k: v for one in unreadable_names for k, v in one.items()},
        }
        attempts = await find_open_attempts(found.summaries, store)
        return _Listing(store.url, found.summaries, unreadable, attempts)

    day = since.strftime("%Y%m%d") if since else ""
    listing = run_with_store(work)
    cases = [
        case
        for case in listing.cases
        if (status is None or case.status == status)
        and (project is None or (case.workload and case.workload.project_id == project))
        and case.incident[:8] >= day
    ]
    if as_json:
        print_json([_summary_row(case, listing.attempts.get(case.folder)) for case in cases])
    else:
        _print_table(cases, listing)
    if listing.unreadable:
        _print_unreadable(listing.unreadable, as_json=as_json)
        sys.exit(1)


@dataclass(frozen=True, slots=True)
class _Listing:
    """Case files of a store.

    Attributes:
        store: The store's URL.
        cases: Those that can be read.
        unreadable: Why others cannot, by path.
        attempts: Open attempts, by case file.
    """

    store: str
    cases: tuple[CaseSummary, ...]
    unreadable: Mapping[str, str]
    attempts: Mapping[str, OpenAttempt]


def _print_table(cases: Sequence[CaseSummary], listing: _Listing) -> None:
    table = Table(box=None, pad_edge=False)
    for title in ("incident", "status", "workload", "reason"):
        table.add_column(title, overflow="fold")
    for case in cases:
        attempt = listing.attempts.get(case.folder)
        row = _summary_row(case, attempt)
        reason = Text(escape_unprintable(str(row["reason"] or "")))
        workload = Text(escape_unprintable(str(row["workload"] or "-")))
        status = Text(escape_unprintable(case.status), style=status_style(case.status))
        if attempt:
            status.append(f"\n{attempt.command} not finished", style="bold yellow")
        table.add_row(Text(case.incident), status, workload, reason)
    console = Console()
    if cases:
        console.print(table)
    count = f"{len(cases)} incidents" if len(cases) != 1 else "1 incident"
    print_line(console, f"{count if cases else 'no incidents'} in {listing.store}")


def _print_unreadable(unreadable: Mapping[str, str], *, as_json: bool) -> None:
    """Report what could not be read, in one line."""
    items = sorted(unreadable.items())
    if as_json:
        value = {"unreadable": [{"path": path, "reason": reason} for path, reason in items]}
        click.echo(" ".join(escape_unprintable_json(value).split("\n")), err=True)
        return
    more = f"; and {len(items) - _MOST_LISTED} more" if len(items) > _MOST_LISTED else ""
    listing = "; ".join(f"{path}: {reason}" for path, reason in items[:_MOST_LISTED])
    click.echo(
        f"Error: cannot read {len(items)} of what is there: {escape_unprintable(listing)}{more}",
        err=True,
    )


@click.command()
@click.argument("incident")
@as_json_option
def show(*, incident: str, as_json: bool) -> None:
    """Show one incident: its outcome and its records."""

    async def work(store: Store) -> tuple[CaseSummary, OpenAttempt | None]:
        found = await CaseFileIndex(store).get(incident)
        return found, (await find_open_attempts((found,), store)).get(found.folder)

    case, attempt = run_with_store(work)
    records = [
        {"number": r.number, "kind": r.kind, "recorded_at": r.recorded_at.isoformat()}
        for r in case.records
    ]
    summary = {
        "incident": case.incident,
        "status": case.status,
        "open_attempt": attempt.json if attempt else None,
        "outcome": case.outcome,
    }
    if as_json:
        print_json({**summary, "records": records})
        return
    console = Console()
    # An unfinished incident has no outcome yet.
    unfinished: JsonObject = {"status": case.status, "incident": case.incident}
    if attempt:
        print_line(console, attempt.text, "bold yellow")
    print_page(console, outcome_page(case.outcome or unfinished))
    print_line(console, "")
    print_line(console, "Records", "bold")
    for record in records:
        print_line(console, f"  {record['recorded_at']}  {record['number']:04d}  {record['kind']}")


def _summary_row(case: CaseSummary, attempt: OpenAttempt | None) -> dict[str, Any]:
    outcome: JsonObject = case.outcome or {}
    decision = outcome.get("decision")
    reasons = decision.get("reasons") if isinstance(decision, dict) else None
    return {
        "incident": case.incident,
        "status": case.status,
        "workload": case.workload.resource_name if case.workload else None,
        "reason": reasons[0] if isinstance(reasons, list) and reasons else None,
        "began_at": case.started_at.isoformat() if case.started_at else None,
        "open_attempt": attempt.json if attempt else None,
    }
