"""Conclude an incident: make its outcome of what was found and done, and record it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from incident.case_file.case_file import CaseFile, store_evidence
from incident.containment.containment_result import ContainmentResult
from incident.decision.inputs import Inputs
from incident.decision.process import Process
from incident.decision.request import Request, Trigger
from incident.model import (
    Decision,
    Evidence,
    Finding,
    Gap,
    InvalidPolicy,
    Kind,
    Mode,
    Reason,
    Route,
    Status,
    Verdict,
)
from incident.model.concurrency import compute
from incident.model.outcome import Outcome
from incident.report.activity import COLLECTOR_PREFIX
from incident.report.outcome import OutcomeParts, build_outcome, resumed_outcome
from incident.response.playbook import read_playbook
from incident.response.records import APPROVED
from incident.response.response import Response


async def conclude(  # noqa: PLR0913 - what every step before has found
    process: Process,
    inputs: Inputs,
    result: ContainmentResult,
    evidence: Evidence,
    case: CaseFile,
    *,
    timings_ms: Mapping[str, float],
) -> Outcome:
    """Make the outcome of what was done.

    A first one is recorded with the evidence; the first writer wins. A later one continues the
    one before it, and is recorded once it is published.

    Returns:
        The outcome; of a first one the stored outcome.

    Raises:
        Retry: The store does not answer.
    """
    request, redactor, began_at = inputs.request, process.redactor(evidence), process.clock()
    decision = _attributed(request, result, case)
    policy = inputs.policy
    url = "" if isinstance(policy, InvalidPolicy) else policy.playbook
    named = await read_playbook(process.policy, url)
    if named.problem:
        evidence = evidence.with_gap(Gap("playbook", named.problem))
    parts = _parts(
        process, inputs, replace(result, decision=decision), evidence, case, timings_ms=timings_ms
    )
    parts = replace(parts, playbook=named.playbook, playbook_url=named.url)
    if not request.publishes:
        return await compute(build_outcome, parts, redactor)
    if case.has_record("done"):
        return await _later_outcome(case, request, parts, process)
    left_out = await store_evidence(case, evidence, redactor)
    if left_out:
        parts = replace(parts, evidence=replace(evidence, gaps=(*evidence.gaps, *left_out)))
    # Redacting megabytes must not block the other incidents on this loop.
    outcome = await compute(build_outcome, parts, redactor)
    name = evidence.finding.filed_name
    filed_name = name if evidence.confirmed else case.finding or name
    return await case.conclude(outcome, filed_name, alarm=result.alarm, began_at=began_at)


async def _later_outcome(
    case: CaseFile, request: Request, parts: OutcomeParts, process: Process
) -> Outcome:
    earlier = case.newest_outcome
    assert earlier is not None  # noqa: S101 - the incident is done
    plan = request.operator.recorded_plan if request.operator else None
    if plan:
        parts = replace(parts, decision=replace(parts.decision, mode=Mode.APPROVE))
    return await compute(resumed_outcome, earlier, parts, process.redactor(parts.evidence))


def _parts(  # noqa: PLR0913 - what every step before has found
    process: Process,
    inputs: Inputs,
    result: ContainmentResult,
    evidence: Evidence,
    case: CaseFile,
    *,
    timings_ms: Mapping[str, float],
) -> OutcomeParts:
    responder = inputs.route.responder
    return OutcomeParts(
        incident=inputs.request.incident,
        status=result.status,
        decision=replace(result.decision, reasons=result.decision.reasons + result.reasons),
        evidence=evidence,
        responder=responder,
        assessment=responder.assess(evidence) if responder else None,
        changes=result.changes,
        containment_folder=result.containment_folder or _own_containment_folder(inputs),
        drains_until=drain_deadline(result.stopped_at, evidence),
        starts_until=result.starts_until,
        approval_expires=_approval_expires(process, inputs, result),
        timings_ms={
            **{f"{COLLECTOR_PREFIX}{name}": ms for name, ms in evidence.durations_ms},
            **timings_ms,
        },
        case_file=f"{process.store_url}/{case.folder}",
        policy_url=process.policy.url,
        simulated=process.simulated,
    )


def _attributed(request: Request, result: ContainmentResult, case: CaseFile) -> Decision:
    """The decision with the names of all who approved since the last outcome."""
    operator, decision = request.operator, result.decision
    if operator is None or request.trigger not in (Trigger.APPROVAL, Trigger.CONTAIN):
        return decision
    records = case.known_records
    last = max((r.number for r in records if "outcome" in r.body), default=0)
    approvals = [r for r in records if r.kind == APPROVED and r.number > last]
    names = dict.fromkeys(str(record.body.get("by")) for record in approvals)
    verb = "approved" if operator.recorded_plan else "contained manually"
    reason = Reason(f"{verb} by {' and '.join(names) or operator.by}", "person")
    return replace(decision, reasons=(reason, *decision.reasons))


def _approval_expires(
    process: Process, inputs: Inputs, result: ContainmentResult
) -> datetime | None:
    """When a plan that waits for approval from now on expires; None if no plan waits."""
    policy = inputs.policy
    if result.status is not Status.AWAITING_APPROVAL or isinstance(policy, InvalidPolicy):
        return None
    return process.clock() + policy.approval_lifetime


def _own_containment_folder(inputs: Inputs) -> str | None:
    """The current containment's folder, if this incident is part of it."""
    current = inputs.history.current
    included = current is not None and inputs.request.incident in current.incidents
    return current.folder if current and included else None


def drain_deadline(stopped_at: datetime | None, evidence: Evidence) -> datetime | None:
    """When the last request in flight at the stop has ended; None unless it is a service."""
    if stopped_at is None or evidence.configuration is None:
        return None
    if evidence.configuration.kind is not Kind.SERVICE:
        return None
    return stopped_at + timedelta(seconds=evidence.longest_request_s)


def ignored_response(
    process: Process, finding: Finding, request: Request, route: Route
) -> Response:
    """Response to a notification that is out of scope; nothing is stored."""
    decision = Decision(Verdict.IGNORE, (Reason(route.reason, "finding"),), Mode.DRY_RUN, rule=None)
    parts = OutcomeParts(
        request.incident,
        Status.IGNORED,
        decision,
        Evidence(finding),
        simulated=process.simulated,
    )
    return Response(build_outcome(parts, process.redactor(Evidence(finding))))
