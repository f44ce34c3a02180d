"""The case file of one incident: its records and evidence, and the publication of its outcome.

Every object is created once and never changed. Secrets are redacted before anything is stored.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from io import BytesIO
from typing import TypeVar

from incident.case_file.journal import (
    Journal,
    ObjectStore,
    Record,
    create_numbered,
    encode_json,
)
from incident.case_file.paths import (
    DONE_NUMBER,
    object_stem,
    quarantine_path,
    record_path,
)
from incident.model import (
    Evidence,
    Gap,
    GiveUp,
    Json,
    JsonObject,
    Listing,
    Retry,
    found_in,
)
from incident.model.concurrency import compute, gather_all
from incident.model.json_text import SCHEMA_VERSION, json_value, time_text
from incident.model.outcome import Outcome
from incident.model.ports import TopicPort
from incident.model.retrying import Backoff
from incident.redaction.redactor import Redactor

T = TypeVar("T")

#: ``concluded`` and ``done`` have fixed numbers, so that of many writers one wins. Later records
#: (approved, released, …) are numbered from there.
CONCLUDED_NUMBER = 999
_POLL = Backoff(first_s=0.2, longest_s=0.3, factor=1.1)
_QUARANTINE_EXCERPT_BYTES = 2048


@dataclass(slots=True)
class CaseFile:
    """The records and evidence of one incident, in a folder of its own.

    Attributes:
        journal: Its records.
        known_records: The records that it had when it was read.
    """

    journal: Journal
    known_records: tuple[Record, ...] = ()
    _last_number: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self._last_number = max(
            (r.number for r in self.known_records if r.number < CONCLUDED_NUMBER), default=0
        )

    @property
    def folder(self) -> str:
        """Its path in the store."""
        return self.journal.folder

    @property
    def done(self) -> Outcome | None:
        """The outcome of a done incident; None before that."""
        return _outcome_of_kind(self.known_records, "done")

    @property
    def concluded(self) -> Outcome | None:
        """The recorded outcome, which may not be published yet; None before that."""
        return _outcome_of_kind(self.known_records, "concluded")

    @property
    def newest_outcome(self) -> Outcome | None:
        """The outcome of a done incident as it is by now; None before that."""
        found = (r.outcome for r in reversed(self.known_records) if r.kind != "concluded")
        return next((outcome for outcome in found if outcome), None)

    @property
    def finding(self) -> str | None:
        """The finding's canonical name, as SCC listed it when the outcome was recorded."""
        name = self._first_body("concluded").get("finding") or self._first_body("received").get(
            "finding"
        )
        return name if isinstance(name, str) else None

    @property
    def alarm(self) -> bool:
        """Whether the recorded outcome needs a person now."""
        return self._first_body("concluded").get("alarm") is True

    @property
    def contained_at(self) -> datetime | None:
        """When an earlier run, which may not have logged it, verified the containment."""
        return next((r.recorded_at for r in self.known_records if r.kind == "contained"), None)

    def refusal_reason(self, kind: str) -> str | None:
        """The reason that an earlier run recorded for a step that can never succeed."""
        reason = self._first_body(kind).get("reason")
        return reason if isinstance(reason, str) else None

    def has_record(self, kind: str) -> bool:
        """Whether an earlier run left a record of that kind."""
        return any(record.kind == kind for record in self.known_records)

    async def begin(self, body: JsonObject) -> bool:
        """Record that the work begins; False when another run has begun it at this moment."""
        record = await self.journal.create(1, "received", body)
        self._last_number = max(self._last_number, 1)
        return record is not None

    async def add_record(self, kind: str, body: JsonObject) -> None:
        """Add a record."""
        # Taken before the store is asked: several records may be added side by side.
        number = self._last_number = self._last_number + 1
        self._last_number = max(
            self._last_number, await self.journal.append(number - 1, kind, body)
        )

    async def add_later_record(self, kind: str, body: JsonObject) -> None:
        """Add a record after ``done``."""
        last = max((record.number for record in self.known_records), default=DONE_NUMBER)
        await self.journal.append(max(last, DONE_NUMBER), kind, body)

    async def conclude(
        self,
        outcome: Outcome,
        finding: str | None = None,
        *,
        alarm: bool = False,
        began_at: datetime | None = None,
    ) -> Outcome:
        """Record the outcome. The first writer wins; returns the stored outcome.

        Args:
            outcome: The outcome.
            finding: The finding's name, kept beside the outcome because redaction may change it
                there: an attacker can choose values that match it.
            alarm: Whether a person must act now, for a run that has to finish the incident.
            began_at: When making the outcome began.
        """
        body: dict[str, Json] = {"outcome": outcome.to_json(), "finding": finding, "alarm": alarm}
        body["began_at"] = time_text(began_at)
        if await self.journal.create(CONCLUDED_NUMBER, "concluded", body):
            return outcome
        return (await self.reload()).concluded or outcome

    async def finish(self, outcome: Outcome) -> Record | None:
        """Write ``done``; None when another run has finished the incident before."""
        return await self.journal.create(DONE_NUMBER, "done", {"outcome": outcome.to_json()})

    def logged_record(self, done: Record | None = None) -> tuple[str, bytes] | None:
        """Path and content of the record that the outcome was logged, to be created after that.

        It has the time and the run of ``done``, so that every run that logs the outcome creates
        the same object: it can be in the manifest before it exists.

        Args:
            done: The record of the outcome, where it is newer than this view of the case file.
        """
        done = done or next((r for r in self.known_records if r.kind == "done"), None)
        if done is None:
            return None
        body: dict[str, Json] = {
            "schema_version": SCHEMA_VERSION,
            "kind": "logged",
            "recorded_at": time_text(done.recorded_at),
            "run": done.run_id,
        }
        return record_path(self.folder, DONE_NUMBER, "logged"), encode_json(body)

    async def send_heartbeats(self, peer_timeout: timedelta) -> None:
        """Add a record ``heartbeat`` regularly, until cancelled, so that no peer takes over."""
        while True:
            await asyncio.sleep(peer_timeout.total_seconds() / 2)
            with contextlib.suppress(Retry):
                await self.add_record("heartbeat", {})

    async def reload(self) -> CaseFile:
        """The case file as it is now."""
        return CaseFile(self.journal, await self.journal.records(self.known_records))

    async def wait_for_peer(self, peer_timeout: timedelta) -> bool:
        """Whether another run was at work. Waits until it is done, or silent for too long."""
        if self._abandoned(peer_timeout):
            return False
        current, silence = self, peer_timeout.total_seconds()

        async def more_records() -> bool:
            nonlocal current
            before, current = len(current.known_records), await current.reload()
            return len(current.known_records) > before

        while not current.has_record("done") and not current._last_run_ended():
            if not await _POLL.poll(more_records, silence):
                break
        return True

    def _first_body(self, kind: str) -> JsonObject:
        """Content of the first record of a kind; empty where there is none."""
        return next((record.body for record in self.known_records if record.kind == kind), {})

    def _abandoned(self, peer_timeout: timedelta) -> bool:
        """Whether no run is at work: no record, a retry was answered, or long silence."""
        if not self.known_records or self._last_run_ended():
            return True
        return self.journal.clock() - self._newest_record.recorded_at > peer_timeout

    @property
    def timed_out_twice(self) -> bool:
        """Whether two runs ran out of time: the next one leaves out what is not needed to end."""
        return sum(record.kind == "timed-out" for record in self.known_records) > 1

    def _last_run_ended(self) -> bool:
        """Whether the last run has recorded that it ended."""
        return self._newest_record.kind in ("retried", "timed-out")

    @property
    def _newest_record(self) -> Record:
        return max(self.known_records, key=lambda record: (record.recorded_at, record.number))


async def open_case_file(
    store: ObjectStore, folder: str, run_id: str, clock: Callable[[], datetime]
) -> CaseFile:
    """Read the case file in a folder."""
    journal = Journal(store, folder, run_id, clock)
    return CaseFile(journal, await journal.records())


async def store_evidence(
    case_file: CaseFile, evidence: Evidence, redactor: Redactor, budget_s: float = 30.0
) -> tuple[Gap, ...]:
    """Store the evidence, one object for each collector, and the log entries as lines.

    Args:
        case_file: Where it is stored.
        evidence: What was collected.
        redactor: Redacts all of it.
        budget_s: The processor time that redaction may take, in seconds. Ten megabytes made to
            be slow take about ten. What does not fit is left out: evidence may have a gap, but
            no text may keep an incident from its end.

    Returns:
        What was left out.

    Raises:
        Retry: The store does not answer.
    """
    objects, left_out = await compute(
        _evidence_objects, case_file.folder, evidence, redactor, budget_s
    )
    store = case_file.journal.store
    stored = (
        create_numbered(store, stem, suffix, data) for (stem, suffix), data in objects.items()
    )
    await gather_all(*stored)
    return left_out


def _stored_list(listing: Listing[T] | None) -> tuple[T, ...] | None:
    """What was read of a list; that it was cut is among the gaps."""
    return None if listing is None else found_in(listing)


def _evidence_objects(
    folder: str, evidence: Evidence, redactor: Redactor, budget_s: float
) -> tuple[dict[tuple[str, str], bytes], tuple[Gap, ...]]:
    """The objects by path and suffix. Redacting megabytes takes long: run it in a thread."""
    end = time.thread_time() + budget_s
    logs, reputation = evidence.logs, evidence.reputation
    gathered: dict[str, Json] = {
        "finding": evidence.finding.raw,
        "notification": evidence.claim.raw if evidence.claim else None,
        "settings": json_value(evidence.configuration),
        "revisions": json_value(_stored_list(evidence.revisions)),
        "affected-revision": json_value(evidence.affected_revision)
        if evidence.affected_revision.templates
        else None,
        "access": json_value(evidence.access),
        "executions": json_value(_stored_list(evidence.executions)),
        "tasks": json_value(_stored_list(evidence.tasks)),
        "related-findings": json_value(_stored_list(evidence.related)),
        "audit-log": json_value(_stored_list(evidence.audit)),
        "affected": json_value(evidence.affected),
        "virustotal": json_value(reputation) if reputation and reputation.answered else None,
    }
    objects: dict[tuple[str, str], bytes] = {}
    gaps = [Gap("redaction", redactor.limit)] if redactor.limit else []
    for name, value in gathered.items():
        if value is not None and time.thread_time() >= end:
            gaps.append(Gap(name, f"Not stored: redaction took more than {budget_s:g} s"))
        elif value is not None:
            path = object_stem(folder, f"evidence/{name}"), "json"
            objects[path] = encode_json(redactor.json(value))
    if logs is not None:
        lines = BytesIO()
        for position, entry in enumerate(logs.take()):
            if time.thread_time() >= end:
                number = len(logs.entries) - position
                reason = f"{number} log entries not stored: redaction took more than {budget_s:g} s"
                gaps.append(Gap("logs", reason))
                break
            shown = redactor.json(_with_forgery_warning(json_value(entry)))
            lines.write(encode_json_line(shown))
        objects[object_stem(folder, "logs"), "jsonl"] = lines.getvalue()
    all_gaps = redactor.json(json_value((*evidence.gaps, *gaps)))
    objects[object_stem(folder, "evidence/gaps"), "json"] = encode_json(all_gaps)
    return objects, tuple(gaps)


async def publish_outcome(topic: TopicPort, outcome: Outcome, message: JsonObject) -> str | None:
    """Publish an outcome as a message in the topic's format.

    Returns:
        The reason where that can never succeed.

    Raises:
        Retry: The topic does not answer.
    """
    workload, finding = outcome.workload, outcome.finding
    attributes = {
        "status": outcome.status.value,
        "incident": outcome.incident,
        "severity": finding.severity if finding else None,
        "project": workload.project if workload else None,
        "workload_kind": workload.kind.value if workload else None,
        "format": topic.format.value,
        **({"simulated": "true"} if outcome.simulated else {}),
    }
    try:
        await topic.publish(
            encode_json(message), {key: value or "" for key, value in attributes.items()}
        )
    except GiveUp as error:
        return str(error)
    return None


async def quarantine_message(
    store: ObjectStore, data: bytes, reason: str, redactor: Redactor
) -> tuple[str, str]:
    """Store what identifies a malformed message: digest, size, error, redacted beginning.

    Returns:
        The digest, and the object's path.

    Raises:
        Retry: The store does not answer.
    """
    digest = hashlib.sha256(data).hexdigest()
    path = quarantine_path(digest)
    body: Json = {
        "sha256": digest,
        "size": len(data),
        "error": reason,
        "excerpt": redactor.malformed(data, limit=_QUARANTINE_EXCERPT_BYTES),
    }
    await store.create(path, encode_json(body))
    return digest, path


def encode_json_line(value: Json) -> bytes:
    """One line of a JSON Lines object."""
    return (json.dumps(value, ensure_ascii=False) + "\n").encode()


def _with_forgery_warning(entry: dict[str, Json]) -> dict[str, Json]:
    """A log entry with the warning that the workload wrote it."""
    return {**entry, "written_by": "the workload: an attacker may have forged it"}


def _outcome_of_kind(records: tuple[Record, ...], kind: str) -> Outcome | None:
    found = (record.outcome for record in records if record.kind == kind)
    return next((outcome for outcome in found if outcome), None)
