"""One screen about an incident: what happened, does it run, what next. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from rich.console import Group, RenderableType
from rich.text import Text

from commands.case_row import CaseRow, age_text, utc_text
from commands.outcome_page import SIMULATED_LINE, status_style
from commands.wrapped_rows import WrappedRows, WrappedText
from incident.model.outcome import Outcome, ReportedWorkload
from incident.report.status_texts import status_text
from incident.report.terminal import escape_unprintable

_MOST_TASKS = 3
Rows = Iterator[tuple[str, str]]


def incident_summary(row: CaseRow, now: datetime) -> RenderableType:
    """The summary of an incident. Print it with ``crop=False``: commands are not wrapped.

    Args:
        row: The incident.
        now: The time, for ages.
    """
    outcome = row.outcome
    parts: list[RenderableType] = [SIMULATED_LINE] if outcome and outcome.simulated else []
    parts.append(_headline(row))
    if row.attempt:
        parts.append(Text(escape_unprintable(row.attempt.text), style="bold yellow"))
    parts.append(WrappedRows(each for each in _facts(row, now) if each[1]))
    if outcome:
        parts += _next_tasks(outcome)
    parts += _more(row)
    return Group(*parts)


def workload_text(workload: ReportedWorkload) -> str:
    """A workload by its name, such as ``storefront (service, my-project, europe-west1)``."""
    return f"{workload.name} ({workload.kind.value}, {workload.project}, {workload.location})"


def _headline(row: CaseRow) -> RenderableType:
    status = row.case.status
    outcome = row.outcome
    state = status_text(outcome).sentence if outcome else "Still being answered"
    name = workload_text(outcome.workload) if outcome and outcome.workload else row.workload_text
    headline = Text.assemble(
        (escape_unprintable(status.upper()), f"bold {status_style(status)}"),
        f"  {escape_unprintable(name)}",
        no_wrap=True,
        overflow="ignore",
    )
    doubt = "" if row.confirmed else " Security Command Center does not confirm the finding."
    return Group(headline, WrappedText(f"{state}{doubt}", style="bold"))


def _facts(row: CaseRow, now: datetime) -> Rows:
    outcome = row.outcome
    yield "incident", row.case.incident
    event = f"{utc_text(row.event_time)} ({age_text(row.event_time, now)} ago)"
    yield "finding", ", ".join(filter(None, (row.category, row.severity)))
    yield "event", event if row.event_time else ""
    if outcome is None:
        return
    yield from _detected(outcome)
    yield from _exposure(outcome)
    decision = outcome.decision
    applied = [f"mode {outcome.mode.value}" if outcome.mode else "", _rule(outcome)]
    verdict = ", ".join(filter(None, (decision.verdict.value, *applied)))
    yield "decision", f"{verdict}: {row.reason}" if row.reason else verdict
    yield "changes", ", ".join(f"{c.action} {c.state.value}" for c in outcome.changes)
    yield "drains by", utc_text(outcome.drains_until)
    yield "expires", utc_text(outcome.approval_expires)
    yield "missing", ", ".join(dict.fromkeys(gap.collector for gap in outcome.gaps))


def _detected(outcome: Outcome) -> Rows:
    detected = outcome.detected
    if detected is None:
        return
    yield "file", detected.file or detected.binary_path or ""
    yield "SHA-256", detected.sha256 or ""
    if detected.reputation and detected.reputation.engines:
        found = detected.reputation
        yield "VirusTotal", f"{found.malicious} of {found.engines} engines call it malicious"
    connection = detected.connection
    addresses = [connection.remote_ip] if connection and connection.remote_ip else []
    yield "contacts", ", ".join((*detected.urls, *addresses))


def _exposure(outcome: Outcome) -> Rows:
    facts = outcome.assessment.exposure if outcome.assessment else ()
    serious = next((fact.text for fact in facts if fact.serious), "")
    yield "exposure", serious


def _rule(outcome: Outcome) -> str:
    return f"rule {outcome.rule}" if outcome.rule else ""


def _next_tasks(outcome: Outcome) -> Iterator[RenderableType]:
    """The first tasks for people, each with its command, and how to see the others."""
    tasks = outcome.assessment.playbook.people if outcome.assessment else ()
    if tasks:
        yield Text("\nNext", style="bold")
    for number, task in enumerate(tasks[:_MOST_TASKS], start=1):
        yield WrappedText(f"{number}. {task.title or task.text}", indent=2, hanging=5)
        command = task.command or ""
        if command and "\n" not in command:  # the first line alone would be half of it
            yield _unbroken(f"     {command}")
    if len(tasks) > _MOST_TASKS:
        yield Text(f"  {len(tasks) - _MOST_TASKS} more:", style="dim")
    if tasks:
        yield _unbroken(f"  cloud-run-responder show {outcome.incident} --plan")


def _more(row: CaseRow) -> Iterator[RenderableType]:
    report = row.outcome.links.report if row.outcome else None
    yield Text("\nEvidence, records and page", style="bold")
    yield _unbroken(f"  cloud-run-responder show {row.case.incident} --all")
    if report:
        yield _unbroken(f"  {report}")


def _unbroken(text: str) -> Text:
    return Text(escape_unprintable(text), no_wrap=True, overflow="ignore")
