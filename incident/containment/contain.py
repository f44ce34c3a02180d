"""Carries a decision out as far as its mode goes: the only stage that reads the mode.

What enforcing does is next door, in ``enforce``; what a dry run does instead, in ``rehearse``.
"""

from __future__ import annotations

from incident.containment.enforce import Enforcement, already_in_effect
from incident.containment.peers import retry_if_write_pending
from incident.containment.types import ContainmentRequest, ContainmentResult, ContainmentTools
from incident.containment.validate import validate_change
from incident.model import Mode, Status, Verdict


async def contain_workload(
    request: ContainmentRequest, tools: ContainmentTools
) -> ContainmentResult:
    """Carry the decision out, as far as its mode goes.

    Raises:
        Retry: Time may heal it; whatever was written is on record, and a redelivery goes on.
        GiveUp: The store or the workload cannot be used.
    """
    decision = request.decision
    if decision.enforces:
        return await Enforcement(request, tools).enforce()
    retry_if_write_pending(request.incident, request.history.current, tools.clock)
    if decision.verdict is not Verdict.CONTAIN:
        return ContainmentResult(Status.HELD, decision, alarm=decision.alarm)
    if not decision.changes:
        return already_in_effect(decision)
    if decision.mode is Mode.APPROVE:
        return ContainmentResult(Status.AWAITING_APPROVAL, decision, decision.changes)
    validated = [
        await validate_change(change, request.workload, tools.cloud_run)
        for change in decision.changes
    ]
    return ContainmentResult(Status.PLANNED, decision, tuple(validated))
