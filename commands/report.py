"""``report``: the page of an incident as a file, or an index of all of them."""

from __future__ import annotations

import webbrowser
from pathlib import Path

import click

from clients import read_settings
from clients.store import Store
from commands.case_index_page import render_index
from commands.case_row import CaseRow
from commands.list_cases import read_incidents
from commands.shared import exit_on_error, run_with_store
from incident.case_file.index import CaseFileIndex
from incident.case_file.paths import DRY_RUNS
from incident.model import GiveUp
from incident.report.write_report import render_report
from wiring import build_clock


@click.command()
@click.argument("incident", required=False)
@click.option("--index", is_flag=True, help="A page over all incidents of the store instead.")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file to write; by default report-INCIDENT.html or index.html.",
)
@click.option("--open", "opened", is_flag=True, help="Open the page in a browser.")
def report(*, incident: str | None, index: bool, output: Path | None, opened: bool) -> None:
    """Write the page of INCIDENT, or with --index one over all incidents, as an HTML file.

    The page of an incident is made of its case file, as it is now. The index has a section for
    each status, newest events first, and links each incident's page in the store. Both are one
    file without scripts, which loads nothing. Prints the file's name.

    Exit status: 0 written, 1 the store cannot be read, 2 wrong use.
    """
    if index == (incident is not None):
        raise click.UsageError("give an INCIDENT or --index")
    if incident is None:
        page, name = run_with_store(_index), "index.html"
    else:
        page, name = run_with_store(lambda store: _page(store, incident))
    file = output or Path(name)
    try:
        file.write_text(page, encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"cannot write {file}: {error.strerror}") from error
    click.echo(str(file))
    if opened:
        webbrowser.open(file.resolve().as_uri())


async def _page(store: Store, incident: str) -> tuple[str, str]:
    """The page of one incident, and the file's name."""
    case = await CaseFileIndex(store).get(incident)
    if case.outcome is None:
        raise GiveUp(f"cannot write the page of {case.incident}: it has no outcome yet. Try later")
    page = await render_report(store, case.folder, case.outcome)
    return page.decode(), f"report-{case.incident}.html"


async def _index(store: Store) -> str:
    """The page over all incidents; drills are none."""
    now = build_clock(exit_on_error(read_settings))()
    incidents, dry_runs = await read_incidents(store, None), await read_incidents(store, DRY_RUNS)
    rows: tuple[CaseRow, ...] = (*incidents.rows, *dry_runs.rows)
    return render_index(rows, store.url, now, len({**incidents.unreadable, **dry_runs.unreadable}))
