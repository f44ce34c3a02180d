"""Decide on what was read: finish our own write, wait for SCC, or apply policy and guards."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from incident.case_file.case_file import CaseFile
from incident.decision.decide import decide, decision_to_finish
from incident.decision.guards import CONFIRMATION_WINDOW, DecisionContext
from incident.decision.inputs import Inputs, gating_reputation
from incident.decision.process import Process, read_policy
from incident.model import Decision, Reason, Retry, Verdict

# A clock may be a little behind the one that stamped the event.
_CLOCK_SKEW = timedelta(minutes=1)


def assess(process: Process, inputs: Inputs) -> Decision:
    """Decide by SCC's own record, unless only our own write is to be finished.

    Raises:
        Retry: SCC does not list the finding, and the finding is young; or a drill ends just now.
    """
    finishing = _finishing_decision(inputs)
    if finishing is None and inputs.request.has_finding:
        _retry_if_unconfirmed(process, inputs)
        _retry_during_drill_release(process, inputs)
    decision = _decide_or_hold(process, inputs)
    if finishing and not _has_changes_to_write(decision):
        decision = _with_recorded_reasons(finishing, inputs.incident_case_file)
    return replace(decision, finishes=finishing is not None)


async def decide_again(process: Process, inputs: Inputs, earlier: Decision) -> Decision:
    """Apply policy and guards again, to settings and history read again.

    VirusTotal's answer is the one that there is already; only a policy that has come to gate
    on it in between is waited for.

    Raises:
        Retry: The policy cannot be read now, or a drill is being released.
    """
    policy = await read_policy(process)
    reputation = inputs.evidence.reputation
    reputation = reputation or await gating_reputation(process, inputs.scc_record, policy)
    evidence = replace(inputs.evidence, reputation=reputation)
    decision = decide(evidence, inputs.route, policy, _decision_context(process, inputs))
    finishing = _finishing_decision(inputs)
    if finishing is None:
        _retry_during_drill_release(process, inputs)
    if finishing is None or _has_changes_to_write(decision):
        return replace(decision, finishes=finishing is not None)
    reasons = earlier.reasons + finishing.reasons
    return replace(finishing, rule=earlier.rule, reasons=reasons, finishes=True)


def _finishing_decision(inputs: Inputs) -> Decision | None:
    """The decision to finish, if an earlier run wrote and its write is in effect."""
    state = inputs.workload_state
    if state.workload is None:
        return None
    return decision_to_finish(inputs.request.incident, state.configuration, state.history)


def _retry_if_unconfirmed(process: Process, inputs: Inputs) -> None:
    """Raise Retry for a young finding that SCC does not list yet."""
    claim = inputs.request.finding
    age = process.clock() - claim.event_time
    if (
        inputs.scc_record is None
        and inputs.scc_error is None
        and -_CLOCK_SKEW <= age < CONFIRMATION_WINDOW
    ):
        raise Retry(
            f"cannot confirm finding {claim.canonical_name}: Security Command Center"
            " does not list it yet; a redelivery looks again until it is five minutes old"
        )


def _retry_during_drill_release(process: Process, inputs: Inputs) -> None:
    """Raise Retry while a drill is being released: it is over in seconds."""
    current, claim = inputs.history.current, inputs.request.finding
    age = process.clock() - claim.event_time
    drill_ending = current is not None and current.releasing and current.is_drill
    if drill_ending and age < CONFIRMATION_WINDOW:
        raise Retry(
            f"cannot decide on {claim.canonical_name}: a drill on its workload is being"
            " taken back at this moment; a redelivery looks again until the finding is five"
            " minutes old"
        )


def _decide_or_hold(process: Process, inputs: Inputs) -> Decision:
    """The decision, or a hold with the error that prevents one."""
    context = _decision_context(process, inputs)
    decision = decide(inputs.evidence, inputs.route, inputs.policy, context)
    read_error = inputs.scc_error or (
        inputs.workload_state.read_error if inputs.evidence.confirmed else None
    )
    if read_error is None or inputs.route.verdict is Verdict.HOLD:
        return decision
    return replace(
        decision,
        verdict=Verdict.HOLD,
        reasons=(Reason(str(read_error), "outside"),),
        changes=(),
        failed=True,
        blockers=(),  # the error must be fixed first, and says how
    )


def _decision_context(process: Process, inputs: Inputs) -> DecisionContext:
    state = inputs.workload_state
    return DecisionContext(
        now=process.clock(),
        ceiling=process.mode_ceiling,
        ceiling_reason=process.mode_ceiling_reason,
        responder=process.responder_identity,
        history=state.history,
        slots=state.taken_slots,
        containment_folder=state.containment_folder,
        operator=inputs.request.operator,
    )


def _has_changes_to_write(decision: Decision) -> bool:
    """Whether policy and guards still want what is missing of our own write.

    If not, what was done is only finished, whatever they say by now.
    """
    return decision.enforces and bool(decision.changes)


def _with_recorded_reasons(finishing: Decision, case_file: CaseFile) -> Decision:
    """The decision to finish, with the rule and the reasons that the write was made for."""
    for record in reversed(case_file.known_records):
        reasons = record.body.get("reasons")
        if record.kind == "decided" and isinstance(reasons, list):
            before = tuple(Reason(str(text), "case-file") for text in reasons)
            rule = record.body.get("rule")
            recorded_rule = rule if isinstance(rule, str) else None
            return replace(finishing, rule=recorded_rule, reasons=before + finishing.reasons)
    return finishing
