"""Carry out a decision as far as its mode says: hold, plan, await approval, or enforce."""

from __future__ import annotations

from incident.actions.changes import with_state
from incident.containment.attempt import Attempt
from incident.containment.containment_result import ContainmentResult
from incident.containment.enforce import Enforcement, already_in_effect
from incident.containment.writes_in_flight import retry_if_write_pending
from incident.decision.inputs import Inputs
from incident.decision.process import Process
from incident.model import (
    Change,
    ChangeKind,
    ChangeState,
    Conflict,
    Decision,
    Denied,
    IncidentError,
    Mode,
    Status,
    Verdict,
    Workload,
)
from incident.model.ports import CloudRunPort
from incident.model.retrying import Backoff

_NEVER_VALIDATED = {
    ChangeKind.IAM_POLICY: "an IAM policy",
    ChangeKind.SERVICE_ACCOUNT: "the disabling of a service account",
}
_BACKOFF = Backoff(first_s=0.4, longest_s=1.6, attempts=4)


async def contain(process: Process, inputs: Inputs, decision: Decision) -> ContainmentResult:
    """Carry out the decision, as far as its mode goes.

    Raises:
        Retry: Time may heal it. What was written is recorded; a redelivery goes on from there.
        GiveUp: The store or the workload cannot be used, and nothing was written.
    """
    if decision.enforces:
        return await Enforcement(Attempt(process, inputs, decision)).enforce()
    retry_if_write_pending(inputs.request.incident, inputs.history.current, process.clock)
    if decision.verdict is not Verdict.CONTAIN:
        return ContainmentResult(Status.HELD, decision, alarm=decision.alarm)
    if not decision.changes:
        return already_in_effect(decision)
    if decision.mode is Mode.APPROVE:
        return ContainmentResult(Status.AWAITING_APPROVAL, decision, decision.changes)
    validated = [
        await validate_change(change, inputs.workload, process.cloud_run)
        for change in decision.changes
    ]
    return ContainmentResult(Status.PLANNED, decision, tuple(validated))


async def validate_change(change: Change, workload: Workload, cloud_run: CloudRunPort) -> Change:
    """The change, with the state ``validated``, or ``not-validated`` and why."""
    if change.kind in _NEVER_VALIDATED:
        # These calls have no way to validate: only the permission can be asked about.
        why = f"Google cannot validate {_NEVER_VALIDATED[change.kind]}"
        reason = await _not_validated_reason(why, change, workload, cloud_run)
        return with_state(change, ChangeState.NOT_VALIDATED, reason)
    try:
        # Another change of the workload may be under way.
        await _BACKOFF.retry(lambda: cloud_run.write(change, validate_only=True), on=Conflict)
    except Denied as error:
        reason = await _not_validated_reason(str(error), change, workload, cloud_run)
        return with_state(change, ChangeState.NOT_VALIDATED, reason)
    except IncidentError as error:
        return with_state(change, ChangeState.NOT_VALIDATED, str(error))
    return with_state(change, ChangeState.VALIDATED)


async def _not_validated_reason(
    why: str, change: Change, workload: Workload, cloud_run: CloudRunPort
) -> str:
    try:
        missing = await cloud_run.missing_permissions(workload, change.kind, change.target)
    except IncidentError as error:
        return f"{why}; which permissions enforcing would lack is not known either: {error}"
    if missing:
        return f"not validated: enforcing would lack {', '.join(missing)}. {why}"
    if change.kind in _NEVER_VALIDATED:
        return f"not validated: {why}, but every permission that the write needs is there"
    return (
        "not validated: enforcing would be denied as well, though every permission on the"
        f" {workload.kind} itself is there: one on its runtime service account or on its image's"
        f" repository is lacking. {why}"
    )
