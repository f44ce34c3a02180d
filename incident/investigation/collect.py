"""The collectors: what is asked of the outside about a finding, each with a deadline.

Confirmation and settings decide; everything else supports, and becomes a gap when it fails.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from incident.investigation.virustotal import Reputations
from incident.investigation.workload_reader import Shared
from incident.model import (
    AUDIT_EVENTS,
    AUDIT_WINDOW,
    AuditEvent,
    Evidence,
    Finding,
    Gap,
    IncidentError,
    JsonObject,
    Kind,
    Logs,
    Lookup,
    Malformed,
    Task,
    Workload,
)
from incident.model.concurrency import together
from incident.model.durations import Stopwatch
from incident.notification.parse import parse_record

_MOST_EXECUTIONS = 5
# SCC may keep times less finely than a notification carries them.
_PRECISION = timedelta(seconds=1)


class Findings(Protocol):
    """What investigating needs of Security Command Center."""

    async def findings_at(self, source: str, since: datetime) -> tuple[JsonObject, ...]:
        """The findings of one source since a moment."""

    async def findings_on(
        self, workload: Workload, start: datetime, end: datetime, *, location: str
    ) -> tuple[JsonObject, ...]:
        """The findings in a window whose resource name contains the workload's."""


class Tasks(Protocol):
    """What investigating needs of Cloud Run besides looking at the workload."""

    async def tasks(self, execution: str) -> tuple[Task, ...]:
        """The tasks of an execution, by its resource name."""


class LogReader(Protocol):
    """What investigating needs of Cloud Logging."""

    async def entries(
        self, workload: Workload, start: datetime, end: datetime, *, limit: int
    ) -> Logs:
        """The workload's logs between two moments."""

    async def audit(
        self, workload: Workload, start: datetime, end: datetime, *, limit: int
    ) -> tuple[AuditEvent, ...]:
        """Who changed it between two moments."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Where evidence comes from."""

    findings: Findings
    workloads: Shared
    tasks: Tasks
    logs: LogReader
    reputations: Reputations


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much is gathered.

    Attributes:
        window: How long before and after the event.
        entries: How many log entries at most.
        deadline: How long one collector may take.
    """

    window: timedelta
    entries: int
    deadline: timedelta


async def confirm(claim: Finding, findings: Findings) -> Finding | None:
    """SCC's own record of a claimed finding, or None when SCC does not list it (yet).

    Matched by source and finding id, in code. A newer event time of the same finding is the
    same finding, updated; an older one does not bear the claim out.

    Raises:
        Retry: SCC does not answer.
        GiveUp: SCC refuses, for example for lack of a permission.
    """
    listed = await findings.findings_at(claim.source_parent, claim.event_time)
    for record in _readable(listed, claim.finding_id):
        same = (record.source_id, record.finding_id) == (claim.source_id, claim.finding_id)
        if same and record.event_time >= claim.event_time - _PRECISION:
            return record
    return None


async def support(
    finding: Finding, workload: Workload, sources: Sources, bounds: Bounds, now: datetime
) -> Evidence:
    """Everything that the decision does not wait for. Never fails: a failure is a gap."""
    start, end = finding.event_time - bounds.window, min(finding.event_time + bounds.window, now)
    since = finding.event_time - AUDIT_WINDOW
    logs, run = sources.logs, sources.workloads
    collectors: dict[str, Callable[[], Awaitable[Any]]] = {
        "related-findings": lambda: _related(finding, workload, sources.findings, start, end),
        "logs": lambda: logs.entries(workload, start, end, limit=bounds.entries),
        "audit-log": lambda: logs.audit(workload, since, end, limit=AUDIT_EVENTS),
    }
    if workload.kind is Kind.JOB:
        collectors["executions"] = lambda: run.executions(workload)
        collectors["tasks"] = lambda: _tasks(finding, workload, sources)
    else:
        collectors["revisions"] = lambda: run.revisions(workload)
    collectors["access"] = lambda: run.access(workload)
    watch = Stopwatch()
    gathered = await asyncio.gather(
        *(_timed(watch, name, each, bounds.deadline) for name, each in collectors.items())
    )
    had = _evidence(finding, dict(zip(collectors, gathered, strict=True)))
    return replace(had, window=(start, end), took_ms=tuple(watch.stages_ms.items()))


def joined(core: Evidence, supporting: Evidence) -> Evidence:
    """What the decision was made of, with all that was gathered meanwhile."""
    return replace(
        supporting,
        finding=core.finding,
        confirmed=core.confirmed,
        settings=core.settings,
        reputation=core.reputation,
        claim=core.claim,
        gaps=core.gaps + supporting.gaps,
    )


async def reputed(evidence: Evidence, reputations: Reputations, deadline: timedelta) -> Evidence:
    """The same evidence with what VirusTotal says, or with the gap that its silence leaves.

    An answer by which was decided stays: the outcome must not contradict the decision.
    """
    found = evidence.reputation
    if found is None or found.lookup is Lookup.NO_HASH:
        found = await reputations.of(evidence.finding, deadline)
    known = replace(evidence, reputation=found)
    return known.with_gap(found.gap) if found.gap else known


async def _tasks(finding: Finding, workload: Workload, sources: Sources) -> tuple[Task, ...]:
    """The tasks of the execution that the finding names, else of those that run."""
    executions = await sources.workloads.executions(workload)
    named = [each for each in executions if each.short_name == finding.execution]
    meant = named or [each for each in executions if each.running]
    found = await together(*(sources.tasks.tasks(each.name) for each in meant[:_MOST_EXECUTIONS]))
    return tuple(task for tasks in found for task in tasks)


async def _related(
    finding: Finding, workload: Workload, findings: Findings, start: datetime, end: datetime
) -> tuple[Finding, ...]:
    """Other findings on exactly this workload; the API's substring match also finds namesakes."""
    location = finding.data_location
    records = _readable(await findings.findings_on(workload, start, end, location=location))
    related = [
        record
        for record in records
        if record.workload
        and record.workload.same_as(workload)
        and record.finding_id != finding.finding_id
    ]
    return tuple(sorted(related, key=lambda record: record.event_time))


def _readable(records: Sequence[JsonObject], wanted: str = "") -> list[Finding]:
    """The records that have what a finding must have; SCC lists other kinds as well.

    Raises:
        Malformed: The one that is wanted, by its id, cannot be read.
    """
    found = []
    for record in records:
        try:
            found.append(parse_record(record))
        except Malformed:
            if wanted and wanted in str(record.get("finding")):
                raise
    return found


async def _timed(
    watch: Stopwatch, name: str, collector: Callable[[], Awaitable[Any]], deadline: timedelta
) -> Any:
    with watch.stage(name):
        return await _collect(name, collector, deadline)


async def _collect(name: str, collector: Callable[[], Awaitable[Any]], deadline: timedelta) -> Any:
    try:
        async with asyncio.timeout(deadline.total_seconds()):
            return await collector()
    except TimeoutError:
        return Gap(name, f"no answer within {deadline.total_seconds():g} s, the policy's deadline")
    except IncidentError as error:
        return Gap(name, str(error))
    except Exception as error:  # noqa: BLE001 - a fault of ours must not stop a containment
        return Gap(name, f"the collector failed in a way that we did not foresee: {error!r}")


def _evidence(finding: Finding, gathered: Mapping[str, Any]) -> Evidence:
    gaps = [value for value in gathered.values() if isinstance(value, Gap)]
    had = {name: None if isinstance(value, Gap) else value for name, value in gathered.items()}
    logs = had["logs"]
    if logs is not None and logs.truncated:
        gaps.append(Gap("logs", f"only the newest {len(logs.entries)} entries of the window"))
    return Evidence(
        finding=finding,
        revisions=had.get("revisions"),
        access=had.get("access"),
        executions=had.get("executions"),
        tasks=had.get("tasks"),
        related=had["related-findings"],
        logs=logs,
        audit=had["audit-log"],
        gaps=tuple(gaps),
    )
