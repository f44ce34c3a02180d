"""Run the evidence collectors, each with a deadline; failures become gaps.

The decision needs the confirmation and the settings; all other evidence is supporting.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from incident.investigation.affected import InventorySearch, with_findings
from incident.investigation.virustotal import ReputationLookup
from incident.investigation.workload_reader import CachedWorkloadReader
from incident.model import (
    AUDIT_EVENTS,
    AUDIT_WINDOW,
    AffectedWorkloads,
    CutList,
    Evidence,
    Finding,
    Gap,
    GiveUp,
    IncidentError,
    JsonObject,
    Kind,
    Listing,
    Lookup,
    Malformed,
    Task,
    Template,
    Workload,
    cut_reason,
    found_in,
)
from incident.model.affected_revision import RevisionEvidence, infer_affected_revision
from incident.model.concurrency import gather_all
from incident.model.durations import Stopwatch
from incident.model.ports import CloudRunPort, LoggingPort, SecurityCenterPort
from incident.notification.parse import parse_record

_MAX_EXECUTIONS = 5
# Shares of a collector's deadline: for the inventory, and then for the findings on what it has.
_SEARCH_SHARE, _FINDINGS_SHARE = 0.6, 0.3
# SCC may store times less precisely than a notification carries them.
_EVENT_TIME_TOLERANCE = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class EvidenceSources:
    """The sources of evidence."""

    findings: SecurityCenterPort
    workloads: CachedWorkloadReader
    tasks: CloudRunPort
    logs: LoggingPort
    reputations: ReputationLookup
    inventory: InventorySearch

    async def close(self) -> None:
        """Stop reads that are still in progress."""
        self.workloads.close()
        self.inventory.close()
        await self.reputations.close()


@dataclass(frozen=True, slots=True)
class CollectionLimits:
    """Limits of what is collected.

    Attributes:
        window: Time before and after the event.
        log_entries: Maximum number of log entries.
        deadline: Maximum time of one collector.
    """

    window: timedelta
    log_entries: int
    deadline: timedelta


async def confirm_finding(claim: Finding, findings: SecurityCenterPort) -> Finding | None:
    """SCC's own record of a claimed finding, or None when SCC does not list it (yet).

    Matched by source and finding id, in code. A record with a newer event time is the same
    finding, updated; one with an older event time does not confirm the claim. Where the list was
    cut, the finding is read by its name; if that does not find it, it is not reported as missing.

    Raises:
        Retry: A transient failure of SCC.
        GiveUp: A permanent failure, for example a missing permission, or a list of findings that
            cannot be read to its end and does not have it.
    """
    listed = await findings.findings_at(claim.source_parent, claim.event_time)
    record = _find_record(claim, listed)
    if record or not isinstance(listed, CutList):
        return record
    by_name = await findings.findings_named(claim.source_parent, claim.name, claim.canonical_name)
    record = _find_record(claim, by_name)
    if record is None:
        raise GiveUp(f"cannot confirm the finding {claim.canonical_name}: {listed.reason}")
    return record


def _find_record(claim: Finding, listed: Listing[JsonObject]) -> Finding | None:
    for record in _parse_findings(found_in(listed), claim.finding_id):
        same = (record.source_id, record.finding_id) == (claim.source_id, claim.finding_id)
        if same and record.event_time >= claim.event_time - _EVENT_TIME_TOLERANCE:
            return record
    return None


async def collect_evidence(
    finding: Finding,
    workload: Workload,
    sources: EvidenceSources,
    limits: CollectionLimits,
    now: datetime,
) -> Evidence:
    """Collect all evidence that the decision does not wait for. Failures become gaps."""
    start, end = finding.event_time - limits.window, min(finding.event_time + limits.window, now)
    since = finding.event_time - AUDIT_WINDOW
    logs, workloads = sources.logs, sources.workloads
    collectors: dict[str, Callable[[], Awaitable[Any]]] = {
        "related-findings": lambda: _collect_related_findings(
            finding, workload, sources.findings, start, end
        ),
        "logs": lambda: logs.entries(workload, start, end, limit=limits.log_entries),
        "audit-log": lambda: logs.audit(workload, since, end, limit=AUDIT_EVENTS),
    }
    if workload.kind is Kind.JOB:
        collectors["executions"] = lambda: workloads.executions(workload)
        collectors["tasks"] = lambda: _collect_tasks(finding, workload, sources)
    elif workload.kind is not Kind.INSTANCE:
        collectors["revisions"] = lambda: workloads.revisions(workload)
    collectors["access"] = lambda: workloads.access(workload)
    collectors["affected"] = lambda: _collect_affected(
        finding, workload, sources, (start, end), limits.deadline
    )
    stopwatch = Stopwatch()
    gathered = await asyncio.gather(
        *(
            _collect_timed(stopwatch, name, each, limits.deadline)
            for name, each in collectors.items()
        )
    )
    evidence = _build_evidence(finding, dict(zip(collectors, gathered, strict=True)))
    return replace(evidence, window=(start, end), durations_ms=tuple(stopwatch.stages_ms.items()))


def merge_evidence(decision_evidence: Evidence, supporting: Evidence) -> Evidence:
    """The evidence of the decision, completed by the supporting evidence."""
    return replace(
        supporting,
        finding=decision_evidence.finding,
        confirmed=decision_evidence.confirmed,
        configuration=decision_evidence.configuration,
        reputation=decision_evidence.reputation,
        claim=decision_evidence.claim,
        gaps=decision_evidence.gaps + supporting.gaps,
    )


async def with_reputation(
    evidence: Evidence, reputations: ReputationLookup, deadline: timedelta
) -> Evidence:
    """The same evidence with VirusTotal's answer, or with a gap if there is none.

    An answer that the decision used stays: the outcome must not contradict the decision.
    """
    reputation = evidence.reputation
    if reputation is None or reputation.lookup is Lookup.NO_HASH:
        reputation = await reputations.reputation_of(evidence.finding, deadline)
    answered = replace(evidence, reputation=reputation)
    return answered.with_gap(reputation.gap) if reputation.gap else answered


async def _collect_tasks(
    finding: Finding, workload: Workload, sources: EvidenceSources
) -> Listing[Task]:
    """The tasks of the execution that the finding names, or else of the running ones."""
    listed = await sources.workloads.executions(workload)
    executions = found_in(listed)
    named = [each for each in executions if each.short_name == finding.execution]
    selected = named or [each for each in executions if each.running]
    task_lists = await gather_all(
        *(sources.tasks.tasks(each.name) for each in selected[:_MAX_EXECUTIONS])
    )
    tasks = tuple(task for each in task_lists for task in found_in(each))
    reasons = [cut_reason(each) for each in task_lists]
    if not named:
        reasons.insert(0, cut_reason(listed))
    if len(selected) > _MAX_EXECUTIONS:
        more = f"only those of {_MAX_EXECUTIONS} of {len(selected)} executions that run"
        reasons.append(f"not all tasks were read: {more}")
    cut = "; ".join(filter(None, reasons))
    return CutList(tasks, cut) if cut else tasks


async def _collect_affected(
    finding: Finding,
    workload: Workload,
    sources: EvidenceSources,
    window: tuple[datetime, datetime],
    deadline: timedelta,
) -> AffectedWorkloads:
    """The workloads that share an image or the account of what ran, and the findings on them."""
    templates = await _affected_templates(finding, workload, sources.workloads)
    images = {container.image for template in templates for container in template.containers}
    for container in finding.containers:
        images |= {container.image, container.digest or ""}
    accounts = {template.service_account for template in templates}
    affected = await sources.inventory.affected_workloads(
        workload, images - {""}, accounts, deadline * _SEARCH_SHARE
    )

    async def findings_on(other: Workload) -> tuple[Finding, ...]:
        return found_in(await _collect_related_findings(finding, other, sources.findings, *window))

    return await with_findings(affected, findings_on, deadline * _FINDINGS_SHARE)


async def _affected_templates(
    finding: Finding, workload: Workload, workloads: CachedWorkloadReader
) -> tuple[Template, ...]:
    """What ran, as far as revisions or executions tell; empty where they do not."""
    if workload.kind is Kind.INSTANCE:
        return ()  # the inventory has what it runs
    job = workload.kind is Kind.JOB
    try:
        executions = await workloads.executions(workload) if job else None
        revisions = None if job else await workloads.revisions(workload)
    except IncidentError:
        return ()  # a gap of its own
    facts = RevisionEvidence(None, revisions, executions, "")
    return infer_affected_revision(finding, facts).templates


async def _collect_related_findings(
    finding: Finding,
    workload: Workload,
    findings: SecurityCenterPort,
    start: datetime,
    end: datetime,
) -> Listing[Finding]:
    """Other findings on exactly this workload: the API's substring match returns others too."""
    location = finding.data_location
    listed = await findings.findings_on(workload, start, end, location=location)
    related = [
        record
        for record in _parse_findings(found_in(listed))
        if record.workload
        and record.workload.same_as(workload)
        and record.finding_id != finding.finding_id
    ]
    in_order = tuple(sorted(related, key=lambda record: record.event_time))
    return CutList(in_order, listed.reason) if isinstance(listed, CutList) else in_order


def _parse_findings(records: Sequence[JsonObject], required_id: str = "") -> list[Finding]:
    """The records that are valid findings; SCC lists other kinds as well.

    Raises:
        Malformed: The record with the required id is invalid.
    """
    found = []
    for record in records:
        try:
            found.append(parse_record(record))
        except Malformed:
            if required_id and required_id in str(record.get("finding")):
                raise
    return found


async def _collect_timed(
    stopwatch: Stopwatch, name: str, collector: Callable[[], Awaitable[Any]], deadline: timedelta
) -> Any:
    with stopwatch.stage(name):
        return await _collect_within_deadline(name, collector, deadline)


async def _collect_within_deadline(
    name: str, collector: Callable[[], Awaitable[Any]], deadline: timedelta
) -> Any:
    try:
        async with asyncio.timeout(deadline.total_seconds()):
            return await collector()
    except TimeoutError:
        return Gap(name, f"no answer within {deadline.total_seconds():g} s, the policy's deadline")
    except IncidentError as error:
        return Gap(name, str(error))
    except Exception as error:  # noqa: BLE001 - a bug here must not stop a containment
        return Gap(name, f"unexpected error in the collector: {error!r}")


def _build_evidence(finding: Finding, gathered: Mapping[str, Any]) -> Evidence:
    gaps = [value for value in gathered.values() if isinstance(value, Gap)]
    values = {name: None if isinstance(value, Gap) else value for name, value in gathered.items()}
    logs = values["logs"]
    if logs is not None and logs.truncated:
        gaps.append(Gap("logs", f"only the newest {len(logs.entries)} entries of the window"))
    affected = values["affected"]
    if affected is not None and not affected.complete:
        gaps.append(Gap("affected", affected.reason))
    gaps += [Gap(name, each.reason) for name, each in values.items() if isinstance(each, CutList)]
    return Evidence(
        finding=finding,
        revisions=values.get("revisions"),
        access=values.get("access"),
        executions=values.get("executions"),
        tasks=values.get("tasks"),
        related=values["related-findings"],
        logs=logs,
        audit=values["audit-log"],
        affected=affected,
        gaps=tuple(gaps),
    )
