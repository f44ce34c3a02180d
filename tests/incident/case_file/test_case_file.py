"""The case file: one outcome, evidence that is never overwritten, waiting for other runs."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from clients.store import Store
from incident.case_file.case_file import (
    CaseFile,
    open_case_file,
    publish_outcome,
    quarantine_message,
    store_evidence,
)
from incident.model import (
    Access,
    AuditEvent,
    Binding,
    Evidence,
    Gap,
    Kind,
    LogEntry,
    Logs,
    Secret,
    Status,
    TopicFormat,
)
from incident.model.outcome import Outcome, ReportedFinding, ReportedWorkload
from incident.redaction.redactor import Redactor
from tests.support.model import (
    NOW,
    evidence,
    finding,
    fixed_now,
    folder_store,
    record_kinds,
    template,
)

INCIDENT = "20261002-0123456789ab"
REDACTOR = Redactor(b"key")
OUTCOME = Outcome(
    Status.CONTAINED,
    INCIDENT,
    ReportedFinding(severity="CRITICAL"),
    ReportedWorkload(Kind.SERVICE, "example-shop-prod", None, "europe-west1", "storefront", ""),
)


async def new_case_file(
    store: Store,
    run: str = "run-1",
    clock: Callable[[], datetime] = fixed_now,
    *,
    root: str = "incidents",
) -> CaseFile:
    """The case file as one run reads it."""
    return await open_case_file(store, f"{root}/{INCIDENT}", run, clock)


def objects_in_folder(folder: Path) -> set[str]:
    """The objects in the incident's folder."""
    place = folder / "incidents" / INCIDENT
    return {str(path.relative_to(place)) for path in place.rglob("*") if path.is_file()}


# Records.


async def test_the_records_of_one_run_are_numbered_in_order(tmp_path: Path) -> None:
    """Records of a run count up, and `done` has a fixed number."""
    store = folder_store(tmp_path)
    case = await new_case_file(store)
    assert await case.begin({"finding": "f-1"})
    await case.add_record("decided", {"verdict": "contain"})
    await case.add_record("contained", {})
    assert await case.finish(Outcome(Status.CONTAINED))
    again = await new_case_file(store)
    assert record_kinds(again.known_records) == ["received", "decided", "contained", "done"]
    assert [record.number for record in again.known_records] == [1, 2, 3, 1000]
    assert again.done == Outcome(Status.CONTAINED)
    assert again.has_record("decided")
    assert not again.has_record("published")


async def test_a_later_run_numbers_its_records_after_the_earlier_ones(tmp_path: Path) -> None:
    """Numbers of records after `done` do not count."""
    store = folder_store(tmp_path)
    first = await new_case_file(store)
    await first.begin({})
    await first.add_record("retried", {"reason": "x"})
    await first.finish(Outcome(Status.CONTAINED))
    later = await new_case_file(store, "run-2")
    await later.add_record("published", {})
    assert [record.number for record in (await later.reload()).known_records] == [1, 2, 3, 1000]


async def test_of_concurrent_runs_one_begins(tmp_path: Path) -> None:
    """The others learn that another run is at work."""
    store = folder_store(tmp_path)
    cases = [await new_case_file(store, f"run-{number}") for number in range(8)]
    began = await asyncio.gather(*(case.begin({}) for case in cases))
    assert began.count(True) == 1


async def test_an_incident_begins_once(tmp_path: Path) -> None:
    """A later run learns that it has begun, and adds its records after that."""
    store = folder_store(tmp_path)
    await (await new_case_file(store)).begin({"by": "run-1"})
    later = await new_case_file(store, "run-2")
    assert not await later.begin({"by": "run-2"})
    await later.add_record("decided", {})
    earlier = (await later.reload()).known_records
    assert [(record.number, record.kind) for record in earlier] == [(1, "received"), (2, "decided")]
    assert earlier[0].body["by"] == "run-1"


async def test_the_first_of_many_conclusions_counts(tmp_path: Path) -> None:
    """Every run continues with the outcome that was recorded first."""
    store = folder_store(tmp_path)
    cases = [await new_case_file(store, f"run-{number}") for number in range(8)]
    settled = await asyncio.gather(
        *(case.conclude(Outcome(Status.HELD, case.journal.run_id)) for case in cases)
    )
    assert len({outcome.incident for outcome in settled}) == 1
    case = await new_case_file(store)
    assert (case.concluded, case.done) == (settled[0], None)
    await case.add_record("published", {})
    await case.finish(settled[0])
    numbers = [record.number for record in (await new_case_file(store)).known_records]
    assert numbers == [1, 999, 1000]


async def test_a_heartbeat_keeps_peers_waiting(tmp_path: Path) -> None:
    """A run at work keeps its peers waiting, however long it takes."""
    store = folder_store(tmp_path)
    working = await new_case_file(store)
    await working.begin({})
    alive = asyncio.ensure_future(working.send_heartbeats(timedelta(seconds=0.5)))
    waiting = asyncio.ensure_future(
        (await new_case_file(store, "run-2")).wait_for_peer(timedelta(seconds=0.5))
    )
    await asyncio.sleep(1)
    assert not waiting.done()
    await working.finish(Outcome(Status.HELD))
    async with asyncio.timeout(5):
        assert await waiting
    alive.cancel()
    assert "heartbeat" in record_kinds((await new_case_file(store)).known_records)


async def test_of_concurrent_runs_one_finishes(tmp_path: Path) -> None:
    """There is one terminal outcome, which all others read."""
    store = folder_store(tmp_path)
    cases = [await new_case_file(store, f"run-{number}") for number in range(8)]
    finished = await asyncio.gather(
        *(case.finish(Outcome(Status.HELD, case.journal.run_id)) for case in cases)
    )
    (won,) = (record for record in finished if record)
    winner = won.run_id
    assert (await cases[0].reload()).done == Outcome(Status.HELD, winner)


async def test_a_dry_run_has_a_case_file_of_its_own(tmp_path: Path) -> None:
    """The outcome of a dry run is not the outcome of the incident."""
    store = folder_store(tmp_path)
    dry = await new_case_file(store, root="dry-runs")
    assert dry.folder == f"dry-runs/{INCIDENT}"
    await dry.finish(Outcome(Status.PLANNED))
    real = await new_case_file(store)
    assert (real.known_records, real.done) == ((), None)
    assert real.folder == f"incidents/{INCIDENT}"


# Waiting for another run.


async def test_an_unstarted_case_is_not_waited_for(tmp_path: Path) -> None:
    """No run is at work."""
    assert not await (await new_case_file(folder_store(tmp_path))).wait_for_peer(
        timedelta(seconds=5)
    )


async def test_a_run_that_answered_a_retry_is_not_waited_for(tmp_path: Path) -> None:
    """Its record says that it ended."""
    store = folder_store(tmp_path)
    moments = (NOW + timedelta(milliseconds=number) for number in range(100))
    first = await new_case_file(store, clock=lambda: next(moments))
    await first.begin({})
    await first.conclude(Outcome(Status.HELD))
    await first.add_record("retried", {"reason": "x"})
    assert not await (await new_case_file(store)).wait_for_peer(timedelta(seconds=5))


async def test_a_run_that_fell_silent_long_ago_is_not_waited_for(tmp_path: Path) -> None:
    """It counts as crashed, and its work is continued at once."""
    store = folder_store(tmp_path)
    await (await new_case_file(store)).begin({})
    later = await new_case_file(store, clock=lambda: NOW + timedelta(seconds=6))
    assert not await later.wait_for_peer(timedelta(seconds=5))


async def test_a_run_at_work_is_waited_for_until_it_is_done(tmp_path: Path) -> None:
    """The wait ends with the outcome, long before the limit."""
    store = folder_store(tmp_path)
    working = await new_case_file(store)
    await working.begin({})
    waiting = await new_case_file(store, "run-2")

    async def work() -> None:
        await asyncio.sleep(0.1)
        await working.finish(Outcome(Status.CONTAINED))

    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        group.create_task(work())
        assert await waiting.wait_for_peer(timedelta(seconds=60))
    assert (await waiting.reload()).done


async def test_a_run_that_stays_silent_is_waited_for_no_longer_than_patience(
    tmp_path: Path,
) -> None:
    """Then this run continues itself; unfinished work is never acknowledged."""
    store = folder_store(tmp_path)
    await (await new_case_file(store)).begin({})
    async with asyncio.timeout(5):
        assert await (await new_case_file(store, "run-2")).wait_for_peer(timedelta(seconds=0.3))


# Evidence.


def full_evidence(**changes: Any) -> Evidence:
    """Evidence from every collector."""
    entries = tuple(
        LogEntry(NOW, "stdout", "INFO", f"line {number}", None, "rev", "i", None)
        for number in range(2)
    )
    event = AuditEvent(NOW, "ci@example.com", "Services.UpdateService", "x", "192.0.2.1", "", ())
    full = evidence(
        revisions=(template(),),
        access=Access((Binding("roles/run.invoker", ("allUsers",), None),)),
        related=(),
        logs=Logs(entries, truncated=False),
        audit=(event,),
        gaps=(Gap("logs", "only the newest 2 entries of the window"),),
    )
    return replace(full, **changes)


OBJECTS = {
    "evidence/finding.json",
    "evidence/affected-revision.json",
    "evidence/settings.json",
    "evidence/revisions.json",
    "evidence/access.json",
    "evidence/related-findings.json",
    "evidence/audit-log.json",
    "evidence/gaps.json",
    "logs.jsonl",
}


async def test_each_collector_has_an_object(tmp_path: Path) -> None:
    """Each object has the collector's name, and logs are lines."""
    await store_evidence(await new_case_file(folder_store(tmp_path)), full_evidence(), REDACTOR)
    assert objects_in_folder(tmp_path) == OBJECTS
    lines = (tmp_path / "incidents" / INCIDENT / "logs.jsonl").read_text().splitlines()
    assert [json.loads(line)["text"] for line in lines] == ["line 0", "line 1"]
    assert "forged" in json.loads(lines[0])["written_by"]


async def test_missing_evidence_has_no_object(tmp_path: Path) -> None:
    """It is in the list of gaps."""
    bare = full_evidence(
        configuration=None, revisions=None, access=None, related=None, logs=None, audit=None
    )
    await store_evidence(await new_case_file(folder_store(tmp_path)), bare, REDACTOR)
    assert objects_in_folder(tmp_path) == {"evidence/finding.json", "evidence/gaps.json"}


async def test_later_evidence_does_not_overwrite_earlier_evidence(tmp_path: Path) -> None:
    """A redelivery that gathers other evidence keeps both."""
    case = await new_case_file(folder_store(tmp_path))
    await store_evidence(case, full_evidence(), REDACTOR)
    place = tmp_path / "incidents" / INCIDENT / "evidence"
    first = (place / "access.json").read_bytes()
    for policy in (Access(()), Access((Binding("roles/viewer", (), "c"),))):
        await store_evidence(
            case, full_evidence(access=policy, logs=Logs((), truncated=True)), REDACTOR
        )
    assert (place / "access.json").read_bytes() == first
    new = {"evidence/access-2.json", "evidence/access-3.json", "logs-2.jsonl"}
    assert objects_in_folder(tmp_path) == OBJECTS | new


async def test_the_same_evidence_is_stored_once(tmp_path: Path) -> None:
    """A redelivery that gathers the same adds nothing."""
    store = folder_store(tmp_path)
    for run in ("run-1", "run-2"):
        await store_evidence(await new_case_file(store, run), full_evidence(), REDACTOR)
    assert objects_in_folder(tmp_path) == OBJECTS


async def test_what_takes_too_long_to_redact_is_left_out_with_a_gap(tmp_path: Path) -> None:
    """No text keeps an incident from its end; what is missing is in the list of gaps."""
    case = await new_case_file(folder_store(tmp_path))
    left_out = await store_evidence(case, full_evidence(), REDACTOR, budget_s=0)
    assert {gap.collector for gap in left_out} >= {"finding", "settings", "logs"}
    place = tmp_path / "incidents" / INCIDENT
    assert objects_in_folder(tmp_path) == {"evidence/gaps.json", "logs.jsonl"}
    assert (place / "logs.jsonl").read_bytes() == b""
    stored = json.loads((place / "evidence/gaps.json").read_text())
    assert "2 log entries not stored" in json.dumps(stored)


async def test_a_thousand_values_of_like_letters_do_not_keep_evidence_from_being_stored(
    tmp_path: Path,
) -> None:
    """1,000 environment values and 105 log lines of 9 kB, of like letters: bounded time."""
    values = [Secret(f"SETTING_{length}", "a" * length) for length in range(6, 1006)]
    entries = tuple(
        LogEntry(NOW, "stdout", "INFO", line * (9000 // len(line)), None, "", "", None)
        for line in ("a", "ab", "aaaaab") * 35
    )
    found = full_evidence(logs=Logs(entries, truncated=False))
    case = await new_case_file(folder_store(tmp_path))
    started = time.process_time()
    left_out = await store_evidence(case, found, Redactor(b"key", values))
    assert time.process_time() - started < 8
    assert left_out == ()
    assert b"aaaaaa" not in (tmp_path / "incidents" / INCIDENT / "logs.jsonl").read_bytes()


async def test_no_secret_is_in_the_evidence(tmp_path: Path) -> None:
    """Environment values in the finding and known values in log lines are redacted."""
    planted = "sample-not-a-real-secret"
    entry = LogEntry(NOW, "stdout", "INFO", f"connecting with {planted}", None, "", "", None)
    found = full_evidence(logs=Logs((entry,), truncated=False))
    redactor = Redactor(b"key", [*found.secrets, Secret("X_TOKEN", "planted-value")])
    await store_evidence(await new_case_file(folder_store(tmp_path)), found, redactor)
    place = tmp_path / "incidents" / INCIDENT
    stored = b"".join((place / name).read_bytes() for name in objects_in_folder(tmp_path))
    assert planted in json.dumps(finding().raw)
    assert planted.encode() not in stored
    assert b"planted-value" not in stored
    assert b"DB_PASSWORD" in stored
    assert b"db-password" in stored


# Announcing.


#: The outcome in the topic's format.
MESSAGE = {"class_uid": 2004}


class RefusingTopic:
    """A topic, which may refuse messages."""

    name = "projects/p/topics/t"
    format = TopicFormat.OCSF

    def __init__(self, refusal: Exception | None = None) -> None:
        self.published: list[tuple[Any, dict[str, str]]] = []
        self._refusal = refusal

    async def publish(self, data: bytes, attributes: Mapping[str, str]) -> None:
        """Keep the message, or refuse it."""
        if self._refusal:
            raise self._refusal
        self.published.append((json.loads(data), dict(attributes)))


async def test_a_published_outcome_has_attributes_to_filter_by() -> None:
    """The message is in the topic's format."""
    topic = RefusingTopic()
    assert await publish_outcome(topic, OUTCOME, MESSAGE) is None
    ((data, attributes),) = topic.published
    assert data == MESSAGE
    assert attributes == {
        "status": "contained",
        "incident": INCIDENT,
        "severity": "CRITICAL",
        "project": "example-shop-prod",
        "workload_kind": "service",
        "format": "ocsf",
    }


async def test_an_outcome_without_a_workload_is_published() -> None:
    """Unknown attributes are empty."""
    topic = RefusingTopic()
    await publish_outcome(topic, Outcome(Status.HELD), MESSAGE)
    assert set(topic.published[0][1].values()) == {"held", "ocsf", ""}


# Quarantine.


@pytest.mark.parametrize("data", [b"", b"\xff\xfe\x00", b"not json", b"{" * 10_000, b"x" * 100_000])
async def test_a_malformed_message_is_stored_by_its_digest(tmp_path: Path, data: bytes) -> None:
    """With digest, size, error and a bounded beginning."""
    digest, path = await quarantine_message(
        folder_store(tmp_path), data, "cannot be read", REDACTOR
    )
    kept = json.loads((tmp_path / path).read_bytes())
    assert digest == hashlib.sha256(data).hexdigest()
    assert (kept["sha256"], kept["size"], kept["error"]) == (digest, len(data), "cannot be read")
    assert len(kept["excerpt"]) <= 2048


async def test_the_same_malformed_message_is_stored_once(tmp_path: Path) -> None:
    """A redelivery leaves the object unchanged."""
    store = folder_store(tmp_path)
    first = await quarantine_message(store, b"x", "one reason", REDACTOR)
    assert await quarantine_message(store, b"x", "another reason", REDACTOR) == first
    assert json.loads((tmp_path / first[1]).read_bytes())["error"] == "one reason"
