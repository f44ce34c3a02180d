"""Plans that wait for a person: read back, and given up when nobody approves them in time.

Applying one does not belong here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from datetime import datetime, timedelta

from incident.actions.before_image import change_json
from incident.actions.recorded_plan import Recorded, recorded_of
from incident.case_file.index import Case
from incident.decision.inputs import Books
from incident.model import Change, GiveUp, JsonObject, Status
from incident.policy.resolve import Policy
from incident.redaction.redactor import Redactor
from incident.report.outcome import expired
from incident.response.context import Outside
from incident.response.update import carry_on

APPROVED = "approved"
#: Whoever has approved may be at work so long; nobody gives the plan up meanwhile.
_AT_WORK = timedelta(minutes=10)


class Refused(GiveUp):
    """What a person asked for is not done as things are; the message says why."""


def waiting(case: Case) -> bool:
    """Whether the incident's plan waits for a person."""
    return case.status == Status.AWAITING_APPROVAL


def plan_of(case: Case) -> Recorded:
    """The plan that waits, exactly as it was made.

    Raises:
        Refused: It cannot be read back.
    """
    try:
        return recorded_of(case.outcome)
    except (KeyError, TypeError, ValueError) as error:
        raise Refused(
            f"cannot approve {case.incident}: its recorded plan cannot be read back exactly"
            f" ({error!r}). Run `python cli.py contain {case.incident}` for a fresh plan"
        ) from error


def planned_at(case: Case) -> datetime | None:
    """Since when the plan waits: the first record that says so."""
    times = (
        record.recorded_at
        for record in case.records
        if (told := record.body.get("outcome")) and isinstance(told, dict)
        if told.get("status") == Status.AWAITING_APPROVAL
    )
    return min(times, default=None)


def stale(case: Case, policy: Policy, now: datetime) -> bool:
    """Whether the plan has waited longer than the policy allows, and nobody is applying it."""
    since = planned_at(case)
    if not waiting(case) or since is None or now - since <= policy.approval_expires:
        return False
    given = (record.recorded_at for record in case.records if record.kind == APPROVED)
    return all(now - at > _AT_WORK for at in given)


async def expire(
    case: Case, policy: Policy, books: Books, outside: Outside, hide: Redactor
) -> JsonObject | None:
    """Give up a stale plan; None when a write for it was begun, which is to be told instead.

    Somebody may approve it at this moment. The record takes the next number after those that
    were seen, so that what the approval comes to is newer, and is what counts.

    Raises:
        Retry: The store or the topic does not answer.
        GiveUp: A record cannot be read.
    """
    workload = case.workload
    if workload is None or case.outcome is None:
        return None
    history = await books.custody(workload).history()
    images = (image for containment in history.containments for image in containment.images)
    if any(image.incident == case.incident for image in images):
        return None
    hours = policy.approval_expires.total_seconds() / 3600
    told = expired(case.outcome, f"nobody approved the plan within {hours:g} h, the policy's limit")
    last = max(record.number for record in case.records)
    return await carry_on(case.folder, told, books, outside, hide, after=last)


def digest(changes: Iterable[Change]) -> str:
    """Names a plan: the same for the same changes, however far they have come.

    Of changes as they may be told: a digest of a secret lets guesses be tested.
    """
    exact = [{**change_json(change), "state": None, "error": None} for change in changes]
    return hashlib.sha256(json.dumps(exact, sort_keys=True).encode()).hexdigest()
