"""The responder's assessment, the policy and the guards make a decision. Pure.

Guards and policy can only lower what the responder would do.
"""

from __future__ import annotations

from dataclasses import replace

from incident.actions import plan as containment
from incident.case_file.containments import History
from incident.decision.guards import Case, Circumstances, Objection, objections
from incident.decision.guards import bars as guard_bars
from incident.model import (
    Bar,
    Change,
    Decision,
    Evidence,
    InvalidPolicy,
    Mode,
    Reason,
    Responder,
    Route,
    Settings,
    Verdict,
    Workload,
)
from incident.policy.resolve import Policy, Resolution, Subject, chosen, resolve
from incident.policy.resolve import bars as policy_bars


def decide(
    evidence: Evidence,
    route: Route,
    policy: Policy | InvalidPolicy,
    circumstances: Circumstances,
) -> Decision:
    """What is to be done about confirmed or unconfirmed evidence, and why.

    The changes that the decision names are what a dry run shows and what enforcement writes.
    What is held says what would hold a person's ``contain`` as well.
    """
    decision = _decided(evidence, route, policy, circumstances)
    if decision.verdict is not Verdict.HOLD:
        return decision
    return replace(decision, barred=_barred(evidence, route, policy, circumstances))


def _decided(
    evidence: Evidence,
    route: Route,
    policy: Policy | InvalidPolicy,
    circumstances: Circumstances,
) -> Decision:
    workload = evidence.finding.workload
    if isinstance(policy, InvalidPolicy):
        lines = [line.strip() for line in str(policy).splitlines()]
        mistakes = [Objection(Reason(line, "policy"), alarm=True) for line in lines if line]
        return _hold(Mode.DRY_RUN, None, *mistakes)
    if workload is None or route.responder is None or route.verdict is Verdict.HOLD:
        mode = Mode.lowest(policy.mode, circumstances.ceiling)
        return _hold(mode, None, Objection(Reason(route.reason, "finding")))
    resolution = resolve(policy, _subject(evidence, workload))
    if circumstances.attendance and circumstances.attendance.steps:
        resolution = chosen(resolution, circumstances.attendance.steps)
    plan = _plan(resolution, evidence)
    case = Case(evidence, workload, policy, circumstances, writes=bool(plan.changes))
    return _weigh(case, route.responder, resolution, plan)


def _barred(
    evidence: Evidence,
    route: Route,
    policy: Policy | InvalidPolicy,
    circumstances: Circumstances,
) -> tuple[Bar, ...]:
    """What a person cannot overrule by naming an action, whatever the action."""
    workload = evidence.finding.workload
    if isinstance(policy, InvalidPolicy):
        first = next((line.strip() for line in str(policy).splitlines() if line.strip()), "")
        return (Bar("policy", first),)
    if workload is None or route.responder is None or route.verdict is Verdict.HOLD:
        return (Bar("route", route.reason),)
    case = Case(evidence, workload, policy, circumstances, writes=False)
    return (*policy_bars(policy, _subject(evidence, workload)), *guard_bars(case))


def _subject(evidence: Evidence, workload: Workload) -> Subject:
    labels = evidence.settings.labels if evidence.settings else None
    finding = evidence.finding
    return Subject(workload, finding.category, finding.source_id, labels)


def finishing(incident: str, settings: Settings | None, history: History) -> Decision | None:
    """The decision for an incident of which an earlier delivery wrote, and its write stands.

    What was done is then to be finished and told truthfully, whatever SCC, the policy and
    the guards say by now.
    """
    current = history.current
    if current is None or settings is None or incident not in current.incidents:
        return None
    if current.stands(settings) is None:
        return None
    text = "this incident's containment is in effect already; what is missing is finished"
    return Decision(Verdict.CONTAIN, (Reason(text, "case-file"),), Mode.ENFORCE, rule=None)


def _weigh(
    case: Case, responder: Responder, resolution: Resolution, plan: containment.Plan
) -> Decision:
    mode = _mode(case, resolution)
    against = [
        *(Objection(Reason(hold.text, "policy"), hold.alarm) for hold in resolution.holds),
        *objections(case),
        *_unfit(plan, resolution),
        *_left_to_a_person(case, responder),
        *_beyond_the_record(case, resolution, plan),
    ]
    if against:
        return _hold(mode, resolution.rule, *against)
    return Decision(
        verdict=Verdict.CONTAIN,
        reasons=_in_favour(case, resolution, mode),
        mode=mode,
        rule=resolution.rule,
        steps=resolution.steps,
        changes=_to_write(case, plan),
        stops=plan.stops,
    )


def _mode(case: Case, resolution: Resolution) -> Mode:
    """How far to go: what a person asks for is carried out, as far as the ceiling allows."""
    attendance = case.circumstances.attendance
    asked = Mode.ENFORCE if attendance and attendance.person else resolution.mode
    return Mode.lowest(asked, case.circumstances.ceiling)


def _left_to_a_person(case: Case, responder: Responder) -> tuple[Objection, ...]:
    """What the responder would not contain is contained only by a person's fresh decision."""
    attendance = case.circumstances.attendance
    decides = attendance is not None and attendance.person and attendance.plan is None
    if decides or {responder.assess(case.evidence).verdict, responder.verdict} == {Verdict.CONTAIN}:
        return ()
    because = f": {responder.because}" if responder.because else ""
    text = f"{responder.name} leaves findings of this type to a person{because}"
    return (Objection(Reason(text, "responder")),)


def _beyond_the_record(
    case: Case, resolution: Resolution, plan: containment.Plan
) -> tuple[Objection, ...]:
    """Why a recorded plan is not to be applied any more."""
    attendance, settings = case.circumstances.attendance, case.evidence.settings
    if attendance is None or attendance.plan is None or settings is None:
        return ()
    against = [
        Objection(Reason(text, "settings"))
        for text in attendance.plan.differences(plan.changes, settings)
    ]
    if resolution.mode is Mode.DRY_RUN:
        text = "the policy's mode for the workload is dry-run by now: nothing is to be written"
        against.append(Objection(Reason(text, "policy")))
    return tuple(against)


def _to_write(case: Case, plan: containment.Plan) -> tuple[Change, ...]:
    """The plan's changes; of a recorded plan those that are not in effect yet."""
    attendance = case.circumstances.attendance
    if attendance is None or attendance.plan is None:
        return plan.changes
    return attendance.plan.renewed(plan.changes, case.workload.kind)


def _plan(resolution: Resolution, evidence: Evidence) -> containment.Plan:
    if evidence.settings is None:
        return containment.Plan((), ("the workload's settings are not known",), fits=False)
    return containment.plan(resolution.steps, evidence.settings, evidence.finding)


def _unfit(plan: containment.Plan, resolution: Resolution) -> tuple[Objection, ...]:
    if plan.fits or not resolution.steps:
        return ()
    return (Objection(Reason("no configured action fits: " + "; ".join(plan.misfits), "settings")),)


def _in_favour(case: Case, resolution: Resolution, mode: Mode) -> tuple[Reason, ...]:
    actions = ", ".join(" or ".join(step) for step in resolution.steps)
    attendance, kind = case.circumstances.attendance, case.workload.kind
    told = Reason(f"{resolution.rule} in the policy: {actions} for a {kind}", "policy")
    if attendance and attendance.steps:
        told = Reason(f"named by {attendance.by}: {actions} for a {kind}", "person")
    known = Reason("Security Command Center lists the finding itself, active", "security-center")
    if not case.evidence.confirmed:
        by = attendance.by if attendance else "nobody"
        known = Reason(f"a drill: there is no finding, {by} named the workload", "person")
    reasons = [
        known,
        told,
        Reason("no guard objected", "guards"),
    ]
    gate, reputation = case.policy.virustotal, case.evidence.reputation
    if gate and reputation:
        unknown = ", and contains what is unknown" if gate.when_unknown == "contain" else ""
        text = f"{reputation.sentence}; the policy wants {gate.min_malicious}{unknown}"
        reasons.append(Reason(text, "virustotal"))
    if mode.rank < resolution.mode.rank:
        reasons.append(Reason(case.circumstances.ceiling_reason, "environment"))
    return tuple(reasons)


def _hold(mode: Mode, rule: str | None, *against: Objection) -> Decision:
    return Decision(
        verdict=Verdict.HOLD,
        reasons=tuple(objection.reason for objection in against),
        mode=mode,
        rule=rule,
        alarm=any(objection.alarm for objection in against),
    )
