"""Pending approvals: read the recorded plan, detect and expire stale ones.

``apply`` applies a plan.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from incident.actions import recorded_plan as plans
from incident.actions.action import Steps
from incident.actions.recorded_plan import RecordedPlan
from incident.case_file.case_file import CaseFile
from incident.case_file.index import CaseSummary
from incident.decision.guards import Operator, approving_operator, containing_operator
from incident.decision.process import Process, read_policy
from incident.decision.request import Request, Trigger
from incident.model import InvalidPolicy, Notification, Status
from incident.model.outcome import Outcome
from incident.policy.resolve import Policy
from incident.report.outcome_updates import expired_outcome
from incident.response.publish import publish
from incident.response.records import APPROVED
from incident.response.refusals import RequestRefused, not_waiting_text
from incident.response.reopen import reopen_claim
from incident.response.response import Response

#: How long applying an approved plan may take; the plan does not expire meanwhile.
_APPLY_GRACE = timedelta(minutes=10)


def awaits_approval(case: CaseSummary) -> bool:
    """Whether the incident's plan waits for approval."""
    return case.status == Status.AWAITING_APPROVAL


def recorded_plan(case: CaseSummary) -> RecordedPlan:
    """The plan that waits for approval, exactly as it was recorded.

    Raises:
        RequestRefused: It cannot be read back.
    """
    try:
        return plans.recorded_plan(case.outcome or Outcome(Status.FAILED))
    except ValueError as error:
        raise RequestRefused(
            f"cannot approve {case.incident}: its recorded plan cannot be read back exactly"
            f" ({error!r}). Run `cloud-run-responder contain {case.incident}` for a fresh plan"
        ) from error


def planned_at(case: CaseSummary) -> datetime | None:
    """When the plan began to wait for approval: the time of the first such record."""
    times = (
        record.recorded_at
        for record in case.records
        if record.outcome and record.outcome.status is Status.AWAITING_APPROVAL
    )
    return min(times, default=None)


def is_stale(case: CaseSummary, policy: Policy, now: datetime) -> bool:
    """Whether the plan waited longer than the policy allows, and nobody is applying it."""
    since = planned_at(case)
    if not awaits_approval(case) or since is None or now - since <= policy.approval_lifetime:
        return False
    approved_at = (record.recorded_at for record in case.records if record.kind == APPROVED)
    return all(now - at > _APPLY_GRACE for at in approved_at)


async def expire_approval(process: Process, case: CaseSummary, policy: Policy) -> Response | None:
    """Expire a stale plan and publish the outcome ``expired``.

    Somebody may approve the plan at this moment. The record takes the next number after those
    that were read, so that the result of the approval is newer and takes precedence.

    Returns:
        The response; None if a write for the plan was begun, which has to be finished instead.

    Raises:
        Retry: The store or the topic does not answer.
        GiveUp: A record cannot be read.
    """
    workload = case.workload
    if workload is None or case.outcome is None:
        return None
    history = await process.containments(workload).history()
    snapshots = (
        snapshot for containment in history.containments for snapshot in containment.snapshots
    )
    if any(image.incident == case.incident for image in snapshots):
        return None
    hours = policy.approval_lifetime.total_seconds() / 3600
    outcome = expired_outcome(
        case.outcome, f"nobody approved the plan within {hours:g} h, the policy's limit"
    )
    file = CaseFile(process.journal(case.folder), case.records)
    return await publish(process, file, outcome, process.redactor(), alarm=True)


async def approval_request(process: Process, case: CaseSummary, by: str) -> Request:
    """The request to apply the recorded plan of an incident.

    A plan that has waited too long expires instead. Where its write was begun, the request
    finishes that, and writes nothing new.

    Raises:
        RequestRefused: The plan cannot be applied; says why.
        Retry: A service does not answer; try again later.
        GiveUp: Something cannot be read.
    """
    if not awaits_approval(case):
        raise RequestRefused(not_waiting_text(case))
    policy = await read_policy(process)
    if isinstance(policy, InvalidPolicy):
        raise RequestRefused(f"cannot approve {case.incident}: {policy}")
    expired = is_stale(case, policy, process.clock())
    if expired and await expire_approval(process.for_run(f"cli {by}"), case, policy):
        raise RequestRefused(
            f"cannot approve {case.incident}: its plan has expired. Run"
            f" `cloud-run-responder contain {case.incident}` for a fresh plan"
        )
    plan = replace(recorded_plan(case), expired=expired)
    return await request_about(process, case, Trigger.APPROVAL, approving_operator(by, plan))


async def finishing_request(process: Process, case: CaseSummary, by: str) -> Request:
    """The request to finish an interrupted approval: nothing is written to the workload.

    For callers other than the approver, such as the patrol. It is refused where nothing of the
    plan is in effect.

    Raises:
        RequestRefused: The plan cannot be read back.
        Retry: A service does not answer; try again later.
        GiveUp: Something cannot be read.
    """
    plan = replace(recorded_plan(case), expired=True)
    return await request_about(process, case, Trigger.APPROVAL, Operator(by, recorded_plan=plan))


async def containment_request(
    process: Process, case: CaseSummary, by: str, steps: Steps = ()
) -> Request:
    """The request to contain an incident's workload with a fresh plan.

    Args:
        process: What holds for this process.
        case: The incident's case file; may be that of a dry run.
        by: The operator.
        steps: Actions that the operator names instead of the policy's.

    Raises:
        Retry: A service does not answer; try again later.
        GiveUp: Something cannot be read.
    """
    return await request_about(process, case, Trigger.CONTAIN, containing_operator(by, steps))


async def request_about(
    process: Process, case: CaseSummary, trigger: Trigger, operator: Operator | None
) -> Request:
    """A request about an incident whose notification is not at hand: its finding, as SCC lists it.

    Raises:
        Retry: SCC does not answer.
        GiveUp: SCC refuses or no longer lists the finding, or the case file does not name it.
    """
    finding = await reopen_claim(case, process.security_center)
    route = process.route(Notification(finding, deleted=False))
    return Request(trigger, finding, route, operator)
