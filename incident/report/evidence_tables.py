"""The evidence as rows and tables for the page. Pure.

What is missing has the reason in its place; what is empty says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from incident.model import ChangeKind, ChangeState, Connection, Json, JsonObject, Kind
from incident.model.json_text import json_list, json_object, json_objects, json_string, parse_time
from incident.model.outcome import (
    Detected,
    Outcome,
    ReportedAffected,
    ReportedProcess,
    ReportedReputation,
)
from incident.report.exposure_columns import command_line
from incident.report.log_lines import LogLine
from incident.report.page_words import stamp

_MOST_ROWS, _MOST_LOGS = 100, 200
_CANCELLED = (ChangeState.APPLIED, ChangeState.VERIFIED, ChangeState.UNVERIFIED)
_REASON = "the reason stands under Missing evidence"
_OMITTED_USER = "not given (Security Command Center leaves a 0 out, and 0 is root)"


@dataclass(frozen=True, slots=True)
class DescribedRow:
    """A label with its value."""

    label: str
    text: str


@dataclass(frozen=True, slots=True)
class Table:
    """A table of evidence.

    Attributes:
        id: Unique on the page; the collector, where it is one's evidence.
        title: Its heading.
        headers: Titles of its columns.
        rows: Its cells.
        note: What to know before reading it.
        missing: Why it is not known; empty where it is.
        empty: What an empty one means.
        folded: Whether it is folded until somebody asks.
    """

    id: str
    title: str
    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    missing: str = ""
    empty: str = field(default="None.")
    folded: bool = False


def process_rows(outcome: Outcome) -> Iterator[DescribedRow]:
    """What was detected, one fact a row; without what is not given."""
    detected, workload = outcome.detected or Detected(), outcome.workload
    yield from _process(detected)
    file = detected.file if detected.file != detected.binary_path else None
    part = " (of its beginning only: no look-up possible)" if detected.hash_is_partial else ""
    named = [
        ("Script", detected.script),
        ("Libraries", ", ".join(detected.libraries)),
        ("Suspected file", file),
        ("SHA-256", f"{detected.sha256}{part}" if detected.sha256 else None),
        ("VirusTotal", _reputation_text(detected.reputation)),
        ("Connection", _connection_text(detected.connection)),
        *(("URL", url) for url in detected.urls),
        *(
            (each.name.replace("_", " "), f"{each.text} (from sourceProperties only)")
            for each in detected.source_properties
        ),
        ("Image", detected.image),
        ("Digest", detected.digest),
    ]
    if workload and workload.kind is Kind.JOB:
        named.append(("Execution", workload.execution or "not named by the finding"))
    elif workload:
        inferred = affected_revision(outcome)
        unnamed = f"{inferred} (inferred; the finding names none)" if inferred else "not known"
        named.append(("Revision", workload.revision or unnamed))
    yield from (DescribedRow(label, text) for label, text in named if text)


def affected_revision(outcome: Outcome) -> str:
    """The revision that the finding names, else the one that the evidence shows; may be empty."""
    named = outcome.workload.revision if outcome.workload else None
    facts = outcome.assessment.playbook.facts if outcome.assessment else {}
    return named or json_string(json_object(facts.get("affected")).get("name"))


def _process(detected: Detected) -> Iterator[DescribedRow]:
    if detected.binary_path or detected.process:
        pid = f"PID {detected.pid}" if detected.pid is not None else ""
        cut = "the command line is cut" if detected.arguments_truncated else ""
        known = ", ".join(filter(None, (pid, _user(detected), cut)))
        yield DescribedRow("Process", f"{command_line(detected)} ({known})")
    for parent in detected.parents:
        yield DescribedRow("Parent", f"{command_line(parent)} ({_identity(parent)})")
    if not detected.parents and detected.parent_pid is not None:
        first = ", the first process of the container" if detected.parent_pid == 1 else ""
        yield DescribedRow("Parent", f"PID {detected.parent_pid}{first}; not described")


def _user(detected: Detected) -> str:
    given = detected.user_id
    if given is None and detected.user_id_claimed is None:
        return f"user {_OMITTED_USER}"
    user = detected.user_id_claimed if given is None else given
    name = "user 0 (root)" if user == 0 else f"user {user}"
    return name if given is not None else f"{name} by the notification only"


def _identity(process: ReportedProcess) -> str:
    user = "user 0 (root)" if process.user_id == 0 else f"user {process.user_id}"
    shown = user if process.user_id is not None else f"user {_OMITTED_USER}"
    return f"PID {process.pid}, {shown}" if process.pid is not None else shown


def _connection_text(connection: Connection | None) -> str:
    if connection is None:
        return ""
    port = f", port {connection.remote_port}" if connection.remote_port else ""
    return f"to {connection.remote_ip or 'an address not named'}{port}"


def _reputation_text(known: ReportedReputation | None) -> str:
    if known is None:
        return ""
    parts = (
        known.summary.removeprefix("VirusTotal: "),
        f"as {known.label}" if known.label else "",
        f"type {known.file_type}" if known.file_type else "",
        f"first seen {stamp(known.first_seen)}" if known.first_seen else "",
        f"also called {', '.join(known.names)}" if known.names else "",
    )
    return "; ".join(filter(None, parts))


def evidence_tables(
    outcome: Outcome,
    evidence: Mapping[str, Json],
    lines: Sequence[LogLine],
    stopped_at: datetime | None,
) -> tuple[Table, ...]:
    """All tables of evidence, in their order on the page.

    Args:
        outcome: The outcome.
        evidence: Evidence by its collector.
        lines: The log lines that decide nothing.
        stopped_at: When the workload was read back as contained.
    """
    missing = missing_evidence(outcome, evidence)
    job = outcome.workload is not None and outcome.workload.kind is Kind.JOB
    tables = (
        _related_table(outcome),
        _audit_table(evidence),
        _executions_table(outcome, evidence, stopped_at) if job else _revisions_table(evidence),
        _access_table(evidence),
        log_table(tuple(reversed(lines))[:_MOST_LOGS], "logs", len(lines)),
    )
    return tuple(_with_missing(table, missing) for table in tables)


def affected_tables(outcome: Outcome) -> tuple[Table, ...]:
    """Other workloads that share the image or the account; nothing where none were searched."""
    found = outcome.detected.affected if outcome.detected else None
    gap = next((gap.reason for gap in outcome.gaps if gap.collector == "affected"), "")
    if found is None and not gap:
        return ()
    affected = found or ReportedAffected()
    rows = tuple(
        (
            f"{each.name} ({each.kind.label})",
            each.project,
            each.location,
            ", ".join(relation.value for relation in each.relations),
            each.exposure or "not known",
            "not searched"
            if each.findings is None
            else ", ".join(finding.category for finding in each.findings) or "none",
        )
        for each in affected.workloads
    )
    more = affected.found - len(rows)
    lag = "By the asset inventory, which lags by minutes and has no IAM policy."
    scope = affected.scope or "the scope"
    return (
        Table(
            "affected",
            "What else is affected",
            ("Workload", "Project", "Region", "Shares", "Exposure", "Findings in the window"),
            rows,
            note=(lag + (f" {more} more are in the evidence." if more > 0 else "")) if rows else "",
            missing=f"Not complete: {_REASON if gap else 'not read to its end'}"
            if not affected.complete
            else "",
            empty=f"No other workload in {scope} shares the image or the service account."
            if affected.complete
            else "",
        ),
    )


def missing_evidence(outcome: Outcome, evidence: Mapping[str, Json]) -> Mapping[str, str]:
    """Why each collector's evidence is missing or not complete; without what is whole."""
    unread = (
        "not read" if outcome.workload else "the finding names no Cloud Run workload to read it of"
    )
    gaps = {gap.collector for gap in outcome.gaps}
    collectors = ("related-findings", "audit-log", "revisions", "executions", "access", "logs")
    absent = {name for name in collectors if not isinstance(evidence.get(name), list | Mapping)}
    found = {name: f"Not known: {_REASON if name in gaps else unread}" for name in absent}
    partly = {name: f"Not complete: {_REASON}" for name in gaps if name not in absent}
    return {**found, **partly}


def _with_missing(table: Table, missing: Mapping[str, str]) -> Table:
    reason = missing.get(table.id, "")
    return Table(
        table.id,
        table.title,
        table.headers,
        table.rows,
        note=table.note,
        missing=reason,
        empty="" if reason.startswith("Not known") else table.empty,
        folded=table.folded,
    )


def _related_table(outcome: Outcome) -> Table:
    related = outcome.assessment.related if outcome.assessment else ()
    rows = tuple(
        (
            stamp(each.event_time) if each.event_time else "",
            f"{each.category} ({each.severity})",
            each.text,
        )
        for each in related
    )
    return Table(
        "related-findings",
        "Related findings on the workload",
        ("Time", "Finding", "Meaning"),
        rows,
        empty="None in the time around the event.",
    )


def _audit_table(evidence: Mapping[str, Json]) -> Table:
    rows = tuple(
        (
            _time(each, "timestamp"),
            (json_string(each.get("principal")) or "unknown")
            + (f" from {each['caller_ip']}" if each.get("caller_ip") else ""),
            json_string(each.get("method")).rpartition(".")[2],
            ", ".join(map(str, json_list(each.get("bindings"))))
            + (f" refused: {each['error']}" if each.get("error") else ""),
        )
        for each in json_objects(evidence.get("audit-log"))[:_MOST_ROWS]
    )
    return Table(
        "audit-log",
        "Who deployed and changed it",
        ("Time", "Who", "Method", "Details"),
        rows,
        note="From audit logs, which no workload can forge.",
        empty="No change in the time before the event.",
    )


def _revisions_table(evidence: Mapping[str, Json]) -> Table:
    rows = tuple(
        (
            json_string(each.get("revision")),
            _time(each, "create_time"),
            json_string(each.get("creator")) or "unknown",
            ", ".join(
                json_string(container.get("image"))
                for container in json_objects(each.get("containers"))
            ),
        )
        for each in json_objects(evidence.get("revisions"))[:_MOST_ROWS]
    )
    return Table("revisions", "Revisions", ("Revision", "Made", "By", "Images"), rows)


def _executions_table(
    outcome: Outcome, evidence: Mapping[str, Json], stopped_at: datetime | None
) -> Table:
    cancelled = {
        change.target.rpartition("/")[2]: change.state.value
        for change in outcome.changes
        if change.kind is ChangeKind.CANCELLATION and change.state in _CANCELLED
    }
    before = f" at {stamp(stopped_at)}" if stopped_at else ""
    headers = ("Execution", "Made", "Over", "State before" if cancelled else "State")
    rows = []
    for each in json_objects(evidence.get("executions"))[:_MOST_ROWS]:
        name = json_string(each.get("short_name"))
        state = f"{json_string(each.get('state'))} {json_string(each.get('reason'))}".strip()
        cells = (name, _time(each, "create_time"), _time(each, "completion_time", "running"), state)
        did = (f"yes, {cancelled[name]}" if name in cancelled else "no",) if cancelled else ()
        rows.append((*cells, *did))
    return Table(
        "executions",
        "Executions",
        (*headers, "Cancelled by the responder since") if cancelled else headers,
        tuple(rows),
        note=f"As read before the containment{before}." if cancelled else "",
    )


def _access_table(evidence: Mapping[str, Json]) -> Table:
    rows = tuple(
        (
            json_string(binding.get("role")),
            ", ".join(map(str, json_list(binding.get("members")))),
            json_string(binding.get("condition")),
        )
        for binding in json_objects(json_object(evidence.get("access")).get("bindings"))
    )
    return Table(
        "access",
        "Who may call it",
        ("Role", "Members", "Condition"),
        rows[:_MOST_ROWS],
        empty="Its own IAM policy grants nothing; one above it may.",
    )


def log_table(lines: Sequence[LogLine], name: str, total: int = 0) -> Table:
    """Log lines as a table.

    Args:
        lines: The lines, in the order of the table.
        name: The table's id: ``logs``, or ``decisive``.
        total: How many there are in all, where it shows the newest only.
    """
    title = f"{len(lines)} of {total} other log lines, the newest first" if total else "Logs"
    return Table(
        name,
        title,
        ("Time", "Log", "Entry"),
        tuple(
            (stamp(line.at), f"{line.kind} {line.severity}".strip(), line.text) for line in lines
        ),
        note="Written by the workload: an attacker may have forged them.",
        empty="No entries in the time around the event.",
        folded=name == "logs",
    )


def _time(value: JsonObject, key: str, without: str = "unknown") -> str:
    at = parse_time(value.get(key))
    return stamp(at) if at else without
