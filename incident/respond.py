"""The sequence of one incident: read, decide, contain, record, announce.

Wires the stages to one another; what each of them does is its own business.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from incident import contain
from incident.core import Books, Core, read_core, same_place
from incident.custody import History, change_json
from incident.decide import decide
from incident.guards import CONFIRMATION_WINDOW, Circumstances, Objection, Ourselves
from incident.investigate import Bounds, Findings, LogReader, Sources, Workloads, joined, support
from incident.journal import Store
from incident.model import (
    Decision,
    Evidence,
    Finding,
    Gap,
    GiveUp,
    InvalidPolicy,
    JsonObject,
    Mode,
    Notification,
    Reason,
    Retry,
    Route,
    Settings,
    Status,
    Verdict,
)
from incident.outcome import Account, duplicate, outcome
from incident.policy import Policy, parse_policy
from incident.policy_schema import EvidenceBounds
from incident.record import Announcer, CaseFile, announce, keep_evidence
from incident.redaction import Redactor
from incident.timing import Stopwatch
from incident.together import together

BUDGET = timedelta(seconds=240)


class Run(contain.Run, Workloads, Protocol):
    """Cloud Run, to read and to write."""


class PolicyReader(Protocol):
    """Where the policy file is."""

    url: str

    async def read(self) -> bytes:
        """Its bytes; Missing or Denied when there is none to be had."""


@dataclass(frozen=True, slots=True)
class Outside:
    """Everything outside that an incident needs."""

    run: Run
    security_center: Findings
    logging: LogReader
    store: Store
    policy: PolicyReader
    topic: Announcer | None


@dataclass(frozen=True, slots=True)
class Standing:
    """What holds for every incident of this process.

    Attributes:
        route: Which responder answers a notification.
        clock: Tells the time.
        ceiling: The highest mode that the environment allows.
        ceiling_reason: Why.
        ourselves: Where the responder itself runs.
        store_url: Where the case files are, for the links.
        redaction_key: Key of the hashes that stand in for redacted values.
        verify_timeout: How long a write may take until it is seen in effect.
        peer_wait: How long another process may be silent about work that it began.
    """

    route: Callable[[Notification], Route]
    clock: Callable[[], datetime]
    ceiling: Mode
    ceiling_reason: str
    ourselves: Ourselves
    store_url: str
    redaction_key: bytes
    verify_timeout: timedelta
    peer_wait: timedelta

    def redactor(self, evidence: Evidence | None = None) -> Redactor:
        """Redacts what is known to be secret by now, and never the names of the workload."""
        if evidence is None:
            return Redactor(self.redaction_key)
        workload = evidence.finding.workload
        names = (
            [workload.name, workload.location, workload.project_id, workload.project_number]
            if workload
            else []
        )
        harmless = [name for name in names if name]
        return Redactor(self.redaction_key, evidence.secrets, harmless=harmless)


@dataclass(frozen=True, slots=True)
class Answer:
    """What one delivery came to.

    Attributes:
        outcome: The incident's outcome.
        alarm: Whether a person must look now.
    """

    outcome: JsonObject
    alarm: bool = False


class Incident:
    """One run of one incident; deliveries of it may be several, and runs as well."""

    def __init__(self, claim: Finding, route: Route, standing: Standing, outside: Outside) -> None:
        self._claim = claim
        self._route = route
        self._standing = standing
        self._outside = outside
        self._sources = Sources(outside.security_center, outside.run, outside.logging)
        self._books = Books(outside.store, secrets.token_hex(6), standing.clock)
        self._watch = Stopwatch()

    async def respond(self) -> Answer:
        """The road from a routed claim to an outcome, within its budget.

        Raises:
            Retry: Time may heal it; a redelivery carries on where this run came to.
        """
        try:
            async with asyncio.timeout(BUDGET.total_seconds()):
                return await self._road(waited=False)
        except TimeoutError as error:
            raise Retry(
                f"cannot finish incident {self._claim.incident_id}: it took longer than"
                f" {BUDGET.total_seconds():g} s; a redelivery carries on"
            ) from error

    async def _road(self, *, waited: bool) -> Answer:
        policy = asyncio.ensure_future(self._policy())
        supporting = asyncio.ensure_future(self._support(self._claim, policy))
        try:
            with self._watch.stage("read"):
                core = await read_core(self._claim, policy, self._sources, self._books)
            if core.enforced.done:
                return Answer(duplicate(core.enforced.done))
            if core.record and not same_place(core.record, self._claim):
                supporting.cancel()
                supporting = asyncio.ensure_future(self._support(core.record, policy))
            return await self._judge(core, supporting, waited=waited)
        finally:
            policy.cancel()
            supporting.cancel()
            await asyncio.gather(policy, supporting, return_exceptions=True)

    async def _judge(self, core: Core, supporting: Awaitable[Evidence], *, waited: bool) -> Answer:
        """Route once more by SCC's own record, decide, and carry it out."""
        self._await_confirmation(core)
        route = self._final_route(core)
        evidence = self._core_evidence(core)
        if route.verdict is Verdict.IGNORE:
            return ignored(evidence.finding, self._claim.incident_id, route, self._standing)
        with self._watch.stage("decide"):
            decision = self._decide(core, evidence, route)
        case = core.case(decision.mode)
        if case.done:
            return Answer(duplicate(case.done))
        if not waited and await self._peer_at_work(case):
            return await self._road(waited=True)
        try:
            result = await self._carry_out(core, evidence, route, decision, case)
            with self._watch.stage("evidence"):
                evidence = joined(evidence, await supporting)
            return await self._conclude(case, evidence, route, result)
        except Retry as error:
            await case.note("retried", {"reason": str(error)})
            raise

    def _await_confirmation(self, core: Core) -> None:
        """A finding may reach us before SCC lists it; a young one is worth another look."""
        if core.record or core.refused or self._route.verdict is Verdict.HOLD:
            return
        if self._standing.clock() - self._claim.event_time < CONFIRMATION_WINDOW:
            raise Retry(
                f"cannot confirm finding {self._claim.canonical_name}: Security Command Center"
                " does not list it yet; a redelivery looks again until it is five minutes old"
            )

    def _final_route(self, core: Core) -> Route:
        """SCC's own record is the truth, but it cannot make a doubtful claim sound."""
        if core.record is None or self._route.verdict is not Verdict.CONTAIN:
            return self._route
        return self._standing.route(Notification(core.record, config_name="", deleted=False))

    def _core_evidence(self, core: Core) -> Evidence:
        finding = core.record or self._claim
        gaps = []
        if core.refused:
            gaps.append(Gap("security-center", str(core.refused)))
        if core.place.refused:
            gaps.append(Gap("settings", str(core.place.refused)))
        elif core.place.settings is None:
            gaps.append(Gap("settings", "this version reads the settings of services only"))
        return Evidence(finding, core.record is not None, core.place.settings, gaps=tuple(gaps))

    def _decide(self, core: Core, evidence: Evidence, route: Route) -> Decision:
        """The decision, or the refusal that stands in for one."""
        circumstances = self._circumstances(core, core.place.history)
        decision = decide(evidence, route, core.policy, circumstances)
        refusal = core.refused or (core.place.refused if evidence.confirmed else None)
        if refusal is None or route.verdict is Verdict.HOLD:
            return decision
        return replace(
            decision,
            verdict=Verdict.HOLD,
            reasons=(Reason(str(refusal), "outside"),),
            failed=True,
        )

    def _circumstances(self, core: Core, history: History) -> Circumstances:
        standing = self._standing
        return Circumstances(
            incident=self._claim.incident_id,
            now=standing.clock(),
            ceiling=standing.ceiling,
            ceiling_reason=standing.ceiling_reason,
            ourselves=standing.ourselves,
            history=history,
            slots=core.place.slots,
        )

    async def _peer_at_work(self, case: CaseFile) -> bool:
        """Whether another run has begun this incident; if so, it has been waited for."""
        if not case.earlier and await case.begin(self._received()):
            return False
        fresh = case if case.earlier else await case.read_again()
        return await fresh.wait_for_peer(self._standing.peer_wait)

    async def _carry_out(
        self, core: Core, evidence: Evidence, route: Route, decision: Decision, case: CaseFile
    ) -> contain.Result:
        """Contain as far as the decision goes; what cannot be healed is a failed incident."""
        decided = case.note("decided", _decided(decision))
        if decision.failed or evidence.settings is None or core.record is None:
            await decided
            status = Status.FAILED if decision.failed else Status.HELD
            return contain.Result(status, decision, alarm=decision.alarm or decision.failed)
        scene = contain.Scene(
            incident=self._claim.incident_id,
            finding=core.record,
            workload=core.workload,
            settings=evidence.settings,
            history=core.place.history,
            decision=decision,
        )
        with self._watch.stage("contain"):
            result: contain.Result
            result, _ = await together(
                contain.contain(scene, self._tools(core, evidence, route)), decided
            )
        if result.folder:
            await case.note("contained", _contained(result))
        return result

    def _tools(self, core: Core, evidence: Evidence, route: Route) -> contain.Tools:
        custody = self._books.custody(core.workload)

        async def decide_again(settings: Settings, history: History) -> Decision:
            now = replace(evidence, settings=settings)
            return decide(now, route, await self._policy(), self._circumstances(core, history))

        async def claim_slot() -> Objection | None:
            if isinstance(core.policy, InvalidPolicy):
                return None
            holder = custody.folder(core.place.history)
            slots = self._books.slots(core.workload)
            return await slots.claim(holder, core.policy.guards, core.place.slots)

        return contain.Tools(
            run=self._outside.run,
            custody=custody,
            decide_again=decide_again,
            claim_slot=claim_slot,
            clock=self._standing.clock,
            verify_timeout=self._standing.verify_timeout,
            peer_wait=self._standing.peer_wait,
        )

    async def _conclude(
        self, case: CaseFile, evidence: Evidence, route: Route, result: contain.Result
    ) -> Answer:
        """Assess from all evidence, keep it, announce the outcome, and be done."""
        redactor = self._standing.redactor(evidence)
        reasons = result.decision.reasons + result.reasons
        account = Account(
            incident=self._claim.incident_id,
            status=result.status,
            decision=replace(result.decision, reasons=reasons),
            evidence=evidence,
            responder=route.responder,
            assessment=route.responder.assess(evidence) if route.responder else None,
            changes=result.changes,
            folder=result.folder,
            drains_until=_drained(result.stopped_at, evidence),
            timings_ms=self._watch.timings_ms,
            case_file=f"{self._standing.store_url}/{case.folder}",
        )
        told = outcome(account, redactor)
        await keep_evidence(case, evidence, redactor)
        unannounced = await announce(case, self._outside.topic, told)
        if unannounced:
            gap = Gap("announcement", unannounced)
            told = outcome(replace(account, evidence=evidence.with_gap(gap)), redactor)
        if not await case.finish(told):
            return Answer(duplicate((await case.read_again()).done or told))
        return Answer(told, alarm=result.alarm or unannounced is not None)

    async def _policy(self) -> Policy | InvalidPolicy:
        """The policy as it is now, or why there is none to be had.

        Raises:
            Retry: It cannot be read now; time may heal it.
        """
        source = self._outside.policy
        try:
            return parse_policy(await source.read(), source=source.url)
        except InvalidPolicy as error:
            return error
        except GiveUp as error:
            return InvalidPolicy(str(error))

    async def _support(
        self, finding: Finding, policy: Awaitable[Policy | InvalidPolicy]
    ) -> Evidence:
        """The evidence that the decision does not wait for, bounded as the policy says."""
        if finding.workload is None:
            return Evidence(finding)
        read = await asyncio.shield(asyncio.ensure_future(policy))
        bounds = EvidenceBounds() if isinstance(read, InvalidPolicy) else read.evidence
        return await support(
            finding,
            finding.workload,
            self._sources,
            Bounds(bounds.log_window, bounds.log_entries, bounds.deadline),
            self._standing.clock(),
        )

    def _received(self) -> JsonObject:
        claim = self._claim
        return {
            "finding": claim.canonical_name,
            "event_time": claim.event_time.isoformat(),
            "workload": claim.workload.resource_name if claim.workload else None,
        }


def ignored(finding: Finding, incident: str, route: Route, standing: Standing) -> Answer:
    """The answer to a notification that is none of our business; nothing is stored of it."""
    decision = Decision(Verdict.IGNORE, (Reason(route.reason, "finding"),), Mode.DRY_RUN, rule=None)
    account = Account(incident, Status.IGNORED, decision, Evidence(finding))
    return Answer(outcome(account, standing.redactor(Evidence(finding))))


def _decided(decision: Decision) -> JsonObject:
    return {
        "verdict": decision.verdict.value,
        "mode": decision.mode.value,
        "rule": decision.rule,
        "reasons": [reason.text for reason in decision.reasons],
        "changes": [change_json(change) for change in decision.changes],
    }


def _contained(result: contain.Result) -> JsonObject:
    return {
        "status": result.status.value,
        "containment": result.folder,
        "changes": [change_json(change) for change in result.changes],
    }


def _drained(stopped_at: datetime | None, evidence: Evidence) -> datetime | None:
    """Until when a request that was in flight at the stop may still run."""
    return stopped_at and stopped_at + timedelta(seconds=evidence.longest_request_s)
