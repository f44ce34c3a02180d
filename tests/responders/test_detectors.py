"""The runtime detectors of Cloud Run Threat Detection: each is answered, and none is armed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from incident.case_file.containments import ContainmentHistory
from incident.decision.decide import decide
from incident.decision.guards import DecisionContext, ResponderIdentity, TakenSlots
from incident.model import Decision, Evidence, Mode, Verdict
from incident.model.finding_types import documented_detector
from incident.policy.resolve import parse_policy
from responders import RESPONDERS, route
from tests.support.constants import CATEGORY, CONTAINMENTS_FOLDER
from tests.support.model import NOW, evidence, notification

CONTAIN, HOLD = Verdict.CONTAIN, Verdict.HOLD

#: As Google's overview of Cloud Run Threat Detection lists them (April 2026), with our verdict.
DOCUMENTED = {
    "Command and Control: Steganography Tool Detected": HOLD,
    "Credential Access: Find Google Cloud Credentials": HOLD,
    "Credential Access: GPG Key Reconnaissance": HOLD,
    "Credential Access: Search Private Keys or Passwords": HOLD,
    "Defense Evasion: Base64 ELF File Command Line": CONTAIN,
    "Defense Evasion: Base64 Encoded Python Script Executed": HOLD,
    "Defense Evasion: Base64 Encoded Shell Script Executed": HOLD,
    "Defense Evasion: Launch Code Compiler Tool In Container": HOLD,
    "Execution: Added Malicious Binary Executed": CONTAIN,
    "Execution: Added Malicious Library Loaded": CONTAIN,
    "Execution: Built in Malicious Binary Executed": CONTAIN,
    "Execution: Container Escape": CONTAIN,
    "Execution: Fileless Execution in /memfd:": CONTAIN,
    "Execution: Kubernetes Attack Tool Execution": CONTAIN,
    "Execution: Local Reconnaissance Tool Execution": CONTAIN,
    "Execution: Malicious Python executed": CONTAIN,
    "Execution: Modified Malicious Binary Executed": CONTAIN,
    "Execution: Modified Malicious Library Loaded": CONTAIN,
    "Execution: Netcat Remote Code Execution in Container": HOLD,
    "Execution: Possible Arbitrary Command Execution through CUPS (CVE-2024-47076)": HOLD,
    "Execution: Possible Remote Command Execution Detected": CONTAIN,
    "Execution: Program Run with Disallowed HTTP Proxy Env": HOLD,
    "Execution: Socat Reverse Shell Detected": CONTAIN,
    "Execution: Suspicious OpenSSL Shared Object Loaded": HOLD,
    "Exfiltration: Launch Remote File Copy Tools in Container": HOLD,
    "Impact: Detect Malicious Cmdlines": HOLD,
    "Impact: Remove Bulk Data From Disk": HOLD,
    "Impact: Suspicious cryptocurrency mining activity using the Stratum Protocol": CONTAIN,
    "Malicious Script Executed": CONTAIN,
    "Malicious URL Observed": HOLD,
    "Privilege Escalation: Abuse of Sudo For Privilege Escalation (CVE-2019-14287)": CONTAIN,
    "Privilege Escalation: Polkit Local Privilege Escalation Vulnerability (CVE-2021-4034)": (
        CONTAIN
    ),
    "Privilege Escalation: Sudo Potential Privilege Escalation (CVE-2021-3156)": CONTAIN,
    "Reverse Shell": CONTAIN,
    "Unexpected Child Shell": HOLD,
}
#: Of Event Threat Detection, about Cloud Run (the same overview).
CONTROL_PLANE = {
    "Execution: Cryptomining Docker Image": CONTAIN,
    "Impact: Cryptomining Commands": CONTAIN,
    "Privilege Escalation: Default Compute Engine Service Account SetIAMPolicy": HOLD,
}
ALL = sorted({*DOCUMENTED, *RESPONDERS, "Malicious Skill Loaded", "*"})
DEFAULTS = "mode: enforce\ncontain: {service: [scale-to-zero]}\n"
ANYTHING = DEFAULTS + (
    "rules:\n  - {name: everything, match: {categories: ['*'], services: ['storefront']}}\n"
)


def detector_of(category: str) -> str:
    """The detector that reports a category."""
    return "Event Threat Detection" if category in CONTROL_PLANE else "Cloud Run Threat Detection"


def decide_category(category: str, policy: str) -> Decision:
    """What is decided, in mode enforce, about a confirmed finding of a category on a service."""
    delivered = notification(category=category, detector=detector_of(category))
    found: Evidence = replace(evidence(), finding=delivered.finding)
    circumstances = DecisionContext(
        now=NOW,
        ceiling=Mode.ENFORCE,
        ceiling_reason="",
        responder=ResponderIdentity(),
        history=ContainmentHistory(()),
        slots=TakenSlots(),
        containment_folder=f"{CONTAINMENTS_FOLDER}/1",
    )
    return decide(found, route(delivered), parse_policy(policy, source="test"), circumstances)


def test_each_category_has_the_detector_of_its_responder() -> None:
    """Drills and policy tests compose findings that are routed like real ones."""
    for category, responder in RESPONDERS.items():
        assert documented_detector(category) == responder.detector


def test_the_thirty_five_of_the_overview_are_all_there() -> None:
    """By their exact texts, each with a responder of its own; what comes on top is welcome."""
    assert len(DOCUMENTED) == 35
    assert set(DOCUMENTED) - set(RESPONDERS) == set()
    assert len({RESPONDERS[category].name for category in DOCUMENTED}) == 35


@pytest.mark.parametrize("category", [*DOCUMENTED, *CONTROL_PLANE])
def test_each_is_answered_with_its_verdict(category: str) -> None:
    """Its category leads to a responder that knows it."""
    answer = route(notification(category=category, detector=detector_of(category)))
    assert (answer.verdict, answer.reason) == (CONTAIN, "")
    assert answer.responder is not None
    verdict = {**DOCUMENTED, **CONTROL_PLANE}[category]
    assert answer.responder.assess(evidence()).verdict is verdict


@pytest.mark.parametrize("category", ALL)
def test_adding_responders_arms_nothing(category: str) -> None:
    """Where the policy names no category, enforcing contains the one default, and no other."""
    decision = decide_category(category, DEFAULTS)
    assert decision.verdict is (CONTAIN if category == CATEGORY else HOLD)
    assert bool(decision.changes) is (category == CATEGORY)
    if category in RESPONDERS and category != CATEGORY:
        assert "categories" in decision.reasons[0].text


@pytest.mark.parametrize("category", ALL)
def test_a_policy_that_names_everything_contains_what_is_hostile_only(category: str) -> None:
    """The verdict of a responder is a ceiling; an unknown type is held whatever is named."""
    decision = decide_category(category, ANYTHING)
    known = RESPONDERS.get(category)
    hostile = known is not None and known.verdict is CONTAIN
    assert decision.verdict is (CONTAIN if hostile else HOLD)
    reasons = " ".join(reason.text for reason in decision.reasons)
    if not hostile:
        assert (known.rationale if known else "no responder knows the category") in reasons
