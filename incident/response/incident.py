"""The sequence of one incident: read, judge, contain, record, announce.

Wires the stages to one another; what each of them does is its own business.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine
from dataclasses import replace
from datetime import timedelta
from typing import Any

from incident.case_file.case_file import CaseFile
from incident.containment import contain
from incident.containment.peers import await_fate
from incident.containment.types import Result
from incident.decision.assess import Judgement
from incident.decision.context import Standing
from incident.decision.inputs import Core, Place, read_core, read_place, same_place
from incident.investigation.collect import Bounds, joined, reputed, support
from incident.model import (
    Evidence,
    Finding,
    GiveUp,
    IncidentError,
    InvalidPolicy,
    JsonObject,
    Reason,
    Retry,
    Route,
    Status,
    Verdict,
)
from incident.model.concurrency import together
from incident.model.durations import Stopwatch
from incident.policy.resolve import Policy
from incident.policy.schema import EvidenceBounds
from incident.redaction.errors import told_error
from incident.redaction.redactor import Redactor
from incident.response.conclude import Conclusion, contained, decided, ignored, received
from incident.response.context import Answer, Outside, Say, unheard
from incident.response.duplicates import repeated
from incident.response.session import Bench

BUDGET = timedelta(seconds=240)


class Incident:
    """One run of one incident; deliveries of it may be several, and runs as well."""

    def __init__(
        self,
        claim: Finding,
        route: Route,
        standing: Standing,
        outside: Outside,
        say: Say = unheard,
    ) -> None:
        self._claim = claim
        self._standing = standing
        self._outside = outside
        self._bench = Bench.make(claim, route, standing, outside)
        self._conclusion = Conclusion(claim.incident_id, standing, outside, say)
        self._watch = Stopwatch()
        self._evidence = Evidence(claim)

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
        except IncidentError as error:
            told_error(error, self._hide)
            raise

    @property
    def _hide(self) -> Redactor:
        """Redacts what is known by now."""
        return self._bench.redactor(self._evidence)

    async def _road(self, *, waited: bool) -> Answer:
        bench = self._bench
        case = asyncio.ensure_future(bench.books.case(f"incidents/{self._claim.incident_id}"))
        policy = asyncio.ensure_future(bench.policy())
        supporting = asyncio.ensure_future(self._support(self._claim, case, policy))
        tasks = [case, policy, supporting]
        try:
            with self._watch.stage("read"):
                core = await read_core(self._claim, case, policy, bench.sources, bench.books)
            if core.enforced.done:
                return await self._repeated(core.enforced, core.enforced.done)
            if told := core.enforced.concluded:
                return await self._finished(core, told, waited=waited)
            if core.record and not same_place(core.record, self._claim):
                supporting.cancel()
                supporting = asyncio.ensure_future(self._support(core.record, case, policy))
                tasks.append(supporting)
            return await self._judged(core, supporting, waited=waited)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await bench.close()

    async def _finished(self, core: Core, told: JsonObject, *, waited: bool) -> Answer:
        """Tell what is settled, unless whoever settled it is still at that.

        What it writes to SCC comes back as a notification, and may be here before it is done.
        """
        case, patience = core.enforced, self._standing.peer_wait
        if not waited and await case.wait_for_peer(patience):
            return await self._road(waited=True)
        self._evidence = Evidence(core.record or self._claim)
        settled = Answer(told, alarm=case.alarm, contained_at=case.contained_at)
        telling = self._conclusion.tell(case, settled, core.record, self._hide)
        return await self._attended(case, telling)

    async def _repeated(self, case: CaseFile, done: JsonObject) -> Answer:
        return await repeated(case, done, self._standing, self._conclusion.say)

    async def _judged(self, core: Core, supporting: Awaitable[Evidence], *, waited: bool) -> Answer:
        """Judge what was read, and see whether somebody else is at it already."""
        with self._watch.stage("decide"):
            judged = self._bench.judge.judge(core)
        self._evidence = judged.evidence
        if judged.route.verdict is Verdict.IGNORE:
            finding = judged.evidence.finding
            return ignored(finding, self._claim.incident_id, judged.route, self._standing)
        case = core.case(judged.decision.mode, finishing=judged.finishing)
        if case.done:
            return await self._repeated(case, case.done)
        if not waited and await self._peer_at_work(case):
            return await self._road(waited=True)
        carrying_on = self._carry_on(case, judged, supporting)
        return await self._attended(case, carrying_on)

    async def _carry_on(
        self, case: CaseFile, judged: Judgement, supporting: Awaitable[Evidence]
    ) -> Answer:
        """Carry the decision out, settle what came of it, and tell everybody."""
        conclusion, seen = self._conclusion, judged.core.record
        if case.concluded:
            settled = Answer(case.concluded, alarm=case.alarm, contained_at=case.contained_at)
            return await conclusion.tell(case, settled, seen, self._hide)
        result = await self._carry_out(case, judged)
        with self._watch.stage("evidence"):
            evidence = joined(judged.evidence, await supporting)
            deadline = _bounds(judged.core.policy).deadline
            evidence = await reputed(evidence, self._bench.reputations, deadline)
        self._evidence = evidence
        timings_ms = self._watch.timings_ms
        told = await conclusion.settle(case, judged, evidence, result, timings_ms)
        settled = Answer(told, alarm=result.alarm, contained_at=result.seen_at)
        return await conclusion.tell(case, settled, seen, self._hide)

    async def _attended(self, case: CaseFile, work: Coroutine[Any, Any, Answer]) -> Answer:
        """Do the work while the case file shows that somebody is at it."""
        alive = asyncio.ensure_future(case.stay_alive(self._standing.peer_wait))
        try:
            return await work
        except Retry as error:
            alive.cancel()
            await case.note("retried", {"reason": str(told_error(error, self._hide))})
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
        bench, decision, place = self._bench, judged.decision, judged.core.place
        noting = case.note("decided", decided(judged, self._hide))
        if decision.failed or place.settings is None or place.workload is None:
            await noting
            self._await_fate(place)
            status = Status.FAILED if decision.failed else Status.HELD
            return Result(status, decision, alarm=decision.alarm or decision.failed)
        result: Result
        with self._watch.stage("contain"):
            try:
                scene, tools = bench.scene(judged), bench.tools(judged)
                result, _ = await together(contain.contain(scene, tools), noting)
            except GiveUp as error:
                self._await_fate(await read_place(place.workload, bench.sources, bench.books))
                failed = replace(decision, reasons=(Reason(str(error), "outside"),), changes=())
                result = Result(Status.FAILED, failed, alarm=True)
        if result.folder:
            await case.note("contained", contained(result, self._hide))
        return result

    def _await_fate(self, place: Place) -> None:
        """Nothing final is said while a write of ours may still come into effect."""
        clock, incident = self._standing.clock, self._claim.incident_id
        await_fate(incident, place.history.current, clock)

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
        return await support(finding, workload, self._bench.sources, bounds, now)


def _bounds(policy: Policy | InvalidPolicy) -> Bounds:
    """How much is gathered, as the policy says; without one, as it would by default."""
    said = EvidenceBounds() if isinstance(policy, InvalidPolicy) else policy.evidence
    return Bounds(said.log_window, said.log_entries, said.deadline)
