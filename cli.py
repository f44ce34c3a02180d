"""The operator's commands: look at case files, check a policy, take a containment back.

Like ``main.py`` it only wires and calls. Exit status: 0 done, 1 refused or failed, 2 wrong use.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from clients import Clients, connect, read_settings
from clients.identity import whoami
from incident import release as releasing
from incident.cases import Case, Cases
from incident.core import Books
from incident.model import IncidentError, InvalidPolicy, JsonObject, Workload
from incident.notification import parse
from incident.outcome import released
from incident.policy import Subject, explain, parse_policy, resolve
from incident.record import append_outcome
from incident.texts import diff

T = TypeVar("T")

_STATUS_STYLES = {
    "contained": "green",
    "planned": "cyan",
    "held": "yellow",
    "awaiting-approval": "magenta",
    "released": "blue",
}
_URGENT = "bold red"


@click.group()
def cli() -> None:
    """Look at what the responder did, and take it back.

    Reads the same environment as the function: RESPONDER_STORE above all. Exit status: 0 done,
    1 refused or failed, 2 wrong use.
    """


def _as_json(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--json", "as_json", is_flag=True, help="Print one JSON value and nothing else."
    )(command)


@cli.command(name="list")
@click.option("--status", help="Only incidents of this status; `open` for unfinished ones.")
@click.option("--project", help="Only incidents of this project.")
@click.option(
    "--since", type=click.DateTime(["%Y-%m-%d"]), help="Only events of this day or later."
)
@click.option("--dry-runs", is_flag=True, help="The dry runs instead of the incidents.")
@_as_json
def list_(
    *,
    status: str | None,
    project: str | None,
    since: datetime | None,
    dry_runs: bool,
    as_json: bool,
) -> None:
    """List incidents, the newest event first."""

    async def work(clients: Clients) -> tuple[Case, ...]:
        return await Cases(clients.store).all(dry_runs=dry_runs)

    day = since.strftime("%Y%m%d") if since else ""
    cases = [
        case
        for case in _run(work)
        if (status is None or case.status == status)
        and (project is None or (case.workload and case.workload.project_id == project))
        and case.incident[:8] >= day
    ]
    if as_json:
        _print_json([_row(case) for case in cases])
        return
    table = Table(box=None, pad_edge=False)
    for title in ("incident", "status", "workload", "reason"):
        table.add_column(title, overflow="fold")
    for case in cases:
        row = _row(case)
        style = _STATUS_STYLES.get(case.status, _URGENT if case.status != "open" else "yellow")
        reason = Text(str(row["reason"] or ""))
        place = Text(str(row["workload"] or "-"))
        table.add_row(Text(case.incident), Text(case.status, style=style), place, reason)
    Console().print(table if cases else "no incidents")


@cli.command()
@click.argument("incident")
@_as_json
def show(*, incident: str, as_json: bool) -> None:
    """Show one incident: its outcome and its records."""

    async def work(clients: Clients) -> Case:
        return await Cases(clients.store).one(incident)

    case = _run(work)
    records = [
        {"number": r.number, "kind": r.kind, "recorded_at": r.recorded_at.isoformat()}
        for r in case.records
    ]
    told = {"incident": case.incident, "status": case.status, "outcome": case.outcome}
    if as_json:
        _print_json({**told, "records": records})
        return
    console = Console()
    console.print(Text(f"{case.incident}  {case.status}", style="bold"))
    console.print(Text(json.dumps(case.outcome, indent=2, ensure_ascii=True)))
    for record in records:
        console.print(Text(f"{record['recorded_at']}  {record['number']:04d}  {record['kind']}"))


@cli.command()
@click.argument("incident")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--force", is_flag=True, help="Also when somebody changed the same fields since.")
@_as_json
def release(*, incident: str, yes: bool, force: bool, as_json: bool) -> None:
    """Take the containment of INCIDENT's workload back, field for field.

    Shows what will be written and asks. It ends the containment for every incident that refers
    to it. Releasing twice is harmless.
    """
    _run(lambda clients: _release(clients, incident, yes=yes, force=force, as_json=as_json))


async def _release(
    clients: Clients, incident: str, *, yes: bool, force: bool, as_json: bool
) -> None:
    case = await Cases(clients.store).one(incident)
    workload = case.workload
    if workload is None:
        raise IncidentError(f"cannot release incident {incident}: it names no workload")
    by = whoami(read_settings())
    books = Books(clients.store, f"cli {by}", lambda: datetime.now(UTC))
    custody = books.custody(workload)
    plan = await releasing.plan_release(workload, custody, clients.run)
    _say(plan, as_json=as_json)
    if plan.containment is None:
        return
    if plan.differs and not force:
        who = releasing.blame(plan, await _audit(clients, workload))
        raise releasing.Refused(releasing.explain(plan, who))
    if not yes:
        click.confirm("Release it?", abort=True, err=True)
    patience = read_settings().verify_timeout
    await releasing.carry_out(plan, custody, clients.run, by=by, patience=patience)
    cases = Cases(clients.store)
    for name in sorted(plan.containment.incidents):
        other = await cases.one(name)
        if other.outcome:
            told = released(other.outcome, by)
            await append_outcome(books.store, other.folder, books.run, books.clock, told)
    if not as_json:
        Console(stderr=True).print(
            Text(f"released {workload.resource_name}, read back as it was before", style="green")
        )


def _say(plan: releasing.ReleasePlan, *, as_json: bool) -> None:
    if as_json:
        _print_json(releasing.told(plan))
        return
    console = Console()
    if plan.containment is None:
        console.print(Text(f"nothing of ours holds {plan.workload.resource_name}"))
        return
    console.print(Text(f"{plan.workload.resource_name}, held by {plan.containment.folder}"))
    if plan.change is None:
        console.print(Text("all is as it was before already; only the record is missing"))
        return
    for line in diff(plan.change):
        style = {"-": "red", "+": "green"}.get(line[:1], "")
        console.print(Text(line, style=style))


async def _audit(clients: Clients, workload: Workload) -> tuple[Any, ...]:
    now = datetime.now(UTC)
    try:
        return await clients.logging.audit(workload, now - timedelta(days=7), now, limit=50)
    except IncidentError:
        return ()


@cli.group()
def policy() -> None:
    """Look at a policy file."""


@policy.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--finding",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A notification: say which rule would apply to its workload, and why.",
)
@_as_json
def check(*, file: Path, finding: Path | None, as_json: bool) -> None:
    """Check a policy file, and say what it would do about a finding.

    Labels are not known here: a rule or protection that asks for them counts as unknown.
    """
    try:
        parsed = parse_policy(file.read_bytes(), source=str(file))
    except InvalidPolicy as error:
        if as_json:
            _print_json({"valid": False, "problems": str(error).splitlines()})
        else:
            click.echo(str(error), err=True)
        sys.exit(1)
    told: dict[str, Any] = {"valid": True}
    if finding:
        claim = _checked(lambda: parse(finding.read_bytes()).finding)
        if claim.workload is None:
            raise click.UsageError(f"{finding} names no Cloud Run service, job or worker pool")
        subject = Subject(claim.workload, claim.category, claim.source_id, None)
        resolution = resolve(parsed, subject)
        told |= {
            "rule": resolution.rule,
            "mode": resolution.mode.value,
            "steps": [list(step) for step in resolution.steps],
            "holds": [hold.text for hold in resolution.holds],
            "explanation": list(explain(parsed, subject)),
        }
    if as_json:
        _print_json(told)
        return
    click.echo(f"{file} is valid")
    for line in told.get("explanation", ()):
        click.echo(f"  {line}")


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


def _run(work: Callable[[Clients], Coroutine[Any, Any, T]]) -> T:
    async def connected() -> T:
        clients = await connect(read_settings())
        try:
            return await work(clients)
        finally:
            await clients.close()

    return _checked(lambda: asyncio.run(connected()))


def _checked(work: Callable[[], T]) -> T:
    """Do it; what is wrong is one clear sentence on standard error, and exit status 1."""
    try:
        return work()
    except IncidentError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(1)


def _print_json(value: object) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def _main() -> None:
    """Run a command and end without Python's own farewell.

    The native threads of the clients outlive the loop, and now and then abort the process when
    they find the interpreter gone: a command that succeeded must not exit with a signal.
    """
    try:
        cli()
    except SystemExit as end:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(end.code if isinstance(end.code, int) else int(end.code is not None))


if __name__ == "__main__":
    _main()
