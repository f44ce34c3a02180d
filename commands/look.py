"""``list`` and ``show``: what became of each incident, by now."""

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
from commands.saying import say, say_page
from commands.shared import as_json_option, print_json, read_store
from commands.telling import page, style_of
from incident.case_file.index import DRILLS, Case, Cases
from incident.model import JsonObject, Status
from incident.model.concurrency import together
from incident.report.terminal import visible, visible_json

_MOST_TOLD = 5


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
    "--dry-runs", "section", flag_value="dry-runs", help="The dry runs instead of the incidents."
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

    What cannot be read is told on standard error, with --json as one object with the list
    `unreadable`. Exit status: 0 done; 1 something could not be read, or it failed; 2 wrong use.
    """

    async def work(store: Store) -> tuple[tuple[Case, ...], dict[str, str]]:
        asked = {"dry_runs": section == "dry-runs", "drills": section == DRILLS}
        found = await Cases(store).all(**asked)
        planted = await together(*map(store.unreadable, found.roots))
        return found.cases, {
            **found.unreadable,
            **{k: v for one in planted for k, v in one.items()},
        }

    day = since.strftime("%Y%m%d") if since else ""
    there, unreadable = read_store(work)
    cases = [
        case
        for case in there
        if (status is None or case.status == status)
        and (project is None or (case.workload and case.workload.project_id == project))
        and case.incident[:8] >= day
    ]
    if as_json:
        print_json([_row(case) for case in cases])
    else:
        _print(cases)
    if unreadable:
        _complain(unreadable, as_json=as_json)
        sys.exit(1)


def _print(cases: Sequence[Case]) -> None:
    table = Table(box=None, pad_edge=False)
    for title in ("incident", "status", "workload", "reason"):
        table.add_column(title, overflow="fold")
    for case in cases:
        row = _row(case)
        reason = Text(visible(str(row["reason"] or "")))
        place = Text(visible(str(row["workload"] or "-")))
        became = Text(visible(case.status), style=style_of(case.status))
        table.add_row(Text(case.incident), became, place, reason)
    Console().print(table if cases else "no incidents")


def _complain(unreadable: Mapping[str, str], *, as_json: bool) -> None:
    """Say what could not be read, in one line."""
    told = sorted(unreadable.items())
    if as_json:
        value = {"unreadable": [{"path": path, "reason": reason} for path, reason in told]}
        click.echo(" ".join(visible_json(value).split("\n")), err=True)
        return
    more = f"; and {len(told) - _MOST_TOLD} more" if len(told) > _MOST_TOLD else ""
    said = "; ".join(f"{path}: {reason}" for path, reason in told[:_MOST_TOLD])
    click.echo(f"Error: cannot read {len(told)} of what is there: {visible(said)}{more}", err=True)


@click.command()
@click.argument("incident")
@as_json_option
def show(*, incident: str, as_json: bool) -> None:
    """Show one incident: its outcome and its records."""

    async def work(store: Store) -> Case:
        return await Cases(store).one(incident)

    case = read_store(work)
    records = [
        {"number": r.number, "kind": r.kind, "recorded_at": r.recorded_at.isoformat()}
        for r in case.records
    ]
    told = {"incident": case.incident, "status": case.status, "outcome": case.outcome}
    if as_json:
        print_json({**told, "records": records})
        return
    console = Console()
    # An unfinished incident has no outcome yet; that it is open is all there is to say.
    unfinished: JsonObject = {"status": case.status, "incident": case.incident}
    say_page(console, page(case.outcome or unfinished))
    say(console, "")
    say(console, "Records", "bold")
    for record in records:
        say(console, f"  {record['recorded_at']}  {record['number']:04d}  {record['kind']}")


def _row(case: Case) -> dict[str, Any]:
    outcome: JsonObject = case.outcome or {}
    decision = outcome.get("decision")
    reasons = decision.get("reasons") if isinstance(decision, dict) else None
    return {
        "incident": case.incident,
        "status": case.status,
        "workload": case.workload.resource_name if case.workload else None,
        "reason": reasons[0] if isinstance(reasons, list) and reasons else None,
        "began_at": case.began_at.isoformat() if case.began_at else None,
    }
