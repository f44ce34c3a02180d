"""Apply a plan that an operator approved or requested; record and publish the result.

Contains as a delivery does. ``propose`` makes the proposal and refuses it.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace

from incident.actions.changes import change_json, redact_change
from incident.case_file.case_file import CaseFile
from incident.containment.contain import contain_workload
from incident.containment.request_and_result import ContainmentResult
from incident.containment.result import with_cut_list
from incident.decision.assess import AssessedIncident
from incident.investigation.collect import (
    CollectionLimits,
    collect_evidence,
    merge_evidence,
    with_reputation,
)
from incident.model import (
    Evidence,
    IncidentError,
    InvalidPolicy,
    Json,
    Kind,
    Listing,
    Mode,
    Reason,
    Status,
    Template,
)
from incident.model.concurrency import gather_all
from incident.model.outcome import Outcome
from incident.policy.schema import EvidenceBounds
from incident.redaction.redactor import redact_error
from incident.report.outcome import OutcomeParts, resumed_outcome
from incident.response import approvals
from incident.response.approvals import APPROVED, RequestRefused
from incident.response.conclude import Concluder, drain_deadline, publish_update
from incident.response.context import DeliveryResult
from incident.response.finish_run import record_logged
from incident.response.incident_session import IncidentSession
from incident.response.propose import Proposal, case_summary, refusal_text
from incident.response.records import containment_record, decision_record, received_record


async def apply_proposal(proposal: Proposal) -> Outcome:
    """Write the proposed changes, verify them, and publish the incident's outcome.

    The approval is recorded before anything is written. After an interruption, apply it again:
    what was written is found and verified, and nothing is written twice.

    Returns:
        The incident's outcome.

    Raises:
        RequestRefused: Policy, guards or workload changed at the last moment.
        Retry: A service does not answer; try again later.
        GiveUp: Something cannot be read.
    """
    session, assessed = proposal.session, proposal.assessed
    case = assessed.inputs.incident_case_file
    try:
        if case.concluded and not case.done:
            return await _publish_outcome(proposal, case.concluded, alarm=case.alarm)
        await _record_approval(proposal)
        if case.done is None:
            return await _contain_and_conclude(proposal)
        if earlier := await _concluded_meanwhile(proposal):
            return earlier
        result = await _contain(proposal)
        evidence = replace(assessed.evidence, revisions=await _revisions(session, assessed))
        return await _update_outcome(proposal, result, evidence)
    except IncidentError as error:
        redact_error(error, session.redactor(assessed.evidence))
        raise
    finally:
        await proposal.close()


async def _record_approval(proposal: Proposal) -> None:
    """Record who approved which plan, before anything is written.

    An expired plan is not approved again; only what was begun is finished.
    """
    case, operator = proposal.assessed.inputs.incident_case_file, proposal.operator
    if operator.recorded_plan and operator.recorded_plan.expired:
        return
    plan = operator.recorded_plan.changes if operator.recorded_plan else proposal.changes
    shown = [redact_change(change, proposal.redactor) for change in plan]
    body: dict[str, Json] = {
        "by": operator.by,
        "plan": approvals.plan_digest(shown),
        "changes": [change_json(change) for change in shown],
    }
    if case.done is not None:
        last = max(record.number for record in case.known_records)
        await case.journal.append(last, APPROVED, body)
        return
    if not case.known_records:
        await case.begin({**received_record(proposal.session.claim), "by": operator.by})
    await case.add_record("decided", decision_record(proposal.assessed, proposal.redactor))
    await case.add_record(APPROVED, body)


async def _concluded_meanwhile(proposal: Proposal) -> Outcome | None:
    """The outcome that another approver recorded since the case file was read, if any.

    Raises:
        RequestRefused: The plan expired meanwhile.
    """
    before = proposal.case
    now = case_summary(before.incident, await proposal.assessed.inputs.incident_case_file.reload())
    if proposal.operator.recorded_plan is None or approvals.awaits_approval(now):
        return None
    if now.status == Status.EXPIRED:
        raise RequestRefused(
            f"cannot approve {now.incident}: its plan has just expired. Run"
            f" `cloud-run-responder contain {now.incident}` for a fresh plan"
        )
    return now.outcome


async def _contain(proposal: Proposal) -> ContainmentResult:
    session, assessed = proposal.session, proposal.assessed
    result = await contain_workload(
        session.containment_request(assessed), session.containment_tools(assessed)
    )
    if result.status is Status.HELD:
        refreshed = replace(assessed, decision=result.decision)
        verb = "approve" if proposal.operator.recorded_plan else "contain"
        raise RequestRefused(refusal_text(replace(proposal, assessed=refreshed), verb))
    return result


async def _contain_and_conclude(proposal: Proposal) -> Outcome:
    """Contain an incident that has no outcome yet, as a delivery would."""
    session, assessed = proposal.session, proposal.assessed
    case, finding, state = (
        assessed.inputs.incident_case_file,
        assessed.evidence.finding,
        assessed.inputs.workload_state,
    )
    policy = assessed.inputs.policy
    assert state.workload is not None  # noqa: S101 - a decision to contain has one
    given = EvidenceBounds() if isinstance(policy, InvalidPolicy) else policy.evidence
    bounds = CollectionLimits(given.log_window, given.log_entries, given.deadline)
    now = session.context.clock()
    result, found = await gather_all(
        _contain(proposal), collect_evidence(finding, state.workload, session.sources, bounds, now)
    )
    await case.add_record(
        "contained", containment_record(result, session.redactor(assessed.evidence))
    )
    evidence = await with_reputation(
        merge_evidence(assessed.evidence, found), session.reputations, bounds.deadline
    )
    result = with_cut_list(result, evidence.revisions)
    attributed = _with_operators(proposal, result, await case.reload())
    outcome = await _concluder(session).record_outcome(case, assessed, evidence, attributed, {})
    return await _publish_outcome(proposal, outcome, alarm=result.alarm)


async def _publish_outcome(proposal: Proposal, outcome: Outcome, *, alarm: bool) -> Outcome:
    """Publish the outcome and finish. The first writer wins; returns the stored outcome."""
    inputs = proposal.assessed.inputs
    case = await inputs.incident_case_file.reload()
    concluder, redactor = _concluder(proposal.session), proposal.redactor
    settled = DeliveryResult(outcome, alarm=alarm)
    answer = await concluder.publish_outcome(case, settled, inputs.scc_record, redactor)
    # The person reads the outcome where the command runs, so it needs no log line.
    await record_logged(case.journal.store, answer)
    return (await case.reload()).done or answer.outcome


async def _update_outcome(
    proposal: Proposal, result: ContainmentResult, evidence: Evidence
) -> Outcome:
    """Publish a new outcome that continues the incident's earlier one."""
    session = proposal.session
    file = await proposal.assessed.inputs.incident_case_file.reload()
    now = case_summary(session.claim.incident_id, file)
    if proposal.operator.recorded_plan and now.outcome and now.status == result.status:
        return now.outcome  # another approver has published it
    attributed = _with_operators(proposal, result, file)
    decision = replace(
        attributed.decision, reasons=attributed.decision.reasons + attributed.reasons
    )
    if proposal.operator.recorded_plan:
        decision = replace(decision, mode=Mode.APPROVE)
    parts = OutcomeParts(
        incident=now.incident,
        status=result.status,
        decision=decision,
        evidence=evidence,
        changes=result.changes,
        containment_folder=result.containment_folder,
        drains_until=drain_deadline(result.stopped_at, evidence),
        starts_until=result.starts_until,
    )
    redactor = session.redactor(evidence)
    updated = resumed_outcome(now.outcome or Outcome(result.status), parts, redactor)
    last = max(record.number for record in file.known_records)
    return await publish_update(
        file.folder, updated, session.records, session.ports, redactor, after=last
    )


def _with_operators(
    proposal: Proposal, result: ContainmentResult, file: CaseFile
) -> ContainmentResult:
    """The result with the names of all operators who approved since the last outcome."""
    outcome_numbers = (r.number for r in file.known_records if "outcome" in r.body)
    last = max(outcome_numbers, default=0)
    approvals_given = [r for r in file.known_records if r.kind == APPROVED and r.number > last]
    names = dict.fromkeys(str(record.body.get("by")) for record in approvals_given)
    verb = "approved" if proposal.operator.recorded_plan else "contained manually"
    reason = Reason(f"{verb} by {' and '.join(names) or proposal.operator.by}", "person")
    reasons = (reason, *result.decision.reasons)
    return replace(result, decision=replace(result.decision, reasons=reasons))


async def _revisions(
    session: IncidentSession, assessed: AssessedIncident
) -> Listing[Template] | None:
    """The service's revisions; their timeouts bound how long requests in flight last."""
    workload = assessed.inputs.workload_state.workload
    if workload is None or workload.kind is not Kind.SERVICE:
        return None
    with contextlib.suppress(IncidentError):
        return await session.cloud_run_reader.revisions(workload)
    return None


def _concluder(session: IncidentSession) -> Concluder:
    return Concluder(session.claim.incident_id, session.context, session.ports)
