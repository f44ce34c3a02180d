"""Activity log of the responder and operators, with durations, from records and timings. Pure.

A record says when a step began and when it ended; the outcome has the collectors' durations.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from incident.model import JsonObject, Status, Verdict, json_object
from incident.model.json_text import json_string, parse_time
from incident.model.outcome import Outcome

#: Prefix of collectors in an outcome's ``timings_ms``.
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
    "report-written": "Wrote the report",
    "written-back": "Updated the finding in Security Command Center",
    "not-written-back": "Could not update the finding in Security Command Center",
    "published": "Announced the outcome",
    "not-published": "Could not announce the outcome",
    "notified": "Sent the message to the chat room",
    "not-notified": "Could not send the message to the chat room",
    "retried": "Stopped for now; a redelivery carries on",
    "approved": "Approved the plan",
    "release-started": "Release begun",
    "released": "Release read back: as it was before",
    "release-cancelled": "Release given up",
    "reverted": "The patrol saw it undone",
    "write-undone": "The patrol took a leftover write back",
    "workload-deleted": "The patrol saw that the workload is deleted",
}
_OPERATOR_RECORDS = frozenset({"approved", "release-started", "released", "release-cancelled"})


@dataclass(frozen=True, slots=True)
class ActivityEntry:
    """One step of the responder or an operator.

    Attributes:
        at: Its end; for reads, the start.
        text: What was done.
        duration_ms: Duration in milliseconds; None where unknown.
        by_operator: Whether an operator did it.
    """

    at: datetime
    text: str
    duration_ms: float | None = None
    by_operator: bool = False


def activity_entries(
    outcome: Outcome,
    records: Sequence[JsonObject],
    containment: Sequence[JsonObject] = (),
    updated_at: datetime | None = None,
    missing: Collection[str] = (),
) -> tuple[ActivityEntry, ...]:
    """All steps, sorted by time.

    Args:
        outcome: The outcome.
        records: Records of the case file.
        containment: Records of its containment.
        updated_at: When the outcome was updated; None for a first outcome.
        missing: Collectors without an answer.
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
        *_record_entries(timed),
        *_earlier_updates(updates),
    ]
    found.sort(key=lambda step: step.at)
    return (*found, *_current_update(outcome, found, records, updated_at))


def timings(outcome: Outcome) -> Mapping[str, float]:
    """Milliseconds of each stage and collector; values that are no duration are left out."""
    return {
        str(name): float(value)
        for name, value in outcome.timings_ms.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e9  # noqa: PLR2004 - eleven days: no NaN, no infinity
    }


def _evidence_entries(
    outcome: Outcome, records: Sequence[JsonObject], missing: Collection[str]
) -> Iterator[ActivityEntry]:
    """The reads, which go side by side from the beginning of the run that decided."""
    decided = [record for record in records if record.get("kind") == "decided"]
    read = json_object(decided[-1].get("read")) if decided else {}
    began, ended = parse_time(read.get("began_at")), parse_time(read.get("ended_at"))
    if began is None or ended is None:
        return
    took = (ended - began).total_seconds() * 1000
    yield ActivityEntry(began, "Read finding, policy, settings", took)
    for name, ms in timings(outcome).items():
        if name.startswith(COLLECTOR_PREFIX):
            collector = name.removeprefix(COLLECTOR_PREFIX)
            verb = "Could not read" if collector in missing else "Read"
            yield ActivityEntry(began, f"{verb} {collector.replace('-', ' ')}", ms)


def _record_entries(
    timed: Sequence[tuple[datetime, JsonObject]],
) -> Iterator[ActivityEntry]:
    """Steps from records."""
    for at, record in timed:
        kind = str(record.get("kind"))
        text = _RECORD_TEXTS.get(kind)
        if text is None:
            continue
        yield ActivityEntry(
            at,
            text + _detail(kind, record),
            _elapsed_ms(at, record),
            by_operator=kind in _OPERATOR_RECORDS,
        )


def _elapsed_ms(at: datetime, record: JsonObject) -> float | None:
    """How long a step took, by when its record says that it began; None where it does not."""
    began = parse_time(record.get("began_at"))
    return (at - began).total_seconds() * 1000 if began and began <= at else None


def _detail(kind: str, record: JsonObject) -> str:
    """What a record adds to its line: verdict, status, who."""
    outcome, by = record.get("outcome"), record.get("by")
    if kind == "concluded" and isinstance(outcome, Mapping):
        return f": {json_string(outcome.get('status'))}{_refused_note(outcome)}"
    if kind == "decided":
        return f": {json_string(record.get('verdict'))}"
    if kind == "reverted":
        who = json_string(by.get("principal")) if isinstance(by, Mapping) else ""
        return f", by {who or 'somebody'}"
    if kind in _OPERATOR_RECORDS or kind == "verified":
        return f", by {'the patrol' if by == 'patrol' else by}" if json_string(by) else ""
    return ""


def _refused_note(outcome: JsonObject) -> str:
    """Why an outcome with verdict hold is failed; empty for other outcomes."""
    decision = outcome.get("decision")
    verdict = decision.get("verdict") if isinstance(decision, Mapping) else None
    if (outcome.get("status"), verdict) != (Status.FAILED, Verdict.HOLD):
        return ""
    return ". It was held only because something that the decision needs was refused for good"


def _earlier_updates(records: Sequence[JsonObject]) -> Iterator[ActivityEntry]:
    """Earlier updates of the incident."""
    for record in records:
        at, kind = parse_time(record.get("recorded_at")), record.get("kind")
        if at is not None and kind in list(Status):
            yield ActivityEntry(at, f"Carried the incident on: {kind}")


def _current_update(
    outcome: Outcome,
    found: Sequence[ActivityEntry],
    records: Sequence[JsonObject],
    updated_at: datetime | None,
) -> Iterator[ActivityEntry]:
    """The current update, whose record is written after the report.

    Its time is that of the last recorded step, so that concurrent writers make the same report.
    """
    if updated_at is None:
        return
    done = [
        at for r in records if r.get("kind") == "done" and (at := parse_time(r.get("recorded_at")))
    ]
    newest = max((step.at for step in found), default=updated_at)
    at = newest if done and newest > max(done) else max(newest, updated_at)
    why = f": {outcome.decision.reasons[0]}" if outcome.decision.reasons else ""
    yield ActivityEntry(at, f"Carried the incident on: {outcome.status.value}{why}")
