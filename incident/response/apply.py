"""What a person said yes to is done: written, verified, put on record and told.

Contains as a delivery does; what is proposed, and when not, is next door in ``propose``.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace

from incident.actions.before_image import change_json
from incident.actions.redacted import told
from incident.case_file.case_file import CaseFile
from incident.containment import contain
from incident.containment.types import Result
from incident.decision.assess import Judgement
from incident.investigation.collect import Bounds, joined, reputed, support
from incident.model import (
    Evidence,
    IncidentError,
    InvalidPolicy,
    Json,
    JsonObject,
    Kind,
    Mode,
    Reason,
    Status,
    Template,
)
from incident.model.concurrency import together
from incident.policy.schema import EvidenceBounds
from incident.redaction.errors import told_error
from incident.report.outcome import Account, taken_up
from incident.response import approvals
from incident.response.approvals import APPROVED, Refused
from incident.response.conclude import Conclusion, contained, decided, drained, received
from incident.response.context import Answer
from incident.response.propose import Proposal, case_of, refusal
from incident.response.session import Bench
from incident.response.update import carry_on


async def carry_out(proposal: Proposal) -> JsonObject:
    """Do what was proposed, verify it, and tell the incident's outcome.

    That the person said yes is on record before anything is written. Whoever is interrupted
    does it again: what was written is found and told, and nothing is written twice.

    Raises:
        Refused: It was not done: policy, guards or workload have changed at the last moment.
        Retry: Time may heal it.
        GiveUp: Something cannot be read.
    """
    bench, judged = proposal.bench, proposal.judged
    case = judged.core.enforced
    try:
        if case.concluded and not case.done:
            return await _finish(proposal, case.concluded, alarm=case.alarm)
        await _record_yes(proposal)
        if case.done is None:
            return await _respond(proposal)
        if earlier := await _settled_meanwhile(proposal):
            return earlier
        result = await _contain(proposal)
        evidence = replace(judged.evidence, revisions=await _revisions(bench, judged))
        return await _tell(proposal, result, evidence)
    except IncidentError as error:
        told_error(error, bench.redactor(judged.evidence))
        raise
    finally:
        await proposal.close()


async def _record_yes(proposal: Proposal) -> None:
    """Record who said yes to which plan, before anything is written.

    To a closed plan nobody says yes any more: what was begun is only finished.
    """
    case, who = proposal.judged.core.enforced, proposal.attendance
    if who.plan and who.plan.closed:
        return
    plan = who.plan.changes if who.plan else proposal.changes
    shown = [told(change, proposal.hide) for change in plan]
    body: dict[str, Json] = {
        "by": who.by,
        "plan": approvals.digest(shown),
        "changes": [change_json(change) for change in shown],
    }
    if case.done is not None:
        last = max(record.number for record in case.earlier)
        await case.journal.append(last, APPROVED, body)
        return
    if not case.earlier:
        await case.begin({**received(proposal.bench.claim), "by": who.by})
    await case.note("decided", decided(proposal.judged, proposal.hide))
    await case.note(APPROVED, body)


async def _settled_meanwhile(proposal: Proposal) -> JsonObject | None:
    """What an approved incident has come to since it was read: by another approver, or in time.

    Raises:
        Refused: The plan was given up meanwhile.
    """
    before = proposal.case
    now = case_of(before.incident, await proposal.judged.core.enforced.read_again())
    if proposal.attendance.plan is None or approvals.waiting(now):
        return None
    if now.status == Status.EXPIRED:
        raise Refused(
            f"cannot approve {now.incident}: its plan has expired at this moment. Run"
            f" `python cli.py contain {now.incident}` for a fresh plan"
        )
    return now.outcome


async def _contain(proposal: Proposal) -> Result:
    bench, judged = proposal.bench, proposal.judged
    result = await contain.contain(bench.scene(judged), bench.tools(judged))
    if result.status is Status.HELD:
        told = replace(judged, decision=result.decision)
        verb = "approve" if proposal.attendance.plan else "contain"
        raise Refused(refusal(replace(proposal, judged=told), verb))
    return result


async def _respond(proposal: Proposal) -> JsonObject:
    """Where the incident was only rehearsed so far: everything that a delivery would do."""
    bench, judged = proposal.bench, proposal.judged
    case, finding, place = judged.core.enforced, judged.evidence.finding, judged.core.place
    policy = judged.core.policy
    assert place.workload is not None  # noqa: S101 - something is contained
    given = EvidenceBounds() if isinstance(policy, InvalidPolicy) else policy.evidence
    bounds = Bounds(given.log_window, given.log_entries, given.deadline)
    now = bench.standing.clock()
    result, found = await together(
        _contain(proposal), support(finding, place.workload, bench.sources, bounds, now)
    )
    await case.note("contained", contained(result, bench.redactor(judged.evidence)))
    told = _attributed(proposal, result, await case.read_again())
    evidence = await reputed(joined(judged.evidence, found), bench.reputations, bounds.deadline)
    outcome = await _conclusion(bench).settle(case, judged, evidence, told, {})
    return await _finish(proposal, outcome, alarm=result.alarm)


async def _finish(proposal: Proposal, outcome: JsonObject, *, alarm: bool) -> JsonObject:
    """Tell everybody and be done; of several who finish at once, what the first one said."""
    core = proposal.judged.core
    case = await core.enforced.read_again()
    conclusion, hide = _conclusion(proposal.bench), proposal.hide
    settled = Answer(outcome, alarm=alarm)
    answer = await conclusion.tell(case, settled, core.record, hide)
    return (await case.read_again()).done or answer.outcome


async def _tell(proposal: Proposal, result: Result, evidence: Evidence) -> JsonObject:
    """Carry the incident on from the outcome that it had."""
    bench = proposal.bench
    file = await proposal.judged.core.enforced.read_again()
    now = case_of(bench.claim.incident_id, file)
    if proposal.attendance.plan and now.outcome and now.status == result.status:
        return now.outcome  # of two who approve at once, one has told it
    attributed = _attributed(proposal, result, file)
    decision = replace(
        attributed.decision, reasons=attributed.decision.reasons + attributed.reasons
    )
    if proposal.attendance.plan:
        decision = replace(decision, mode=Mode.APPROVE)
    account = Account(
        incident=now.incident,
        status=result.status,
        decision=decision,
        evidence=evidence,
        changes=result.changes,
        folder=result.folder,
        drains_until=drained(result.stopped_at, evidence),
    )
    hide = bench.redactor(evidence)
    told = taken_up(now.outcome or {}, account, hide)
    last = max(record.number for record in file.earlier)
    return await carry_on(file.folder, told, bench.books, bench.outside, hide, after=last)


def _attributed(proposal: Proposal, result: Result, file: CaseFile) -> Result:
    """The result with the names of all who said yes since the incident's last outcome."""
    told = (r.number for r in file.earlier if "outcome" in r.body)
    last = max(told, default=0)
    yes = [r for r in file.earlier if r.kind == APPROVED and r.number > last]
    names = dict.fromkeys(str(record.body.get("by")) for record in yes)
    verb = "approved" if proposal.attendance.plan else "contained by hand"
    reason = Reason(f"{verb} by {' and '.join(names) or proposal.attendance.by}", "person")
    reasons = (reason, *result.decision.reasons)
    return replace(result, decision=replace(result.decision, reasons=reasons))


async def _revisions(bench: Bench, judged: Judgement) -> tuple[Template, ...] | None:
    """The revisions, whose timeouts tell how long requests in flight may live on."""
    workload = judged.core.place.workload
    if workload is None or workload.kind is not Kind.SERVICE:
        return None
    with contextlib.suppress(IncidentError):
        return await bench.seen.revisions(workload)
    return None


def _conclusion(bench: Bench) -> Conclusion:
    return Conclusion(bench.claim.incident_id, bench.standing, bench.outside)
