"""The end of an incident: its outcome settled, written back, announced, sent, and done."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from incident.actions.changes import redacted_json
from incident.case_file.case_file import CaseFile, publish_outcome_once, store_evidence
from incident.case_file.containments import released_by
from incident.containment.types import ContainmentResult
from incident.decision.assess import AssessedIncident
from incident.decision.context import ProcessContext
from incident.model import (
    Decision,
    Evidence,
    Finding,
    InvalidPolicy,
    Json,
    JsonObject,
    Kind,
    Mode,
    Reason,
    Retry,
    Route,
    Status,
    Verdict,
)
from incident.redaction.redactor import Redactor
from incident.report.activity import COLLECTOR_PREFIX
from incident.report.outcome import (
    OutcomeParts,
    build_outcome,
    has_active_containment,
    released_outcome,
)
from incident.report.seal import try_to_seal_case_file
from incident.response.context import DeliveryResult, LogOutcome, Ports, log_nothing
from incident.response.duplicates import answer_duplicate, log_and_list
from incident.response.notify_chat import notify_chat
from incident.response.notify_scc import finding_update, update_finding


@dataclass(frozen=True, slots=True)
class Concluder:
    """Concludes one incident.

    Attributes:
        incident: The incident's id.
        context: What holds for every incident.
        ports: Security Command Center, the topic and the webhook.
        log_outcome: Puts the answer into the log.
    """

    incident: str
    context: ProcessContext
    ports: Ports
    log_outcome: LogOutcome = log_nothing

    async def record_outcome(
        self,
        case: CaseFile,
        assessed: AssessedIncident,
        evidence: Evidence,
        result: ContainmentResult,
        timings_ms: Mapping[str, float],
    ) -> JsonObject:
        """Assess from all evidence, keep it, and settle the outcome.

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
            approval_expires=self._expiry(assessed, result),
            timings_ms={
                **{f"{COLLECTOR_PREFIX}{name}": ms for name, ms in evidence.durations_ms},
                **timings_ms,
            },
            case_file=f"{self.context.store_url}/{case.folder}",
            policy_url=self.ports.policy.url,
        )
        await store_evidence(case, evidence, redactor)
        # Redacting megabytes must not keep the other incidents waiting.
        new_outcome = await asyncio.to_thread(build_outcome, parts, redactor)
        return await case.conclude(new_outcome, _filed_name(case, evidence), alarm=result.alarm)

    async def publish_outcome(
        self,
        case: CaseFile,
        settled: DeliveryResult,
        listed_finding: Finding | None,
        redactor: Redactor,
    ) -> DeliveryResult:
        """Write a settled outcome back to SCC, announce it, send it, and be done.

        What has to wait holds up nothing else: people are told while SCC is away.

        Args:
            case: The incident's case file.
            settled: The outcome, whether a person must look, and when it was read back as stopped.
            listed_finding: The finding as SCC listed it in this run, if it did.
            redactor: Redacts what goes wrong meanwhile, with all that is known by now.

        Raises:
            Retry: SCC, the topic or the store does not answer; a redelivery does what is missing.
        """
        outcome = await self._unless_released(case, settled.outcome)
        late, gaps = [], {}
        sha256, unsealed = await self._seal(case, outcome, redactor)
        if unsealed:
            gaps["report"] = unsealed
            outcome = _with_gap(outcome, "report", unsealed)
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
                outcome = _with_gap(outcome, name, reason)
        if late:
            raise late[0]
        if not await case.finish(outcome, sha256):
            fresh = await case.reload()
            return await answer_duplicate(
                fresh, fresh.done or outcome, self.context, self.log_outcome
            )
        answer = replace(
            settled,
            outcome=outcome,
            alarm=settled.alarm or bool(gaps.keys() - {"webhook"}),
            warning="webhook" in gaps,
            manifest_sha256=sha256,
        )
        return await log_and_list(case, answer, redactor, self.log_outcome)

    async def _unless_released(self, case: CaseFile, outcome: JsonObject) -> JsonObject:
        """The outcome; of a containment that was taken back since, that it was.

        A release records itself and then carries settled incidents on; we settle an outcome and
        then look for a release: one of the two sees the other.
        """
        by = await released_by(case.journal.store, outcome.get("containment"))
        return (
            outcome
            if by is None or not has_active_containment(outcome)
            else released_outcome(outcome, by)
        )

    async def _seal(
        self, case: CaseFile, outcome: JsonObject, redactor: Redactor
    ) -> tuple[str | None, str | None]:
        """The manifest's digest, or why there is none: a page never stands in the way.

        Raises:
            Retry: The store does not answer.
        """
        earlier = [record.body for record in case.known_records if record.kind == "sealed"]
        if earlier:
            known = earlier[-1].get("manifest_sha256")
            return (known if isinstance(known, str) else None), None
        sealed = await try_to_seal_case_file(case.journal.store, case.folder, outcome)
        if isinstance(sealed, str):
            return None, redactor.text(sealed)
        await case.add_record(
            "sealed", {"report": sealed.report_path, "manifest_sha256": sealed.manifest_sha256}
        )
        return sealed.manifest_sha256, None

    async def _notify_scc(
        self,
        case: CaseFile,
        outcome: JsonObject,
        listed_finding: Finding | None,
        redactor: Redactor,
    ) -> str | None:
        name = case.finding or (listed_finding.filed_name if listed_finding else None)
        update = finding_update(outcome, name)
        writer = self.ports.security_center
        return await update_finding(case, writer, update, listed_finding, redactor)

    async def _announce(
        self, case: CaseFile, outcome: JsonObject, _: Finding | None, redactor: Redactor
    ) -> str | None:
        reason = await publish_outcome_once(case, self.ports.topic, outcome)
        return redactor.text(reason) if reason else None

    async def _notify_chat(
        self, case: CaseFile, outcome: JsonObject, _: Finding | None, redactor: Redactor
    ) -> str | None:
        return await notify_chat(case, self.ports.webhook, outcome, redactor)

    def _expiry(self, assessed: AssessedIncident, result: ContainmentResult) -> datetime | None:
        """When a plan that waits from now on expires, as the policy is now."""
        policy = assessed.inputs.policy
        if result.status is not Status.AWAITING_APPROVAL or isinstance(policy, InvalidPolicy):
            return None
        return self.context.clock() + policy.approval_expires

    def _own_containment_folder(self, assessed: AssessedIncident) -> str | None:
        """The containment that this incident began before, whatever became of it since."""
        current = assessed.inputs.workload_state.history.current
        included = current is not None and self.incident in current.incidents
        return current.folder if current and included else None


def _filed_name(case: CaseFile, evidence: Evidence) -> str:
    """The finding's name where SCC is written to, which SCC itself told if it ever did."""
    if evidence.confirmed:
        return evidence.finding.filed_name
    return case.finding or evidence.finding.filed_name


def _with_gap(outcome: JsonObject, name: str, reason: str) -> JsonObject:
    gaps = outcome.get("gaps")
    gap = {"collector": name, "reason": reason}
    return {**outcome, "gaps": [*(gaps if isinstance(gaps, list) else ()), gap]}


def drain_deadline(stopped_at: datetime | None, evidence: Evidence) -> datetime | None:
    """Until when requests in flight may outlive a stop; only a service has requests."""
    if stopped_at is None or evidence.configuration is None:
        return None
    if evidence.configuration.kind is not Kind.SERVICE:
        return None
    return stopped_at + timedelta(seconds=evidence.longest_request_s)


def ignored_result(
    finding: Finding, incident: str, route: Route, context: ProcessContext
) -> DeliveryResult:
    """The answer to a notification that is none of our business; nothing is stored of it."""
    decision = Decision(Verdict.IGNORE, (Reason(route.reason, "finding"),), Mode.DRY_RUN, rule=None)
    parts = OutcomeParts(incident, Status.IGNORED, decision, Evidence(finding))
    return DeliveryResult(build_outcome(parts, context.redactor(Evidence(finding))))


def received_record(claim: Finding) -> JsonObject:
    """The record that work on a claim begins."""
    return {
        "finding": claim.canonical_name,
        "event_time": claim.event_time.isoformat(),
        "workload": claim.workload.resource_name if claim.workload else None,
    }


def decision_record(assessed: AssessedIncident, redactor: Redactor) -> JsonObject:
    """The record of what was decided, before anything is done about it."""
    decision = assessed.decision
    changes: list[Json] = [redacted_json(change, redactor) for change in decision.changes]
    return {
        "verdict": decision.verdict.value,
        "mode": decision.mode.value,
        "rule": decision.rule,
        "reasons": [redactor.text(reason.text) for reason in decision.reasons],
        "changes": changes,
    }


def containment_record(result: ContainmentResult, redactor: Redactor) -> JsonObject:
    """The record of what was written and how far it came."""
    return {
        "status": result.status.value,
        "containment": result.containment_folder,
        "changes": [redacted_json(change, redactor) for change in result.changes],
    }
