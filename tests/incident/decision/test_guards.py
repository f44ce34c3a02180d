"""The guards, one by one: each alone speaks up for its own reason, and none for another's."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest

from incident.case_file.containments import History, fold
from incident.decision.guards import (
    GUARDS,
    Case,
    Circumstances,
    Ourselves,
    Slots,
    cap_reached,
    objections,
)
from incident.model import Evidence, Lookup, Mode, Reputation, Workload
from incident.policy.resolve import Policy
from tests.support.model import before, evidence, finding, record, scaled_to_zero, workload

AT = finding().event_time
FOLDER = "containments/x/2"
ELSEWHERE = finding().canonical_name.replace("projects/210987654321", "projects/999999999999")
CIRCUMSTANCES = Circumstances(
    folder=FOLDER,
    now=AT + timedelta(seconds=5),
    ceiling=Mode.ENFORCE,
    ceiling_reason="",
    ourselves=Ourselves(),
    history=History(),
    slots=Slots(),
)


def case(
    found: Evidence | None = None,
    at: Workload | None = None,
    guards: dict[str, Any] | None = None,
    *,
    writes: bool = True,
    virustotal: dict[str, Any] | None = None,
    **circumstances: Any,
) -> Case:
    """A case to which no guard objects, unless something in it says otherwise."""
    policy = Policy.model_validate({"guards": guards or {}, "virustotal": virustotal})
    around = replace(CIRCUMSTANCES, **circumstances)
    return Case(found or evidence(), at or workload(), policy, around, writes=writes)


def history(released_finding: str, last: str = "released") -> History:
    """A containment of a finding, and its release by a person, or what of it was recorded."""
    records = (
        before(1, scaled_to_zero()),
        replace(record(2, "written", image=1), body={"image": 1, "finding": released_finding}),
        record(3, last),
    )
    return History((fold("containments/x/1", 1, records),))


def slots(overall: int, in_project: int = 0, *, ours: bool = False) -> Slots:
    """That many slots taken, by us among others or by others alone."""
    folders = tuple(f"containments/other/{number}" for number in range(100))
    first = (FOLDER,) if ours else ()
    return Slots((first + folders)[:overall], (first + folders)[:in_project])


def reputed(malicious: int, engines: int) -> Evidence:
    """A file that so many of so many engines call malicious."""
    known = Reputation(Lookup.KNOWN, "0" * 64, malicious=malicious, engines=engines)
    return evidence(reputation=known)


#: Each way in which VirusTotal says nothing, and whether somebody must look into that.
UNKNOWN = {
    Reputation(Lookup.UNKNOWN, "0" * 64): False,
    Reputation(Lookup.PARTIAL_HASH): False,
    Reputation(Lookup.NO_HASH): False,
    Reputation(Lookup.NO_ANSWER, "0" * 64, "the quota is used up"): True,
    Reputation(Lookup.NO_KEY, "0" * 64): True,
}


@dataclass(frozen=True, slots=True)
class Objecting:
    """One case, and what the guard of that name must say to it."""

    guard: str
    case: Case
    text: str
    alarm: bool = field(default=False)


OBJECTING = [
    Objecting("confirmed", case(evidence(confirmed=False)), "does not list the finding"),
    Objecting(
        "consistent",
        case(evidence(finding=finding(contradictions=("two project numbers",)))),
        "two project numbers",
        alarm=True,
    ),
    Objecting(
        "at_home",
        case(evidence(finding=finding(canonical_name=ELSEWHERE))),
        "the finding is filed under projects/999999999999",
        alarm=True,
    ),
    Objecting("project_known", case(at=workload(project_id=None)), "counts as protected"),
    Objecting(
        "young_enough",
        case(now=AT + timedelta(days=1, seconds=1)),
        "the finding is 1 d 1 s old; the policy's limit is 1 d",
    ),
    Objecting(
        "young_enough",
        case(guards={"max_finding_age": "90s"}, now=AT + timedelta(hours=2, minutes=3, seconds=4)),
        "the finding is 2 h 3 min old; the policy's limit is 1 min 30 s",
    ),
    Objecting(
        "not_ourselves", case(ourselves=Ourselves("storefront")), "the responder itself", alarm=True
    ),
    Objecting(
        "not_ourselves",
        case(ourselves=Ourselves("storefront", "example-shop-prod")),
        "the responder itself",
        alarm=True,
    ),
    Objecting(
        "not_ourselves",
        case(ourselves=Ourselves("storefront", "210987654321")),
        "the responder itself",
        alarm=True,
    ),
    Objecting(
        "not_ourselves",
        case(at=workload(project_number=None), ourselves=Ourselves("storefront", "999999999999")),
        "the responder itself",
        alarm=True,
    ),
    Objecting(
        "never_released",
        case(history=history(finding().finding_id)),
        "released this finding's containment before",
    ),
    Objecting(
        "not_being_released",
        case(history=history("another", last="release-intended")),
        "a person is releasing the workload's containment",
        alarm=True,
    ),
    Objecting(
        "under_hourly_cap",
        case(slots=slots(10)),
        "cap of 10 containments an hour in all is reached",
        alarm=True,
    ),
    Objecting(
        "under_project_cap",
        case(slots=slots(3, 3)),
        "cap of 3 containments an hour in this project is reached",
        alarm=True,
    ),
    Objecting(
        "under_project_cap",
        case(guards={"max_per_project_per_hour": 0}),
        "cap of 0 containments an hour in this project is reached",
        alarm=True,
    ),
    Objecting(
        "virustotal_gate",
        case(virustotal={"min_malicious": 3, "when_unknown": "hold"}),
        "wants 3 VirusTotal detections and holds what is unknown. Security Command Center lists",
    ),
    *(
        Objecting(
            "virustotal_gate",
            case(reputed(2, 70), virustotal={"min_malicious": 3, "when_unknown": unknown}),
            "wants 3 VirusTotal detections. VirusTotal: 2 of 70 engines call",
        )
        for unknown in ("hold", "contain")
    ),
    *(
        Objecting(
            "virustotal_gate",
            case(evidence(reputation=reputation), virustotal={"min_malicious": 1}),
            f"wants 1 VirusTotal detections and holds what is unknown. {reputation.sentence}",
            alarm=alarm,
        )
        for reputation, alarm in UNKNOWN.items()
    ),
]


@pytest.mark.parametrize("objecting", OBJECTING, ids=lambda each: f"{each.guard}: {each.text}")
def test_each_guard_speaks_up_alone(objecting: Objecting) -> None:
    """What one guard objects to, no other guard minds."""
    speaking = {guard.__name__: said for guard in GUARDS if (said := guard(objecting.case))}
    assert list(speaking) == [objecting.guard]
    said = speaking[objecting.guard]
    assert objecting.text in said.reason.text
    assert said.alarm is objecting.alarm
    assert said.reason.evidence


def test_every_guard_has_a_case_here() -> None:
    """No guard is without a test."""
    assert {guard.__name__ for guard in GUARDS} == {each.guard for each in OBJECTING}


SILENT = {
    "nothing special": case(),
    "a finding of exactly the limit's age": case(now=AT + timedelta(days=1)),
    "a finding dated ahead of our clock": case(now=AT - timedelta(seconds=30)),
    "another service of ours": case(ourselves=Ourselves("responder", "example-shop-prod")),
    "a namesake in another project": case(ourselves=Ourselves("storefront", "security-tools")),
    "a namesake in another project, by its number": case(
        ourselves=Ourselves("storefront", "999999999999")
    ),
    "a finding filed under a folder above it": case(
        evidence(finding=finding(canonical_name="folders/345678901234/sources/1/findings/f"))
    ),
    "a release of another finding": case(history=history("another")),
    "slots taken, but one left": case(slots=slots(9, 2)),
    "caps reached, but we have our slot": case(slots=slots(10, 3, ours=True)),
    "caps reached, but nothing to write": case(slots=slots(10, 3), writes=False),
    "a gate that lets the unknown through": case(
        virustotal={"min_malicious": 3, "when_unknown": "contain"}
    ),
    **{
        f"a gate that lets {reputation.lookup} through": case(
            evidence(reputation=reputation),
            virustotal={"min_malicious": 3, "when_unknown": "contain"},
        )
        for reputation in UNKNOWN
    },
    "just enough engines": case(reputed(3, 70), virustotal={"min_malicious": 3}),
    "no gate, and a file that nobody objects to": case(reputed(0, 70)),
}


@pytest.mark.parametrize("quiet", SILENT.values(), ids=SILENT)
def test_no_guard_objects_without_cause(quiet: Case) -> None:
    """What is within bounds passes."""
    assert objections(quiet) == ()


def test_all_objections_are_told() -> None:
    """A person sees everything that stands in the way, not only the first of it."""
    said = objections(case(evidence(confirmed=False), workload(project_id=None)))
    assert len(said) == 2
    assert not any(objection.alarm for objection in said)


def test_every_way_of_saying_nothing_is_tried_here() -> None:
    """A way that is added without its row fails here."""
    assert {reputation.lookup for reputation in UNKNOWN} | {Lookup.KNOWN} == set(Lookup)


def test_a_cap_is_an_alarm_wherever_it_stands() -> None:
    """Somebody may have used it up on purpose."""
    assert cap_reached("in all", 4).alarm
    assert "cap of 4" in cap_reached("in all", 4).reason.text
