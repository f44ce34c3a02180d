"""``list`` and ``show``: what became of each incident, by now."""

from __future__ import annotations

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
from incident.cases import DRILLS, Case, Cases
from incident.model import JsonObject, Status
from incident.texts import visible


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
    """List incidents, the newest event first."""

    async def work(store: Store) -> tuple[Case, ...]:
        asked = {"dry_runs": section == "dry-runs", "drills": section == DRILLS}
        return await Cases(store).all(**asked)

    day = since.strftime("%Y%m%d") if since else ""
    cases = [
        case
        for case in read_store(work)
        if (status is None or case.status == status)
        and (project is None or (case.workload and case.workload.project_id == project))
        and case.incident[:8] >= day
    ]
    if as_json:
        print_json([_row(case) for case in cases])
        return
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
