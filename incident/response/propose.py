"""What a person is asked about: the recorded plan of an incident, or a fresh one. Writes nothing.

The same reading and judging as for a delivery; what differs is who stands behind it. How it is
shown and asked does not belong here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from incident.case_file.case_file import CaseFile
from incident.case_file.index import CaseSummary
from incident.decision.assess import AssessedIncident
from incident.decision.context import ProcessContext
from incident.decision.guards import Operator, approving_operator, containing_operator
from incident.decision.inputs import Records
from incident.model import (
    Change,
    IncidentError,
    InvalidPolicy,
    Notification,
    Status,
    Verdict,
)
from incident.policy.resolve import Steps
from incident.redaction.errors import redact_error
from incident.redaction.redactor import Redactor
from incident.response import approvals
from incident.response.approvals import RequestRefused
from incident.response.context import Ports
from incident.response.reopen import reopen_claim
from incident.response.session import IncidentSession, read_policy


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a person is asked about.

    Attributes:
        session: What the incident is worked on with; to be closed.
        assessed: What was read and decided.
        operator: Who asks for it.
    """

    session: IncidentSession
    assessed: AssessedIncident
    operator: Operator

    @property
    def changes(self) -> tuple[Change, ...]:
        """What would be written."""
        return self.assessed.decision.changes

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why, for a person; redacted."""
        redactor = self.redactor
        return tuple(redactor.text(reason.text) for reason in self.assessed.decision.reasons)

    @property
    def redactor(self) -> Redactor:
        """Redacts what is told of it."""
        return self.session.redactor(self.assessed.evidence)

    @property
    def case(self) -> CaseSummary:
        """The incident's case file among those that may act, as it was read."""
        return case_summary(self.session.claim.incident_id, self.assessed.inputs.incident_case_file)

    @property
    def already_contained(self) -> bool:
        """Whether the incident is contained, in effect, and nothing is left to be written."""
        contained_already = self.case.status == Status.CONTAINED
        return contained_already and self.assessed.only_finishes and not self.changes

    async def close(self) -> None:
        """Stop whatever is still being read."""
        await self.session.close()


Propose = Callable[[], Awaitable[Proposal]]


async def propose_approval(
    case: CaseSummary, context: ProcessContext, ports: Ports, by: str
) -> Proposal:
    """What applying the recorded plan of an incident would write now. Writes nothing there.

    A plan that has waited too long is given up instead.

    Raises:
        Refused: The plan is not applied as things are; says why.
        Retry: Time may heal it.
        GiveUp: Something cannot be read.
    """
    if not approvals.awaits_approval(case):
        raise RequestRefused(_not_waiting_text(case))
    policy = await read_policy(ports)
    if isinstance(policy, InvalidPolicy):
        raise RequestRefused(f"cannot approve {case.incident}: {policy}")
    expired = approvals.is_stale(case, policy, context.clock())
    records = Records(ports.store, f"cli {by}", context.clock)
    if expired and await approvals.expire_approval(
        case, policy, records, ports, context.redactor()
    ):
        raise RequestRefused(
            f"cannot approve {case.incident}: its plan has expired. Run"
            f" `python cli.py contain {case.incident}` for a fresh plan"
        )
    # Of a plan that is too old, what was begun in time is finished, and nothing new is written.
    plan = replace(approvals.recorded_plan(case), expired=expired)
    session = await _open_session(case, context, ports, approving_operator(by, plan))
    return await require_permitted(await _propose(session, "approve"), "approve")


async def propose_finishing(
    case: CaseSummary, context: ProcessContext, ports: Ports, by: str
) -> Proposal | None:
    """What is left of an approval that was interrupted; None where nothing of it is in effect.

    Carrying it out writes nothing to the workload: what was written is verified and told. For
    whoever is not the approver, such as the patrol.

    Raises:
        Refused: The plan cannot be read back.
        Retry: Time may heal it.
        GiveUp: Something cannot be read.
    """
    plan = replace(approvals.recorded_plan(case), expired=True)
    proposal = await _propose(
        await _open_session(case, context, ports, Operator(by, recorded_plan=plan)), "finish"
    )
    if proposal.assessed.only_finishes:
        return proposal
    await proposal.close()
    return None


async def propose_containment(
    case: CaseSummary, context: ProcessContext, ports: Ports, by: str, steps: Steps = ()
) -> Proposal:
    """What a fresh plan for an incident would write now. Writes nothing.

    Args:
        case: The incident's case file, also that of a dry run.
        context: What holds for every incident.
        ports: Everything outside.
        by: The person who asks for it.
        steps: Actions that the person names instead of the policy's.

    Raises:
        Refused: Nothing may be contained; says why.
        Retry: Time may heal it.
        GiveUp: Something cannot be read.
    """
    session = await _open_session(case, context, ports, containing_operator(by, steps))
    proposal = await _propose(session, "contain")
    current = proposal.case
    by_operator = any("by" in record.body for record in current.records)
    if current.records and current.outcome is None and not by_operator:
        await proposal.close()
        raise RequestRefused(
            f"cannot contain {case.incident}: it is still open. Wait until its delivery is"
            " answered, or let `python cli.py patrol` finish it"
        )
    return await require_permitted(proposal, "contain")


async def confirm_unchanged(proposal: Proposal, propose: Propose) -> Proposal:
    """The same proposal made anew, after a person was asked.

    Raises:
        Refused: It is another one by now.
    """
    await proposal.close()
    fresh = await propose()
    if fresh.changes != proposal.changes:
        await fresh.close()
        raise RequestRefused(
            f"cannot contain {_workload_name(fresh)}: it changed while you were asked."
            " Look at the plan"
            " again"
        )
    return fresh


async def _open_session(
    case: CaseSummary, context: ProcessContext, ports: Ports, operator: Operator
) -> IncidentSession:
    claim = await reopen_claim(case, ports.security_center)
    route = context.route(Notification(claim, deleted=False))
    return IncidentSession.create(claim, route, replace(context, operator=operator), ports)


async def _propose(session: IncidentSession, verb: str) -> Proposal:
    operator = session.context.operator
    assert operator is not None  # noqa: S101 - it was made with one
    try:
        inputs = await session.decision_inputs()
        assessed = session.assessor.assess(inputs)
    except IncidentError as error:
        await session.close()
        redact_error(error, session.redactor())
        raise
    except BaseException:
        await session.close()
        raise
    proposal = Proposal(session, assessed, operator)
    if inputs.workload_state.workload is None or inputs.workload_state.configuration is None:
        await proposal.close()
        raise RequestRefused(refusal_text(proposal, verb))
    return proposal


async def require_permitted(proposal: Proposal, verb: str) -> Proposal:
    """The proposal, unless nothing may be written.

    Raises:
        Refused: Why not.
    """
    decision = proposal.assessed.decision
    if decision.enforces:
        return proposal
    await proposal.close()
    raise RequestRefused(refusal_text(proposal, verb))


def refusal_text(proposal: Proposal, verb: str) -> str:
    """Why nothing is written, for a person."""
    incident, texts = proposal.session.claim.incident_id, proposal.reasons
    if proposal.assessed.decision.verdict is Verdict.CONTAIN:
        texts = (proposal.session.context.mode_ceiling_reason,)
    fresh = f". `python cli.py contain {incident}` makes a fresh plan" if verb == "approve" else ""
    return f"cannot {verb} {incident}: {'; '.join(texts)}{fresh}"


def _not_waiting_text(case: CaseSummary) -> str:
    prefix = f"cannot approve {case.incident}: "
    if case.folder.startswith("dry-runs/"):
        return f"{prefix}it was a dry run. Run `python cli.py contain {case.incident}`"
    match case.status:
        case "open":
            return f"{prefix}it is still open; wait until its delivery is answered"
        case Status.CONTAINED | Status.ALREADY_CONTAINED | Status.RELEASED:
            return f"{prefix}it is {case.status} already; no plan waits"
        case status:
            return (
                f"{prefix}it is {status}, and no plan waits. Run"
                f" `python cli.py contain {case.incident}` for a fresh plan"
            )


def _workload_name(proposal: Proposal) -> str:
    workload = proposal.assessed.inputs.workload_state.workload
    return workload.resource_name if workload else proposal.session.claim.incident_id


def case_summary(incident: str, file: CaseFile) -> CaseSummary:
    """A case file as an operator sees it."""
    return CaseSummary(incident, file.folder, file.known_records)
