"""The guards: what must hold before anything is contained. Pure; they can only lower a verdict.

A guard that cannot be evaluated does not pass.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from incident.actions.recorded_plan import RecordedPlan
from incident.case_file.containments import ContainmentHistory
from incident.model import Blocker, Evidence, Lookup, Mode, Reason, Workload, format_duration
from incident.policy.resolve import Policy, Steps

CONFIRMATION_WINDOW = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class TakenSlots:
    """The slots of this hour that containments have taken: number to holder (:func:`slot_holder`).

    Attributes:
        overall: All of them; a holder is empty where it is not known yet.
        in_project: Those in the workload's project.
    """

    overall: Mapping[int, str] = field(default_factory=dict)
    in_project: Mapping[int, str] = field(default_factory=dict)


def slot_holder(folder: str) -> str:
    """The holder of a slot, from the containment's folder: 16 hex digits, fit for a name."""
    return hashlib.sha256(folder.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class ResponderIdentity:
    """Where the responder itself runs, so that it never contains itself.

    Attributes:
        service: Name of our Cloud Run service; empty when we do not run there.
        project: Id or number of our project; empty where not configured.
        accounts: E-mails of the service accounts that our functions run as.
    """

    service: str = ""
    project: str = ""
    accounts: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Operator:
    """Who takes an incident up again, after its notification.

    Attributes:
        by: A person's account, or ``patrol``.
        waived_guards: Names of the guards that need not pass: those that bound what is done about a
            new notification while nobody looks.
        is_person: Whether a person asks for it, now: then it is carried out, whatever mode the
            notification was answered in.
        steps: The actions that the person names instead of the policy's.
        recorded_plan: The recorded plan beyond which nothing may be written; None for a fresh one.
        left_out: Actions of the policy that are not carried out, and why.
    """

    by: str
    waived_guards: frozenset[str] = frozenset()
    is_person: bool = False
    steps: Steps = ()
    recorded_plan: RecordedPlan | None = None
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def exempt_from_caps(self) -> bool:
        """Whether the hourly caps are not for this: no slots are taken either."""
        return {"under_hourly_cap", "under_project_cap"} <= self.waived_guards


def approving_operator(by: str, plan: RecordedPlan) -> Operator:
    """A person applies a recorded plan: what bounds unattended action does not bind them.

    That a person has released the finding's containment since does: the plan was made before.
    """
    return Operator(by, _UNATTENDED_GUARDS, is_person=True, recorded_plan=plan)


def containing_operator(by: str, steps: Steps = ()) -> Operator:
    """A person contains manually, also what somebody has released before."""
    return Operator(
        by, _UNATTENDED_GUARDS | {"never_released", "fields_known"}, is_person=True, steps=steps
    )


def drilling_operator(by: str, left_out: Mapping[str, str]) -> Operator:
    """A person stops a workload that they name, to give it back: there is no finding of it.

    So Security Command Center is not asked for one. What protects the workload binds all the same.

    Args:
        by: The person.
        left_out: Actions of the policy that the drill leaves out, and why.
    """
    waived_guards = _UNATTENDED_GUARDS | {
        "never_released",
        "finding_confirmed",
        "filed_in_own_project",
    }
    return Operator(by, waived_guards, is_person=True, left_out=left_out)


@dataclass(frozen=True, slots=True)
class DecisionContext:
    """What the decision needs besides evidence and policy.

    Attributes:
        now: The time.
        ceiling: The highest mode that the environment allows, with the reason if it lowers it.
        ceiling_reason: Why the ceiling is what it is.
        responder: Where the responder runs.
        history: The workload's containments.
        slots: This hour's containments.
        containment_folder: The containment that a write made now belongs to.
        operator: Who takes the incident up again; None for a delivery.
    """

    now: datetime
    ceiling: Mode
    ceiling_reason: str
    responder: ResponderIdentity
    history: ContainmentHistory
    slots: TakenSlots
    containment_folder: str
    operator: Operator | None = None


@dataclass(frozen=True, slots=True)
class GuardBlock:
    """Why nothing may be contained.

    Attributes:
        reason: Why, and by what evidence.
        alarm: Whether an attacker may have caused it, so that a person must act now.
    """

    reason: Reason
    alarm: bool = False


@dataclass(frozen=True, slots=True)
class GuardInput:
    """All that a guard may look at.

    Attributes:
        evidence: The evidence of the decision.
        workload: The finding's workload.
        policy: The policy.
        decision_context: The circumstances.
        has_changes: Whether there is anything to write.
        written_fields: The fields that would be written; None if that is not known.
    """

    evidence: Evidence
    workload: Workload
    policy: Policy
    decision_context: DecisionContext
    has_changes: bool
    written_fields: frozenset[str] | None = None


def guard_blocks(guard_input: GuardInput) -> tuple[GuardBlock, ...]:
    """The blocks of all guards; empty if none blocks.

    A guard that fails objects: what it would have said is not known.
    """
    operator = guard_input.decision_context.operator
    waived_guards = operator.waived_guards if operator else frozenset()
    active_guards = [guard for guard in GUARDS if guard.__name__ not in waived_guards]
    return tuple(block for guard in active_guards if (block := _evaluate_guard(guard, guard_input)))


def guard_blockers(guard_input: GuardInput) -> tuple[Blocker, ...]:
    """The blocks that also bind a person who contains manually."""
    active_guards = [
        guard for guard in GUARDS if guard.__name__ not in containing_operator("").waived_guards
    ]
    blocks = ((guard.__name__, _evaluate_guard(guard, guard_input)) for guard in active_guards)
    return tuple(Blocker(name, block.reason.text) for name, block in blocks if block)


def _evaluate_guard(
    guard: Callable[[GuardInput], GuardBlock | None], guard_input: GuardInput
) -> GuardBlock | None:
    try:
        return guard(guard_input)
    except Exception as error:  # noqa: BLE001 - whatever it is, it must not let anything pass
        text = (
            f"the guard {guard.__name__.replace('_', ' ')} cannot be evaluated, so it counts as an"
            f" objection: {type(error).__name__}. This is a fault of the responder: report it"
        )
        return GuardBlock(Reason(text, "guards"), alarm=True)


def finding_confirmed(guard_input: GuardInput) -> GuardBlock | None:
    """Only what SCC lists itself is contained."""
    if guard_input.evidence.confirmed:
        return None
    minutes = int(CONFIRMATION_WINDOW.total_seconds() // 60)
    text = (
        f"Security Command Center does not list the finding, {minutes} minutes after its event:"
        " nobody but the notification says that it exists"
    )
    return GuardBlock(Reason(text, "security-center"))


def finding_consistent(guard_input: GuardInput) -> GuardBlock | None:
    """A record that contradicts itself about its project names no workload for certain."""
    contradictions = guard_input.evidence.finding.contradictions
    if not contradictions:
        return None
    return GuardBlock(Reason("; ".join(contradictions), "security-center"), alarm=True)


def filed_in_own_project(guard_input: GuardInput) -> GuardBlock | None:
    """SCC keeps a finding with its resource; one that is filed elsewhere is somebody else's.

    Anybody can have Security Command Center list a finding about our workload, in a project
    or an organisation of their own.
    """
    finding = guard_input.evidence.finding
    if not guard_input.evidence.confirmed or finding.filed_under in finding.ancestors:
        return None
    text = (
        f"the finding is filed under {finding.filed_under}, and its resource does not tell that"
        " the workload is in there: somebody may have made it up in a place of their own"
    )
    return GuardBlock(Reason(text, "security-center"), alarm=True)


def project_known(guard_input: GuardInput) -> GuardBlock | None:
    """A project whose id is not known counts as protected."""
    if guard_input.workload.project_id:
        return None
    text = "the project's id is not known, so it counts as protected"
    return GuardBlock(Reason(text, "security-center"), alarm=guard_input.evidence.confirmed)


def within_max_age(guard_input: GuardInput) -> GuardBlock | None:
    """An old finding is a matter for a person: much may have changed since."""
    age = guard_input.decision_context.now - guard_input.evidence.finding.event_time
    limit = guard_input.policy.guards.max_finding_age
    if age <= limit:
        return None
    text = (
        f"the finding is {format_duration(age)} old; the policy's limit is {format_duration(limit)}"
    )
    return GuardBlock(Reason(text, "policy"))


def not_the_responder(guard_input: GuardInput) -> GuardBlock | None:
    """The responder never contains itself, nor a service of its name in an unknown project."""
    responder, workload = guard_input.decision_context.responder, guard_input.workload
    if not responder.service or workload.name != responder.service:
        return None
    numbered = responder.project.isdigit()
    workload_project = workload.project_number if numbered else workload.project_id
    if responder.project and workload_project and workload_project != responder.project:
        return None
    return GuardBlock(Reason("the workload is the responder itself", "environment"), alarm=True)


def never_released(guard_input: GuardInput) -> GuardBlock | None:
    """Once a person has released a finding's containment, it is theirs."""
    if (
        guard_input.evidence.finding.finding_id
        not in guard_input.decision_context.history.released_findings
    ):
        return None
    text = "a person has released this finding's containment before: it is theirs to decide"
    return GuardBlock(Reason(text, "case-file"))


def not_being_released(guard_input: GuardInput) -> GuardBlock | None:
    """While a person takes the containment back, nothing is contained against them."""
    current = guard_input.decision_context.history.current
    if current is None or not current.releasing:
        return None
    text = "a person is releasing the workload's containment, or began to: finish that first"
    return GuardBlock(Reason(text, "case-file"), alarm=True)


def under_hourly_cap(guard_input: GuardInput) -> GuardBlock | None:
    """No more containments in an hour than the policy allows, in all."""
    cap = guard_input.policy.guards.max_containments_per_hour
    return _under_cap(cap, guard_input.decision_context.slots.overall, "in all", guard_input)


def under_project_cap(guard_input: GuardInput) -> GuardBlock | None:
    """No more containments in an hour than the policy allows for one project."""
    cap = guard_input.policy.guards.max_per_project_per_hour
    return _under_cap(
        cap, guard_input.decision_context.slots.in_project, "in this project", guard_input
    )


def _under_cap(
    cap: int, taken: Mapping[int, str], scope: str, guard_input: GuardInput
) -> GuardBlock | None:
    holder = slot_holder(guard_input.decision_context.containment_folder)
    if not guard_input.has_changes or holder in taken.values() or len(taken) < cap:
        return None
    return cap_reached(scope, cap)


def cap_reached(scope: str, cap: int) -> GuardBlock:
    """The objection of a cap: an attacker may have used it up on purpose."""
    text = f"the policy's cap of {cap} containments an hour {scope} is reached"
    return GuardBlock(Reason(text, "policy"), alarm=True)


def virustotal_gate(guard_input: GuardInput) -> GuardBlock | None:
    """Where the policy asks for it, only what enough engines call malicious is contained."""
    gate, reputation = guard_input.policy.virustotal, guard_input.evidence.reputation
    if gate is None:
        return None
    requirement = f"the policy wants {gate.min_malicious} VirusTotal detections"
    if reputation and reputation.lookup is Lookup.KNOWN:
        if reputation.malicious >= gate.min_malicious:
            return None
        return GuardBlock(Reason(f"{requirement}. {reputation.summary}", "virustotal"))
    if gate.when_unknown == "contain":
        return None
    answer = (
        reputation.summary if reputation else "Security Command Center lists no file to ask about"
    )
    # Somebody may have used the quota up on purpose; and without a key nothing is ever contained.
    alarm = reputation is not None and reputation.lookup in (Lookup.NO_ANSWER, Lookup.NO_KEY)
    text = f"{requirement} and holds what is unknown. {answer}"
    return GuardBlock(Reason(text, "virustotal"), alarm=alarm)


def fields_known(guard_input: GuardInput) -> GuardBlock | None:
    """A write must not reset what the responder cannot read, unless the policy says so."""
    configuration, written = guard_input.evidence.configuration, guard_input.written_fields
    found = configuration.unknown_fields if configuration else ()
    names = ", ".join(name for name in found if written is None or name in written)
    if not names or guard_input.policy.guards.unknown_fields == "contain":
        return None
    text = (
        f"the workload's {names} has fields that this version of the responder does not know: a"
        " write would reset them. Deploy a newer version, or allow it with"
        " guards.unknown_fields: contain"
    )
    return GuardBlock(Reason(text, "settings"), alarm=True)


GUARDS: tuple[Callable[[GuardInput], GuardBlock | None], ...] = (
    finding_confirmed,
    finding_consistent,
    filed_in_own_project,
    project_known,
    within_max_age,
    not_the_responder,
    never_released,
    not_being_released,
    under_hourly_cap,
    under_project_cap,
    virustotal_gate,
    fields_known,
)


#: Guards that only bound unattended work, in number and in time after the event.
_UNATTENDED_GUARDS = frozenset(
    {"within_max_age", "under_hourly_cap", "under_project_cap", "virustotal_gate"}
)
