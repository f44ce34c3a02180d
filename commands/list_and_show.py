"""``list`` and ``show``: incidents and their outcomes."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from clients.store import Store
from commands.console import print_line, print_page
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

    async def work(store: Store) -> tuple[tuple[CaseSummary, ...], dict[str, str]]:
        asked = {"dry_runs": section == DRY_RUNS, "drills": section == DRILLS}
        found = await CaseFileIndex(store).list_all(**asked)
        unreadable_names = await gather_all(*map(store.unreadable, found.roots))
        return found.summaries, {
            **found.unreadable,
            **{k: v for one in unreadable_names for k, v in one.items()},
        }

    day = since.strftime("%Y%m%d") if since else ""
    there, unreadable = run_with_store(work)
    cases = [
        case
        for case in there
        if (status is None or case.status == status)
        and (project is None or (case.workload and case.workload.project_id == project))
        and case.incident[:8] >= day
    ]
    if as_json:
        print_json([_summary_row(case) for case in cases])
    else:
        _print_table(cases)
    if unreadable:
        _print_unreadable(unreadable, as_json=as_json)
        sys.exit(1)


def _print_table(cases: Sequence[CaseSummary]) -> None:
    table = Table(box=None, pad_edge=False)
    for title in ("incident", "status", "workload", "reason"):
        table.add_column(title, overflow="fold")
    for case in cases:
        row = _summary_row(case)
        reason = Text(escape_unprintable(str(row["reason"] or "")))
        workload = Text(escape_unprintable(str(row["workload"] or "-")))
        status = Text(escape_unprintable(case.status), style=status_style(case.status))
        table.add_row(Text(case.incident), status, workload, reason)
    Console().print(table if cases else "no incidents")


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

    async def work(store: Store) -> CaseSummary:
        return await CaseFileIndex(store).get(incident)

    case = run_with_store(work)
    records = [
        {"number": r.number, "kind": r.kind, "recorded_at": r.recorded_at.isoformat()}
        for r in case.records
    ]
    summary = {"incident": case.incident, "status": case.status, "outcome": case.outcome}
    if as_json:
        print_json({**summary, "records": records})
        return
    console = Console()
    # An unfinished incident has no outcome yet.
    unfinished: JsonObject = {"status": case.status, "incident": case.incident}
    print_page(console, outcome_page(case.outcome or unfinished))
    print_line(console, "")
    print_line(console, "Records", "bold")
    for record in records:
        print_line(console, f"  {record['recorded_at']}  {record['number']:04d}  {record['kind']}")


def _summary_row(case: CaseSummary) -> dict[str, Any]:
    outcome: JsonObject = case.outcome or {}
    decision = outcome.get("decision")
    reasons = decision.get("reasons") if isinstance(decision, dict) else None
    return {
        "incident": case.incident,
        "status": case.status,
        "workload": case.workload.resource_name if case.workload else None,
        "reason": reasons[0] if isinstance(reasons, list) and reasons else None,
        "began_at": case.started_at.isoformat() if case.started_at else None,
    }
