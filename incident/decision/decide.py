"""Decide from assessment, policy and guards. Pure.

Guards and policy can only lower what the responder would do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from incident.actions import masked_changes as containment
from incident.case_file.containments import ContainmentHistory
from incident.decision.guards import DecisionContext, GuardBlock, GuardInput, guard_blocks
from incident.decision.guards import guard_blockers as guard_bars
from incident.decision.identity import unfit_actions
from incident.model import (
    Blocker,
    Change,
    ChangeKind,
    Decision,
    Evidence,
    InvalidPolicy,
    Mode,
    Reason,
    Responder,
    Route,
    Verdict,
    Workload,
    WorkloadConfiguration,
)
from incident.model.configuration import IAM_POLICY_FIELD
from incident.policy.resolve import Policy, Resolution, Subject, resolve, with_chosen_steps
from incident.policy.resolve import policy_blockers as policy_bars


def decide(
    evidence: Evidence,
    route: Route,
    policy: Policy | InvalidPolicy,
    decision_context: DecisionContext,
) -> Decision:
    """What is to be done about confirmed or unconfirmed evidence, and why.

    The changes that the decision names are what a dry run shows and what enforcement writes.
    What is held says what would hold a person's ``contain`` as well.
    """
    decision = _decide(evidence, route, policy, decision_context)
    decision = replace(decision, ceiling=decision_context.ceiling)
    if decision.verdict is not Verdict.HOLD:
        return decision
    return replace(decision, blockers=_blockers(evidence, route, policy, decision_context))


def _decide(
    evidence: Evidence,
    route: Route,
    policy: Policy | InvalidPolicy,
    decision_context: DecisionContext,
) -> Decision:
    workload = evidence.finding.workload
    if isinstance(policy, InvalidPolicy):
        lines = [line.strip() for line in str(policy).splitlines()]
        blocks = [GuardBlock(Reason(line, "policy"), alarm=True) for line in lines if line]
        return _hold(Mode.DRY_RUN, None, *blocks)
    if workload is None or route.responder is None or route.verdict is Verdict.HOLD:
        mode = Mode.lowest(policy.mode, decision_context.ceiling)
        # Nobody chose this hold: the responder cannot read or does not know something of it.
        listed = evidence.confirmed and evidence.finding.state == "ACTIVE"
        return _hold(mode, None, GuardBlock(Reason(route.reason, "finding"), alarm=listed))
    resolution = resolve(policy, _policy_subject(evidence, workload))
    if decision_context.operator and decision_context.operator.steps:
        resolution = with_chosen_steps(resolution, decision_context.operator.steps)
    operator = decision_context.operator
    unfit = unfit_actions(evidence, policy, resolution, decision_context.responder)
    unfit |= operator.left_out if operator else {}
    plan = _containment_plan(resolution, evidence, unfit)
    guard_input = GuardInput(
        evidence,
        workload,
        policy,
        decision_context,
        has_changes=bool(plan.changes),
        written_fields=_written_fields(plan.changes),
    )
    return _apply_guards(guard_input, route.responder, resolution, plan)


def _blockers(
    evidence: Evidence,
    route: Route,
    policy: Policy | InvalidPolicy,
    decision_context: DecisionContext,
) -> tuple[Blocker, ...]:
    """What a person cannot overrule by naming an action, whatever the action."""
    workload = evidence.finding.workload
    if isinstance(policy, InvalidPolicy):
        first = next((line.strip() for line in str(policy).splitlines() if line.strip()), "")
        return (Blocker("policy", first),)
    if workload is None or route.responder is None or route.verdict is Verdict.HOLD:
        return (Blocker("route", route.reason),)
    guard_input = GuardInput(evidence, workload, policy, decision_context, has_changes=False)
    return (*policy_bars(policy, _policy_subject(evidence, workload)), *guard_bars(guard_input))


def _policy_subject(evidence: Evidence, workload: Workload) -> Subject:
    labels = evidence.configuration.labels if evidence.configuration else None
    finding = evidence.finding
    return Subject(workload, finding.categories, finding.source_id, labels)


def decision_to_finish(
    incident: str, configuration: WorkloadConfiguration | None, history: ContainmentHistory
) -> Decision | None:
    """The decision for an incident whose earlier delivery wrote, if the write is in effect.

    It is finished and reported truthfully, whatever SCC, the policy and
    the guards say by now.
    """
    current = history.current
    if current is None or configuration is None or incident not in current.incidents:
        return None
    if current.snapshot_in_effect(configuration) is None:
        return None
    text = "this incident's containment is in effect already; what is missing is finished"
    return Decision(Verdict.CONTAIN, (Reason(text, "case-file"),), Mode.ENFORCE, rule=None)


def _apply_guards(
    guard_input: GuardInput,
    responder: Responder,
    resolution: Resolution,
    plan: containment.ContainmentPlan,
) -> Decision:
    mode = _effective_mode(guard_input, resolution)
    blocks = [
        *(GuardBlock(Reason(hold.text, "policy"), hold.alarm) for hold in resolution.holds),
        *guard_blocks(guard_input),
        *_no_action_fits(plan, resolution, guard_input.evidence.configuration),
        *_responder_requires_person(guard_input, responder),
        *_exceeds_recorded_plan(guard_input, resolution, plan),
    ]
    if blocks:
        return _hold(mode, resolution.rule, *blocks)
    return Decision(
        verdict=Verdict.CONTAIN,
        reasons=(
            *_reasons_to_contain(guard_input, resolution, mode),
            *(Reason(text, "access") for text in (*plan.unreached, *plan.remarks)),
            *(Reason(text, "identity") for text in plan.left_out),
        ),
        mode=mode,
        rule=resolution.rule,
        steps=resolution.steps,
        changes=_changes_to_write(guard_input, plan),
        stops=plan.stops,
        actions=plan.actions,
        unreached=plan.unreached,
    )


def _written_fields(changes: tuple[Change, ...]) -> frozenset[str]:
    """The fields that some changes would write, the IAM policy among them."""
    policy = {IAM_POLICY_FIELD for change in changes if change.kind is ChangeKind.IAM_POLICY}
    return frozenset({name for change in changes for name in change.before} | policy)


def _effective_mode(guard_input: GuardInput, resolution: Resolution) -> Mode:
    """How far to go: what a person asks for is carried out, as far as the ceiling allows."""
    operator = guard_input.decision_context.operator
    requested = Mode.ENFORCE if operator and operator.is_person else resolution.mode
    return Mode.lowest(requested, guard_input.decision_context.ceiling)


def _responder_requires_person(
    guard_input: GuardInput, responder: Responder
) -> tuple[GuardBlock, ...]:
    """What the responder would not contain is contained only by a person's fresh decision."""
    operator = guard_input.decision_context.operator
    decides = operator is not None and operator.is_person and operator.recorded_plan is None
    if decides or {responder.assess(guard_input.evidence).verdict, responder.verdict} == {
        Verdict.CONTAIN
    }:
        return ()
    reason = f": {responder.rationale}" if responder.rationale else ""
    text = f"{responder.name} leaves findings of this type to a person{reason}"
    return (GuardBlock(Reason(text, "responder")),)


def _exceeds_recorded_plan(
    guard_input: GuardInput, resolution: Resolution, plan: containment.ContainmentPlan
) -> tuple[GuardBlock, ...]:
    """Why a recorded plan is not to be applied any more."""
    operator, configuration = (
        guard_input.decision_context.operator,
        guard_input.evidence.configuration,
    )
    if operator is None or operator.recorded_plan is None or configuration is None:
        return ()
    blocks = [
        GuardBlock(Reason(text, "settings"))
        for text in operator.recorded_plan.mismatches(plan.changes, configuration)
    ]
    if resolution.mode is Mode.DRY_RUN:
        text = "the policy's mode for the workload is dry-run by now: nothing is to be written"
        blocks.append(GuardBlock(Reason(text, "policy")))
    return tuple(blocks)


def _changes_to_write(
    guard_input: GuardInput, plan: containment.ContainmentPlan
) -> tuple[Change, ...]:
    """The plan's changes; of a recorded plan those that are not in effect yet."""
    operator = guard_input.decision_context.operator
    if operator is None or operator.recorded_plan is None:
        return plan.changes
    return operator.recorded_plan.refreshed(plan.changes, guard_input.workload.kind)


def _containment_plan(
    resolution: Resolution, evidence: Evidence, unfit: Mapping[str, str]
) -> containment.ContainmentPlan:
    if evidence.configuration is None:
        return containment.ContainmentPlan(
            (), ("the workload's settings are not known",), applicable=False
        )
    return containment.plan_changes(
        resolution.steps, evidence.configuration, evidence.finding, unfit
    )


def _no_action_fits(
    plan: containment.ContainmentPlan,
    resolution: Resolution,
    configuration: WorkloadConfiguration | None,
) -> tuple[GuardBlock, ...]:
    """Held; with an alarm where a cut list hides whether something runs, or which revision."""
    if plan.applicable or not resolution.steps:
        return ()
    return (
        GuardBlock(
            Reason("no configured action fits: " + "; ".join(plan.not_applicable), "settings"),
            alarm=configuration is not None and configuration.has_cut_list,
        ),
    )


def _reasons_to_contain(
    guard_input: GuardInput, resolution: Resolution, mode: Mode
) -> tuple[Reason, ...]:
    actions = ", ".join(" or ".join(step) for step in resolution.steps)
    operator, kind = guard_input.decision_context.operator, guard_input.workload.kind
    rule_reason = Reason(
        f"{resolution.rule} in the policy: {actions} for {kind.with_article}", "policy"
    )
    if operator and operator.steps:
        rule_reason = Reason(f"named by {operator.by}: {actions} for {kind.with_article}", "person")
    confirmation_reason = Reason(
        "Security Command Center lists the finding itself, active", "security-center"
    )
    if not guard_input.evidence.confirmed:
        by = operator.by if operator else "nobody"
        confirmation_reason = Reason(
            f"a drill: there is no finding, {by} named the workload", "person"
        )
    reasons = [
        confirmation_reason,
        rule_reason,
        Reason("no guard objected", "guards"),
    ]
    gate, reputation = guard_input.policy.virustotal, guard_input.evidence.reputation
    if gate and reputation:
        unknown_clause = ", and contains what is unknown" if gate.when_unknown == "contain" else ""
        text = f"{reputation.summary}; the policy wants {gate.min_malicious}{unknown_clause}"
        reasons.append(Reason(text, "virustotal"))
    if mode.rank < resolution.mode.rank:
        reasons.append(Reason(guard_input.decision_context.ceiling_reason, "environment"))
    return tuple(reasons)


def _hold(mode: Mode, rule: str | None, *blocks: GuardBlock) -> Decision:
    return Decision(
        verdict=Verdict.HOLD,
        reasons=tuple(block.reason for block in blocks),
        mode=mode,
        rule=rule,
        alarm=any(objection.alarm for objection in blocks),
    )
