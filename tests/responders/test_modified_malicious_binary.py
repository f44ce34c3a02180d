"""Modified Malicious Binary Executed: what is made of the evidence, and from where."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from incident.model import (
    Access,
    Binding,
    Confidence,
    Container,
    Evidence,
    Finding,
    Lookup,
    Reputation,
    Verdict,
)
from responders.modified_malicious_binary import CATEGORY, RESPONDER, assess
from tests.support.model import NOW, configuration, evidence, finding, notification, template

OTHER = finding(finding_id="another", category="Reverse Shell")
FINDING_IN_OTHER_CONTAINER = replace(
    finding(finding_id="elsewhere", category="Malicious URL Observed", processes=()),
    containers=(Container("storefront-1", "image", "sha256:bb"),),
)
WINDOW = (finding().event_time - timedelta(minutes=30), NOW)
PUBLIC = Access((Binding("roles/run.invoker", ("user:x@example.com", "allUsers"), None),))
CLOSED = Access((Binding("roles/run.invoker", ("user:x@example.com",), None),))
DEFAULT_ACCOUNT = "210987654321-compute@developer.gserviceaccount.com"


def reasons_by_source(found: Evidence) -> dict[str, str]:
    """What is said, by the evidence it comes from."""
    by_source: dict[str, str] = {}
    for reason in assess(found).reasons:
        by_source[reason.evidence] = f"{by_source.get(reason.evidence, '')}|{reason.text}"
    return by_source


def reputation_of(malicious: int, **changes: Any) -> Reputation:
    """What VirusTotal says of a file that so many of 70 engines call malicious."""
    known = Reputation(Lookup.KNOWN, "0" * 64, malicious=malicious, engines=70)
    return replace(known, **changes)


def evidence_with_template(**changes: Any) -> Evidence:
    """Evidence of a service whose template is changed."""
    return evidence(settings=configuration(template=template(**changes)))


def process(**changes: Any) -> Finding:
    """The finding with its process changed."""
    (one,) = finding().processes
    return finding(processes=(replace(one, **changes),))


def test_it_answers_its_category_and_would_contain() -> None:
    """What may be done about it is for policy and guards."""
    assert RESPONDER.categories == (CATEGORY,)
    assert assess(evidence()).verdict is Verdict.CONTAIN
    assert assess(Evidence(finding())).verdict is Verdict.CONTAIN


@pytest.mark.parametrize(
    ("found", "confidence"),
    [
        (evidence(confirmed=False), Confidence.LOW),
        (evidence(confirmed=False, related=(OTHER,)), Confidence.LOW),
        (evidence(), Confidence.MEDIUM),
        (evidence(related=()), Confidence.MEDIUM),
        (evidence(related=(OTHER,)), Confidence.HIGH),
        (evidence(related=(FINDING_IN_OTHER_CONTAINER,)), Confidence.MEDIUM),
        (evidence(related=(FINDING_IN_OTHER_CONTAINER, OTHER)), Confidence.HIGH),
        (evidence(related=(finding(finding_id="again"),)), Confidence.MEDIUM),
        (evidence(reputation=reputation_of(2)), Confidence.MEDIUM),
        (evidence(reputation=reputation_of(3)), Confidence.HIGH),
        (evidence(reputation=reputation_of(58), confirmed=False), Confidence.LOW),
        (evidence(reputation=Reputation(Lookup.UNKNOWN)), Confidence.MEDIUM),
        (evidence(reputation=reputation_of(0)), Confidence.LOW),
        (evidence(reputation=reputation_of(0), related=(OTHER,)), Confidence.MEDIUM),
        (evidence(reputation=reputation_of(0), confirmed=False), Confidence.LOW),
        (evidence(reputation=reputation_of(0, engines=9)), Confidence.MEDIUM),
        (evidence(reputation=reputation_of(0, suspicious=1)), Confidence.MEDIUM),
        (
            evidence(finding=finding(category="Reverse Shell"), reputation=reputation_of(0)),
            Confidence.MEDIUM,
        ),
    ],
)
def test_confidence_grows_with_the_evidence(found: Evidence, confidence: Confidence) -> None:
    """A mere claim is weak; SCC's own record counts, and what belongs to the same attack more."""
    assert assess(found).confidence is confidence


@pytest.mark.parametrize(
    ("found", "source", "text"),
    [
        (evidence(), "security-center", "lists the finding itself"),
        (evidence(confirmed=False), "security-center", "the notification alone claims it"),
        (evidence(), "finding", f"SHA-256 {'275a021bbfb6489e'}"),
        (evidence(finding=process(partially_hashed=True)), "finding", "only the beginning"),
        (evidence(finding=process(sha256=None)), "finding", "names no hash"),
        (evidence(finding=finding(processes=())), "finding", "names no hash"),
        (
            evidence(reputation=reputation_of(58)),
            "virustotal",
            "58 of 70 engines call the suspected",
        ),
        (
            evidence(reputation=reputation_of(9, label="miner/x", first_seen=NOW)),
            "virustotal",
            "malicious, as miner/x; first seen 2026-10-02; this makes it more certain",
        ),
        (
            evidence(reputation=reputation_of(0, label="miner/x")),
            "virustotal",
            "0 of 70 engines call the suspected file malicious; this speaks against the finding",
        ),
        (evidence(reputation=reputation_of(2)), "virustotal", "malicious; so few may be mistaken"),
        (
            evidence(reputation=reputation_of(0, suspicious=4)),
            "virustotal",
            "; 4 of them suspect it",
        ),
        (evidence(reputation=reputation_of(0, engines=9)), "virustotal", "; that proves nothing"),
        (
            evidence(reputation=Reputation(Lookup.UNKNOWN)),
            "virustotal",
            "VirusTotal does not know the suspected file: it may have been made for this attack",
        ),
        (
            evidence(reputation=Reputation(Lookup.UNKNOWN, without_verdicts=True)),
            "virustotal",
            "VirusTotal has the suspected file, but no engine has judged it",
        ),
        (
            evidence(reputation=Reputation(Lookup.NO_ANSWER, reason="no quota")),
            "virustotal",
            "VirusTotal gave no answer: no quota",
        ),
        (evidence(reputation=Reputation(Lookup.NO_KEY)), "virustotal", "VIRUSTOTAL_API_KEY is not"),
        (evidence(related=()), "related-findings", "no other finding"),
        (evidence(related=None), "related-findings", "is not known, because"),
        (
            evidence(related=(OTHER, FINDING_IN_OTHER_CONTAINER)),
            "related-findings",
            "1 other finding makes it more certain: Reverse Shell (the same container storefront-1",
        ),
        (
            evidence(related=(FINDING_IN_OTHER_CONTAINER,)),
            "related-findings",
            "1 other finding does not make it more certain: Malicious URL Observed (perhaps a coin",
        ),
        (
            evidence(
                related=(
                    FINDING_IN_OTHER_CONTAINER,
                    replace(FINDING_IN_OTHER_CONTAINER, category="A"),
                )
            ),
            "related-findings",
            "2 other findings do not make it more certain: A, Malicious URL Observed",
        ),
        (
            evidence(related=(OTHER, replace(OTHER, category="Malicious Script Executed"))),
            "related-findings",
            "2 other findings make it more certain: Reverse Shell (",
        ),
        (
            evidence(related=(), window=WINDOW),
            "related-findings",
            "no other finding on this workload from 30 min before the event to 5 s after it; other",
        ),
        (
            evidence(related=(OTHER,), window=WINDOW),
            "related-findings",
            "were looked for from 30 min before the event to 5 s after it; other times were",
        ),
    ],
)
def test_each_reason_names_its_evidence(found: Evidence, source: str, text: str) -> None:
    """Each reason names the evidence that it comes from."""
    assert text in reasons_by_source(found)[source]


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (evidence(finding=process(partially_hashed=True)), "SHA-256"),
        (evidence(), "engines"),
        (evidence(reputation=Reputation(Lookup.NO_HASH)), "virustotal"),
        (evidence(reputation=Reputation(Lookup.PARTIAL_HASH)), "evidence='virustotal'"),
    ],
)
def test_nothing_is_claimed_without_evidence(found: Evidence, text: str) -> None:
    """What does not apply has no sentence."""
    assert text not in str(assess(found).reasons)


def test_techniques_are_those_that_google_names() -> None:
    """Each with its tactic, its page, and what it means for this binary."""
    found = assess(evidence()).techniques
    assert [(technique.id, technique.tactic) for technique in found] == [
        ("T1105", "Command and Control"),
        ("T1106", "Execution"),
    ]
    for technique in found:
        assert technique.url == f"https://attack.mitre.org/techniques/{technique.id}/"
        assert "/usr/local/bin/healthcheck" in technique.meaning
    assert "was changed or brought in while it ran" in found[0].meaning


def test_the_summary_names_binary_and_workload() -> None:
    """One sentence says what was detected, as far as the finding goes."""
    assert assess(evidence()).summary == (
        "/usr/local/bin/healthcheck in storefront was modified after the container started, was"
        " executed, and matches a file that Google knows as malicious"
    )
    bare = assess(Evidence(finding(processes=(), workload=None))).summary
    assert "a binary of its image in //run.googleapis.com/" in bare


def test_the_hashed_process_of_several_is_reported() -> None:
    """A parent and its child may both be there; a whole-file hash is preferred."""
    finding = notification("several-processes").finding
    assessment = assess(evidence(finding=finding))
    assert assessment.summary.startswith("/usr/local/bin/healthcheck in storefront")
    partly = replace(finding, processes=finding.processes[:1])
    assert "only the beginning of the executed file" in str(
        assess(evidence(finding=partly)).reasons
    )
