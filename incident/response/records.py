"""Records that a run adds to an incident's case file, and how runs of one incident take turns."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import datetime

from incident.actions.changes import change_json, redact_change, redacted_json
from incident.case_file.case_file import CaseFile
from incident.containment.containment_result import ContainmentResult
from incident.decision.inputs import Inputs
from incident.decision.process import Process
from incident.decision.request import Request, Trigger
from incident.model import Decision, Finding, IncidentError, Json, JsonObject, Retry, Status
from incident.model.json_text import time_text
from incident.model.outcome import Outcome
from incident.redaction.redactor import Redactor, redact_error
from incident.response.plan_digest import plan_digest
from incident.response.refusals import RequestRefused

APPROVED = "approved"


def received_record(claim: Finding) -> JsonObject:
    """Body of the first record: which finding was received."""
    return {
        "finding": claim.canonical_name,
        "event_time": time_text(claim.event_time),
        "workload": claim.workload.resource_name if claim.workload else None,
    }


def decision_record(decision: Decision, redactor: Redactor) -> JsonObject:
    """Body of the ``decided`` record, written before the decision is carried out."""
    changes: list[Json] = [redacted_json(change, redactor) for change in decision.changes]
    return {
        "verdict": decision.verdict.value,
        "mode": decision.mode.value,
        "rule": decision.rule,
        "reasons": [redactor.text(reason.text) for reason in decision.reasons],
        "changes": changes,
        # For `policy backtest`: what evidence and policy alone do not say.
        "ceiling": decision.ceiling.value,
        "blockers": [blocker.raised_by for blocker in decision.blockers],
    }


def containment_record(result: ContainmentResult, redactor: Redactor) -> JsonObject:
    """Body of the ``contained`` record: the changes and the state of each."""
    return {
        "status": result.status.value,
        "containment": result.containment_folder,
        "changes": [redacted_json(change, redactor) for change in result.changes],
    }


def approval_record(inputs: Inputs, decision: Decision, redactor: Redactor) -> JsonObject | None:
    """Body of the ``approved`` record: who approved which plan; None where nobody did.

    An expired plan is not approved again; only what was begun is finished.
    """
    operator = inputs.request.operator
    if operator is None or inputs.request.trigger not in (Trigger.APPROVAL, Trigger.CONTAIN):
        return None
    if operator.recorded_plan and operator.recorded_plan.expired:
        return None
    plan = operator.recorded_plan.changes if operator.recorded_plan else decision.changes
    shown = [redact_change(change, redactor) for change in plan]
    return {
        "by": operator.by,
        "plan": plan_digest(shown),
        "changes": [change_json(change) for change in shown],
    }


async def record_decision(
    process: Process, inputs: Inputs, decision: Decision, case: CaseFile
) -> None:
    """Record what was decided, and who asked for it, before anything is written.

    Redacting may take long, so it does not run on the loop of the other incidents.

    Raises:
        Retry: The store does not answer.
        GiveUp: The store refuses.
    """
    request, redactor = inputs.request, process.redactor(inputs.evidence)
    if request.trigger is Trigger.DRIFT:
        return
    approval = await asyncio.to_thread(approval_record, inputs, decision, redactor)
    if case.has_record("done"):
        if approval:
            await case.add_later_record(APPROVED, approval)
        return
    decided = await asyncio.to_thread(decision_record, decision, redactor)
    read = {"began_at": time_text(inputs.began_at), "ended_at": time_text(inputs.read_at)}
    decided = {**decided, "began_at": time_text(inputs.read_at), "read": read}
    if request.operator and not case.known_records:
        await case.begin({**received_record(request.finding), "by": request.operator.by})
    await case.add_record("decided", decided)
    if approval:
        await case.add_record(APPROVED, approval)


async def record_containment(
    process: Process,
    inputs: Inputs,
    result: ContainmentResult,
    case: CaseFile,
    began_at: datetime,
) -> None:
    """Record what was written and read back, until the outcome says it.

    Raises:
        Retry: The store does not answer.
    """
    if result.containment_folder is None or inputs.request.trigger is Trigger.DRIFT:
        return
    if not case.has_record("done"):
        redactor = process.redactor(inputs.evidence)
        body = await asyncio.to_thread(containment_record, result, redactor)
        await case.add_record("contained", {"began_at": time_text(began_at), **body})


async def started_by_peer(process: Process, request: Request, case: CaseFile) -> bool:
    """Whether another run had begun this incident; if so, waits for it first.

    Raises:
        Retry: The store does not answer.
    """
    if not case.known_records and await case.begin(received_record(request.finding)):
        return False
    fresh = case if case.known_records else await case.reload()
    return await fresh.wait_for_peer(process.peer_wait)


async def overtaken(
    case: CaseFile, request: Request, status: Status | None = None
) -> Outcome | None:
    """The outcome that another approver of the same plan has recorded meanwhile, if any.

    Args:
        case: The incident's case file.
        request: What is asked for.
        status: The status that this run has come to, where it has written already.

    Raises:
        RequestRefused: The plan expired meanwhile.
        Retry: The store does not answer.
    """
    if request.operator is None or request.operator.recorded_plan is None:
        return None
    now = (await case.reload()).newest_outcome
    if now is None or now.status is Status.AWAITING_APPROVAL:
        return None
    if status is not None:
        return now if now.status is status else None
    if now.status is Status.EXPIRED and not request.operator.recorded_plan.expired:
        raise RequestRefused(
            f"cannot approve {request.incident}: its plan has just expired. Run"
            f" `cloud-run-responder contain {request.incident}` for a fresh plan"
        )
    return now


@contextlib.asynccontextmanager
async def working(process: Process, inputs: Inputs, case: CaseFile) -> AsyncIterator[None]:
    """Show other runs of the incident that this one is at work, and when it stops for now."""
    if inputs.request.trigger is not Trigger.DELIVERY:
        yield
        return
    heartbeat = asyncio.ensure_future(case.send_heartbeats(process.peer_wait))
    try:
        yield
    except asyncio.CancelledError:
        if asyncio.get_running_loop().time() >= process.run_deadline:
            with contextlib.suppress(IncidentError):
                await case.add_record("timed-out", {})
        raise
    except Retry as error:
        heartbeat.cancel()
        reason = str(redact_error(error, process.redactor(inputs.evidence)))
        await case.add_record("retried", {"reason": reason})
        raise
    finally:
        heartbeat.cancel()
        await asyncio.gather(heartbeat, return_exceptions=True)
