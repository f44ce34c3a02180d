"""Plans that waited too long for their approval: they end as ``expired``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from incident.cases import Case
from incident.model import JsonObject, Status
from incident.policy import Policy
from incident.record import DONE

#: Events and the records about them may be told by clocks that differ.
_SLACK = timedelta(days=7)


def stale(case: Case, policy: Policy, now: datetime) -> bool:
    """Whether a plan waits for an approval that may not be given any more.

    One that anybody has taken up, by whatever record after ``done``, is theirs.
    """
    if case.status != Status.AWAITING_APPROVAL or case.records[-1].number > DONE:
        return False
    return now - case.records[-1].recorded_at > policy.approval_expires


def oldest_event(policy: Policy, now: datetime) -> datetime:
    """No plan about an older event still waits: it was expired, or too old to be made."""
    waits = policy.approval_expires + policy.guards.max_finding_age
    return now - waits - _SLACK


def expired(outcome: JsonObject, policy: Policy) -> JsonObject:
    """The outcome of an incident whose plan has expired."""
    decision = outcome.get("decision")
    kept = decision if isinstance(decision, Mapping) else {}
    earlier = kept.get("reasons")
    hours = policy.approval_expires.total_seconds() / 3600
    text = f"nobody approved the plan within {hours:g} h, the policy's limit; nothing was written"
    reasons = [text, *(earlier if isinstance(earlier, list) else ())]
    return {
        **outcome,
        "status": Status.EXPIRED.value,
        "decision": {**kept, "reasons": reasons},
    }
