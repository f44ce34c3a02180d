"""``release``: take a containment back."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from clients import Clients, read_settings
from clients.identity import whoami
from commands.shared import as_json_option, print_json, run
from incident import release as releasing
from incident.cases import Cases
from incident.core import Books
from incident.model import IncidentError, Workload
from incident.outcome import released
from incident.record import append_outcome
from incident.texts import diff
from incident.write_back import carry_back


@click.command()
@click.argument("incident")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--force", is_flag=True, help="Also when somebody changed the same fields since.")
@as_json_option
def release(*, incident: str, yes: bool, force: bool, as_json: bool) -> None:
    """Take the containment of INCIDENT's workload back, field for field.

    Shows what will be written and asks. It ends the containment for every incident that refers
    to it. Releasing twice is harmless.
    """
    run(lambda clients: _release(clients, incident, yes=yes, force=force, as_json=as_json))


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
        await _mark(clients, books, _ended(plan, incident), by)
        return
    if incident not in plan.containment.incidents:
        holding = ", ".join(sorted(plan.containment.incidents))
        raise releasing.Refused(
            f"cannot release incident {incident}: what holds {workload.resource_name} now is the"
            f" containment of {holding}. Release one of these if that is what you mean"
        )
    held = plan.containment.incidents
    if plan.differs and not force:
        who = releasing.blame(plan, await _audit(clients, workload))
        raise releasing.Refused(releasing.explain(plan, who))
    if not yes:
        click.confirm("Release it?", abort=True, err=True)
        now = await releasing.plan_release(workload, custody, clients.run)
        if now.containment is None or now.change != plan.change:
            raise releasing.Refused(
                f"cannot release {workload.resource_name}: it changed while you were asked. Look"
                " at the difference again"
            )
        plan = now
    patience = read_settings().verify_timeout
    await releasing.carry_out(plan, custody, clients.run, by=by, patience=patience)
    await _mark(clients, books, held, by)
    if not as_json:
        Console(stderr=True).print(
            Text(f"released {workload.resource_name}, read back as it was before", style="green")
        )


def _ended(plan: releasing.ReleasePlan, incident: str) -> frozenset[str]:
    """The incidents of the containment that was taken back last, if this one's is that."""
    last = plan.history.containments[-1] if plan.history.containments else None
    ours = last is not None and last.released and incident in last.incidents
    return last.incidents if last and ours else frozenset()


async def _mark(clients: Clients, books: Books, incidents: Iterable[str], by: str) -> None:
    """Carry incidents on as released; those that say so already stay as they are."""
    for name in sorted(incidents):
        case = await Cases(clients.store).one(name)
        if case.outcome and case.status != "released":
            told = released(case.outcome, by)
            refused = await carry_back(await books.case(case.folder), clients.security_center, told)
            if refused:
                click.echo(
                    f"Warning: the finding does not say that it is released: {refused}", err=True
                )
            await append_outcome(books.store, case.folder, books.run, books.clock, told)


def _say(plan: releasing.ReleasePlan, *, as_json: bool) -> None:
    if as_json:
        print_json(releasing.told(plan))
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
