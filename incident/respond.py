"""The sequence of one incident: read, decide, contain, record, announce.

Wires the stages to one another; what each of them does is its own business.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Awaitable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from incident import contain
from incident.core import Books, Core, Place, read_core, same_place, with_needs
from incident.custody import History
from incident.decide import decide, finishing
from incident.guards import CONFIRMATION_WINDOW, Circumstances, Objection
from incident.images import change_json
from incident.investigate import Bounds, Sources, joined, support
from incident.look import Shared
from incident.model import (
    Decision,
    Evidence,
    Finding,
    Gap,
    GiveUp,
    InvalidPolicy,
    Json,
    JsonObject,
    Kind,
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
from incident.record import CaseFile, announce, keep_evidence
from incident.standing import Answer, Outside, Standing
from incident.timing import Stopwatch
from incident.together import together

BUDGET = timedelta(seconds=240)
# A clock may be a little behind the one that stamped the event.
_SKEW = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class _Judgement:
    """What was read, and what is to be done about it."""

    core: Core
    route: Route
    evidence: Evidence
    decision: Decision


class Incident:
    """One run of one incident; deliveries of it may be several, and runs as well."""

    def __init__(self, claim: Finding, route: Route, standing: Standing, outside: Outside) -> None:
        self._claim = claim
        self._route = route
        self._standing = standing
        self._outside = outside
        self._seen = Shared(outside.run)
        self._sources = Sources(outside.security_center, self._seen, outside.run, outside.logging)
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
        case = asyncio.ensure_future(self._books.case(f"incidents/{self._claim.incident_id}"))
        policy = asyncio.ensure_future(self._policy())
        supporting = asyncio.ensure_future(self._support(self._claim, case, policy))
        tasks = [case, policy, supporting]
        try:
            with self._watch.stage("read"):
                core = await read_core(self._claim, case, policy, self._sources, self._books)
            if core.enforced.done:
                return Answer(duplicate(core.enforced.done))
            if core.record and not same_place(core.record, self._claim):
                supporting.cancel()
                supporting = asyncio.ensure_future(self._support(core.record, case, policy))
                tasks.append(supporting)
            return await self._judge(core, supporting, waited=waited)
        finally:
            self._seen.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _judge(self, core: Core, supporting: Awaitable[Evidence], *, waited: bool) -> Answer:
        """Decide by what SCC itself says, unless our own write is only to be finished."""
        evidence = self._core_evidence(core)
        finish = self._finishing(core.place)
        if finish is None:
            self._await_confirmation(core)
        route = self._final_route(core)
        if finish is None and route.verdict is Verdict.IGNORE:
            return ignored(evidence.finding, self._claim.incident_id, route, self._standing)
        with self._watch.stage("decide"):
            told = self._as_decided(finish, core.enforced) if finish else None
            decision = _going_on(told, self._decide(core, evidence, route))
            route = self._route if decision is told else route
        case = core.case(decision.mode)
        if case.done:
            return Answer(duplicate(case.done))
        if not waited and await self._peer_at_work(case):
            return await self._road(waited=True)
        return await self._attended(case, _Judgement(core, route, evidence, decision), supporting)

    async def _attended(
        self, case: CaseFile, judged: _Judgement, supporting: Awaitable[Evidence]
    ) -> Answer:
        """Carry the decision out while the case file shows that somebody is at it."""
        alive = asyncio.ensure_future(case.stay_alive(self._standing.peer_wait))
        try:
            if case.concluded:
                return await self._tell(case, case.concluded, alarm=False)
            result = await self._carry_out(case, judged)
            with self._watch.stage("evidence"):
                evidence = joined(judged.evidence, await supporting)
            told = await self._conclude(case, judged, evidence, result)
            return await self._tell(case, told, alarm=result.alarm)
        except Retry as error:
            alive.cancel()
            redactor = self._standing.redactor(judged.evidence)
            await case.note("retried", {"reason": redactor.text(str(error))})
            raise
        finally:
            alive.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await alive

    def _finishing(self, place: Place) -> Decision | None:
        """The decision, if an earlier delivery of this incident wrote and its write stands."""
        if place.workload is None:
            return None
        incident = self._claim.incident_id
        return finishing(incident, place.settings, place.history)

    def _as_decided(self, finish: Decision, case: CaseFile) -> Decision:
        """The decision to finish, with the rule and the reasons that the write was made for."""
        for record in reversed(case.earlier):
            reasons = record.body.get("reasons")
            if record.kind == "decided" and isinstance(reasons, list):
                before = tuple(Reason(str(text), "case-file") for text in reasons)
                rule = record.body.get("rule")
                known = rule if isinstance(rule, str) else None
                return replace(finish, rule=known, reasons=before + finish.reasons)
        return finish

    def _await_confirmation(self, core: Core) -> None:
        """A finding may reach us before SCC lists it; a young one is worth another look."""
        age = self._standing.clock() - self._claim.event_time
        if core.record is None and core.refused is None and -_SKEW <= age < CONFIRMATION_WINDOW:
            raise Retry(
                f"cannot confirm finding {self._claim.canonical_name}: Security Command Center"
                " does not list it yet; a redelivery looks again until it is five minutes old"
            )

    def _final_route(self, core: Core) -> Route:
        """SCC's own record is the truth; the claim counts only where there is no record."""
        if core.record is None:
            return self._route
        return self._standing.route(Notification(core.record, config_name="", deleted=False))

    def _core_evidence(self, core: Core) -> Evidence:
        finding = _filled(core.record, self._claim) if core.record else self._claim
        place = core.place
        gaps = []
        if core.refused:
            gaps.append(Gap("security-center", str(core.refused)))
        if place.refused:
            gaps.append(Gap("settings", str(place.refused)))
        confirmed = core.record is not None
        claim = self._claim if confirmed else None
        return Evidence(finding, confirmed, place.settings, gaps=tuple(gaps), claim=claim)

    def _decide(self, core: Core, evidence: Evidence, route: Route) -> Decision:
        """The decision, or the refusal that stands in for one."""
        decision = decide(
            evidence, route, core.policy, self._circumstances(core.place, core.place.history)
        )
        refusal = core.refused or (core.place.refused if evidence.confirmed else None)
        if refusal is None or route.verdict is Verdict.HOLD:
            return decision
        return replace(
            decision,
            verdict=Verdict.HOLD,
            reasons=(Reason(str(refusal), "outside"),),
            changes=(),
            failed=True,
        )

    def _circumstances(self, place: Place, history: History) -> Circumstances:
        standing = self._standing
        return Circumstances(
            now=standing.clock(),
            ceiling=standing.ceiling,
            ceiling_reason=standing.ceiling_reason,
            ourselves=standing.ourselves,
            history=history,
            slots=place.slots,
            folder=place.folder,
        )

    async def _peer_at_work(self, case: CaseFile) -> bool:
        """Whether another run has begun this incident; if so, it has been waited for."""
        if not case.earlier and await case.begin(self._received()):
            return False
        fresh = case if case.earlier else await case.read_again()
        return await fresh.wait_for_peer(self._standing.peer_wait)

    async def _carry_out(self, case: CaseFile, judged: _Judgement) -> contain.Result:
        """Contain as far as the decision goes; what cannot be healed is a failed incident."""
        decision, place = judged.decision, judged.core.place
        decided = case.note("decided", self._decided(judged))
        if decision.failed or place.settings is None or place.workload is None:
            await decided
            status = Status.FAILED if decision.failed else Status.HELD
            return contain.Result(status, decision, alarm=decision.alarm or decision.failed)
        scene = contain.Scene(
            incident=self._claim.incident_id,
            finding=judged.evidence.finding,
            workload=place.workload,
            settings=place.settings,
            history=place.history,
            decision=decision,
        )
        result: contain.Result
        with self._watch.stage("contain"):
            try:
                tools = self._tools(judged)
                result, _ = await together(contain.contain(scene, tools), decided)
            except GiveUp as error:
                failed = replace(decision, reasons=(Reason(str(error), "outside"),), changes=())
                result = contain.Result(Status.FAILED, failed, alarm=True)
        if result.folder:
            await case.note("contained", self._contained(judged, result))
        return result

    def _tools(self, judged: _Judgement) -> contain.Tools:
        place = judged.core.place
        assert place.workload is not None  # noqa: S101 - only a workload is contained
        custody = self._books.custody(place.workload)
        slots = self._books.slots(place.workload)

        async def decide_again(settings: Settings, history: History) -> Decision:
            finish = self._finishing(replace(place, settings=settings, history=history))
            if finish:
                made = judged.decision
                finish = replace(finish, rule=made.rule, reasons=made.reasons + finish.reasons)
            now = replace(judged.evidence, settings=settings)
            circumstances = self._circumstances(place, history)
            decision = decide(now, judged.route, await self._policy(), circumstances)
            return _going_on(finish, decision)

        async def look_again() -> tuple[Settings, History]:
            assert place.workload is not None  # noqa: S101 - as above
            run, finding = self._outside.run, judged.evidence.finding
            policy, settings, history = await together(
                self._policy(), run.settings(place.workload), custody.history()
            )
            fresh = replace(place, settings=settings, history=history.of(settings), refused=None)
            seen = await with_needs(fresh, finding, policy, run)
            if seen.refused or seen.settings is None:
                raise seen.refused or GiveUp("the workload cannot be read again")
            return seen.settings, seen.history

        async def claim_slot() -> Objection | None:
            policy = await self._policy()
            if isinstance(policy, InvalidPolicy):
                return Objection(Reason(str(policy), "policy"), alarm=True)
            return await slots.claim(place.folder, policy.guards, place.slots)

        return contain.Tools(
            run=self._outside.run,
            custody=custody,
            look_again=look_again,
            decide_again=decide_again,
            claim_slot=claim_slot,
            clock=self._standing.clock,
            verify_timeout=self._standing.verify_timeout,
            peer_wait=self._standing.peer_wait,
        )

    async def _conclude(
        self, case: CaseFile, judged: _Judgement, evidence: Evidence, result: contain.Result
    ) -> JsonObject:
        """Assess from all evidence, keep it, and settle the outcome."""
        redactor = self._standing.redactor(evidence)
        responder = judged.route.responder
        stopped_at = result.stopped_at
        account = Account(
            incident=self._claim.incident_id,
            status=result.status,
            decision=replace(result.decision, reasons=result.decision.reasons + result.reasons),
            evidence=evidence,
            responder=responder,
            assessment=responder.assess(evidence) if responder else None,
            changes=result.changes,
            folder=result.folder or self._held_folder(judged.core.place),
            drains_until=_drained(stopped_at, evidence),
            timings_ms=self._watch.timings_ms,
            case_file=f"{self._standing.store_url}/{case.folder}",
        )
        await keep_evidence(case, evidence, redactor)
        # Redacting megabytes must not keep the other incidents waiting.
        return await case.conclude(await asyncio.to_thread(outcome, account, redactor))

    def _held_folder(self, place: Place) -> str | None:
        """The containment that this incident began before, whatever became of it since."""
        current = place.history.current
        ours = current is not None and self._claim.incident_id in current.incidents
        return current.folder if current and ours else None

    async def _tell(self, case: CaseFile, told: JsonObject, *, alarm: bool) -> Answer:
        """Announce a settled outcome, and be done."""
        unannounced = await announce(case, self._outside.topic, told)
        if unannounced:
            gaps = told.get("gaps")
            reason = self._standing.redactor().text(unannounced)
            gap = {"collector": "announcement", "reason": reason}
            told = {**told, "gaps": [*(gaps if isinstance(gaps, list) else ()), gap]}
        if not await case.finish(told):
            return Answer(duplicate((await case.read_again()).done or told))
        return Answer(told, alarm=alarm or unannounced is not None)

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
        self,
        finding: Finding,
        case: Awaitable[CaseFile],
        policy: Awaitable[Policy | InvalidPolicy],
    ) -> Evidence:
        """The evidence that the decision does not wait for, bounded as the policy says.

        A redelivery of what is done gathers nothing: log reads are few a minute.
        """
        if finding.workload is None or (await asyncio.shield(case)).done:
            return Evidence(finding)
        read = await asyncio.shield(policy)
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

    def _decided(self, judged: _Judgement) -> JsonObject:
        decision = judged.decision
        redactor = self._standing.redactor(judged.evidence)
        changes: list[Json] = [change_json(change) for change in decision.changes]
        return {
            "verdict": decision.verdict.value,
            "mode": decision.mode.value,
            "rule": decision.rule,
            "reasons": [redactor.text(reason.text) for reason in decision.reasons],
            "changes": changes,
        }

    def _contained(self, judged: _Judgement, result: contain.Result) -> JsonObject:
        redactor = self._standing.redactor(judged.evidence)
        changes = [change_json(change) for change in result.changes]
        return {
            "status": result.status.value,
            "containment": result.folder,
            "changes": redactor.json(changes),
        }


def _going_on(finish: Decision | None, decision: Decision) -> Decision:
    """What is missing of our own write is made up for where policy and guards still want it.

    Else what was done is only finished, whatever they say by now.
    """
    wants_more = decision.verdict is Verdict.CONTAIN and decision.mode is Mode.ENFORCE
    return decision if finish is None or (wants_more and decision.changes) else finish


def _drained(stopped_at: datetime | None, evidence: Evidence) -> datetime | None:
    """Until when requests in flight may outlive a stop; only a service has requests."""
    if stopped_at is None or evidence.settings is None:
        return None
    if evidence.settings.kind is not Kind.SERVICE:
        return None
    return stopped_at + timedelta(seconds=evidence.longest_request_s)


def _filled(record: Finding, claim: Finding) -> Finding:
    """SCC's record, and of the process what the notification alone tells: nothing decides by it."""
    return replace(
        record,
        processes=record.processes or claim.processes,
        containers=record.containers or claim.containers,
        contacts=record.contacts or claim.contacts,
        description=record.description or claim.description,
    )


def ignored(finding: Finding, incident: str, route: Route, standing: Standing) -> Answer:
    """The answer to a notification that is none of our business; nothing is stored of it."""
    decision = Decision(Verdict.IGNORE, (Reason(route.reason, "finding"),), Mode.DRY_RUN, rule=None)
    account = Account(incident, Status.IGNORED, decision, Evidence(finding))
    return Answer(outcome(account, standing.redactor(Evidence(finding))))
