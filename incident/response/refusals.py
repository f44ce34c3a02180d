"""Refuse a request whose write may not be made; the message says why and what to do."""

from __future__ import annotations

from incident.case_file.index import CaseSummary
from incident.case_file.paths import DRY_RUNS, case_file_folder
from incident.decision.inputs import Inputs
from incident.decision.process import Process
from incident.decision.request import Trigger
from incident.model import Decision, GiveUp, Mode, Status, Verdict


class RequestRefused(GiveUp):
    """A request was refused; the message says why.

    Attributes:
        undone: Whether a write of ours was undone, because a release had begun.
    """

    def __init__(self, reason: str, *, undone: bool = False) -> None:
        super().__init__(reason)
        self.undone = undone


async def require_permitted(process: Process, inputs: Inputs, decision: Decision) -> None:
    """Let a request pass if what it asks for may be written.

    Raises:
        RequestRefused: It may not; says why.
        Retry: The store does not answer.
    """
    request = inputs.request
    if not request.writes_or_fails:
        return
    match request.trigger:
        case Trigger.DRIFT:
            refusal = _no_reapplication(inputs, decision)
        case Trigger.DRILL:
            refusal = _no_drill(process, inputs, decision)
        case _:
            refusal = await _no_containment(process, inputs, decision)
    if refusal is None and request.confirmed not in (None, decision.changes):
        refusal = (
            f"cannot {request.trigger.value} {inputs.workload.resource_name}: its settings changed"
            " while you were asked. Run the command again and check the new plan"
        )
    if refusal:
        raise RequestRefused(refusal)


def refusal_text(process: Process, inputs: Inputs, decision: Decision) -> str:
    """Why a person's request writes nothing."""
    request, redactor = inputs.request, process.redactor(inputs.evidence)
    texts = [redactor.text(reason.text) for reason in decision.reasons]
    if decision.verdict is Verdict.CONTAIN:
        texts = [process.mode_ceiling_reason]
    text = f"cannot {request.trigger.value} {request.incident}: {'; '.join(texts)}"
    if request.trigger is not Trigger.APPROVAL:
        return text
    return f"{text}. Make a fresh plan: `cloud-run-responder contain {request.incident}`"


async def _no_containment(process: Process, inputs: Inputs, decision: Decision) -> str | None:
    """Why a person's plan is not applied now."""
    request, case = inputs.request, inputs.incident_case_file
    plan = request.operator.recorded_plan if request.operator else None
    if plan and plan.expired and not decision.finishes:
        return f"cannot finish {request.incident}: nothing of its plan is in effect"
    if inputs.workload_state.configuration is None or not decision.enforces:
        return refusal_text(process, inputs, decision)
    if request.trigger is Trigger.CONTAIN:
        by_operator = any("by" in record.body for record in case.known_records)
        if case.known_records and not case.has_record("done") and not by_operator:
            return (
                f"cannot contain {request.incident}: its delivery is still in progress. Wait for"
                " it, or finish it with `cloud-run-responder patrol`"
            )
    return None


def _no_reapplication(inputs: Inputs, decision: Decision) -> str | None:
    """Why the current decision is not to contain a workload again that somebody has started."""
    current = inputs.history.current
    if inputs.route.verdict is Verdict.IGNORE:
        return f"the finding is none to act on any more: {inputs.route.reason}"
    if (
        current is None
        or current.folder != inputs.request.reapplied
        or inputs.workload_state.configuration is None
    ):
        return "it is not what holds the workload any more"
    if decision.verdict is not Verdict.CONTAIN:
        return "; ".join(reason.text for reason in decision.reasons)
    if decision.mode is not Mode.ENFORCE:
        reasons = [r.text for r in decision.reasons if r.evidence == "environment"]
        return "; ".join([f"the mode that applies to it is {decision.mode.value}", *reasons])
    if not decision.changes:
        return "policy and guards want no more than what still holds"
    return None


def _no_drill(process: Process, inputs: Inputs, decision: Decision) -> str | None:
    """Why a drill on the workload is not possible."""
    why = None
    if current := inputs.history.current:
        holding = ", ".join(sorted(current.incidents)) or current.folder
        why = f"it is contained already, for {holding}. Release that first"
    elif decision.verdict is not Verdict.CONTAIN:
        why = "; ".join(reason.text for reason in decision.reasons)
    elif decision.mode is not Mode.ENFORCE:
        why = process.mode_ceiling_reason
    elif not decision.changes:
        why = "it is already as the policy's actions would leave it: a drill proves nothing"
    elif lost := [change.action for change in decision.changes if not change.reversible]:
        why = f"{lost[0]} cannot be undone"
    return why and f"cannot drill on {inputs.workload.resource_name}: {why}"


def not_waiting_text(case: CaseSummary) -> str:
    """Why there is no plan of an incident to approve."""
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
