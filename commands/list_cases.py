"""``list``: incidents, the newest event first; or messages that could not be read."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from clients import read_settings
from clients.store import Store
from commands.case_row import CaseRow, case_row
from commands.console import print_line
from commands.open_attempts import find_open_attempts
from commands.outcome_page import status_style
from commands.quarantined_messages import QuarantinedMessage, read_quarantine
from commands.shared import as_json_option, exit_on_error, print_json, run_with_store
from commands.wrapped_rows import WrappedText
from incident.case_file.index import CaseFileIndex
from incident.case_file.paths import DRILLS, DRY_RUNS
from incident.model import Status
from incident.model.concurrency import gather_all
from incident.report.terminal import escape_unprintable, escape_unprintable_json
from wiring import build_clock

_MOST_UNREADABLE = 5
_LEAST_REASON_WIDTH = 36
_COLUMNS = ("incident", "age", "severity", "status", "workload", "category", "reason")
_SEVERITIES = ("CRITICAL", "HIGH", "MEDIUM", "LOW")
_SPAN = re.compile(r"(\d{1,6})\s*(s|m|min|h|d|w)")
_UNITS = {"s": "seconds", "m": "minutes", "min": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_QUARANTINE = "quarantine"


class Since(click.ParamType[datetime | timedelta]):
    """A span until now such as ``2h``, a day, or a time with its zone."""

    name = "since"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime | timedelta:
        """The beginning: a span before now, or a moment."""
        text = str(value)
        if match := _SPAN.fullmatch(text):
            return timedelta(**{_UNITS[match[2]]: int(match[1])})
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            self.fail(f"{text!r} is no span such as 2h or 7d, day or RFC 3339 time", param, ctx)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Filters:
    """Which incidents are listed; what is empty or None does not matter."""

    status: tuple[str, ...]
    severity: tuple[str, ...]
    category: str
    project: str
    since: datetime | None
    unconfirmed: bool

    def match(self, row: CaseRow) -> bool:
        """Whether a row is to be listed."""
        event = row.event_time
        return (
            (not self.status or row.case.status in self.status)
            and (not self.severity or row.severity in self.severity)
            and self.category.lower() in row.category.lower()
            and self.project in ("", row.project)
            and (self.since is None or (event is not None and event >= self.since))
            and not (self.unconfirmed and row.confirmed)
        )


@dataclass(frozen=True, slots=True)
class CaseListing:
    """What a store holds.

    Attributes:
        store: The store's URL.
        rows: Incidents that can be read.
        unreadable: Why others cannot, by path.
        messages: Messages that could not be read.
    """

    store: str
    rows: tuple[CaseRow, ...] = ()
    unreadable: Mapping[str, str] = field(default_factory=dict)
    messages: tuple[QuarantinedMessage, ...] = ()


@click.command(name="list")
@click.option(
    "--status",
    multiple=True,
    type=click.Choice([*map(str, Status), "open"]),
    help="Only incidents of this status; `open` for unfinished ones. May be given several times.",
)
@click.option(
    "--severity",
    multiple=True,
    type=click.Choice(_SEVERITIES, case_sensitive=False),
    help="Only findings of this severity. May be given several times.",
)
@click.option("--category", default="", help="Only finding types whose name contains this.")
@click.option("--project", default="", help="Only incidents of this project.")
@click.option(
    "--since", type=Since(), help="Only events since then: 2h, 7d, 2026-10-02, or an RFC 3339 time."
)
@click.option("--limit", type=click.IntRange(min=1), help="At most so many, the newest events.")
@click.option(
    "--dry-runs", "section", flag_value=DRY_RUNS, help="The dry runs instead of the incidents."
)
@click.option("--drills", "section", flag_value=DRILLS, help="The drills instead of them.")
@click.option(
    "--quarantined",
    "section",
    flag_value=_QUARANTINE,
    help="Messages that could not be read as notifications instead of them.",
)
@click.option(
    "--unconfirmed",
    is_flag=True,
    help="Only what Security Command Center does not confirm: a message claimed it.",
)
@as_json_option
def list_(*, section: str | None, limit: int | None, as_json: bool, **given: Any) -> None:
    """List incidents, the newest event first.

    A pipe gets one line an incident. What cannot be read is reported on standard error, with
    --format=json as one object with the list `unreadable`. Exit status: 0 done; 1 something could
    not be read, or it failed; 2 wrong use.
    """
    now = build_clock(exit_on_error(read_settings))()
    since = given["since"]
    filters = Filters(**{**given, "since": now - since if isinstance(since, timedelta) else since})
    listing = run_with_store(lambda store: read_incidents(store, section))
    if section == _QUARANTINE:
        _print_messages(listing, limit, as_json=as_json)
    else:
        rows = [row for row in listing.rows if filters.match(row)]
        _print_rows(rows[:limit], len(rows), listing.store, now, as_json=as_json)
    if listing.unreadable:
        _print_unreadable(listing.unreadable, as_json=as_json)
        sys.exit(1)


async def read_incidents(store: Store, section: str | None) -> CaseListing:
    """The incidents of a store, newest event first; dry runs, drills or messages by section.

    Raises:
        Retry: The store does not answer.
        GiveUp: The store refuses.
    """
    if section == _QUARANTINE:
        messages, problems = await read_quarantine(store)
        return CaseListing(store.url, unreadable=problems, messages=messages)
    asked = {"dry_runs": section == DRY_RUNS, "drills": section == DRILLS}
    found = await CaseFileIndex(store).list_all(**asked)
    names = await gather_all(*map(store.unreadable, found.roots))
    unreadable = {**found.unreadable, **{k: v for one in names for k, v in one.items()}}
    attempts = await find_open_attempts(found.summaries, store)
    rows = tuple(case_row(case, attempts.get(case.folder)) for case in found.summaries)
    rows = tuple(sorted(rows, key=_event_order, reverse=True))
    return CaseListing(store.url, rows, unreadable)


def _event_order(row: CaseRow) -> tuple[float, str]:
    """By event time; those of one moment by id."""
    return (row.event_time.timestamp() if row.event_time else 0.0, row.case.incident)


def _print_rows(
    rows: Sequence[CaseRow], count: int, store: str, now: datetime, *, as_json: bool
) -> None:
    if as_json:
        print_json([row.json for row in rows])
        return
    console = Console(soft_wrap=True)
    cells = [_cells(row, now) for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)] if cells else []
    if not console.is_terminal:
        _print_lines(cells, widths)
    elif cells and sum(widths[:-1]) + 2 * len(widths) + _LEAST_REASON_WIDTH <= console.width:
        console.print(_table(rows, cells))
    else:
        for row, each in zip(rows, cells, strict=True):
            _print_block(console, row, each)
    total = f"{count} incident{'' if count == 1 else 's'}" if count else "no incidents"
    shown = f"{len(rows)} of {total}" if len(rows) < count else total
    simulated = sum(row.simulated for row in rows)
    note = f"; SIMULATED, from the emulator: {simulated}" if simulated else ""
    print_line(console, f"{shown} in {store}{note}")


def _cells(row: CaseRow, now: datetime) -> list[str]:
    status = row.status_text + (f", {row.attempt.command} not finished" if row.attempt else "")
    values = (
        row.case.incident,
        row.age(now),
        row.severity or "-",
        status,
        row.workload_text,
        row.category or "-",
        row.reason or "-",
    )
    return [escape_unprintable(" ".join(value.split())) for value in values]


def _print_lines(cells: Sequence[Sequence[str]], widths: Sequence[int]) -> None:
    """One line an incident, for grep and cut; only the last column is not padded."""
    padded = [max(width, len(title)) for width, title in zip(widths, _COLUMNS, strict=False)]
    for line in ([_COLUMNS, *cells]) if cells else ():
        texts = [text.ljust(width) for text, width in zip(line, padded, strict=True)]
        click.echo("  ".join(texts).rstrip())


def _table(rows: Sequence[CaseRow], cells: Sequence[Sequence[str]]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in _COLUMNS[:-1]:
        table.add_column(title, no_wrap=True)
    table.add_column(_COLUMNS[-1], overflow="fold")
    for row, line in zip(rows, cells, strict=True):
        styled = [Text(text) for text in line]
        styled[3].stylize(_style(row))
        table.add_row(*styled)
    return table


def _print_block(console: Console, row: CaseRow, cells: Sequence[str]) -> None:
    """An incident on some lines, where the terminal is too narrow for columns."""
    incident, age, severity, status, workload, category, reason = cells
    head = Text.assemble((incident, "bold"), f"  {age}  {severity}  ", (status, _style(row)))
    console.print(head)
    for text in (workload, category, reason):
        console.print(WrappedText(text, indent=2, hanging=2), crop=False)


def _style(row: CaseRow) -> str:
    return "bold yellow" if row.attempt else status_style(row.case.status)


def _print_messages(listing: CaseListing, limit: int | None, *, as_json: bool) -> None:
    messages = listing.messages[:limit]
    if as_json:
        print_json([message.json for message in messages])
        return
    for message in messages:
        click.echo(escape_unprintable(f"{message.short_id}  {message.size} bytes  {message.error}"))
    count = len(listing.messages)
    total = f"{count} quarantined message{'' if count == 1 else 's'}" if count else "no messages"
    more = f"{len(messages)} of {total}" if len(messages) < count else total
    click.echo(f"{more} in {listing.store}")


def _print_unreadable(unreadable: Mapping[str, str], *, as_json: bool) -> None:
    """Report what could not be read, in one line."""
    items = sorted(unreadable.items())
    if as_json:
        value = {"unreadable": [{"path": path, "reason": reason} for path, reason in items]}
        click.echo(" ".join(escape_unprintable_json(value).split("\n")), err=True)
        return
    more = f"; and {len(items) - _MOST_UNREADABLE} more" if len(items) > _MOST_UNREADABLE else ""
    listing = "; ".join(f"{path}: {reason}" for path, reason in items[:_MOST_UNREADABLE])
    click.echo(
        f"Error: cannot read {len(items)} of what is there: {escape_unprintable(listing)}{more}",
        err=True,
    )
