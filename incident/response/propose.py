"""What a person is asked about: the recorded plan of an incident, or a fresh one. Writes nothing.

The same reading and judging as for a delivery; what differs is who stands behind it. How it is
shown and asked does not belong here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from incident.case_file.case_file import CaseFile
from incident.case_file.index import Case
from incident.decision.assess import Judgement
from incident.decision.context import Standing
from incident.decision.guards import Attendance, approving, containing
from incident.decision.inputs import Books
from incident.model import (
    Change,
    IncidentError,
    InvalidPolicy,
    Notification,
    Status,
    Verdict,
)
from incident.policy.resolve import Steps
from incident.redaction.errors import told_error
from incident.redaction.redactor import Redactor
from incident.response import approvals
from incident.response.approvals import Refused
from incident.response.context import Outside
from incident.response.reopen import reopen
from incident.response.session import Bench, read_policy


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a person is asked about.

    Attributes:
        bench: What the incident is worked on with; to be closed.
        judged: What was read and decided.
        attendance: Who asks for it.
    """

    bench: Bench
    judged: Judgement
    attendance: Attendance

    @property
    def changes(self) -> tuple[Change, ...]:
        """What would be written."""
        return self.judged.decision.changes

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why, for a person; redacted."""
        hide = self.hide
        return tuple(hide.text(reason.text) for reason in self.judged.decision.reasons)

    @property
    def hide(self) -> Redactor:
        """Redacts what is told of it."""
        return self.bench.redactor(self.judged.evidence)

    @property
    def case(self) -> Case:
        """The incident's case file among those that may act, as it was read."""
        return case_of(self.bench.claim.incident_id, self.judged.core.enforced)

    @property
    def over(self) -> bool:
        """Whether the incident is contained, in effect, and nothing is left to be written."""
        contained_already = self.case.status == Status.CONTAINED
        return contained_already and self.judged.finishing and not self.changes

    async def close(self) -> None:
        """Stop whatever is still being read."""
        await self.bench.close()


Propose = Callable[[], Awaitable[Proposal]]


async def propose_approval(case: Case, standing: Standing, outside: Outside, by: str) -> Proposal:
    """What applying the recorded plan of an incident would write now. Writes nothing there.

    A plan that has waited too long is given up instead.

    Raises:
        Refused: The plan is not applied as things are; says why.
        Retry: Time may heal it.
        GiveUp: Something cannot be read.
    """
    if not approvals.waiting(case):
        raise Refused(_not_waiting(case))
    policy = await read_policy(outside)
    if isinstance(policy, InvalidPolicy):
        raise Refused(f"cannot approve {case.incident}: {policy}")
    late = approvals.stale(case, policy, standing.clock())
    books = Books(outside.store, f"cli {by}", standing.clock)
    if late and await approvals.expire(case, policy, books, outside, standing.redactor()):
        raise Refused(
            f"cannot approve {case.incident}: its plan has expired. Run"
            f" `python cli.py contain {case.incident}` for a fresh plan"
        )
    # Of a plan that is too old, what was begun in time is finished, and nothing new is written.
    plan = replace(approvals.plan_of(case), closed=late)
    bench = await _bench(case, standing, outside, approving(by, plan))
    return await permitted(await _propose(bench, "approve"), "approve")


async def propose_finishing(
    case: Case, standing: Standing, outside: Outside, by: str
) -> Proposal | None:
    """What is left of an approval that was interrupted; None where nothing of it is in effect.

    Carrying it out writes nothing to the workload: what was written is verified and told. For
    whoever is not the approver, such as the patrol.

    Raises:
        Refused: The plan cannot be read back.
        Retry: Time may heal it.
        GiveUp: Something cannot be read.
    """
    plan = replace(approvals.plan_of(case), closed=True)
    proposal = await _propose(
        await _bench(case, standing, outside, Attendance(by, plan=plan)), "finish"
    )
    if proposal.judged.finishing:
        return proposal
    await proposal.close()
    return None


async def propose_containment(
    case: Case, standing: Standing, outside: Outside, by: str, steps: Steps = ()
) -> Proposal:
    """What a fresh plan for an incident would write now. Writes nothing.

    Args:
        case: The incident's case file, also that of a dry run.
        standing: What holds for every incident.
        outside: Everything outside.
        by: The person who asks for it.
        steps: Actions that the person names instead of the policy's.

    Raises:
        Refused: Nothing may be contained; says why.
        Retry: Time may heal it.
        GiveUp: Something cannot be read.
    """
    bench = await _bench(case, standing, outside, containing(by, steps))
    proposal = await _propose(bench, "contain")
    there = proposal.case
    by_hand = any("by" in record.body for record in there.records)
    if there.records and there.outcome is None and not by_hand:
        await proposal.close()
        raise Refused(
            f"cannot contain {case.incident}: it is still open. Wait until its delivery is"
            " answered, or let `python cli.py patrol` finish it"
        )
    return await permitted(proposal, "contain")


async def confirmed(proposal: Proposal, propose: Propose) -> Proposal:
    """The same proposal made anew, after a person was asked.

    Raises:
        Refused: It is another one by now.
    """
    await proposal.close()
    fresh = await propose()
    if fresh.changes != proposal.changes:
        await fresh.close()
        raise Refused(
            f"cannot contain {_place(fresh)}: it changed while you were asked. Look at the plan"
            " again"
        )
    return fresh


async def _bench(case: Case, standing: Standing, outside: Outside, who: Attendance) -> Bench:
    claim = await reopen(case, outside.security_center)
    route = standing.route(Notification(claim, deleted=False))
    return Bench.make(claim, route, replace(standing, attendance=who), outside)


async def _propose(bench: Bench, verb: str) -> Proposal:
    attendance = bench.standing.attendance
    assert attendance is not None  # noqa: S101 - it was made with one
    try:
        core = await bench.core()
        judged = bench.judge.judge(core)
    except IncidentError as error:
        await bench.close()
        told_error(error, bench.redactor())
        raise
    except BaseException:
        await bench.close()
        raise
    proposal = Proposal(bench, judged, attendance)
    if core.place.workload is None or core.place.settings is None:
        await proposal.close()
        raise Refused(refusal(proposal, verb))
    return proposal


async def permitted(proposal: Proposal, verb: str) -> Proposal:
    """The proposal, unless nothing may be written.

    Raises:
        Refused: Why not.
    """
    decision = proposal.judged.decision
    if decision.enforces:
        return proposal
    await proposal.close()
    raise Refused(refusal(proposal, verb))


def refusal(proposal: Proposal, verb: str) -> str:
    """Why nothing is written, for a person."""
    incident, texts = proposal.bench.claim.incident_id, proposal.reasons
    if proposal.judged.decision.verdict is Verdict.CONTAIN:
        texts = (proposal.bench.standing.ceiling_reason,)
    fresh = f". `python cli.py contain {incident}` makes a fresh plan" if verb == "approve" else ""
    return f"cannot {verb} {incident}: {'; '.join(texts)}{fresh}"


def _not_waiting(case: Case) -> str:
    said = f"cannot approve {case.incident}: "
    if case.folder.startswith("dry-runs/"):
        return f"{said}it was a dry run. Run `python cli.py contain {case.incident}`"
    match case.status:
        case "open":
            return f"{said}it is still open; wait until its delivery is answered"
        case Status.CONTAINED | Status.ALREADY_CONTAINED | Status.RELEASED:
            return f"{said}it is {case.status} already; no plan waits"
        case status:
            return (
                f"{said}it is {status}, and no plan waits. Run"
                f" `python cli.py contain {case.incident}` for a fresh plan"
            )


def _place(proposal: Proposal) -> str:
    workload = proposal.judged.core.place.workload
    return workload.resource_name if workload else proposal.bench.claim.incident_id


def case_of(incident: str, file: CaseFile) -> Case:
    """A case file as an operator sees it."""
    return Case(incident, file.folder, file.earlier)
