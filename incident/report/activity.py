"""What we did ourselves and how long each of it took, from the records and the timings. Pure.

A record says when a step was over. A step lasted since the record before it, where one run wrote
both, one right after the other; or as long as the stopwatch said.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from incident.model import Json, JsonObject, Status, Verdict
from incident.model.durations import parse_time

#: Prefix of the timings of single collectors, in an outcome's ``timings_ms``.
COLLECTOR_PREFIX = "evidence/"

_RECORD_TEXTS = {
    "received": "Took the finding up",
    "decided": "Decided",
    "snapshot": "Kept what was there before",
    "written": "Wrote the change",
    "verified": "Read it back: it is in effect",
    "unverified": "Read it back: not seen in effect",
    "annotated": "Named the incident on the workload",
    "joined": "Found it contained by us already",
    "abandoned": "Gave an attempt up before it wrote",
    "contained": "Wrote, and read back",
    "concluded": "Settled the outcome",
    "sealed": "Sealed the case file",
    "written-back": "Told Security Command Center",
    "not-written-back": "Could not tell Security Command Center",
    "published": "Announced the outcome",
    "not-published": "Could not announce the outcome",
    "notified": "Sent the message to the chat room",
    "not-notified": "Could not send the message to the chat room",
    "retried": "Stopped for now; a redelivery carries on",
    "approved": "Said yes to the plan",
    "release-started": "Release begun",
    "released": "Release read back: as it was before",
    "release-cancelled": "Release given up",
    "reverted": "The patrol saw it undone",
    "write-undone": "The patrol took a leftover write back",
    "workload-deleted": "The patrol saw that the workload is deleted",
}
_WRITE_RECORDS = frozenset({"snapshot", "written", "verified", "annotated", "contained", "joined"})
_NOTIFY_RECORDS = frozenset({"concluded", "sealed", "written-back", "published", "notified"})
#: After which records, of the same run, a step began at once.
_STARTED_AFTER: Mapping[str, frozenset[str]] = {
    "snapshot": frozenset({"received", "decided", "approved"}),
    "written": frozenset({"snapshot"}),
    "verified": frozenset({"written"}),
    "unverified": frozenset({"written"}),
    "annotated": frozenset({"verified"}),
    "contained": frozenset({"received", "decided", "approved"}),
    "concluded": _WRITE_RECORDS | {"received", "decided"},
    **dict.fromkeys(("sealed", "written-back", "published", "notified"), _NOTIFY_RECORDS),
    "released": frozenset({"release-started"}),
}
_OPERATOR_RECORDS = frozenset({"approved", "release-started", "released", "release-cancelled"})


@dataclass(frozen=True, slots=True)
class ActivityEntry:
    """One step of the responder, or of a person by its commands.

    Attributes:
        at: When it was over; of reading, when it began.
        text: What was done.
        duration_ms: Milliseconds that it took; None where nothing tells.
        by_operator: Whether a person took it.
    """

    at: datetime
    text: str
    duration_ms: float | None = None
    by_operator: bool = False


def activity_entries(
    outcome: JsonObject,
    records: Sequence[JsonObject],
    containment: Sequence[JsonObject] = (),
    updated_at: datetime | None = None,
    missing: Collection[str] = (),
) -> tuple[ActivityEntry, ...]:
    """Our own steps in time order.

    Args:
        outcome: The outcome.
        records: The records of the case file.
        containment: The records of its containment.
        updated_at: When the outcome was carried on to what it is now; None for a first outcome.
        missing: The collectors that had no answer.
    """
    skipped = {"contained"} if containment else set()
    initial = [r for r in records if "outcome" not in r or r.get("kind") in ("concluded", "done")]
    updates = [record for record in records if record not in initial]
    timed = [
        (at, record)
        for record in (*initial, *containment)
        if record.get("kind") not in skipped and (at := parse_time(record.get("recorded_at")))
    ]
    timed.sort(key=lambda each: each[0])
    found = [
        *_evidence_entries(outcome, records, missing),
        *_record_entries(timed, _decide_ms(outcome)),
        *_earlier_updates(updates),
    ]
    found.sort(key=lambda step: step.at)
    return (*found, *_current_update(outcome, found, records, updated_at))


def timings(outcome: JsonObject) -> Mapping[str, float]:
    """The milliseconds of each stage and collector, as far as they are numbers."""
    values = outcome.get("timings_ms")
    return {
        str(name): float(value)
        for name, value in (values.items() if isinstance(values, Mapping) else ())
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e9  # noqa: PLR2004 - eleven days: no NaN, no infinity
    }


def _evidence_entries(
    outcome: JsonObject, records: Sequence[JsonObject], missing: Collection[str]
) -> Iterator[ActivityEntry]:
    """What was read, side by side, before the finding was taken up; if one run did it all."""
    known = timings(outcome)
    by_kind = {record.get("kind"): record for record in records}
    received, concluded = by_kind.get("received", {}), by_kind.get("concluded", {})
    at = parse_time(received.get("recorded_at"))
    if at is None or "read" not in known or received.get("run") != concluded.get("run"):
        return
    began = at - timedelta(milliseconds=known["read"] + known.get("decide", 0))
    yield ActivityEntry(began, "Read finding, policy, settings", known["read"])
    for name, ms in known.items():
        if name.startswith(COLLECTOR_PREFIX):
            collector = name.removeprefix(COLLECTOR_PREFIX)
            verb = "Could not read" if collector in missing else "Read"
            yield ActivityEntry(began, f"{verb} {collector.replace('-', ' ')}", ms)


def _record_entries(
    timed: Sequence[tuple[datetime, JsonObject]], decide_ms: float | None
) -> Iterator[ActivityEntry]:
    """The steps that records tell."""
    for at, record in timed:
        kind = str(record.get("kind"))
        text = _RECORD_TEXTS.get(kind)
        if text is None:
            continue
        took = decide_ms if kind == "decided" else _elapsed_ms(at, record, timed)
        yield ActivityEntry(
            at, text + _detail(kind, record), took, by_operator=kind in _OPERATOR_RECORDS
        )


def _elapsed_ms(
    at: datetime, record: JsonObject, timed: Sequence[tuple[datetime, JsonObject]]
) -> float | None:
    before = _STARTED_AFTER.get(str(record.get("kind")), frozenset())
    starts = [
        began
        for began, other in timed
        if other is not record
        and other.get("kind") in before
        and other.get("run") == record.get("run")
        and began <= at
    ]
    return (at - max(starts)).total_seconds() * 1000 if starts else None


def _detail(kind: str, record: JsonObject) -> str:
    """What of a record belongs into its line: the verdict, the status, who it was."""
    outcome, by = record.get("outcome"), record.get("by")
    if kind == "concluded" and isinstance(outcome, Mapping):
        return f": {_text(outcome.get('status'))}{_refused_note(outcome)}"
    if kind == "decided":
        return f": {_text(record.get('verdict'))}"
    if kind == "reverted":
        who = _text(by.get("principal")) if isinstance(by, Mapping) else ""
        return f", by {who or 'somebody'}"
    if kind in _OPERATOR_RECORDS or kind == "verified":
        return f", by {'the patrol' if by == 'patrol' else by}" if _text(by) else ""
    return ""


def _refused_note(outcome: JsonObject) -> str:
    """Why what was decided to be held has failed all the same; nothing for any other outcome."""
    decision = outcome.get("decision")
    verdict = decision.get("verdict") if isinstance(decision, Mapping) else None
    if (outcome.get("status"), verdict) != (Status.FAILED, Verdict.HOLD):
        return ""
    return ". It was held only because something that the decision needs was refused for good"


def _earlier_updates(records: Sequence[JsonObject]) -> Iterator[ActivityEntry]:
    """What an incident was carried on to before."""
    for record in records:
        at, kind = parse_time(record.get("recorded_at")), record.get("kind")
        if at is not None and kind in list(Status):
            yield ActivityEntry(at, f"Carried the incident on: {kind}")


def _current_update(
    outcome: JsonObject,
    found: Sequence[ActivityEntry],
    records: Sequence[JsonObject],
    updated_at: datetime | None,
) -> Iterator[ActivityEntry]:
    """What it is carried on to by now: its record is written after the page is.

    It happened when the step was over that led to it, if one is on record: so of several who
    tell the same, each makes the same page.
    """
    if updated_at is None:
        return
    done = [
        at for r in records if r.get("kind") == "done" and (at := parse_time(r.get("recorded_at")))
    ]
    newest = max((step.at for step in found), default=updated_at)
    at = newest if done and newest > max(done) else max(newest, updated_at)
    decision = outcome.get("decision")
    reasons = decision.get("reasons") if isinstance(decision, Mapping) else None
    why = f": {reasons[0]}" if isinstance(reasons, list) and reasons else ""
    yield ActivityEntry(at, f"Carried the incident on: {_text(outcome.get('status'))}{why}")


def _decide_ms(outcome: JsonObject) -> float | None:
    return timings(outcome).get("decide")


def _text(value: Json) -> str:
    return value if isinstance(value, str) else ""
