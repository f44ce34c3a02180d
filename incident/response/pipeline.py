"""The pipeline: gather, decide, contain, conclude, publish. Every trigger runs it.

A trigger builds a Request, runs :func:`respond`, and says what to do with the outcome. What differs
between triggers is data in the request.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass, replace
from datetime import timedelta

from incident.actions.changes import with_state
from incident.case_file.case_file import CaseFile
from incident.containment.annotate import annotate, missing_annotation
from incident.containment.contain import contain
from incident.containment.containment_result import ContainmentResult
from incident.containment.result import with_cut_list
from incident.containment.undo import undo_if_released
from incident.containment.writes_in_flight import retry_if_write_pending
from incident.decision.assess import assess
from incident.decision.inputs import Inputs, gather, read_workload_state, same_workload
from incident.decision.process import Process, read_policy
from incident.decision.request import Request, Trigger
from incident.investigation.collect import (
    CollectionLimits,
    collect_evidence,
    merge_evidence,
    with_reputation,
)
from incident.model import (
    Change,
    ChangeState,
    Decision,
    Evidence,
    Finding,
    Gap,
    GiveUp,
    IncidentError,
    InvalidPolicy,
    Kind,
    Listing,
    Reason,
    Retry,
    Status,
    Template,
    Verdict,
)
from incident.model.durations import Stopwatch
from incident.policy.resolve import Policy
from incident.policy.schema import EvidenceBounds
from incident.redaction.redactor import Redactor, redact_error
from incident.response.conclude import conclude, ignored_response
from incident.response.duplicates import answer_duplicate
from incident.response.publish import publish
from incident.response.records import (
    overtaken,
    record_containment,
    record_decision,
    started_by_peer,
    working,
)
from incident.response.refusals import RequestRefused, refusal_text, require_permitted
from incident.response.response import Response

INCIDENT_BUDGET = timedelta(seconds=240)
_NOT_COLLECTED = "Not collected: two deliveries of the incident ran out of time before it"


async def respond(  # noqa: C901, PLR0911 - one sequence that reads top to bottom
    process: Process, request: Request, *, waited: bool = False
) -> Response:
    """Carry out a request, from its finding to its outcome, within the budget.

    Args:
        process: What holds for this process.
        request: What is asked for.
        waited: Whether another run of the incident was waited for already.

    Raises:
        Retry: A service does not answer; a redelivery continues from where this run ended.
        RequestRefused: Somebody asked for a write that may not be made; says why.
        GiveUp: Something that nothing can be done without cannot be read.
    """
    async with _run(process, request) as run:
        # Gather what the decision waits for; evidence that only the outcome has goes on meanwhile.
        stopwatch, policy = Stopwatch(), run.start(read_policy(run))
        supporting = run.start(_supporting(run, request, request.finding, policy))
        with stopwatch.stage("read"):
            inputs = await gather(run, request, policy)
        if answer := await _answer_on_record(run, inputs, inputs.incident_case_file, waited=waited):
            return answer
        if inputs.incident_case_file.done:
            supporting.cancel()  # a later outcome has no evidence of its own
        elif inputs.scc_record and not same_workload(inputs.scc_record, request.finding):
            supporting.cancel()
            supporting = run.start(_supporting(run, request, inputs.scc_record, policy))

        # Decide.
        with stopwatch.stage("decide"):
            decision = assess(run, inputs)
        if decision.finishes and not decision.changes:
            inputs = replace(inputs, route=request.route)
        if inputs.route.verdict is Verdict.IGNORE and not request.writes_or_fails:
            return ignored_response(run, inputs.evidence.finding, request, inputs.route)
        await require_permitted(run, inputs, decision)
        case = inputs.case_file_for(decision.mode, finishing=decision.finishes)
        if answer := await _answer_on_record(run, inputs, case, waited=waited):
            return answer
        if not (waited or request.operator) and await started_by_peer(run, request, case):
            return await respond(process, request, waited=True)

        async with working(run, inputs, case):
            # Contain. What a person asks for is on record before anything is written.
            recording = run.start(record_decision(run, inputs, decision, case))
            if request.operator:
                await recording
                if earlier := await overtaken(case, request):
                    return Response(earlier)
            began_at = run.clock()
            with stopwatch.stage("contain"):
                result = await _contain(
                    run, inputs, decision, recording, bounded=case.timed_out_twice
                )
            annotating = run.start(annotate(run, inputs, result.annotation))
            await record_containment(run, inputs, result, case, began_at)

            # Conclude, with what was found meanwhile.
            if request.operator:
                case = await case.reload()
                if earlier := await overtaken(case, request, result.status):
                    await annotating
                    return Response(earlier)
            with stopwatch.stage("evidence"):
                evidence = await _evidence(run, inputs, case, supporting)
            result = with_cut_list(result, evidence.revisions)
            outcome = await conclude(
                run, inputs, result, evidence, case, timings_ms=stopwatch.timings_ms
            )

            # Publish, where the request is about an incident.
            if not request.publishes:
                await annotating
                return Response(outcome, alarm=result.alarm, contained_at=result.verified_at)
            return await publish(
                run,
                case,
                outcome,
                run.redactor(evidence),
                listed=inputs.scc_record,
                alarm=result.alarm,
                contained_at=result.verified_at,
                annotating=annotating,
            )


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a request would do, for a person to confirm.

    Attributes:
        inputs: What was read.
        decision: What was decided.
        redactor: Redacts with all secrets that were read.
    """

    inputs: Inputs
    decision: Decision
    redactor: Redactor

    @property
    def changes(self) -> tuple[Change, ...]:
        """The changes that would be written."""
        return self.decision.changes

    @property
    def reasons(self) -> tuple[str, ...]:
        """Reasons of the decision, redacted."""
        return tuple(self.redactor.text(reason.text) for reason in self.decision.reasons)

    @property
    def already_contained(self) -> bool:
        """Whether the incident is contained, still in effect, and nothing is left to write."""
        outcome = self.inputs.incident_case_file.newest_outcome
        contained = outcome is not None and outcome.status is Status.CONTAINED
        return contained and self.decision.finishes and not self.changes


async def propose(process: Process, request: Request) -> Proposal:
    """What :func:`respond` would do now. Writes nothing.

    Raises:
        As :func:`respond`.
    """
    async with _run(process, request) as run:
        inputs = await gather(run, request, read_policy(run))
        decision = assess(run, inputs)
        await require_permitted(run, inputs, decision)
        return Proposal(inputs, decision, run.redactor(inputs.evidence))


async def _answer_on_record(
    process: Process, inputs: Inputs, case: CaseFile, *, waited: bool
) -> Response | None:
    """The answer where an outcome is on record: a duplicate, or what is left of publishing it."""
    request = inputs.request
    if not request.publishes or (request.operator and case.done):
        return None
    if case.done:
        return await answer_duplicate(case, case.done, process)
    if case.concluded is None:
        return None
    if not (waited or request.operator) and await case.wait_for_peer(process.peer_wait):
        return await respond(process, request, waited=True)
    async with working(process, inputs, case):
        return await publish(
            process,
            case,
            case.concluded,
            process.redactor(inputs.evidence),
            listed=inputs.scc_record,
            alarm=case.alarm,
            contained_at=case.contained_at,
            annotating=annotate(process, inputs, missing_annotation(inputs)),
        )


@contextlib.asynccontextmanager
async def _run(process: Process, request: Request) -> AsyncIterator[Process]:
    """A run: within the budget, with caches of its own, and its errors redacted."""
    deadline = asyncio.get_running_loop().time() + INCIDENT_BUDGET.total_seconds()
    run = process.for_run(deadline=deadline)
    try:
        async with asyncio.timeout_at(deadline):
            yield run
    except TimeoutError as error:
        raise Retry(
            f"cannot finish incident {request.incident}: it took longer than"
            f" {INCIDENT_BUDGET.total_seconds():g} s; a redelivery continues"
        ) from error
    except IncidentError as error:
        redact_error(error, run.redactor(Evidence(request.finding)))
        raise
    finally:
        await run.end()


async def _contain(
    process: Process,
    inputs: Inputs,
    decision: Decision,
    recording: asyncio.Task[None],
    *,
    bounded: bool,
) -> ContainmentResult:
    """Contain as far as the decision says; for a delivery a permanent fault gives ``failed``."""
    request, state = inputs.request, inputs.workload_state
    if decision.failed or state.configuration is None or state.workload is None:
        await recording
        retry_if_write_pending(request.incident, state.history.current, process.clock)
        status = Status.FAILED if decision.failed else Status.HELD
        return ContainmentResult(status, decision, alarm=decision.alarm or decision.failed)
    limit = (INCIDENT_BUDGET / 2).total_seconds() if bounded else None
    try:
        async with asyncio.timeout(limit):
            result = await contain(process, inputs, decision)
    except TimeoutError:
        if not bounded:
            raise
        result = await _result_out_of_time(process, inputs, decision)
    except GiveUp as error:
        if request.writes_or_fails:
            raise
        fresh = await read_workload_state(process, state.workload)
        retry_if_write_pending(request.incident, fresh.history.current, process.clock)
        failed = replace(decision, reasons=(Reason(str(error), "outside"),), changes=())
        result = ContainmentResult(Status.FAILED, failed, alarm=True)
    finally:
        # A store that refuses the record must not cut off a write that is under way.
        (refused,) = await asyncio.gather(recording, return_exceptions=True)
        await _undo_if_released(process, inputs)
    if isinstance(refused, GiveUp):
        reason = Reason(f"the record 'decided' could not be stored: {refused}", "case-file")
        result = replace(result, reasons=(*result.reasons, reason), alarm=True)
    elif isinstance(refused, BaseException):
        raise refused
    if result.status is Status.HELD and request.trigger in (Trigger.APPROVAL, Trigger.CONTAIN):
        raise RequestRefused(refusal_text(process, inputs, result.decision))
    return result


async def _result_out_of_time(
    process: Process, inputs: Inputs, decision: Decision
) -> ContainmentResult:
    """What there is to report of a containment that ran out of time again and again."""
    current = (await read_workload_state(process, inputs.workload)).history.current
    text = "containing it ran out of time, as two deliveries before did"
    decision = replace(decision, reasons=(Reason(text, "time"), *decision.reasons))
    snapshot = current.effective_snapshot if current else None
    if current is None or snapshot is None or inputs.request.incident not in current.incidents:
        return ContainmentResult(Status.FAILED, replace(decision, changes=()), alarm=True)
    changes = tuple(with_state(each, ChangeState.UNVERIFIED, text) for each in snapshot.changes)
    return ContainmentResult(Status.UNVERIFIED, decision, changes, current.folder, alarm=True)


async def _undo_if_released(process: Process, inputs: Inputs) -> None:
    """Undo what the patrol applied again, if a person has begun to release it meanwhile.

    Raises:
        RequestRefused: It was undone.
    """
    current = inputs.history.current
    if not inputs.request.reapplied or current is None:
        return
    records = process.containments(inputs.workload)
    text = await undo_if_released(current.number, records, process.cloud_run)
    if text:
        raise RequestRefused(f"a person is releasing it: the patrol {text}", undone=True)


async def _evidence(
    process: Process, inputs: Inputs, case: CaseFile, supporting: Awaitable[Evidence]
) -> Evidence:
    """The evidence of the decision, completed for the outcome."""
    if not inputs.request.publishes:
        return inputs.evidence
    if case.has_record("done"):
        return replace(inputs.evidence, revisions=await _revisions(process, inputs))
    if case.timed_out_twice:
        return inputs.evidence.with_gap(Gap("evidence", _NOT_COLLECTED))
    evidence = merge_evidence(inputs.evidence, await supporting)
    deadline = _evidence_bounds(inputs.policy).deadline
    return await with_reputation(evidence, process.sources.reputations, deadline)


async def _revisions(process: Process, inputs: Inputs) -> Listing[Template] | None:
    """The service's revisions; their timeouts bound how long requests in flight last."""
    if inputs.workload.kind is not Kind.SERVICE:
        return None
    with contextlib.suppress(IncidentError):
        return await process.sources.workloads.revisions(inputs.workload)
    return None


async def _supporting(
    process: Process,
    request: Request,
    finding: Finding,
    policy: Awaitable[Policy | InvalidPolicy],
) -> Evidence:
    """Gather the evidence that the decision does not wait for, within the policy's bounds."""
    if finding.workload is None or not request.publishes:
        return Evidence(finding)
    bounds = _evidence_bounds(await asyncio.shield(policy))
    sources, now = process.sources, process.clock()
    return await collect_evidence(finding, finding.workload, sources, bounds, now)


def _evidence_bounds(policy: Policy | InvalidPolicy) -> CollectionLimits:
    """The policy's bounds on evidence; the defaults if the policy is invalid."""
    limits = EvidenceBounds() if isinstance(policy, InvalidPolicy) else policy.evidence
    return CollectionLimits(limits.log_window, limits.log_entries, limits.deadline)
