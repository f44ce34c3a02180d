"""What could not be read is never reported as absent: every sentence, for every kind of gap."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from itertools import combinations, product
from typing import Any

import pytest

from incident.investigation.exposure import describe_exposure
from incident.model import (
    Access,
    Evidence,
    Execution,
    ExposureTopic,
    Gap,
    Kind,
    Lookup,
    Reputation,
)
from responders import RESPONDERS
from tests.support.constants import CATEGORY
from tests.support.model import configuration, evidence, finding, template, workload

EVENT = finding().event_time
#: The evidence that may be lacking, by the field that it fills.
SOURCES = {
    "configuration": "settings",
    "access": "access",
    "revisions": "revisions",
    "executions": "executions",
    "related": "related-findings",
    "audit": "audit-log",
}
GAPS = [lacking for size in range(len(SOURCES) + 1) for lacking in combinations(SOURCES, size)]
#: What claims that something is not there, or that few can reach it.
ABSENCE_WORDS = re.compile(
    r"\b(no|none|nothing|nobody|never|only|alone|internal)\b|does not (list|show|know)",
    re.IGNORECASE,
)
#: What a sentence about a topic rests on; any one of it is enough.
_WHAT_RAN = frozenset({"configuration", "revisions", "executions"})
TOPIC_SOURCES = {
    "entry": {"configuration"},
    "callers": {"access"},
    "identity": _WHAT_RAN,
    "secrets": _WHAT_RAN,
    "environment": _WHAT_RAN,
    "volumes": _WHAT_RAN,
    "related-findings": {"related"},
}


def evidence_without(kind: Kind, lacking: tuple[str, ...], *, named: bool) -> Evidence:
    """Evidence of a bare workload: where nothing is lacking, many things are absent."""
    bare = template(containers=(), secret_names=(), volumes=(), creator="")
    begun = EVENT - timedelta(minutes=5)
    execution = Execution(
        "x/e-1", "e-1", begun, begun, None, "", "", {}, replace(bare, revision=""), ""
    )
    job = kind is Kind.JOB
    about = finding(
        workload=workload(kind=kind),
        processes=(),
        revision="storefront-00042" if named and not job else None,
        execution="e-1" if named and job else None,
    )
    of = evidence(
        finding=about,
        configuration=configuration(
            kind=kind,
            template=replace(bare, revision=""),
            fields={"ingress": "INGRESS_TRAFFIC_INTERNAL_ONLY"},
        ),
        access=Access(()),
        revisions=None if job else (bare,),
        executions=(execution,) if job else None,
        related=(),
        audit=(),
        reputation=Reputation(Lookup.NO_HASH),
    )
    nothing: dict[str, Any] = dict.fromkeys(lacking)
    gaps = tuple(Gap(SOURCES[each], f"{SOURCES[each]} denied") for each in lacking)
    return replace(of, **nothing, gaps=gaps)


def sentences(of: Evidence) -> list[tuple[str, str]]:
    """Every sentence of the assessment about what was gathered, with what it is about."""
    about = [(point.topic.value, point.text) for point in describe_exposure(of)]
    assessed = RESPONDERS[CATEGORY].assess(of)
    return [*about, *((reason.evidence, reason.text) for reason in assessed.reasons)]


KINDS_AND_NAMED = list(product(Kind, (True, False)))


@pytest.mark.parametrize(("kind", "named"), KINDS_AND_NAMED)
def test_missing_evidence_is_not_reported_as_absence(kind: Kind, *, named: bool) -> None:
    """Whatever a sentence rests on: without it, it says that it is not known, and why."""
    useless = {Kind.JOB: "revisions"}.get(kind, "executions")
    for lacking in GAPS:
        had = set(SOURCES) - set(lacking) - {useless}
        for topic, text in sentences(evidence_without(kind, lacking, named=named)):
            if (
                topic not in TOPIC_SOURCES
                or TOPIC_SOURCES[topic] & had
                or "takes no requests" in text
            ):
                continue
            before, known, why = text.partition("is not known, because")
            assert known, (lacking, text)
            assert "denied" in why, (lacking, text)
            assert not ABSENCE_WORDS.search(before), (lacking, text)


@pytest.mark.parametrize(("kind", "named"), KINDS_AND_NAMED)
def test_every_topic_is_reported_with_any_evidence_missing(kind: Kind, *, named: bool) -> None:
    """Silence would read as absence."""
    whole = {topic for topic, _ in sentences(evidence_without(kind, (), named=named))}
    for lacking in GAPS:
        assert whole <= {
            topic for topic, _ in sentences(evidence_without(kind, lacking, named=named))
        }


@pytest.mark.parametrize(("kind", "named"), KINDS_AND_NAMED)
def test_fallback_evidence_is_reported_as_fallback(kind: Kind, *, named: bool) -> None:
    """Without revisions or executions, what there is not is said of the settings as they are."""
    of = evidence_without(kind, ("revisions", "executions"), named=named)
    for topic, text in sentences(of):
        if topic in (ExposureTopic.SECRETS, ExposureTopic.ENVIRONMENT, ExposureTopic.VOLUMES):
            assert "by its settings as they are now" in text


def test_a_finding_that_could_not_be_listed_is_not_called_unlisted() -> None:
    """Being refused an answer is not the answer no."""
    of = replace(evidence_without(Kind.SERVICE, (), named=True), confirmed=False)
    assert "does not list the finding" in str(sentences(of))
    refused = str(sentences(of.with_gap(Gap("security-center", "denied"))))
    assert "does not list" not in refused
    assert "Security Command Center's record could not be read (denied)" in refused


def test_evidence_that_was_never_requested_is_not_called_unreadable() -> None:
    """Without a workload there is nothing to look for; and no gap means that nobody asked."""
    of = replace(evidence_without(Kind.SERVICE, (), named=True), related=None, access=None)
    assert "because the related findings were not read" in str(sentences(of))
    assert "because its IAM policy was not read" in str(sentences(of))
    nowhere = str(sentences(replace(of, finding=replace(of.finding, workload=None))))
    assert "no other findings were looked for: this one names no Cloud Run workload" in nowhere
    assert "not known" not in nowhere


def test_an_unread_audit_log_is_not_cited() -> None:
    """Neither that it shows it, nor that it does not."""
    for kind, named in KINDS_AND_NAMED:
        for lacking in GAPS:
            if "audit" in lacking:
                text = str(sentences(evidence_without(kind, lacking, named=named)))
                assert "the audit log does not show it" not in text
