"""Whatever an attacker puts into a finding: every responder answers, and soon."""

from __future__ import annotations

import json
from dataclasses import replace
from time import process_time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from incident.model import Decision, Evidence, Finding, Mode, Responder, Status, Verdict
from incident.notification.parse import parse_record
from incident.redaction.redactor import Redactor
from incident.report.outcome import OutcomeParts, build_outcome
from responders import RESPONDERS
from responders._unknown_type import UNKNOWN_TYPE
from tests.support.model import evidence, listed_finding_json, notification, repeatable

ALL_RESPONDERS = sorted({*RESPONDERS.values(), UNKNOWN_TYPE}, key=lambda each: each.name)
#: Those that read more of a finding than its main process.
CONTENT_READING_RESPONDERS = [
    each
    for each in ALL_RESPONDERS
    if each.name
    in {
        "added-malicious-library",
        "malicious-script",
        "malicious-url",
        "reverse-shell",
        "unexpected-child-shell",
    }
]
texts = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        ["http://[::1", "http://x:y@z:99999/p?q#f", "/bin/sh", "sh", "::1", "10.0.0.1", "\x1b[31m"]
    ),
)
numbers = st.one_of(st.none(), st.integers(0, 3).map(str), st.integers())
files = st.fixed_dictionaries(
    {}, optional={"path": texts, "sha256": st.just("a" * 64), "contents": texts, "size": numbers}
)
processes = st.fixed_dictionaries(
    {},
    optional={
        "name": texts,
        "binary": files,
        "script": files,
        "libraries": st.lists(files, max_size=3),
        "args": st.lists(texts, max_size=3),
        "pid": numbers,
        "parentPid": numbers,
    },
)
ends = [
    f"Reverse_Shell_Stdin_Redirection_{side}_{part}"
    for side in ("Dst", "Src")
    for part in ("Ip", "Port")
]
findings = st.fixed_dictionaries(
    {
        "processes": st.lists(processes, max_size=4),
        "indicator": st.fixed_dictionaries({"uris": st.lists(texts, max_size=4)}),
        "sourceProperties": st.dictionaries(st.sampled_from(ends), st.one_of(texts, numbers)),
    }
)


def stored_outcome(responder: Responder, found: Evidence) -> str:
    """The outcome of a responder's reading, as it would be stored."""
    account = OutcomeParts(
        incident="20261002-0123456789ab",
        status=Status.HELD,
        decision=Decision(Verdict.HOLD, (), Mode.DRY_RUN, None),
        evidence=found,
        responder=responder,
        assessment=responder.assess(found),
    )
    return json.dumps(build_outcome(account, Redactor(b"key", found.secrets)).to_json())


@settings(repeatable, max_examples=30)  # each is read by all responders, twice
@given(findings)
def test_any_finding_is_assessed(changes: dict[str, Any]) -> None:
    """No shape of processes, addresses or connections makes a responder fail, or waver."""
    found = evidence(finding=parse_record(listed_finding_json(**changes)))
    for responder in (*CONTENT_READING_RESPONDERS, UNKNOWN_TYPE):
        assert stored_outcome(responder, found) == stored_outcome(responder, found)
        assert responder.assess(found).verdict is responder.verdict


def oversized_finding(size: int) -> Finding:
    """A finding whose every part is as long as it can be."""
    (process,) = notification().finding.processes
    arguments = ("a" * size, "a+" * size, "http://" * size, *(["http://x/"] * 1000))
    crowd = tuple(
        replace(process, pid=number, parent_pid=number + 1, arguments=arguments)
        for number in range(300)
    )
    return notification(processes=crowd, urls=("http://" + "x/" * size,) * 1000).finding


@pytest.mark.parametrize("responder", CONTENT_READING_RESPONDERS, ids=lambda each: each.name)
def test_long_evidence_is_assessed_quickly(responder: Responder) -> None:
    """A decision waits for the assessment: it must not hang on what the attacker wrote."""
    for found in (oversized_finding(200_000), replace(oversized_finding(200_000), urls=())):
        start = process_time()
        responder.assess(evidence(finding=found))
        assert process_time() - start < 2
