"""The sequence of one incident: read, judge, contain, record, announce.

Wires the stages to one another; what each of them does is its own business.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable
from dataclasses import replace
from datetime import timedelta

from incident import contain
from incident.conclude import Conclusion, contained, decided, ignored, received
from incident.core import Books, Core, Place, look_again, read_core, read_place, same_place
from incident.custody import History
from incident.guards import Objection
from incident.investigate import Bounds, Sources, joined, reputed, support
from incident.judge import Judge, Judgement
from incident.look import Shared
from incident.model import (
    Decision,
    Evidence,
    Finding,
    GiveUp,
    InvalidPolicy,
    Reason,
    Retry,
    Route,
    Settings,
    Status,
    Verdict,
)
from incident.outcome import duplicate
from incident.policy import Policy, parse_policy
from incident.policy_schema import EvidenceBounds
from incident.record import CaseFile
from incident.reputation import Reputations
from incident.scene import Result, Scene, Tools
from incident.standing import Answer, Outside, Standing
from incident.timing import Stopwatch
from incident.together import together

BUDGET = timedelta(seconds=240)


class Incident:
    """One run of one incident; deliveries of it may be several, and runs as well."""

    def __init__(self, claim: Finding, route: Route, standing: Standing, outside: Outside) -> None:
        self._claim = claim
        self._standing = standing
        self._outside = outside
        self._seen = Shared(outside.run)
        self._reputations = Reputations(outside.virustotal)
        self._sources = Sources(
            outside.security_center,
            self._seen,
            outside.run,
            outside.logging,
            self._reputations,
        )
        self._books = Books(outside.store, secrets.token_hex(6), standing.clock)
        self._judge = Judge(claim, route, standing, self._policy, self._reputations)
        self._conclusion = Conclusion(claim.incident_id, standing, outside.topic)
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
            if core.enforced.concluded:
                told = core.enforced.concluded
                return await self._conclusion.tell(core.enforced, told, alarm=False)
            if core.record and not same_place(core.record, self._claim):
                supporting.cancel()
                supporting = asyncio.ensure_future(self._support(core.record, case, policy))
                tasks.append(supporting)
            return await self._judged(core, supporting, waited=waited)
        finally:
            self._seen.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._reputations.close()

    async def _judged(self, core: Core, supporting: Awaitable[Evidence], *, waited: bool) -> Answer:
        """Judge what was read, and see whether somebody else is at it already."""
        with self._watch.stage("decide"):
            judged = self._judge.judge(core)
        if judged.route.verdict is Verdict.IGNORE:
            finding = judged.evidence.finding
            return ignored(finding, self._claim.incident_id, judged.route, self._standing)
        case = core.case(judged.decision.mode, finishing=judged.finishing)
        if case.done:
            return Answer(duplicate(case.done))
        if not waited and await self._peer_at_work(case):
            return await self._road(waited=True)
        return await self._attended(case, judged, supporting)

    async def _attended(
        self, case: CaseFile, judged: Judgement, supporting: Awaitable[Evidence]
    ) -> Answer:
        """Carry the decision out while the case file shows that somebody is at it."""
        alive = asyncio.ensure_future(case.stay_alive(self._standing.peer_wait))
        conclusion = self._conclusion
        try:
            if case.concluded:
                return await conclusion.tell(case, case.concluded, alarm=False)
            result = await self._carry_out(case, judged)
            with self._watch.stage("evidence"):
                evidence = joined(judged.evidence, await supporting)
                deadline = _bounds(judged.core.policy).deadline
                evidence = await reputed(evidence, self._reputations, deadline)
            timings_ms = self._watch.timings_ms
            told = await conclusion.settle(case, judged, evidence, result, timings_ms)
            return await conclusion.tell(case, told, alarm=result.alarm)
        except Retry as error:
            alive.cancel()
            redactor = self._standing.redactor(judged.evidence)
            await case.note("retried", {"reason": redactor.text(str(error))})
            raise
        finally:
            alive.cancel()
            await asyncio.gather(alive, return_exceptions=True)

    async def _peer_at_work(self, case: CaseFile) -> bool:
        """Whether another run has begun this incident; if so, it has been waited for."""
        if not case.earlier and await case.begin(received(self._claim)):
            return False
        fresh = case if case.earlier else await case.read_again()
        return await fresh.wait_for_peer(self._standing.peer_wait)

    async def _carry_out(self, case: CaseFile, judged: Judgement) -> Result:
        """Contain as far as the decision goes; what cannot be healed is a failed incident."""
        decision, place = judged.decision, judged.core.place
        noting = case.note("decided", decided(judged, self._standing))
        if decision.failed or place.settings is None or place.workload is None:
            await noting
            self._await_fate(place)
            status = Status.FAILED if decision.failed else Status.HELD
            return Result(status, decision, alarm=decision.alarm or decision.failed)
        scene = Scene(
            incident=self._claim.incident_id,
            finding=judged.evidence.finding,
            workload=place.workload,
            settings=place.settings,
            history=place.history,
            decision=decision,
        )
        result: Result
        with self._watch.stage("contain"):
            try:
                tools = self._tools(judged)
                result, _ = await together(contain.contain(scene, tools), noting)
            except GiveUp as error:
                self._await_fate(await read_place(place.workload, self._sources, self._books))
                failed = replace(decision, reasons=(Reason(str(error), "outside"),), changes=())
                result = Result(Status.FAILED, failed, alarm=True)
        if result.folder:
            await case.note("contained", contained(judged, result, self._standing))
        return result

    def _await_fate(self, place: Place) -> None:
        """Nothing final is said while a write of ours may still come into effect."""
        clock, incident = self._standing.clock, self._claim.incident_id
        contain.await_fate(incident, place.history.current, clock)

    def _tools(self, judged: Judgement) -> Tools:
        place = judged.core.place
        assert place.workload is not None  # noqa: S101 - only a workload is contained
        custody = self._books.custody(place.workload)
        slots = self._books.slots(place.workload)

        async def decide_again(settings: Settings, history: History) -> Decision:
            return await self._judge.again(judged, settings, history)

        async def look() -> tuple[Settings, History]:
            finding = judged.evidence.finding
            return await look_again(place, finding, self._policy, self._outside.run, custody)

        async def claim_slot() -> Objection | None:
            policy = await self._policy()
            if isinstance(policy, InvalidPolicy):
                return Objection(Reason(str(policy), "policy"), alarm=True)
            return await slots.claim(place.folder, policy.guards, place.slots)

        return Tools(
            run=self._outside.run,
            custody=custody,
            look_again=look,
            decide_again=decide_again,
            claim_slot=claim_slot,
            clock=self._standing.clock,
            verify_timeout=self._standing.verify_timeout,
            peer_wait=self._standing.peer_wait,
        )

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
        bounds = _bounds(await asyncio.shield(policy))
        workload, now = finding.workload, self._standing.clock()
        return await support(finding, workload, self._sources, bounds, now)


def _bounds(policy: Policy | InvalidPolicy) -> Bounds:
    """How much is gathered, as the policy says; without one, as it would by default."""
    said = EvidenceBounds() if isinstance(policy, InvalidPolicy) else policy.evidence
    return Bounds(said.log_window, said.log_entries, said.deadline)
