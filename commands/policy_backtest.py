"""``policy backtest``: what a policy would have decided about every recorded incident."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import click
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from clients import read_settings
from clients.store import Store
from commands.console import print_line, print_page
from commands.list_cases import Since
from commands.shared import as_json_option, exit_on_error, print_json, run_with_store
from commands.wrapped_rows import WrappedRows
from incident.model import InvalidPolicy, Json, Mode
from incident.policy.resolve import parse_policy
from incident.readiness.backtest import Backtest, JudgedIncident, backtest
from incident.readiness.recorded_decision import DecisionSummary
from incident.report.terminal import escape_unprintable, escape_unprintable_lines
from responders import route
from wiring import build_clock

#: A pipe has no width: each line is as long as it has to be.
_PIPE_WIDTH = 10_000
_MOST_NAMED = 10


@click.command(name="backtest")
@click.option(
    "--policy",
    "file",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The policy to try.",
)
@click.option("--store", help="Folder or gs:// URL of the case files; by default RESPONDER_STORE.")
@click.option(
    "--since", type=Since(), help="Only decisions since then: 12h, 90d, a day, or an RFC 3339 time."
)
@click.option(
    "--mode",
    type=click.Choice(list(map(str, Mode))),
    help="As if RESPONDER_MODE were this; by default as it was at each incident.",
)
@as_json_option
def policy_backtest(
    *,
    file: Path,
    store: str | None,
    since: datetime | timedelta | None,
    mode: str | None,
    as_json: bool,
) -> None:
    """Compare what a policy would have decided about every recorded incident with what was decided.

    Verdict, mode and actions are compared, on the facts of then. Incidents that cannot be judged
    are listed with the reason. Nothing is written.

    Exit status: 0 done, 1 the store cannot be read, 2 wrong use or an invalid policy.
    """
    try:
        parsed = parse_policy(file.read_bytes(), source=str(file))
    except InvalidPolicy as error:
        click.echo(f"Error: {escape_unprintable_lines(str(error))}", err=True)
        sys.exit(2)
    now = build_clock(exit_on_error(read_settings))()
    first = now - since if isinstance(since, timedelta) else since

    async def work(opened: Store) -> tuple[str, Backtest]:
        ceiling = Mode(mode) if mode else None
        return opened.url, await backtest(opened, parsed, route, since=first, ceiling=ceiling)

    url, result = run_with_store(work, url=store)
    if as_json:
        print_json(_result_json(result))
        return
    _print_result(result, url, file, first)


def _print_result(result: Backtest, url: str, file: Path, first: datetime | None) -> None:
    console = Console()
    if not console.is_terminal:
        console = Console(width=_PIPE_WIDTH)
    differing, not_judged = result.differing, result.not_judged
    same = len(result.judged) - len(differing)
    when = f" since {first:%Y-%m-%d %H:%M:%S} UTC" if first else ""
    count = f"differing {len(differing)}, the same {same}, not judged {len(not_judged)}"
    print_line(console, f"{file} on the incidents in {url}{when}: {count}")
    if differing:
        table = _table(differing, file)
        unbounded = console.options.update(width=_PIPE_WIDTH)
        if Measurement.get(console, unbounded, table).maximum <= console.width:
            print_page(console, table)
        else:
            _print_rows(console, differing)
    for line in _remarks(result):
        print_line(console, line)


def _table(differing: tuple[JudgedIncident, ...], file: Path) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("incident", no_wrap=True)
    for title in ("workload", "finding", "decided", f"with {file.name}", "because"):
        table.add_column(title, overflow="fold")
    for each in differing:
        because = each.tested.reasons[0] if each.tested.reasons else ""
        cells = (
            each.incident,
            _workload_text(each),
            each.category,
            _decision_text(each.recorded),
            _decision_text(each.tested),
            because,
        )
        table.add_row(*(Text(escape_unprintable(cell)) for cell in cells))
    return table


def _print_rows(console: Console, differing: tuple[JudgedIncident, ...]) -> None:
    """The table for a terminal that is narrower."""
    for each in differing:
        print_line(console, f"{each.incident}  {_workload_text(each)}", "bold")
        rows = [
            ("finding", each.category),
            ("decided", _decision_text(each.recorded)),
            ("new policy", _decision_text(each.tested)),
            ("because", each.tested.reasons[0] if each.tested.reasons else ""),
        ]
        print_page(console, WrappedRows(rows))


def _remarks(result: Backtest) -> Iterator[str]:
    """What the table does not have: other rules with the same effect, and what was not judged."""
    others = [each.incident for each in result.by_another_rule]
    if others:
        more = f" and {len(others) - _MOST_NAMED} more" if len(others) > _MOST_NAMED else ""
        named = ", ".join(others[:_MOST_NAMED])
        yield f"the same, by another rule: {named}{more}"
    for incident, why in result.not_judged:
        yield f"not judged: {incident}: {why}"


def _workload_text(judged: JudgedIncident) -> str:
    workload = judged.workload
    return f"{workload.name} ({workload.kind.label}, {workload.project})" if workload else "-"


def _decision_text(summary: DecisionSummary) -> str:
    mode = f" ({summary.mode.value})" if summary.verdict == "contain" else ""
    actions = f": {', '.join(sorted(summary.actions))}" if summary.actions else ""
    return f"{summary.verdict.value}{mode}{actions}"


def _result_json(result: Backtest) -> dict[str, Json]:
    return {
        "differing": [_judged_json(each) for each in result.differing],
        "same": [each.incident for each in result.judged if not each.differs],
        "by_another_rule": [each.incident for each in result.by_another_rule],
        "not_judged": [{"incident": name, "reason": why} for name, why in result.not_judged],
    }


def _judged_json(judged: JudgedIncident) -> dict[str, Json]:
    return {
        "incident": judged.incident,
        "workload": judged.workload.resource_name if judged.workload else None,
        "category": judged.category,
        "decided": _summary_json(judged.recorded),
        "tested": _summary_json(judged.tested),
    }


def _summary_json(summary: DecisionSummary) -> dict[str, Json]:
    return {
        "verdict": summary.verdict.value,
        "mode": summary.mode.value,
        "rule": summary.rule,
        "actions": sorted(summary.actions),
        "reasons": list(summary.reasons),
    }
