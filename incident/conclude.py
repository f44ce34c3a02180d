"""The end of an incident: its outcome settled, announced, and done."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from incident.images import change_json
from incident.judge import Judgement
from incident.model import (
    Decision,
    Evidence,
    Finding,
    Json,
    JsonObject,
    Kind,
    Mode,
    Reason,
    Route,
    Status,
    Verdict,
)
from incident.outcome import Account, duplicate, outcome
from incident.record import Announcer, CaseFile, announce, keep_evidence
from incident.scene import Result
from incident.standing import Answer, Standing


@dataclass(frozen=True, slots=True)
class Conclusion:
    """Concludes one incident.

    Attributes:
        incident: The incident's id.
        standing: What holds for every incident.
        topic: Where outcomes are announced.
    """

    incident: str
    standing: Standing
    topic: Announcer | None

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
            timings_ms=timings_ms,
            case_file=f"{self.standing.store_url}/{case.folder}",
        )
        await keep_evidence(case, evidence, redactor)
        # Redacting megabytes must not keep the other incidents waiting.
        return await case.conclude(await asyncio.to_thread(outcome, account, redactor))

    async def tell(self, case: CaseFile, told: JsonObject, *, alarm: bool) -> Answer:
        """Announce a settled outcome, and be done.

        Raises:
            Retry: The topic or the store does not answer.
        """
        unannounced = await announce(case, self.topic, told)
        if unannounced:
            gaps = told.get("gaps")
            reason = self.standing.redactor().text(unannounced)
            gap = {"collector": "announcement", "reason": reason}
            told = {**told, "gaps": [*(gaps if isinstance(gaps, list) else ()), gap]}
        if not await case.finish(told):
            return Answer(duplicate((await case.read_again()).done or told))
        return Answer(told, alarm=alarm or unannounced is not None)

    def _held_folder(self, judged: Judgement) -> str | None:
        """The containment that this incident began before, whatever became of it since."""
        current = judged.core.place.history.current
        ours = current is not None and self.incident in current.incidents
        return current.folder if current and ours else None


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


def decided(judged: Judgement, standing: Standing) -> JsonObject:
    """The record of what was decided, before anything is done about it."""
    decision = judged.decision
    redactor = standing.redactor(judged.evidence)
    changes: list[Json] = [change_json(change) for change in decision.changes]
    return {
        "verdict": decision.verdict.value,
        "mode": decision.mode.value,
        "rule": decision.rule,
        "reasons": [redactor.text(reason.text) for reason in decision.reasons],
        "changes": changes,
    }


def contained(judged: Judgement, result: Result, standing: Standing) -> JsonObject:
    """The record of what was written and how far it came."""
    changes = [change_json(change) for change in result.changes]
    return {
        "status": result.status.value,
        "containment": result.folder,
        "changes": standing.redactor(judged.evidence).json(changes),
    }
