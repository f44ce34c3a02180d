"""The guards: what must hold before anything is contained. Pure; they can only lower a verdict.

A guard that cannot be evaluated does not pass.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from incident.actions.recorded_plan import Recorded
from incident.case_file.containments import History
from incident.model import Bar, Evidence, Lookup, Mode, Reason, Workload, span
from incident.policy.resolve import Policy, Steps

CONFIRMATION_WINDOW = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Slots:
    """Containments that were begun in this hour, by anybody, as folders in the store.

    Attributes:
        overall: All of them.
        in_project: Those in the workload's project.
    """

    overall: tuple[str, ...] = ()
    in_project: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ourselves:
    """Where the responder itself runs, so that it never contains itself.

    Attributes:
        service: Name of our Cloud Run service; empty when we do not run there.
        project: Id or number of our project; empty where not configured.
    """

    service: str = ""
    project: str = ""


@dataclass(frozen=True, slots=True)
class Attendance:
    """Who takes an incident up again, after its notification.

    Attributes:
        by: A person's account, or ``patrol``.
        waived: Names of the guards that need not pass: those that bound what is done about a
            new notification while nobody looks.
        person: Whether a person asks for it, now: then it is carried out, whatever mode the
            notification was answered in.
        steps: The actions that the person names instead of the policy's.
        plan: The recorded plan beyond which nothing may be written; None for a fresh one.
    """

    by: str
    waived: frozenset[str] = frozenset()
    person: bool = False
    steps: Steps = ()
    plan: Recorded | None = None

    @property
    def unbounded(self) -> bool:
        """Whether the hourly caps are not for this: no slots are taken either."""
        return {"under_hourly_cap", "under_project_cap"} <= self.waived


def approving(by: str, plan: Recorded) -> Attendance:
    """A person applies a recorded plan: what bounds unattended action does not bind them.

    That a person has released the finding's containment since does: the plan was made before.
    """
    return Attendance(by, _UNATTENDED, person=True, plan=plan)


def containing(by: str, steps: Steps = ()) -> Attendance:
    """A person contains by hand, also what somebody has released before."""
    return Attendance(by, _UNATTENDED | {"never_released"}, person=True, steps=steps)


def drilling(by: str) -> Attendance:
    """A person stops a workload that they name, to give it back: there is no finding of it.

    So Security Command Center is not asked for one. What protects the workload binds all the same.
    """
    waived = _UNATTENDED | {"never_released", "confirmed", "at_home"}
    return Attendance(by, waived, person=True)


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What the decision needs besides evidence and policy.

    Attributes:
        now: The time.
        ceiling: The highest mode that the environment allows, with the reason if it lowers it.
        ceiling_reason: Why the ceiling is what it is.
        ourselves: Where the responder runs.
        history: The workload's containments.
        slots: This hour's containments.
        folder: The containment that a write made now belongs to.
        attendance: Who takes the incident up again; None for a delivery.
    """

    now: datetime
    ceiling: Mode
    ceiling_reason: str
    ourselves: Ourselves
    history: History
    slots: Slots
    folder: str
    attendance: Attendance | None = None


@dataclass(frozen=True, slots=True)
class Objection:
    """Why nothing may be contained.

    Attributes:
        reason: Why, and by what evidence.
        alarm: Whether an attacker may have caused it, so that a person must look now.
    """

    reason: Reason
    alarm: bool = False


@dataclass(frozen=True, slots=True)
class Case:
    """All that a guard may look at; ``writes`` says whether there is anything to write."""

    evidence: Evidence
    workload: Workload
    policy: Policy
    circumstances: Circumstances
    writes: bool


def objections(case: Case) -> tuple[Objection, ...]:
    """What every guard has to say; empty when nothing stands in the way.

    A guard that fails objects: what it would have said is not known.
    """
    attendance = case.circumstances.attendance
    waived = attendance.waived if attendance else frozenset()
    asked = [guard for guard in GUARDS if guard.__name__ not in waived]
    return tuple(objection for guard in asked if (objection := _evaluated(guard, case)))


def bars(case: Case) -> tuple[Bar, ...]:
    """What the guards say that bind also a person who contains by hand."""
    asked = [guard for guard in GUARDS if guard.__name__ not in containing("").waived]
    found = ((guard.__name__, _evaluated(guard, case)) for guard in asked)
    return tuple(Bar(name, objection.reason.text) for name, objection in found if objection)


def _evaluated(guard: Callable[[Case], Objection | None], case: Case) -> Objection | None:
    try:
        return guard(case)
    except Exception as error:  # noqa: BLE001 - whatever it is, it must not let anything pass
        text = (
            f"the guard {guard.__name__.replace('_', ' ')} cannot be evaluated, so it counts as an"
            f" objection: {type(error).__name__}. This is a fault of the responder: report it"
        )
        return Objection(Reason(text, "guards"), alarm=True)


def confirmed(case: Case) -> Objection | None:
    """Only what SCC lists itself is contained."""
    if case.evidence.confirmed:
        return None
    minutes = int(CONFIRMATION_WINDOW.total_seconds() // 60)
    text = (
        f"Security Command Center does not list the finding, {minutes} minutes after its event:"
        " nobody but the notification says that it exists"
    )
    return Objection(Reason(text, "security-center"))


def consistent(case: Case) -> Objection | None:
    """A record that contradicts itself about its project names no workload for certain."""
    contradictions = case.evidence.finding.contradictions
    if not contradictions:
        return None
    return Objection(Reason("; ".join(contradictions), "security-center"), alarm=True)


def at_home(case: Case) -> Objection | None:
    """SCC keeps a finding with its resource; one that is filed elsewhere is somebody else's.

    Anybody can have Security Command Center list a finding about our workload, in a project
    or an organisation of their own.
    """
    finding = case.evidence.finding
    if not case.evidence.confirmed or finding.filed_under in finding.ancestors:
        return None
    text = (
        f"the finding is filed under {finding.filed_under}, and its resource does not tell that"
        " the workload is in there: somebody may have made it up in a place of their own"
    )
    return Objection(Reason(text, "security-center"), alarm=True)


def project_known(case: Case) -> Objection | None:
    """A project whose id is not known counts as protected."""
    if case.workload.project_id:
        return None
    text = "the project's id is not known, so it counts as protected"
    return Objection(Reason(text, "security-center"))


def young_enough(case: Case) -> Objection | None:
    """An old finding is a matter for a person: much may have changed since."""
    age = case.circumstances.now - case.evidence.finding.event_time
    limit = case.policy.guards.max_finding_age
    if age <= limit:
        return None
    text = f"the finding is {span(age)} old; the policy's limit is {span(limit)}"
    return Objection(Reason(text, "policy"))


def not_ourselves(case: Case) -> Objection | None:
    """The responder never contains itself; a namesake whose project cannot be told counts."""
    ourselves, workload = case.circumstances.ourselves, case.workload
    if not ourselves.service or workload.name != ourselves.service:
        return None
    numbered = ourselves.project.isdigit()
    theirs = workload.project_number if numbered else workload.project_id
    if ourselves.project and theirs and theirs != ourselves.project:
        return None
    return Objection(Reason("the workload is the responder itself", "environment"), alarm=True)


def never_released(case: Case) -> Objection | None:
    """Once a person has released a finding's containment, it is theirs."""
    if case.evidence.finding.finding_id not in case.circumstances.history.released_findings:
        return None
    text = "a person has released this finding's containment before: it is theirs to decide"
    return Objection(Reason(text, "case-file"))


def not_being_released(case: Case) -> Objection | None:
    """While a person takes the containment back, nothing is contained against them."""
    current = case.circumstances.history.current
    if current is None or not current.releasing:
        return None
    text = "a person is releasing the workload's containment, or began to: finish that first"
    return Objection(Reason(text, "case-file"), alarm=True)


def under_hourly_cap(case: Case) -> Objection | None:
    """No more containments in an hour than the policy allows, in all."""
    cap = case.policy.guards.max_containments_per_hour
    return _under(cap, case.circumstances.slots.overall, "in all", case)


def under_project_cap(case: Case) -> Objection | None:
    """No more containments in an hour than the policy allows for one project."""
    cap = case.policy.guards.max_per_project_per_hour
    return _under(cap, case.circumstances.slots.in_project, "in this project", case)


def _under(cap: int, taken: Sequence[str], where: str, case: Case) -> Objection | None:
    if not case.writes or case.circumstances.folder in taken or len(taken) < cap:
        return None
    return cap_reached(where, cap)


def cap_reached(where: str, cap: int) -> Objection:
    """The objection of a cap: an attacker may have used it up on purpose."""
    text = f"the policy's cap of {cap} containments an hour {where} is reached"
    return Objection(Reason(text, "policy"), alarm=True)


def virustotal_gate(case: Case) -> Objection | None:
    """Where the policy asks for it, only what enough engines call malicious is contained."""
    gate, reputation = case.policy.virustotal, case.evidence.reputation
    if gate is None:
        return None
    wanted = f"the policy wants {gate.min_malicious} VirusTotal detections"
    if reputation and reputation.lookup is Lookup.KNOWN:
        if reputation.malicious >= gate.min_malicious:
            return None
        return Objection(Reason(f"{wanted}. {reputation.sentence}", "virustotal"))
    if gate.when_unknown == "contain":
        return None
    said = (
        reputation.sentence if reputation else "Security Command Center lists no file to ask about"
    )
    # Somebody may have used the quota up on purpose; and without a key nothing is ever contained.
    alarm = reputation is not None and reputation.lookup in (Lookup.NO_ANSWER, Lookup.NO_KEY)
    text = f"{wanted} and holds what is unknown. {said}"
    return Objection(Reason(text, "virustotal"), alarm=alarm)


GUARDS: tuple[Callable[[Case], Objection | None], ...] = (
    confirmed,
    consistent,
    at_home,
    project_known,
    young_enough,
    not_ourselves,
    never_released,
    not_being_released,
    under_hourly_cap,
    under_project_cap,
    virustotal_gate,
)


#: What bounds only how much is done while nobody looks, and for how long after the event.
_UNATTENDED = frozenset(
    {"young_enough", "under_hourly_cap", "under_project_cap", "virustotal_gate"}
)
