"""Run one incident: read, decide, contain, record, publish, within a time budget."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine
from dataclasses import replace
from datetime import timedelta
from typing import Any

from incident.case_file.case_file import CaseFile
from incident.case_file.paths import INCIDENTS, case_file_folder
from incident.containment.contain import contain_workload
from incident.containment.request_and_result import ContainmentResult
from incident.containment.result import with_cut_list
from incident.containment.writes_in_flight import retry_if_write_pending
from incident.decision.assess import AssessedIncident
from incident.decision.context import ProcessContext
from incident.decision.inputs import (
    DecisionInputs,
    WorkloadState,
    read_decision_inputs,
    read_workload_state,
    same_workload,
)
from incident.investigation.collect import (
    CollectionLimits,
    collect_evidence,
    merge_evidence,
    with_reputation,
)
from incident.model import (
    Evidence,
    Finding,
    GiveUp,
    IncidentError,
    InvalidPolicy,
    Reason,
    Retry,
    Route,
    Status,
    Verdict,
)
from incident.model.durations import Stopwatch
from incident.model.outcome import Outcome
from incident.policy.resolve import Policy
from incident.policy.schema import EvidenceBounds
from incident.redaction.redactor import Redactor, redact_error
from incident.response.conclude import Concluder, ignored_result
from incident.response.context import DeliveryResult, Ports
from incident.response.duplicates import answer_duplicate
from incident.response.incident_session import IncidentSession
from incident.response.records import containment_record, decision_record, received_record

INCIDENT_BUDGET = timedelta(seconds=240)


class IncidentRun:
    """One run of an incident. An incident may have several deliveries and several runs."""

    def __init__(
        self,
        claim: Finding,
        route: Route,
        context: ProcessContext,
        ports: Ports,
    ) -> None:
        self._claim = claim
        self._context = context
        self._ports = ports
        self._session = IncidentSession.create(claim, route, context, ports)
        self._concluder = Concluder(claim.incident_id, context, ports)
        self._stopwatch = Stopwatch()
        self._evidence = Evidence(claim)

    async def respond(self) -> DeliveryResult:
        """Run the incident from its routed notification to its outcome, within the budget.

        Raises:
            Retry: A service does not answer; a redelivery continues from where this run ended.
        """
        try:
            async with asyncio.timeout(INCIDENT_BUDGET.total_seconds()):
                return await self._run(waited=False)
        except TimeoutError as error:
            raise Retry(
                f"cannot finish incident {self._claim.incident_id}: it took longer than"
                f" {INCIDENT_BUDGET.total_seconds():g} s; a redelivery continues"
            ) from error
        except IncidentError as error:
            redact_error(error, self._redactor)
            raise

    @property
    def _redactor(self) -> Redactor:
        """Redacts with all secrets that were read so far."""
        return self._session.redactor(self._evidence)

    async def _run(self, *, waited: bool) -> DeliveryResult:
        session = self._session
        case = asyncio.ensure_future(
            session.records.case_file(case_file_folder(INCIDENTS, self._claim.incident_id))
        )
        policy = asyncio.ensure_future(session.policy())
        supporting = asyncio.ensure_future(self._gather_evidence(self._claim, case, policy))
        tasks = [case, policy, supporting]
        try:
            with self._stopwatch.stage("read"):
                inputs = await read_decision_inputs(
                    self._claim, case, policy, session.sources, session.records
                )
            if inputs.incident_case_file.done:
                return await answer_duplicate(
                    inputs.incident_case_file, inputs.incident_case_file.done, self._context
                )
            if concluded := inputs.incident_case_file.concluded:
                return await self._publish_concluded(inputs, concluded, waited=waited)
            if inputs.scc_record and not same_workload(inputs.scc_record, self._claim):
                supporting.cancel()
                supporting = asyncio.ensure_future(
                    self._gather_evidence(inputs.scc_record, case, policy)
                )
                tasks.append(supporting)
            return await self._assess(inputs, supporting, waited=waited)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await session.close()

    async def _publish_concluded(
        self, inputs: DecisionInputs, outcome: Outcome, *, waited: bool
    ) -> DeliveryResult:
        """Publish an outcome that an earlier run recorded, unless that run still publishes it.

        Its update of SCC causes a notification, which may arrive before it is done.
        """
        case, patience = inputs.incident_case_file, self._context.peer_wait
        if not waited and await case.wait_for_peer(patience):
            return await self._run(waited=True)
        self._evidence = Evidence(inputs.scc_record or self._claim)
        settled = DeliveryResult(outcome, alarm=case.alarm, contained_at=case.contained_at)
        publishing = self._concluder.publish_outcome(
            case, settled, inputs.scc_record, self._redactor
        )
        return await self._with_heartbeat(case, publishing)

    async def _assess(
        self, inputs: DecisionInputs, supporting: Awaitable[Evidence], *, waited: bool
    ) -> DeliveryResult:
        """Decide, and wait for another run that works on the same incident."""
        with self._stopwatch.stage("decide"):
            assessed = self._session.assessor.assess(inputs)
        self._evidence = assessed.evidence
        if assessed.route.verdict is Verdict.IGNORE:
            finding = assessed.evidence.finding
            return ignored_result(finding, self._claim.incident_id, assessed.route, self._context)
        case = inputs.case_file_for(assessed.decision.mode, finishing=assessed.only_finishes)
        if case.done:
            return await answer_duplicate(case, case.done, self._context)
        if not waited and await self._peer_at_work(case):
            return await self._run(waited=True)
        work = self._contain_and_conclude(case, assessed, supporting)
        return await self._with_heartbeat(case, work)

    async def _contain_and_conclude(
        self, case: CaseFile, assessed: AssessedIncident, supporting: Awaitable[Evidence]
    ) -> DeliveryResult:
        """Carry out the decision, record the outcome and publish it."""
        concluder, listed_finding = self._concluder, assessed.inputs.scc_record
        if case.concluded:
            settled = DeliveryResult(
                case.concluded, alarm=case.alarm, contained_at=case.contained_at
            )
            return await concluder.publish_outcome(case, settled, listed_finding, self._redactor)
        result = await self._contain(case, assessed)
        with self._stopwatch.stage("evidence"):
            evidence = merge_evidence(assessed.evidence, await supporting)
            deadline = _evidence_bounds(assessed.inputs.policy).deadline
            evidence = await with_reputation(evidence, self._session.reputations, deadline)
        self._evidence = evidence
        timings_ms = self._stopwatch.timings_ms
        result = with_cut_list(result, evidence.revisions)
        outcome = await concluder.record_outcome(case, assessed, evidence, result, timings_ms)
        settled = DeliveryResult(outcome, alarm=result.alarm, contained_at=result.verified_at)
        return await concluder.publish_outcome(case, settled, listed_finding, self._redactor)

    async def _with_heartbeat(
        self, case: CaseFile, work: Coroutine[Any, Any, DeliveryResult]
    ) -> DeliveryResult:
        """Do the work while heartbeat records show other runs that this one is alive."""
        heartbeat = asyncio.ensure_future(case.send_heartbeats(self._context.peer_wait))
        try:
            return await work
        except Retry as error:
            heartbeat.cancel()
            await case.add_record("retried", {"reason": str(redact_error(error, self._redactor))})
            raise
        finally:
            heartbeat.cancel()
            await asyncio.gather(heartbeat, return_exceptions=True)

    async def _peer_at_work(self, case: CaseFile) -> bool:
        """Whether another run had begun this incident; if so, waits for it first."""
        if not case.known_records and await case.begin(received_record(self._claim)):
            return False
        fresh = case if case.known_records else await case.reload()
        return await fresh.wait_for_peer(self._context.peer_wait)

    async def _contain(self, case: CaseFile, assessed: AssessedIncident) -> ContainmentResult:
        """Contain as far as the decision says; a permanent fault gives the status ``failed``."""
        session, decision, state = self._session, assessed.decision, assessed.inputs.workload_state
        noting = case.add_record("decided", decision_record(assessed, self._redactor))
        if decision.failed or state.configuration is None or state.workload is None:
            await noting
            self._await_open_attempts(state)
            status = Status.FAILED if decision.failed else Status.HELD
            return ContainmentResult(status, decision, alarm=decision.alarm or decision.failed)
        result: ContainmentResult
        with self._stopwatch.stage("contain"):
            try:
                request, tools = (
                    session.containment_request(assessed),
                    session.containment_tools(assessed),
                )
                result = await _despite_refused_record(contain_workload(request, tools), noting)
            except GiveUp as error:
                fresh = await read_workload_state(state.workload, session.sources, session.records)
                self._await_open_attempts(fresh)
                failed = replace(decision, reasons=(Reason(str(error), "outside"),), changes=())
                result = ContainmentResult(Status.FAILED, failed, alarm=True)
        if result.containment_folder:
            await case.add_record("contained", containment_record(result, self._redactor))
        return result

    def _await_open_attempts(self, state: WorkloadState) -> None:
        """Raise Retry while a write of an earlier attempt may still take effect."""
        clock, incident = self._context.clock, self._claim.incident_id
        retry_if_write_pending(incident, state.history.current, clock)

    async def _gather_evidence(
        self,
        finding: Finding,
        case: Awaitable[CaseFile],
        policy: Awaitable[Policy | InvalidPolicy],
    ) -> Evidence:
        """Gather the evidence that the decision does not wait for, within the policy's bounds.

        A redelivery of a finished incident gathers nothing: the quota of log reads is small.
        """
        if finding.workload is None or (await asyncio.shield(case)).done:
            return Evidence(finding)
        bounds = _evidence_bounds(await asyncio.shield(policy))
        workload, now = finding.workload, self._context.clock()
        return await collect_evidence(finding, workload, self._session.sources, bounds, now)


async def _despite_refused_record(
    containing: Coroutine[Any, Any, ContainmentResult], recording: Coroutine[Any, Any, None]
) -> ContainmentResult:
    """Contain and record the decision side by side.

    A store that refuses the record must not cut off a write that is under way: what was written
    is read back and reported, and so is the missing record.
    """
    recorded = asyncio.ensure_future(recording)
    try:
        result = await containing
    finally:
        (error,) = await asyncio.gather(recorded, return_exceptions=True)
    if isinstance(error, GiveUp):
        reason = Reason(f"the record 'decided' could not be stored: {error}", "case-file")
        return replace(result, reasons=(*result.reasons, reason), alarm=True)
    if isinstance(error, BaseException):
        raise error
    return result


def _evidence_bounds(policy: Policy | InvalidPolicy) -> CollectionLimits:
    """The policy's bounds on evidence; the defaults if the policy is invalid."""
    limits = EvidenceBounds() if isinstance(policy, InvalidPolicy) else policy.evidence
    return CollectionLimits(limits.log_window, limits.log_entries, limits.deadline)
