"""Static page over all incidents of a store: a section for each status, no script. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from commands.case_row import CaseRow, utc_text
from incident.case_file.paths import DRY_RUNS
from incident.model import Status
from incident.model.durations import format_milliseconds
from incident.report.terminal import escape_unprintable

_LONGEST_REASON = 220  # characters; the page has all of it
_FOLDER = Path(__file__).parent / "templates"
_HEADERS = (
    *("Incident", "Age", "Severity", "Workload", "Finding type"),
    *("Time to contain", "Reason"),
)
#: Title by status, those that somebody must look at first.
_TITLES: Mapping[str, str] = {
    Status.FAILED: "Containment failed",
    Status.UNVERIFIED: "Not confirmed stopped",
    Status.AWAITING_APPROVAL: "Awaiting approval",
    Status.HELD: "Held for a person",
    Status.EXPIRED: "Approval expired",
    "open": "Being answered",
    Status.RESTRICTED: "Restricted, still running",
    Status.CONTAINED: "Contained",
    Status.ALREADY_CONTAINED: "Stopped already",
    Status.RELEASED: "Released",
    Status.IGNORED: "Out of scope",
    Status.PLANNED: "Dry runs",
}
_URGENT = frozenset({Status.FAILED, Status.UNVERIFIED, Status.AWAITING_APPROVAL, Status.HELD})


@dataclass(frozen=True, slots=True)
class _Row:
    """The cells of an incident."""

    incident: str
    link: str
    age: str
    severity: str
    workload: str
    category: str
    time_to_contain: str
    reason: str


@dataclass(frozen=True, slots=True)
class _Section:
    """The incidents of one status."""

    anchor: str
    title: str
    urgent: bool
    rows: tuple[_Row, ...]


@dataclass(frozen=True, slots=True)
class _Index:
    """What the template reads."""

    store: str
    written_at: str
    headers: tuple[str, ...]
    sections: tuple[_Section, ...]
    simulated: int
    unreadable: int


def render_index(rows: Sequence[CaseRow], store: str, now: datetime, unreadable: int = 0) -> str:
    """The page as HTML 5.

    Args:
        rows: The incidents.
        store: URL of the store.
        now: The time, for ages.
        unreadable: How many case files cannot be read.
    """
    ordered = sorted(rows, key=_newest_first)
    sections = {
        _Section(status, title, status in _URGENT, tuple(_row(row, now) for row in shown))
        for status, title in _TITLES.items()
        if (shown := [row for row in ordered if _section_of(row) == status])
    }
    titles = list(_TITLES)
    index = _Index(
        store=escape_unprintable(store),
        written_at=utc_text(now),
        headers=_HEADERS,
        sections=tuple(sorted(sections, key=lambda each: titles.index(each.anchor))),
        simulated=sum(row.simulated for row in rows),
        unreadable=unreadable,
    )
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    return environment.get_template("index.html.j2").render(index=index)


def page_link(report: str | None) -> str:
    """Address of a stored page that a browser can open; empty for none."""
    if not report:
        return ""
    if report.startswith("gs://"):
        return f"https://storage.cloud.google.com/{quote(report.removeprefix('gs://'))}"
    return report if report.startswith("file:///") else ""


def _section_of(row: CaseRow) -> str:
    """Dry runs have a section of their own, whatever they would have come to."""
    if row.case.folder.startswith(f"{DRY_RUNS}/"):
        return Status.PLANNED
    return row.case.status


def _row(row: CaseRow, now: datetime) -> _Row:
    confirmed = "" if row.confirmed else " (unconfirmed)"
    texts = (row.severity, row.workload_text, row.category, row.reason)
    severity, workload, category, reason = map(escape_unprintable, texts)
    return _Row(
        incident=f"{row.case.incident}{confirmed}",
        link=page_link(row.outcome.links.report if row.outcome else None),
        age=row.age(now),
        severity=severity or "-",
        workload=workload,
        category=category or "-",
        time_to_contain=_time_to_contain(row),
        reason=textwrap.shorten(reason, _LONGEST_REASON, placeholder=" …") or "-",
    )


def _time_to_contain(row: CaseRow) -> str:
    """From the finding's event to the record of the verified containment; a dash without one."""
    ended = row.contained_at
    if ended is None or row.event_time is None:
        return "-"
    return format_milliseconds(max((ended - row.event_time).total_seconds(), 0) * 1000)


def _newest_first(row: CaseRow) -> tuple[float, str]:
    return (-row.event_time.timestamp() if row.event_time else 0.0, row.case.incident)
