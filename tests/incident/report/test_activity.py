"""Activity of the responder and operators, with durations."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from incident.model import JsonObject, Status
from incident.model.durations import format_milliseconds
from incident.model.outcome import Outcome, ReportedDecision
from incident.report.activity import activity_entries, timings

EVENT = datetime(2026, 10, 2, 8, 14, 7, tzinfo=UTC)


def at(seconds: float) -> str:
    """A time so many seconds after the event, as evidence spells it."""
    return (EVENT + timedelta(seconds=seconds)).isoformat()


def timed(**milliseconds: float) -> Outcome:
    """An outcome with timings."""
    names = {
        name.replace("audit_log", "evidence/audit-log"): ms for name, ms in milliseconds.items()
    }
    return Outcome(Status.CONTAINED, timings_ms=names)


def test_what_was_held_and_failed_says_why() -> None:
    """A failed outcome with verdict hold has a note; a held one has none."""
    decision: JsonObject = {"verdict": "hold"}
    for status, more in (("failed", ". It was held only because"), ("held", "")):
        outcome: JsonObject = {"status": status, "decision": decision}
        (step,) = activity_entries(
            Outcome(Status(status)), [record("concluded", 5, outcome=outcome)]
        )
        assert step.text.startswith(f"Settled the outcome: {status}{more}")
        assert step.text.count("refused for good") == bool(more)


def record(kind: str, seconds: float, run: str = "a", **body: Any) -> JsonObject:
    """A record of a run."""
    return {"kind": kind, "recorded_at": at(seconds), "run": run, **body}


RUN_RECORDS = [
    record("received", 5),
    record(
        "decided",
        5.1,
        verdict="contain",
        began_at=at(5.098),
        read={"began_at": at(4.6), "ended_at": at(5)},
    ),
    record("contained", 8, began_at=at(5.2)),
    record("concluded", 9, outcome={"status": "contained"}, began_at=at(7.25)),
    record("done", 9.5, outcome={"status": "contained"}),
]
VERIFIED_RECORDS = [
    record("snapshot", 5.5, began_at=at(5.1)),
    record("written", 6, began_at=at(5.5)),
    record("verified", 7.25, began_at=at(6)),
]


def step_durations(*args: Any) -> list[tuple[str, float | None]]:
    """Texts and durations in seconds."""
    return [
        (s.text, s.duration_ms and round(s.duration_ms / 1000, 3)) for s in activity_entries(*args)
    ]


def test_each_responder_step_has_its_duration() -> None:
    """As its record says; the collectors' are those of the outcome."""
    outcome = timed(audit_log=700, read=400, decide=2, total=4000)
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
    assert activity_entries(outcome, RUN_RECORDS)[0].at == EVENT + timedelta(seconds=4.6)


def test_a_record_that_does_not_say_when_its_step_began_has_no_duration() -> None:
    """Nothing is inferred from the records before it."""
    other = [record("snapshot", 5.5), record("written", 6, began_at=at(7))]
    assert step_durations(timed(read=400), RUN_RECORDS[:1], other) == [
        ("Took the finding up", None),
        ("Kept what was there before", None),
        ("Wrote the change", None),
    ]


def test_a_case_that_was_carried_on_shows_the_step_that_led_to_it() -> None:
    """An update has the time of its last record, or its own."""
    outcome = Outcome(Status.RELEASED, decision=ReportedDecision(reasons=("released by me",)))
    later = [
        *VERIFIED_RECORDS,
        record("release-started", 3600, run="b", by="me"),
        record("released", 3602, run="b", by="me", began_at=at(3600)),
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
    odd: Any = {"a": float("nan"), "b": -1, "c": True, "d": "1", "e": 1e300, "f": 3}
    assert timings(Outcome(Status.HELD, timings_ms=odd)) == {"f": 3.0}
    assert [format_milliseconds(ms) for ms in (0.2, 450.4, 1275, 61_000)] == [
        *("under 1 ms", "450 ms", "1.3 s", "1 min 1 s")
    ]
