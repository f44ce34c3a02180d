"""Pending approvals: read the recorded plan, detect and expire stale ones.

``apply`` applies a plan.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from datetime import datetime, timedelta

from incident.actions import recorded_plan as plans
from incident.actions.changes import change_json
from incident.actions.recorded_plan import RecordedPlan
from incident.case_file.index import CaseSummary
from incident.decision.inputs import Records
from incident.model import Change, GiveUp, Status
from incident.model.outcome import Outcome
from incident.policy.resolve import Policy
from incident.redaction.redactor import Redactor
from incident.report.outcome_updates import expired_outcome
from incident.response.conclude import publish_update
from incident.response.context import Ports

APPROVED = "approved"
#: How long applying an approved plan may take; the plan does not expire meanwhile.
_APPLY_GRACE = timedelta(minutes=10)


class RequestRefused(GiveUp):
    """An operator's request was refused; the message says why."""


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
    if not awaits_approval(case) or since is None or now - since <= policy.approval_expires:
        return False
    approved_at = (record.recorded_at for record in case.records if record.kind == APPROVED)
    return all(now - at > _APPLY_GRACE for at in approved_at)


async def expire_approval(
    case: CaseSummary, policy: Policy, records: Records, ports: Ports, redactor: Redactor
) -> Outcome | None:
    """Expire a stale plan and publish the outcome ``expired``.

    Somebody may approve the plan at this moment. The record takes the next number after those
    that were read, so that the result of the approval is newer and takes precedence.

    Returns:
        The outcome; None if a write for the plan was begun, which has to be finished instead.

    Raises:
        Retry: The store or the topic does not answer.
        GiveUp: A record cannot be read.
    """
    workload = case.workload
    if workload is None or case.outcome is None:
        return None
    history = await records.containments(workload).history()
    snapshots = (
        snapshot for containment in history.containments for snapshot in containment.snapshots
    )
    if any(image.incident == case.incident for image in snapshots):
        return None
    hours = policy.approval_expires.total_seconds() / 3600
    outcome = expired_outcome(
        case.outcome, f"nobody approved the plan within {hours:g} h, the policy's limit"
    )
    last = max(record.number for record in case.records)
    return await publish_update(case.folder, outcome, records, ports, redactor, after=last)


def plan_digest(changes: Iterable[Change]) -> str:
    """Digest that identifies a plan, whatever the state of its changes.

    Pass redacted changes: with the digest of a secret, guesses could be tested.
    """
    exact = [{**change_json(change), "state": None, "error": None} for change in changes]
    return hashlib.sha256(json.dumps(exact, sort_keys=True).encode()).hexdigest()
