"""Timeline of the attack, and the log lines that are in it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incident.model import Json, Kind, Status
from incident.model.outcome import Outcome, ReportedFinding, ReportedWorkload
from incident.report.html import CaseFileContents, render_html
from incident.report.log_lines import LogLine, decisive_lines, log_lines
from incident.report.timeline import EventKind, TimelineEvent, attack_timeline
from tests.support.model import repeatable

EVENT = datetime(2026, 10, 2, 8, 14, 7, tzinfo=UTC)
OUTCOME = Outcome(
    Status.HELD, "i-1", finding=ReportedFinding(category="Execution: X", event_time=EVENT)
)
MARK = "/usr/bin/x"


def at(seconds: float) -> str:
    """A time so many seconds after the event, as evidence spells it."""
    return (EVENT + timedelta(seconds=seconds)).isoformat()


def entry(seconds: float, text: str = "", severity: str = "INFO", **more: Any) -> dict[str, Json]:
    """A log entry."""
    return {"timestamp": at(seconds), "log": "stdout", "severity": severity, "text": text, **more}


def request(seconds: float, method: str, sender: str) -> dict[str, Json]:
    """A log entry of a request."""
    sent = {
        "requestMethod": method,
        "requestUrl": "https://shop.example/upload?name=a&b=c",
        "status": 200,
        "userAgent": "curl/8",
        "remoteIp": sender,
    }
    return entry(seconds, log="requests", request=sent)


def timeline(evidence: dict[str, Any]) -> tuple[TimelineEvent, ...]:
    """The timeline of evidence."""
    decisive = decisive_lines(log_lines(evidence.get("logs")), EVENT, [MARK])
    return attack_timeline(OUTCOME, evidence, decisive)


def test_the_attack_is_in_time_order() -> None:
    """Deployment, related finding, request, log line, finding."""
    events = timeline(
        {
            "audit-log": [
                {"timestamp": at(-7200), "method": "a.b.UpdateService", "principal": "me"}
            ],
            "revisions": [
                {"create_time": at(-7195), "revision": "r-1"},
                {"create_time": at(-9200), "revision": "r-0"},
                {"create_time": at(-900_000), "revision": "r-older-than-the-audit-log"},
            ],
            "related-findings": [{"event_time": at(-240), "category": "Reverse Shell"}],
            "logs": [
                request(-8, "POST", "203.0.113.7"),
                entry(-1, f"fetched {MARK}"),
                entry(-2, "cart loaded"),
            ],
        }
    )
    assert [(event.kind, event.text) for event in events] == [
        (EventKind.DEPLOYMENT, "Revision r-0 deployed"),
        (EventKind.DEPLOYMENT, "Revision r-1 deployed by me"),
        (EventKind.RELATED, "Related finding: Reverse Shell"),
        (EventKind.REQUEST, "POST /upload?…: 200, from 203.0.113.7"),
        (EventKind.LOG, f"stdout: fetched {MARK}"),
        (EventKind.FINDING, "FINDING: Execution: X"),
    ]


@pytest.mark.parametrize("named", [None, "n-2"])
def test_executions_of_a_job_are_in_the_timeline(named: str | None) -> None:
    """Start with creator, and end; not those that ended before the detected one started."""
    executions: list[Json] = [
        {"short_name": "n-2", "create_time": at(-600), "completion_time": None, "creator": "me"},
        {"short_name": "n-1", "create_time": at(-900), "completion_time": at(-500)},
        {"short_name": "n-0", "create_time": at(-90_000), "completion_time": at(-89_000)},
    ]
    audit: list[Json] = [{"timestamp": at(-601), "method": "v2.Jobs.RunJob", "principal": "me"}]
    job = ReportedWorkload(Kind.JOB, "p", None, "l", "n", "projects/p", execution=named)
    evidence: dict[str, Json] = {"executions": executions, "audit-log": audit}
    events = attack_timeline(replace(OUTCOME, workload=job), evidence, ())
    assert [event.text for event in events if event.kind is EventKind.EXECUTION] == [
        *("Execution n-1 started", "RunJob by me"),
        *("Execution n-2 started by me", "Execution n-1 over"),
    ]


def test_all_executions_stay_where_the_detected_one_is_not_known() -> None:
    """One that ended before the event may have been it."""
    ended: list[Json] = [
        {"short_name": "n-0", "create_time": at(-9000), "completion_time": at(-8000)}
    ]
    events = timeline({"executions": ended})
    assert [event.text for event in events if event.kind is EventKind.EXECUTION] == [
        *("Execution n-0 started", "Execution n-0 over"),
    ]


def test_a_change_of_the_iam_policy_is_no_deployment() -> None:
    """Each audit log method gives its kind; what was refused says so."""
    methods = ("SetIamPolicy", "SetIamPolicy", "ReplaceService", "RunJob", "DeleteService")
    audit: list[Any] = [
        {"timestamp": at(n - 9), "method": f"google.cloud.run.v1.Services.{m}", "principal": "me"}
        for n, m in enumerate(methods)
    ]
    audit[0]["bindings"] = ["ADD roles/run.invoker allUsers", "REMOVE roles/run.admin user:x"]
    audit[1]["error"] = "denied"
    events = [event for event in timeline({"audit-log": audit}) if event.text[:7] != "FINDING"]
    assert [event.kind for event in events] == [
        *(EventKind.ACCESS, EventKind.ACCESS, EventKind.DEPLOYMENT),
        *(EventKind.EXECUTION, EventKind.CHANGE),
    ]
    added = "allUsers added to roles/run.invoker; user:x removed from roles/run.admin by me"
    assert [event.text for event in events[:2]] == [added, "IAM policy changed by me (refused)"]


def test_of_many_events_the_nearest_to_the_finding_stay() -> None:
    """A thousand deployments do not displace the finding."""
    audit = [{"timestamp": at(-60 * n), "method": "UpdateService"} for n in range(1, 1000)]
    events = timeline({"audit-log": audit})
    assert len(events) < 20
    assert EventKind.FINDING in {event.kind for event in events}


@pytest.mark.parametrize(
    ("given_entry", "decides"),
    [
        (entry(-3600, f"wrote {MARK}"), True),
        (entry(-30, "CPU high", "WARNING"), True),
        (entry(-90, "CPU high", "WARNING"), False),
        (entry(-30, "cart loaded"), False),
        (request(-30, "POST", "203.0.113.9"), True),
        (request(-90, "POST", "203.0.113.9"), False),
        (request(5, "GET", "203.0.113.7"), True),
        (request(5, "GET", "203.0.113.8"), False),
    ],
)
def test_decisive_lines_name_the_file_or_stand_near_the_event(
    given_entry: dict[str, Json], *, decides: bool
) -> None:
    """Warnings, requests that write and what else their sender asked, within a minute."""
    lines = log_lines([request(-8, "POST", "203.0.113.7"), given_entry])
    chosen = decisive_lines(lines, EVENT, [MARK, "x"])
    assert (len(chosen) == 2) is decides
    assert decisive_lines(lines, None, [MARK]) == ()


def test_an_entry_is_read_as_a_sentence() -> None:
    """Requests and JSON are no Python dictionaries."""
    payload: Any = {"message": "cart loaded", "ms": 12.0, "user": {"id": 7}, "tags": ["a", "b"]}
    lines = log_lines(
        [
            entry(1, payload=payload, log="varlog/system"),
            request(2, "GET", "203.0.113.7"),
            entry(3, request={"requestUrl": "/x"}),
            {"timestamp": "no time"},
        ]
    )
    assert [(line.kind, line.text) for line in lines] == [
        ("system", "cart loaded ms=12.0 user.id=7 tags=a, b"),
        ("request", "GET /upload?name=a&b=c: 200, from 203.0.113.7 with curl/8"),
        ("request", "request /x"),
    ]
    assert isinstance(lines[0], LogLine)


_odd = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=8,
)


@repeatable
@given(_odd, _odd, _odd)
def test_odd_evidence_raises_no_error(audit: Any, logs: Any, timed: Any) -> None:
    """Evidence and records of any JSON type give a page."""
    evidence = {"audit-log": audit, "logs": logs, "revisions": audit, "related-findings": logs}
    evidence |= {"executions": audit, "access": timed}
    records = [record for record in (audit, logs) if isinstance(record, dict)]
    stored = {"status": "held", "timings_ms": timed, "decision": logs, "workload": audit}
    outcome = Outcome.from_json({**OUTCOME.to_json(), **stored})
    assert render_html(CaseFileContents(outcome, evidence, records, records, EVENT))
