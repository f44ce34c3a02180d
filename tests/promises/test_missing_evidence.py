"""What could not be read is never told as absent: every sentence, for every kind of gap."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from itertools import combinations, product
from typing import Any

import pytest

from incident.investigation.exposure import reach
from incident.model import (
    Access,
    Evidence,
    Execution,
    Gap,
    Kind,
    Lookup,
    Reputation,
    Topic,
)
from responders import RESPONDERS
from tests.support.model import CATEGORY, evidence, finding, settings, template, workload

EVENT = finding().event_time
#: The evidence that may be lacking, by the field that it fills.
SOURCES = {
    "settings": "settings",
    "access": "access",
    "revisions": "revisions",
    "executions": "executions",
    "related": "related-findings",
    "audit": "audit-log",
}
GAPS = [lacking for size in range(len(SOURCES) + 1) for lacking in combinations(SOURCES, size)]
#: What claims that something is not there, or that few can reach it.
ABSENCE = re.compile(
    r"\b(no|none|nothing|nobody|never|only|alone|internal)\b|does not (list|show|know)",
    re.IGNORECASE,
)
#: What a sentence about a topic rests on; any one of it is enough.
_WHAT_RAN = frozenset({"settings", "revisions", "executions"})
RESTS_ON = {
    "entry": {"settings"},
    "callers": {"access"},
    "identity": _WHAT_RAN,
    "secrets": _WHAT_RAN,
    "environment": _WHAT_RAN,
    "volumes": _WHAT_RAN,
    "related-findings": {"related"},
}


def gathered(kind: Kind, lacking: tuple[str, ...], *, named: bool) -> Evidence:
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
        settings=settings(
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
    about = [(point.topic.value, point.text) for point in reach(of)]
    assessed = RESPONDERS[CATEGORY].assess(of)
    return [*about, *((reason.evidence, reason.text) for reason in assessed.reasons)]


EACH = list(product(Kind, (True, False)))


@pytest.mark.parametrize(("kind", "named"), EACH)
def test_what_is_lacking_is_not_told_as_absent(kind: Kind, *, named: bool) -> None:
    """Whatever a sentence rests on: without it, it says that it is not known, and why."""
    useless = {Kind.JOB: "revisions"}.get(kind, "executions")
    for lacking in GAPS:
        had = set(SOURCES) - set(lacking) - {useless}
        for topic, text in sentences(gathered(kind, lacking, named=named)):
            if topic not in RESTS_ON or RESTS_ON[topic] & had or "takes no requests" in text:
                continue
            said, known, why = text.partition("is not known, because")
            assert known, (lacking, text)
            assert "denied" in why, (lacking, text)
            assert not ABSENCE.search(said), (lacking, text)


@pytest.mark.parametrize(("kind", "named"), EACH)
def test_every_topic_is_told_whatever_is_lacking(kind: Kind, *, named: bool) -> None:
    """Silence would read as absence."""
    whole = {topic for topic, _ in sentences(gathered(kind, (), named=named))}
    for lacking in GAPS:
        assert whole <= {topic for topic, _ in sentences(gathered(kind, lacking, named=named))}


@pytest.mark.parametrize(("kind", "named"), EACH)
def test_what_stands_in_is_told_to(kind: Kind, *, named: bool) -> None:
    """Without revisions or executions, what there is not is said of the settings as they are."""
    of = gathered(kind, ("revisions", "executions"), named=named)
    for topic, text in sentences(of):
        if topic in (Topic.SECRETS, Topic.ENVIRONMENT, Topic.VOLUMES):
            assert "by its settings as they are now" in text


def test_a_finding_that_could_not_be_asked_for_is_not_told_to_be_unlisted() -> None:
    """Being refused an answer is not the answer no."""
    of = replace(gathered(Kind.SERVICE, (), named=True), confirmed=False)
    assert "does not list the finding" in str(sentences(of))
    refused = str(sentences(of.with_gap(Gap("security-center", "denied"))))
    assert "does not list" not in refused
    assert "Security Command Center's record could not be read (denied)" in refused


def test_what_was_never_asked_for_is_not_told_as_a_failure_to_read_it() -> None:
    """Without a workload there is nothing to look for; and no gap means that nobody asked."""
    of = replace(gathered(Kind.SERVICE, (), named=True), related=None, access=None)
    assert "because the related findings were not read" in str(sentences(of))
    assert "because its IAM policy was not read" in str(sentences(of))
    nowhere = str(sentences(replace(of, finding=replace(of.finding, workload=None))))
    assert "no other findings were looked for: this one names no Cloud Run workload" in nowhere
    assert "not known" not in nowhere


def test_the_audit_log_that_was_not_read_shows_nothing() -> None:
    """Neither that it shows it, nor that it does not."""
    for kind, named in EACH:
        for lacking in GAPS:
            if "audit" in lacking:
                told = str(sentences(gathered(kind, lacking, named=named)))
                assert "the audit log does not show it" not in told
