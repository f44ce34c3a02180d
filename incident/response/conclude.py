"""Conclude an incident: record the outcome, update SCC, publish, notify chat, finish.

A concluded incident may get a new outcome later, such as a release: ``publish_update``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from incident.case_file.case_file import (
    CaseFile,
    publish_outcome,
    publish_outcome_once,
    store_evidence,
)
from incident.case_file.containments import released_by
from incident.case_file.paths import DONE_NUMBER
from incident.containment.request_and_result import ContainmentResult
from incident.decision.assess import AssessedIncident
from incident.decision.context import ProcessContext
from incident.decision.inputs import Records
from incident.model import (
    Decision,
    Evidence,
    Finding,
    IncidentError,
    InvalidPolicy,
    JsonObject,
    Kind,
    Mode,
    Reason,
    Retry,
    Route,
    Status,
    Verdict,
)
from incident.model.outcome import Outcome
from incident.playbook.plan import with_updated_plan
from incident.redaction.redactor import Redactor
from incident.report.activity import COLLECTOR_PREFIX
from incident.report.chat_body import chat_body
from incident.report.ocsf import topic_message
from incident.report.outcome import OutcomeParts, build_outcome
from incident.report.outcome_updates import has_active_containment, released_outcome
from incident.report.write_report import try_to_write_report
from incident.response.context import DeliveryResult, Ports
from incident.response.duplicates import answer_duplicate
from incident.response.notify import correct_finding, finding_update, notify_chat, update_finding


@dataclass(frozen=True, slots=True)
class Concluder:
    """Concludes one incident.

    Attributes:
        incident: The incident's id.
        context: Settings that hold for all incidents.
        ports: Security Command Center, the topic and the webhook.
    """

    incident: str
    context: ProcessContext
    ports: Ports

    async def record_outcome(
        self,
        case: CaseFile,
        assessed: AssessedIncident,
        evidence: Evidence,
        result: ContainmentResult,
        timings_ms: Mapping[str, float],
    ) -> Outcome:
        """Store the evidence and record the outcome. The first writer wins.

        Returns:
            The stored outcome.

        Raises:
            Retry: The store does not answer.
        """
        redactor = self.context.redactor(evidence)
        responder = assessed.route.responder
        parts = OutcomeParts(
            incident=self.incident,
            status=result.status,
            decision=replace(result.decision, reasons=result.decision.reasons + result.reasons),
            evidence=evidence,
            responder=responder,
            assessment=responder.assess(evidence) if responder else None,
            changes=result.changes,
            containment_folder=result.containment_folder or self._own_containment_folder(assessed),
            drains_until=drain_deadline(result.stopped_at, evidence),
            starts_until=result.starts_until,
            approval_expires=self._expiry(assessed, result),
            timings_ms={
                **{f"{COLLECTOR_PREFIX}{name}": ms for name, ms in evidence.durations_ms},
                **timings_ms,
            },
            case_file=f"{self.context.store_url}/{case.folder}",
            policy_url=self.ports.policy.url,
            simulated=self.context.simulated,
        )
        left_out = await store_evidence(case, evidence, redactor)
        if left_out:
            parts = replace(parts, evidence=replace(evidence, gaps=(*evidence.gaps, *left_out)))
        # Redacting megabytes must not block the other incidents on this loop.
        new_outcome = await asyncio.to_thread(build_outcome, parts, redactor)
        return await case.conclude(new_outcome, _filed_name(case, evidence), alarm=result.alarm)

    async def publish_outcome(
        self,
        case: CaseFile,
        settled: DeliveryResult,
        listed_finding: Finding | None,
        redactor: Redactor,
    ) -> DeliveryResult:
        """Publish a recorded outcome: write the report, update SCC, publish, notify chat, finish.

        The steps are independent: the chat room is notified while SCC does not answer.

        Args:
            case: The incident's case file.
            settled: The recorded outcome, whether it alarms, and when the containment was verified.
            listed_finding: The finding as SCC listed it in this run, if it did.
            redactor: Redacts errors; knows all secrets read so far.

        Raises:
            Retry: SCC, the topic or the store does not answer; a redelivery does what is missing.
        """
        outcome = await self._unless_released(case, settled.outcome)
        late, gaps = [], {}
        if problem := await self._write_report(case, outcome):
            gaps["report"] = redactor.text(problem)
            outcome = outcome.with_gap("report", gaps["report"])
        for name, step in (
            ("write-back", self._notify_scc),
            ("announcement", self._announce),
            ("webhook", self._notify_chat),
        ):
            try:
                reason = await step(case, outcome, listed_finding, redactor)
            except Retry as error:
                late.append(error)
                continue
            if reason:
                gaps[name] = reason
                outcome = outcome.with_gap(name, reason)
        if late:
            raise late[0]
        done = await case.finish(outcome)
        if done is None:
            fresh = await case.reload()
            return await answer_duplicate(fresh, fresh.done or outcome, self.context)
        return replace(
            settled,
            outcome=outcome,
            alarm=settled.alarm or bool(gaps.keys() - {"webhook"}),
            warning="webhook" in gaps,
            case_file=case.folder,
            logged_record=case.logged_record(done),
        )

    async def _unless_released(self, case: CaseFile, outcome: Outcome) -> Outcome:
        """The outcome, changed to ``released`` if its containment was released meanwhile.

        A release is recorded before it updates the incidents that it finds concluded; a run
        records its outcome before it checks for a release. So one of the two sees the other.
        """
        by = await released_by(case.journal.store, outcome.containment)
        return (
            outcome
            if by is None or not has_active_containment(outcome)
            else released_outcome(outcome, by)
        )

    async def _write_report(self, case: CaseFile, outcome: Outcome) -> str:
        """Write the report, once; returns why that is not possible, or an empty text.

        Raises:
            Retry: The store does not answer.
        """
        if case.has_record("report-written"):
            return ""
        path, problem = await try_to_write_report(case.journal.store, case.folder, outcome)
        if path:
            await case.add_record("report-written", {"report": path})
        return problem

    async def _notify_scc(
        self,
        case: CaseFile,
        outcome: Outcome,
        listed_finding: Finding | None,
        redactor: Redactor,
    ) -> str | None:
        name = case.finding or (listed_finding.filed_name if listed_finding else None)
        update = finding_update(outcome, name)
        writer = self.ports.security_center
        return await update_finding(case, writer, update, listed_finding, redactor)

    async def _announce(
        self, case: CaseFile, outcome: Outcome, _: Finding | None, redactor: Redactor
    ) -> str | None:
        topic = self.ports.topic
        if topic is None:
            return None
        message = topic_message(outcome, topic.format, self.context.clock())
        reason = await publish_outcome_once(case, topic, outcome, message)
        return redactor.text(reason) if reason else None

    async def _notify_chat(
        self, case: CaseFile, outcome: Outcome, _: Finding | None, redactor: Redactor
    ) -> str | None:
        return await notify_chat(case, self.ports.webhook, outcome, redactor)

    def _expiry(self, assessed: AssessedIncident, result: ContainmentResult) -> datetime | None:
        """When a plan that waits for approval from now on expires; None if no plan waits."""
        policy = assessed.inputs.policy
        if result.status is not Status.AWAITING_APPROVAL or isinstance(policy, InvalidPolicy):
            return None
        return self.context.clock() + policy.approval_expires

    def _own_containment_folder(self, assessed: AssessedIncident) -> str | None:
        """The current containment's folder, if this incident is part of it."""
        current = assessed.inputs.workload_state.history.current
        included = current is not None and self.incident in current.incidents
        return current.folder if current and included else None


def _filed_name(case: CaseFile, evidence: Evidence) -> str:
    """The finding's name to update in SCC; the one that SCC itself reported, if it did."""
    if evidence.confirmed:
        return evidence.finding.filed_name
    return case.finding or evidence.finding.filed_name


async def publish_update(  # noqa: PLR0913 - where, what, with what, and since when
    folder: str,
    outcome: Outcome,
    records: Records,
    ports: Ports,
    redactor: Redactor,
    *,
    after: int | None = None,
    once: bool = False,
) -> Outcome:
    """Publish a new outcome for a concluded incident and record it.

    Every outcome after ``done`` goes through this function. The record is written last, so that
    an interrupted update is published again.

    Args:
        folder: The case file's path.
        outcome: The new outcome.
        records: The store's records.
        ports: Security Command Center, the topic and the webhook.
        redactor: Redacts errors.
        after: Number of the newest record that the outcome takes into account. Records that
            others write meanwhile then take precedence. None: this outcome takes precedence.
        once: Whether one record is enough when several processes record the same outcome.

    Returns:
        The outcome as recorded, with gaps for what failed.

    Raises:
        Retry: The topic or the store does not answer; nothing is recorded.
    """
    outcome, problem = await _write_update_report(folder, with_updated_plan(outcome), records)
    case = await records.case_file(folder)
    reasons = {
        "report": problem,
        "write-back": await correct_finding(case, ports.security_center, outcome),
        "announcement": await _announce_update(ports, outcome, records.clock()),
        "webhook": await _send_chat(ports, outcome),
    }
    for collector, reason in reasons.items():
        if reason:
            outcome = outcome.with_gap(collector, redactor.text(reason))
    body: JsonObject = {"outcome": outcome.to_json()}
    write = case.journal.create if once else case.journal.append
    newest = max((record.number for record in case.known_records), default=DONE_NUMBER)
    last = max(newest if after is None else after, DONE_NUMBER)
    await write(last + 1 if once else last, outcome.status.value, body)
    return outcome


async def _write_update_report(
    folder: str, outcome: Outcome, records: Records
) -> tuple[Outcome, str]:
    """The outcome with a link to its new report, and why there is none; empty where there is one.

    Raises:
        Retry: The store does not answer.
    """
    path, problem = await try_to_write_report(records.store, folder, outcome, records.clock())
    if path is None:
        return outcome, problem
    page = f"{outcome.links.case_file}/{path.removeprefix(f'{folder}/')}"
    return replace(outcome, links=replace(outcome.links, report=page)), ""


async def _announce_update(ports: Ports, outcome: Outcome, at: datetime) -> str | None:
    """Publish the outcome on the topic; returns why that can never succeed.

    Raises:
        Retry: The topic does not answer.
    """
    topic = ports.topic
    if topic is None:
        return None
    return await publish_outcome(topic, outcome, topic_message(outcome, topic.format, at))


async def _send_chat(ports: Ports, outcome: Outcome) -> str | None:
    """Send the chat message; returns why it was not sent."""
    if ports.webhook is None:
        return None
    try:
        await ports.webhook.send(chat_body(outcome, ports.webhook.style))
    except IncidentError as error:
        return str(error)
    return None


def drain_deadline(stopped_at: datetime | None, evidence: Evidence) -> datetime | None:
    """When the last request in flight at the stop has ended; None unless it is a service."""
    if stopped_at is None or evidence.configuration is None:
        return None
    if evidence.configuration.kind is not Kind.SERVICE:
        return None
    return stopped_at + timedelta(seconds=evidence.longest_request_s)


def ignored_result(
    finding: Finding, incident: str, route: Route, context: ProcessContext
) -> DeliveryResult:
    """Result for a notification that is out of scope; nothing is stored."""
    decision = Decision(Verdict.IGNORE, (Reason(route.reason, "finding"),), Mode.DRY_RUN, rule=None)
    parts = OutcomeParts(
        incident, Status.IGNORED, decision, Evidence(finding), simulated=context.simulated
    )
    return DeliveryResult(build_outcome(parts, context.redactor(Evidence(finding))))
