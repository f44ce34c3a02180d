"""Trigger drift: apply a containment again that somebody has undone.

It is decided and written as for a new finding, within the policy's ``reapply_limit`` besides.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from incident.actions.snapshot import Snapshot
from incident.case_file.containments import Containment
from incident.case_file.index import CaseFileIndex
from incident.case_file.paths import reapplications_folder
from incident.decision.guards import Operator
from incident.decision.limits import ReapplyLimit
from incident.decision.process import Process
from incident.decision.request import Request, Trigger
from incident.model import Finding, GiveUp, Notification, Retry, Status
from incident.response.pipeline import respond
from incident.response.refusals import RequestRefused
from incident.response.reopen import reopen_claim

#: The finding was young enough when it was contained; its age does not matter any more.
PATROL_OPERATOR = Operator(by="patrol", waived_guards=frozenset({"within_max_age"}))
_MAX_FINDINGS = 3


@dataclass(frozen=True, slots=True)
class ReapplyResult:
    """The result of a re-application.

    Attributes:
        status: What containing came to; None where it was not tried, or held.
        text: The same, or why it was not tried, for people.
        undone_for_release: Whether our own write was undone because a release had begun.
    """

    status: Status | None
    text: str
    undone_for_release: bool = False


async def reapply(
    process: Process, containment: Containment, snapshot: Snapshot, limit: int
) -> ReapplyResult:
    """Contain the workload of a reverted containment again, if policy and guards allow it.

    Args:
        process: What holds for this process.
        containment: What was undone.
        snapshot: The snapshot of the write that was undone; its incident is reopened.
        limit: The policy's ``reapply_limit``, read a moment ago.

    Raises:
        Retry: Time may heal it.
        GiveUp: It will not.
    """
    journal = process.journal(reapplications_folder(containment.folder))
    if refusal := await ReapplyLimit(journal).refusal(limit):
        return ReapplyResult(None, refusal)
    others = sorted(containment.incidents - {snapshot.incident}, reverse=True)
    finding, why = await _reopened(process, (snapshot.incident, *others)[:_MAX_FINDINGS])
    if finding is None:
        return ReapplyResult(None, why)
    route = process.route(Notification(replace(finding, mute=""), deleted=False))
    request = Request(Trigger.DRIFT, finding, route, PATROL_OPERATOR, reapplied=containment.folder)
    try:
        outcome = (await respond(process, request)).outcome
    except RequestRefused as error:
        return ReapplyResult(None, str(error), undone_for_release=error.undone)
    if outcome.status is Status.HELD:
        return ReapplyResult(None, "; ".join(outcome.decision.reasons))
    return ReapplyResult(outcome.status, f"applied again: {outcome.status.value}")


async def _reopened(process: Process, incidents: Iterable[str]) -> tuple[Finding | None, str]:
    """The finding of the first incident that can be reopened, or why none can."""
    why = "no incident refers to it"
    for incident in incidents:
        try:
            summary = await CaseFileIndex(process.store).get(incident)
            return await reopen_claim(summary, process.security_center), ""
        except Retry:
            raise
        except GiveUp as error:
            why = str(error)
    return None, why
