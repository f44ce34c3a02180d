"""Propose a containment to an operator: the recorded plan or a fresh one. Writes nothing.

Reads and decides as for a delivery, with the operator's authority. The commands show the proposal
and ask for confirmation.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from incident.case_file.case_file import CaseFile
from incident.case_file.index import CaseSummary
from incident.case_file.paths import DRY_RUNS, case_file_folder
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
from incident.redaction.redactor import Redactor, redact_error
from incident.response import approvals
from incident.response.approvals import RequestRefused
from incident.response.context import Ports
from incident.response.incident_session import IncidentSession, read_policy
from incident.response.reopen import reopen_claim


@dataclass(frozen=True, slots=True)
class Proposal:
    """A containment proposed to an operator.

    Attributes:
        session: The incident's session; close it when done.
        assessed: What was read and decided.
        operator: Who requests it.
    """

    session: IncidentSession
    assessed: AssessedIncident
    operator: Operator

    @property
    def changes(self) -> tuple[Change, ...]:
        """The changes that would be written."""
        return self.assessed.decision.changes

    @property
    def reasons(self) -> tuple[str, ...]:
        """Reasons of the decision, redacted."""
        redactor = self.redactor
        return tuple(redactor.text(reason.text) for reason in self.assessed.decision.reasons)

    @property
    def redactor(self) -> Redactor:
        """Redacts with all secrets that were read for the proposal."""
        return self.session.redactor(self.assessed.evidence)

    @property
    def case(self) -> CaseSummary:
        """The incident's case file as it was read."""
        return case_summary(self.session.claim.incident_id, self.assessed.inputs.incident_case_file)

    @property
    def already_contained(self) -> bool:
        """Whether the incident is contained, still in effect, and nothing is left to write."""
        contained_already = self.case.status == Status.CONTAINED
        return contained_already and self.assessed.only_finishes and not self.changes

    async def close(self) -> None:
        """Stop reads that are still in progress."""
        await self.session.close()


Propose = Callable[[], Awaitable[Proposal]]


async def propose_approval(
    case: CaseSummary, context: ProcessContext, ports: Ports, by: str
) -> Proposal:
    """Propose the recorded plan of an incident. Writes nothing to the workload.

    A plan that has waited too long expires instead.

    Raises:
        RequestRefused: The plan cannot be applied; says why.
        Retry: A service does not answer; try again later.
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
            f" `cloud-run-responder contain {case.incident}` for a fresh plan"
        )
    # An expired plan whose write was begun is finished; nothing new is written.
    plan = replace(approvals.recorded_plan(case), expired=expired)
    session = await _open_session(case, context, ports, approving_operator(by, plan))
    return await require_permitted(await _propose(session, "approve"), "approve")


async def propose_finishing(
    case: CaseSummary, context: ProcessContext, ports: Ports, by: str
) -> Proposal | None:
    """Propose to finish an interrupted approval; None if nothing of it is in effect.

    Applying the proposal writes nothing to the workload: it verifies what was written and
    publishes the outcome. For callers other than the approver, such as the patrol.

    Raises:
        RequestRefused: The plan cannot be read back.
        Retry: A service does not answer; try again later.
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
    """Propose a fresh plan for an incident. Writes nothing.

    Args:
        case: The incident's case file; may be that of a dry run.
        context: Settings that hold for all incidents.
        ports: External services.
        by: The operator.
        steps: Actions that the operator names instead of the policy's.

    Raises:
        RequestRefused: Nothing may be contained; says why.
        Retry: A service does not answer; try again later.
        GiveUp: Something cannot be read.
    """
    session = await _open_session(case, context, ports, containing_operator(by, steps))
    proposal = await _propose(session, "contain")
    current = proposal.case
    by_operator = any("by" in record.body for record in current.records)
    if current.records and current.outcome is None and not by_operator:
        await proposal.close()
        raise RequestRefused(
            f"cannot contain {case.incident}: its delivery is still in progress. Wait for it,"
            " or finish it with `cloud-run-responder patrol`"
        )
    return await require_permitted(proposal, "contain")


async def confirm_unchanged(proposal: Proposal, propose: Propose) -> Proposal:
    """Make the same proposal again, after the operator has confirmed it.

    Raises:
        RequestRefused: The plan has changed meanwhile.
    """
    await proposal.close()
    fresh = await propose()
    if fresh.changes != proposal.changes:
        await fresh.close()
        raise RequestRefused(
            f"cannot contain {_workload_name(fresh)}: its settings changed while you were asked."
            " Run the command again and check the new plan"
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
    assert operator is not None  # noqa: S101 - the session was created with one
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
    """Return the proposal if it may be written.

    Raises:
        RequestRefused: It may not; says why.
    """
    decision = proposal.assessed.decision
    if decision.enforces:
        return proposal
    await proposal.close()
    raise RequestRefused(refusal_text(proposal, verb))


def refusal_text(proposal: Proposal, verb: str) -> str:
    """Error text: why nothing is written."""
    incident, texts = proposal.session.claim.incident_id, proposal.reasons
    if proposal.assessed.decision.verdict is Verdict.CONTAIN:
        texts = (proposal.session.context.mode_ceiling_reason,)
    fresh = (
        f". Make a fresh plan: `cloud-run-responder contain {incident}`"
        if verb == "approve"
        else ""
    )
    return f"cannot {verb} {incident}: {'; '.join(texts)}{fresh}"


def _not_waiting_text(case: CaseSummary) -> str:
    prefix = f"cannot approve {case.incident}: "
    if case.folder == case_file_folder(DRY_RUNS, case.incident):
        return f"{prefix}it was a dry run. Run `cloud-run-responder contain {case.incident}`"
    match case.status:
        case "open":
            return f"{prefix}its delivery is still in progress; wait for it"
        case Status.CONTAINED | Status.ALREADY_CONTAINED | Status.RELEASED:
            return f"{prefix}it is {case.status}; no plan waits for approval"
        case status:
            return (
                f"{prefix}it is {status}; no plan waits for approval. Run"
                f" `cloud-run-responder contain {case.incident}` for a fresh plan"
            )


def _workload_name(proposal: Proposal) -> str:
    workload = proposal.assessed.inputs.workload_state.workload
    return workload.resource_name if workload else proposal.session.claim.incident_id


def case_summary(incident: str, file: CaseFile) -> CaseSummary:
    """Summary of a case file, as the commands show it."""
    return CaseSummary(incident, file.folder, file.known_records)
