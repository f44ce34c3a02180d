"""The guards, one by one: each alone speaks up for its own reason, and none for another's."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest

from incident.case_file.containments import ContainmentHistory, containment_from_records
from incident.decision.guards import (
    GUARDS,
    DecisionContext,
    GuardInput,
    ResponderIdentity,
    TakenSlots,
    cap_reached,
    guard_blocks,
    slot_holder,
)
from incident.model import UNKNOWN_FIELDS, Evidence, Lookup, Mode, Reputation, Workload
from incident.policy.resolve import Policy
from tests.support.model import (
    configuration,
    evidence,
    finding,
    record,
    scale_to_zero_change,
    snapshot_record,
    workload,
)

AT = finding().event_time
FOLDER = "containments/x/2"
OTHER_PROJECT_NAME = finding().canonical_name.replace(
    "projects/210987654321", "projects/999999999999"
)
CIRCUMSTANCES = DecisionContext(
    containment_folder=FOLDER,
    now=AT + timedelta(seconds=5),
    ceiling=Mode.ENFORCE,
    ceiling_reason="",
    responder=ResponderIdentity(),
    history=ContainmentHistory(),
    slots=TakenSlots(),
)


def passing_case(
    found: Evidence | None = None,
    at: Workload | None = None,
    guards: dict[str, Any] | None = None,
    *,
    writes: bool = True,
    virustotal: dict[str, Any] | None = None,
    **circumstances: Any,
) -> GuardInput:
    """A case to which no guard objects, unless something in it says otherwise."""
    policy = Policy.model_validate({"guards": guards or {}, "virustotal": virustotal})
    around = replace(CIRCUMSTANCES, **circumstances)
    return GuardInput(found or evidence(), at or workload(), policy, around, has_changes=writes)


def history(released_finding: str, last: str = "released") -> ContainmentHistory:
    """A containment of a finding, and its release by a person, or what of it was recorded."""
    records = (
        snapshot_record(1, scale_to_zero_change()),
        replace(
            record(2, "written", snapshot=1), body={"snapshot": 1, "finding": released_finding}
        ),
        record(3, last),
    )
    return ContainmentHistory((containment_from_records("containments/x/1", 1, records),))


def slots(overall: int, in_project: int = 0, *, own: bool = False) -> TakenSlots:
    """That many slots taken, by us among others or by others alone."""
    others = [f"{number:016x}" for number in range(100)]
    holders = [slot_holder(FOLDER), *others] if own else others
    return TakenSlots(
        dict(enumerate(holders[:overall], 1)), dict(enumerate(holders[:in_project], 1))
    )


def reputation_of(malicious: int, engines: int) -> Evidence:
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
class BlockingCase:
    """One case, and what the guard of that name must say to it."""

    guard: str
    case: GuardInput
    text: str
    alarm: bool = field(default=False)


BLOCKING_CASES = [
    BlockingCase(
        "finding_confirmed", passing_case(evidence(confirmed=False)), "does not list the finding"
    ),
    BlockingCase(
        "finding_consistent",
        passing_case(evidence(finding=finding(contradictions=("two project numbers",)))),
        "two project numbers",
        alarm=True,
    ),
    BlockingCase(
        "filed_in_own_project",
        passing_case(evidence(finding=finding(canonical_name=OTHER_PROJECT_NAME))),
        "the finding is filed under projects/999999999999",
        alarm=True,
    ),
    BlockingCase(
        "project_known",
        passing_case(at=workload(project_id=None)),
        "counts as protected",
        alarm=True,
    ),
    BlockingCase(
        "within_max_age",
        passing_case(now=AT + timedelta(days=1, seconds=1)),
        "the finding is 1 d 1 s old; the policy's limit is 1 d",
    ),
    BlockingCase(
        "within_max_age",
        passing_case(
            guards={"max_finding_age": "90s"}, now=AT + timedelta(hours=2, minutes=3, seconds=4)
        ),
        "the finding is 2 h 3 min old; the policy's limit is 1 min 30 s",
    ),
    BlockingCase(
        "not_the_responder",
        passing_case(responder=ResponderIdentity("storefront")),
        "the responder itself",
        alarm=True,
    ),
    BlockingCase(
        "not_the_responder",
        passing_case(responder=ResponderIdentity("storefront", "example-shop-prod")),
        "the responder itself",
        alarm=True,
    ),
    BlockingCase(
        "not_the_responder",
        passing_case(responder=ResponderIdentity("storefront", "210987654321")),
        "the responder itself",
        alarm=True,
    ),
    BlockingCase(
        "not_the_responder",
        passing_case(
            at=workload(project_number=None),
            responder=ResponderIdentity("storefront", "999999999999"),
        ),
        "the responder itself",
        alarm=True,
    ),
    BlockingCase(
        "never_released",
        passing_case(history=history(finding().finding_id)),
        "released this finding's containment before",
    ),
    BlockingCase(
        "not_being_released",
        passing_case(history=history("another", last="release-started")),
        "a person is releasing the workload's containment",
        alarm=True,
    ),
    BlockingCase(
        "under_hourly_cap",
        passing_case(slots=slots(10)),
        "cap of 10 containments an hour in all is reached",
        alarm=True,
    ),
    BlockingCase(
        "under_project_cap",
        passing_case(slots=slots(3, 3)),
        "cap of 3 containments an hour in this project is reached",
        alarm=True,
    ),
    BlockingCase(
        "under_project_cap",
        passing_case(guards={"max_per_project_per_hour": 0}),
        "cap of 0 containments an hour in this project is reached",
        alarm=True,
    ),
    BlockingCase(
        "virustotal_gate",
        passing_case(virustotal={"min_malicious": 3, "when_unknown": "hold"}),
        "wants 3 VirusTotal detections and holds what is unknown. Security Command Center lists",
    ),
    BlockingCase(
        "fields_known",
        passing_case(evidence(configuration=configuration({UNKNOWN_FIELDS: "mAYB"}))),
        "the workload's scaling has fields that this version of the responder does not know",
        alarm=True,
    ),
    *(
        BlockingCase(
            "virustotal_gate",
            passing_case(
                reputation_of(2, 70), virustotal={"min_malicious": 3, "when_unknown": unknown}
            ),
            "wants 3 VirusTotal detections. VirusTotal: 2 of 70 engines call",
        )
        for unknown in ("hold", "contain")
    ),
    *(
        BlockingCase(
            "virustotal_gate",
            passing_case(evidence(reputation=reputation), virustotal={"min_malicious": 1}),
            f"wants 1 VirusTotal detections and holds what is unknown. {reputation.summary}",
            alarm=alarm,
        )
        for reputation, alarm in UNKNOWN.items()
    ),
]


@pytest.mark.parametrize("objecting", BLOCKING_CASES, ids=lambda each: f"{each.guard}: {each.text}")
def test_each_blocking_case_is_blocked_by_one_guard(objecting: BlockingCase) -> None:
    """What one guard objects to, no other guard minds."""
    speaking = {guard.__name__: block for guard in GUARDS if (block := guard(objecting.case))}
    assert list(speaking) == [objecting.guard]
    block = speaking[objecting.guard]
    assert objecting.text in block.reason.text
    assert block.alarm is objecting.alarm
    assert block.reason.evidence


def test_every_guard_has_a_case_here() -> None:
    """No guard is without a test."""
    assert {guard.__name__ for guard in GUARDS} == {each.guard for each in BLOCKING_CASES}


PASSING_CASES = {
    "something unknown, and the policy contains": passing_case(
        evidence(configuration=configuration({UNKNOWN_FIELDS: "mAYB"})),
        guards={"unknown_fields": "contain"},
    ),
    "something unknown that is not written": replace(
        passing_case(evidence(configuration=configuration({UNKNOWN_FIELDS: "mAYB"}))),
        written_fields=frozenset({"ingress"}),
    ),
    "nothing special": passing_case(),
    "a finding of exactly the limit's age": passing_case(now=AT + timedelta(days=1)),
    "a finding dated ahead of our clock": passing_case(now=AT - timedelta(seconds=30)),
    "another service of the operator": passing_case(
        responder=ResponderIdentity("responder", "example-shop-prod")
    ),
    "a namesake in another project": passing_case(
        responder=ResponderIdentity("storefront", "security-tools")
    ),
    "a namesake in another project, by its number": passing_case(
        responder=ResponderIdentity("storefront", "999999999999")
    ),
    "a finding filed under a folder above it": passing_case(
        evidence(finding=finding(canonical_name="folders/345678901234/sources/1/findings/f"))
    ),
    "a release of another finding": passing_case(history=history("another")),
    "slots taken, but one left": passing_case(slots=slots(9, 2)),
    "caps reached, but we have our slot": passing_case(slots=slots(10, 3, own=True)),
    "caps reached, but nothing to write": passing_case(slots=slots(10, 3), writes=False),
    "a gate that lets the unknown through": passing_case(
        virustotal={"min_malicious": 3, "when_unknown": "contain"}
    ),
    **{
        f"a gate that lets {reputation.lookup} through": passing_case(
            evidence(reputation=reputation),
            virustotal={"min_malicious": 3, "when_unknown": "contain"},
        )
        for reputation in UNKNOWN
    },
    "just enough engines": passing_case(reputation_of(3, 70), virustotal={"min_malicious": 3}),
    "no gate, and a file that nobody objects to": passing_case(reputation_of(0, 70)),
}


@pytest.mark.parametrize("quiet", PASSING_CASES.values(), ids=PASSING_CASES)
def test_passing_cases_are_not_blocked(quiet: GuardInput) -> None:
    """What is within bounds passes."""
    assert guard_blocks(quiet) == ()


def test_every_blocking_guard_is_reported() -> None:
    """A person sees every objection, not only the first."""
    blocks = guard_blocks(passing_case(evidence(confirmed=False), workload(project_id=None)))
    assert len(blocks) == 2
    assert not any(objection.alarm for objection in blocks)


def test_every_inconclusive_virustotal_answer_has_a_case() -> None:
    """A way that is added without its row fails here."""
    assert {reputation.lookup for reputation in UNKNOWN} | {Lookup.KNOWN} == set(Lookup)


def test_a_reached_cap_always_raises_the_alarm() -> None:
    """Somebody may have used it up on purpose."""
    assert cap_reached("in all", 4).alarm
    assert "cap of 4" in cap_reached("in all", 4).reason.text
