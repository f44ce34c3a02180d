"""Timeline and exposure picture of the report."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from incident.model import Json, JsonObject
from incident.model.durations import format_milliseconds
from incident.model.json_text import parse_time
from incident.report.activity import ActivityEntry, activity_entries, timings
from incident.report.exposure_picture import exposure_columns
from incident.report.pictures import BoxFrame, exposure_picture, timeline_picture
from incident.report.timeline import Lane, timeline
from tests.support.model import repeatable

EVENT = datetime(2026, 10, 2, 8, 14, 7, tzinfo=UTC)
OUTCOME: dict[str, Any] = {"finding": {"event_time": EVENT.isoformat(), "category": "Execution: X"}}


def at(seconds: float) -> str:
    """A time so many seconds after the event, as evidence spells it."""
    return (EVENT + timedelta(seconds=seconds)).isoformat()


def test_all_dated_events_are_in_time_order() -> None:
    """Deployments, related findings, logs, finding and activity are sorted."""
    events = timeline(
        OUTCOME,
        {
            "audit-log": [
                {"timestamp": at(-7200), "method": "a.b.UpdateService", "principal": "me"}
            ],
            "revisions": [{"create_time": at(-7190), "revision": "r-1"}],
            "related-findings": [{"event_time": at(-240), "category": "Reverse Shell"}],
            "logs": [{"timestamp": at(-100)}, {"timestamp": at(-101)}],
        },
        [ActivityEntry(EVENT + timedelta(seconds=4), "Decided", 12.0)],
    )
    assert [event.lane for event in events] == [
        *(Lane.DEPLOYMENT, Lane.DEPLOYMENT, Lane.RELATED),
        *(Lane.LOGS, Lane.FINDING, Lane.RESPONDER),
    ]
    assert events[0].text == "UpdateService by me"
    assert events[3].count == len(["both entries of that minute"]) + 1
    assert [bool(event.quiet_before) for event in events] == [False, False, True, True, True, False]


def test_executions_of_a_job_are_in_the_timeline() -> None:
    """Start with creator, and end; a running execution has no end."""
    executions: list[Json] = [
        {"short_name": "n-1", "create_time": at(-600), "completion_time": None, "creator": "me"},
        {"short_name": "n-0", "create_time": at(-9000), "completion_time": at(-8000)},
    ]
    audit: list[Json] = [{"timestamp": at(-601), "method": "v2.Jobs.RunJob", "principal": "me"}]
    events = timeline(OUTCOME, {"executions": executions, "audit-log": audit})
    assert [event.text for event in events if event.lane is Lane.EXECUTION] == [
        *("execution n-0 started", "execution n-0 over"),
        *("RunJob by me", "execution n-1 started by me, as Cloud Run says"),
    ]


def test_what_was_held_and_failed_says_why() -> None:
    """A failed outcome with verdict hold has a note; a held one has none."""
    decision: JsonObject = {"verdict": "hold"}
    for status, more in (("failed", ". It was held only because"), ("held", "")):
        outcome: JsonObject = {"status": status, "decision": decision}
        (step,) = activity_entries(outcome, [record("concluded", 5, outcome=outcome)])
        assert step.text.startswith(f"Settled the outcome: {status}{more}")
        assert step.text.count("refused for good") == bool(more)


def test_of_many_events_the_nearest_to_the_finding_stay() -> None:
    """A thousand deployments do not displace the finding."""
    audit = [{"timestamp": at(-60 * n), "method": "UpdateService"} for n in range(1, 1000)]
    events = timeline(OUTCOME, {"audit-log": audit}, [])
    assert len(events) < len(audit) // 10
    assert Lane.FINDING in {event.lane for event in events}


_odd = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=8,
)


@repeatable
@given(_odd, _odd, _odd)
def test_odd_evidence_raises_no_error(audit: Any, logs: Any, timed: Any) -> None:
    """Evidence of any JSON type gives a page."""
    evidence = {"audit-log": audit, "logs": logs, "revisions": audit, "related-findings": logs}
    evidence["executions"] = audit
    records = [record for record in (audit, logs) if isinstance(record, dict)]
    outcome = {**OUTCOME, "timings_ms": timed, "decision": logs, "status": audit}
    steps = activity_entries(outcome, records, records, EVENT)
    picture = timeline_picture(timeline(OUTCOME, evidence, steps))
    places = [row.y for row in picture.rows]
    assert places == sorted(places)
    assert picture.height > max(places)
    assert parse_time(audit) is None or isinstance(audit, str)


def record(kind: str, seconds: float, run: str = "a", **body: Any) -> JsonObject:
    """A record of a run."""
    return {"kind": kind, "recorded_at": at(seconds), "run": run, **body}


RUN_RECORDS = [
    record("received", 5),
    record("decided", 5.1, verdict="contain"),
    record("contained", 8),
    record("concluded", 9, outcome={"status": "contained"}),
    record("done", 9.5, outcome={"status": "contained"}),
]
VERIFIED_RECORDS = [record("snapshot", 5.5), record("written", 6), record("verified", 7.25)]


def step_durations(*args: Any) -> list[tuple[str, float | None]]:
    """Texts and durations in seconds."""
    return [
        (s.text, s.duration_ms and round(s.duration_ms / 1000, 3)) for s in activity_entries(*args)
    ]


def test_each_responder_step_has_its_duration() -> None:
    """From the timings, or since the record that began the step."""
    outcome: JsonObject = {
        "timings_ms": {"evidence/audit-log": 700, "read": 400, "decide": 2, "total": 4000}
    }
    assert step_durations(outcome, RUN_RECORDS, VERIFIED_RECORDS) == [
        ("Read finding, policy, settings", 0.4),
        ("Read audit log", 0.7),
        ("Took the finding up", None),
        ("Decided: contain", 0.002),
        ("Kept what was there before", 0.4),
        ("Wrote the change", 0.5),
        ("Read it back: it is in effect", 1.25),
        ("Settled the outcome: contained", 1.75),
    ]
    assert (
        activity_entries(outcome, RUN_RECORDS, missing={"audit-log"})[1].text
        == "Could not read audit log"
    )
    assert activity_entries(outcome, RUN_RECORDS)[0].at == EVENT + timedelta(seconds=4.598)


def test_what_another_run_began_has_no_duration() -> None:
    """A resumed run's record has no duration across runs."""
    other = [record("snapshot", 5.5), record("written", 3600, run="b")]
    assert step_durations({"timings_ms": {"read": 400}}, RUN_RECORDS[:1], other)[-1] == (
        "Wrote the change",
        None,
    )
    settled = [RUN_RECORDS[0], record("concluded", 3601, run="b")]
    assert step_durations({"timings_ms": {"read": 400}}, settled)[0] == (
        "Took the finding up",
        None,
    )


def test_a_case_that_was_carried_on_shows_the_step_that_led_to_it() -> None:
    """An update has the time of its last record, or its own."""
    outcome: JsonObject = {"status": "released", "decision": {"reasons": ["released by me"]}}
    later = [
        *VERIFIED_RECORDS,
        record("release-started", 3600, run="b", by="me"),
        record("released", 3602, run="b", by="me"),
    ]
    now = EVENT + timedelta(hours=2)
    assert step_durations(outcome, RUN_RECORDS, later, now)[-3:] == [
        ("Release begun, by me", None),
        ("Release read back: as it was before, by me", 2.0),
        ("Carried the incident on: released: released by me", None),
    ]
    assert activity_entries(outcome, RUN_RECORDS, later, now)[-1].at == EVENT + timedelta(
        seconds=3602
    )
    assert activity_entries(outcome, RUN_RECORDS, later, now)[-2].by_operator
    assert activity_entries(outcome, RUN_RECORDS, VERIFIED_RECORDS, now)[-1].at == now
    assert "Carried" not in step_durations(outcome, RUN_RECORDS, later)[-1][0]


def test_only_durations_that_can_be_are_shown() -> None:
    """Values that are no duration are left out."""
    odd: JsonObject = {"a": float("nan"), "b": -1, "c": True, "d": "1", "e": 1e300, "f": 3}
    assert timings({"timings_ms": odd}) == {"f": 3.0}
    assert [format_milliseconds(ms) for ms in (0.2, 450.4, 1275, 61_000)] == [
        *("under 1 ms", "450 ms", "1.3 s", "1 min 1 s")
    ]


def test_the_longest_bar_is_full_and_the_others_have_their_share() -> None:
    """An event without duration has no bar."""
    steps = [ActivityEntry(EVENT, "x", ms) for ms in (25.0, 100.0, None)]
    short, full, none = timeline_picture(timeline({}, {}, steps)).rows
    assert (short.bar * 4, none.bar, none.duration) == (full.bar, 0, "")


def test_a_change_of_the_iam_policy_is_no_deployment() -> None:
    """Each audit log method gives its lane."""
    audit: list[Any] = [
        {"timestamp": at(n), "method": f"google.cloud.run.v1.Services.{method}", "principal": "me"}
        for n, method in enumerate(("SetIamPolicy", "ReplaceService", "RunJob", "DeleteService"))
    ]
    bindings = {"bindings": ["ADD roles/run.invoker allUsers"]}
    events = timeline({}, {"audit-log": [{**audit[0], **bindings}, *audit[1:]]})
    assert [event.lane for event in events] == [
        *(Lane.ACCESS, Lane.DEPLOYMENT, Lane.EXECUTION, Lane.CHANGE),
    ]
    assert events[0].text == "IAM policy changed by me: ADD roles/run.invoker allUsers"


SHOP: dict[str, Any] = {"kind": "service", "name": "shop"}


def boxes_by_title(
    points: list[JsonObject], gaps: list[JsonObject] | None = None, **detected: Any
) -> dict[str, tuple[str, BoxFrame]]:
    """Text and frame of the exposure boxes by title, in order."""
    placed = exposure_picture(exposure_columns(SHOP, detected, points, gaps or [])).boxes
    assert [box.y for box in placed] == sorted(box.y for box in placed)
    return {box.title: (box.text, box.frame) for box in placed}


def test_the_exposure_picture_goes_from_ingress_to_secrets() -> None:
    """Ingress, callers, workload, process, then what it could read."""
    secrets: JsonObject = {"topic": "secrets", "text": "rotate", "serious": True}
    points: list[JsonObject] = [
        {**secrets, "names": ["projects/p/secrets/key"]},
        {"topic": "entry", "text": "anybody", "names": [], "serious": True},
        {"topic": "identity", "text": "tokens", "names": ["me@p"], "serious": False},
    ]
    found = boxes_by_title(
        points, binary_path="/bin/sh", arguments=["sh", "-c"], pid=7, parent_pid=1
    )
    assert list(found) == [
        *("Ingress: open", "Callers: not known", "Service"),
        *("Parent process (PID 1)", "Detected process (PID 7)"),
        *("Runs as", "Exposed secrets: rotate", "Volumes: not known"),
    ]
    assert found["Exposed secrets: rotate"] == ("key", BoxFrame.SERIOUS)
    assert found["Detected process (PID 7)"][0] == "/bin/sh: sh -c"


def test_what_was_not_read_is_drawn_as_not_known() -> None:
    """With the reason, never as empty."""
    gaps: list[JsonObject] = [{"collector": "access", "reason": "permission denied"}]
    found = boxes_by_title([], gaps)
    assert found["Callers: not known"] == ("permission denied", BoxFrame.UNKNOWN)
    assert found["Exposed secrets: not known"][1] is BoxFrame.UNKNOWN
    none: JsonObject = {"topic": "secrets", "text": "its settings name no secrets", "names": []}
    assert boxes_by_title([none])["Exposed secrets"] == (
        "its settings name no secrets",
        BoxFrame.PLAIN,
    )
    unread: JsonObject = {**none, "text": "which secrets is not known: denied", "known": False}
    assert boxes_by_title([unread])["Exposed secrets: not known"][1] is BoxFrame.UNKNOWN


def test_a_box_names_what_all_points_of_its_topic_name() -> None:
    """Where several revisions may be affected, each account is named."""
    points: list[JsonObject] = [
        {"topic": "identity", "text": "tokens", "names": [name], "serious": serious}
        for name, serious in (("web@p", False), ("shop@p", True))
    ]
    found = boxes_by_title(points)["Runs as: its tokens may be taken"]
    assert found == ("web@p, shop@p", BoxFrame.SERIOUS)


def test_a_share_keeps_its_path_and_a_sentence_its_end() -> None:
    """Resource names are shortened, file share paths are not."""
    share: JsonObject = {"topic": "volumes", "text": "t", "names": ["nfs 10.0.0.4:/export"]}
    secret: JsonObject = {"topic": "secrets", "text": "t", "names": ["projects/p/secrets/key"]}
    said = f"everybody may call it; {'deployer' * 4}@example.com opened it on 2026-10-02 05:03:07"
    callers: JsonObject = {"topic": "callers", "text": f"{said} UTC, as the audit log shows"}
    parts = exposure_columns(SHOP, {}, [share, secret, callers], [])
    told = {box.title: " ".join(box.lines) for box in exposure_picture(parts).boxes}
    assert (told["Volumes"], told["Exposed secrets"]) == ("nfs 10.0.0.4:/export", "key")
    assert told["Callers"].endswith("log shows")


def test_no_workload_has_no_picture() -> None:
    """An outcome without a workload has no boxes."""
    assert exposure_columns({"kind": None}, {}, [], []) == {}


def test_parents_stand_above_their_children() -> None:
    """The farthest parent comes first."""
    parents = [
        {"pid": 12, "parent_pid": 1, "arguments": ["nginx: worker"], "binary_path": "/nginx"},
        {"pid": 1, "parent_pid": None, "arguments": [], "binary_path": "/init"},
    ]
    found = boxes_by_title([], parents=parents, binary_path="/bin/sh", pid=81, parent_pid=12)
    assert list(found)[3:6] == [
        *("Parent process (PID 1)", "Parent process (PID 12)", "Detected process (PID 81)"),
    ]
