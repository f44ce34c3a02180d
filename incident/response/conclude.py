"""The end of an incident: its outcome settled, written back, announced, sent, and done."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from incident.actions.redacted import told_json
from incident.case_file.case_file import CaseFile, announce, keep_evidence
from incident.case_file.containments import released_by
from incident.containment.types import Result
from incident.decision.assess import Judgement
from incident.decision.context import Standing
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
from incident.report.activity import COLLECTED
from incident.report.outcome import Account, outcome, refers, released
from incident.report.seal import try_to_seal
from incident.response.context import Answer, Outside, Say, unheard
from incident.response.duplicates import repeated, said
from incident.response.notify_chat import notify
from incident.response.notify_scc import statement, write_back


@dataclass(frozen=True, slots=True)
class Conclusion:
    """Concludes one incident.

    Attributes:
        incident: The incident's id.
        standing: What holds for every incident.
        outside: Security Command Center, the topic and the webhook.
        say: Puts the answer into the log.
    """

    incident: str
    standing: Standing
    outside: Outside
    say: Say = unheard

    async def settle(
        self,
        case: CaseFile,
        judged: Judgement,
        evidence: Evidence,
        result: Result,
        timings_ms: Mapping[str, float],
    ) -> JsonObject:
        """Assess from all evidence, keep it, and settle the outcome.

        Raises:
            Retry: The store does not answer.
        """
        redactor = self.standing.redactor(evidence)
        responder = judged.route.responder
        account = Account(
            incident=self.incident,
            status=result.status,
            decision=replace(result.decision, reasons=result.decision.reasons + result.reasons),
            evidence=evidence,
            responder=responder,
            assessment=responder.assess(evidence) if responder else None,
            changes=result.changes,
            folder=result.folder or self._held_folder(judged),
            drains_until=drained(result.stopped_at, evidence),
            approval_expires=self._expiry(judged, result),
            timings_ms={
                **{f"{COLLECTED}{name}": ms for name, ms in evidence.took_ms},
                **timings_ms,
            },
            case_file=f"{self.standing.store_url}/{case.folder}",
            policy=self.outside.policy.url,
        )
        await keep_evidence(case, evidence, redactor)
        # Redacting megabytes must not keep the other incidents waiting.
        told = await asyncio.to_thread(outcome, account, redactor)
        return await case.conclude(told, _filed_name(case, evidence), alarm=result.alarm)

    async def tell(
        self,
        case: CaseFile,
        settled: Answer,
        seen: Finding | None,
        hide: Redactor,
    ) -> Answer:
        """Write a settled outcome back to SCC, announce it, send it, and be done.

        What has to wait holds up nothing else: people are told while SCC is away.

        Args:
            case: The incident's case file.
            settled: The outcome, whether a person must look, and when it was read back as stopped.
            seen: The finding as SCC listed it in this run, if it did.
            hide: Redacts what goes wrong meanwhile, with all that is known by now.

        Raises:
            Retry: SCC, the topic or the store does not answer; a redelivery does what is missing.
        """
        told = await self._unless_released(case, settled.outcome)
        late, gaps = [], {}
        sha256, unsealed = await self._seal(case, told, hide)
        if unsealed:
            gaps["report"] = unsealed
            told = _with_gap(told, "report", unsealed)
        for name, step in (
            ("write-back", self._write_back),
            ("announcement", self._announce),
            ("webhook", self._notify),
        ):
            try:
                reason = await step(case, told, seen, hide)
            except Retry as error:
                late.append(error)
                continue
            if reason:
                gaps[name] = reason
                told = _with_gap(told, name, reason)
        if late:
            raise late[0]
        if not await case.finish(told, sha256):
            fresh = await case.read_again()
            return await repeated(fresh, fresh.done or told, self.standing, self.say)
        answer = replace(
            settled,
            outcome=told,
            alarm=settled.alarm or bool(gaps.keys() - {"webhook"}),
            warning="webhook" in gaps,
            manifest_sha256=sha256,
        )
        return await said(case, answer, hide, self.say)

    async def _unless_released(self, case: CaseFile, told: JsonObject) -> JsonObject:
        """The outcome; of a containment that was taken back since, that it was.

        A release records itself and then carries settled incidents on; we settle an outcome and
        then look for a release: one of the two sees the other.
        """
        by = await released_by(case.journal.store, told.get("containment"))
        return told if by is None or not refers(told) else released(told, by)

    async def _seal(
        self, case: CaseFile, told: JsonObject, hide: Redactor
    ) -> tuple[str | None, str | None]:
        """The manifest's digest, or why there is none: a page never stands in the way.

        Raises:
            Retry: The store does not answer.
        """
        earlier = [record.body for record in case.earlier if record.kind == "sealed"]
        if earlier:
            known = earlier[-1].get("manifest_sha256")
            return (known if isinstance(known, str) else None), None
        sealed = await try_to_seal(case.journal.store, case.folder, told)
        if isinstance(sealed, str):
            return None, hide.text(sealed)
        await case.note("sealed", {"report": sealed.report, "manifest_sha256": sealed.sha256})
        return sealed.sha256, None

    async def _write_back(
        self, case: CaseFile, told: JsonObject, seen: Finding | None, hide: Redactor
    ) -> str | None:
        name = case.finding or (seen.filed_name if seen else None)
        said = statement(told, name)
        board = self.outside.security_center
        return await write_back(case, board, said, seen, hide)

    async def _announce(
        self, case: CaseFile, told: JsonObject, _: Finding | None, hide: Redactor
    ) -> str | None:
        reason = await announce(case, self.outside.topic, told)
        return hide.text(reason) if reason else None

    async def _notify(
        self, case: CaseFile, told: JsonObject, _: Finding | None, hide: Redactor
    ) -> str | None:
        return await notify(case, self.outside.webhook, told, hide)

    def _expiry(self, judged: Judgement, result: Result) -> datetime | None:
        """When a plan that waits from now on expires, as the policy is now."""
        policy = judged.core.policy
        if result.status is not Status.AWAITING_APPROVAL or isinstance(policy, InvalidPolicy):
            return None
        return self.standing.clock() + policy.approval_expires

    def _held_folder(self, judged: Judgement) -> str | None:
        """The containment that this incident began before, whatever became of it since."""
        current = judged.core.place.history.current
        ours = current is not None and self.incident in current.incidents
        return current.folder if current and ours else None


def _filed_name(case: CaseFile, evidence: Evidence) -> str:
    """The finding's name where SCC is written to, which SCC itself told if it ever did."""
    if evidence.confirmed:
        return evidence.finding.filed_name
    return case.finding or evidence.finding.filed_name


def _with_gap(told: JsonObject, name: str, reason: str) -> JsonObject:
    gaps = told.get("gaps")
    gap = {"collector": name, "reason": reason}
    return {**told, "gaps": [*(gaps if isinstance(gaps, list) else ()), gap]}


def drained(stopped_at: datetime | None, evidence: Evidence) -> datetime | None:
    """Until when requests in flight may outlive a stop; only a service has requests."""
    if stopped_at is None or evidence.settings is None:
        return None
    if evidence.settings.kind is not Kind.SERVICE:
        return None
    return stopped_at + timedelta(seconds=evidence.longest_request_s)


def ignored(finding: Finding, incident: str, route: Route, standing: Standing) -> Answer:
    """The answer to a notification that is none of our business; nothing is stored of it."""
    decision = Decision(Verdict.IGNORE, (Reason(route.reason, "finding"),), Mode.DRY_RUN, rule=None)
    account = Account(incident, Status.IGNORED, decision, Evidence(finding))
    return Answer(outcome(account, standing.redactor(Evidence(finding))))


def received(claim: Finding) -> JsonObject:
    """The record that work on a claim begins."""
    return {
        "finding": claim.canonical_name,
        "event_time": claim.event_time.isoformat(),
        "workload": claim.workload.resource_name if claim.workload else None,
    }


def decided(judged: Judgement, hide: Redactor) -> JsonObject:
    """The record of what was decided, before anything is done about it."""
    decision = judged.decision
    changes: list[Json] = [told_json(change, hide) for change in decision.changes]
    return {
        "verdict": decision.verdict.value,
        "mode": decision.mode.value,
        "rule": decision.rule,
        "reasons": [hide.text(reason.text) for reason in decision.reasons],
        "changes": changes,
    }


def contained(result: Result, hide: Redactor) -> JsonObject:
    """The record of what was written and how far it came."""
    return {
        "status": result.status.value,
        "containment": result.folder,
        "changes": [told_json(change, hide) for change in result.changes],
    }
