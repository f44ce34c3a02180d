"""The journal: one winner per number, lost answers, order, and foreign objects."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from pathlib import Path
from typing import ClassVar

import pytest

from clients.settings import Settings
from clients.store import Store, open_store
from incident.case_file.journal import Journal, decode_record, encode_json
from incident.model import GiveUp, Inconsistent, Json, Retry
from tests.support.google_clients import google_clients
from tests.support.model import NOW, fixed_now, folder_store, record_kinds

FOLDER = "incidents/20261002-0123456789ab"


class StoreLosingAnswers(Store):
    """A store that creates the object and loses the answer, like a put that was retried."""

    async def create(self, path: str, data: bytes) -> bool:
        """Create the object, and answer that it exists already."""
        await super().create(path, data)
        return False


class StoreLosingObjects(Store):
    """A store that answers that an object exists, and then has none."""

    async def create(self, path: str, data: bytes) -> bool:
        """Create nothing, and answer that it exists already."""
        return bool(data is None and path)


def journal(store: Store, run: str = "run-1") -> Journal:
    """The journal of one folder, for one run."""
    return Journal(store, FOLDER, run, fixed_now)


async def test_a_created_record_is_read_back(tmp_path: Path) -> None:
    """A record has its number, kind, time, run and body."""
    there = journal(folder_store(tmp_path))
    assert await there.create(1, "received", {"finding": "f-1", "text": "äöü \u2028 \x00"})
    (record,) = await there.records()
    assert (record.number, record.kind, record.run_id) == (1, "received", "run-1")
    assert record.recorded_at == NOW
    assert (record.body["finding"], record.body["text"]) == ("f-1", "äöü \u2028 \x00")


async def test_of_many_concurrent_creates_one_wins(tmp_path: Path) -> None:
    """Twenty runs write at one number; the record of one of them is stored."""
    store = folder_store(tmp_path)
    runs = [journal(store, f"run-{number}") for number in range(20)]
    won = await asyncio.gather(*(run.create(1, "received", {"by": run.run_id}) for run in runs))
    (record,) = await journal(store).records()
    (winner,) = (record for record in won if record)
    assert record == winner


async def test_a_create_whose_answer_was_lost_has_won(tmp_path: Path) -> None:
    """The stored record has its own nonce, so no other run has the number."""
    forgetful = journal(folder_store(tmp_path, StoreLosingAnswers))
    assert await forgetful.create(1, "done", {"outcome": {}})
    assert not await forgetful.create(1, "done", {"outcome": {}})
    assert len(await forgetful.records()) == 1


async def test_a_create_whose_answer_was_lost_in_the_bucket_has_won() -> None:
    """The library retries the put and finds its own object."""
    lost = {"method": "storage.PUT", "code": "UNAVAILABLE", "times": 1, "applied": True}
    async with google_clients({"faults": [lost]}) as google:
        where = json.loads(google.emulator.environment)
        store = open_store(Settings(store="gs://case-files", emulator=where))
        assert await journal(store).create(1, "done", {})
        assert not await journal(store, "run-2").create(1, "done", {})


async def test_a_create_whose_object_vanishes_has_not_won(tmp_path: Path) -> None:
    """A store that has nothing of what exists is asked five times, and contradicts itself."""
    with pytest.raises(Inconsistent, match="answered 5 times that it exists"):
        await journal(folder_store(tmp_path, StoreLosingObjects)).create(1, "done", {})


async def test_appending_takes_the_next_free_number(tmp_path: Path) -> None:
    """Existing records are never overwritten."""
    there = journal(folder_store(tmp_path))
    assert await there.append(0, "noted", {"at": "first"}) == 1
    assert await there.append(0, "noted", {"at": "second"}) == 2
    assert await there.append(7, "noted", {"at": "third"}) == 8
    records = await there.records()
    assert [(record.number, record.body["at"]) for record in records] == [
        (1, "first"),
        (2, "second"),
        (8, "third"),
    ]


async def test_concurrent_appends_lose_nothing(tmp_path: Path) -> None:
    """Twelve runs append concurrently; every record has a number of its own."""
    store = folder_store(tmp_path)
    runs = [journal(store, f"run-{number}") for number in range(12)]
    numbers = await asyncio.gather(*(run.append(0, "noted", {}) for run in runs))
    records = await journal(store).records()
    assert sorted(numbers) == [record.number for record in records] == list(range(1, 13))
    assert {record.run_id for record in records} == {run.run_id for run in runs}


async def test_records_are_sorted_by_number_and_then_by_time(tmp_path: Path) -> None:
    """Records of one number and different kinds are in the order of their times."""
    store = folder_store(tmp_path)
    late = Journal(store, FOLDER, "run-2", lambda: NOW + timedelta(seconds=9))
    await late.create(2, "annotated", {})
    await journal(store).create(2, "verified", {})
    await journal(store).create(1000, "done", {})
    await journal(store).create(10, "joined", {})
    assert record_kinds(await journal(store).records()) == [
        "verified",
        "annotated",
        "joined",
        "done",
    ]


@pytest.mark.parametrize(
    "name",
    ["1-done.json", "0001-Done.json", "0001-done.json.tmp", "0001_done.json", "notes.txt"],
)
async def test_objects_with_other_names_are_ignored(tmp_path: Path, name: str) -> None:
    """Evidence lies in the same folder as the records."""
    store = folder_store(tmp_path)
    await store.create(f"{FOLDER}/{name}", b"whatever")
    await store.create(f"{FOLDER}/evidence/0001-done.json", b"whatever")
    assert await journal(store).records() == ()


async def test_a_folder_with_the_same_prefix_is_another_folder(tmp_path: Path) -> None:
    """It has records of its own."""
    store = folder_store(tmp_path)
    await Journal(store, f"{FOLDER}-2", "run-1", fixed_now).create(1, "done", {})
    assert await journal(store).records() == ()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"{",
        b"[]",
        b'"text"',
        b"null",
        b"{}",
        b'{"run": "x"}',
        b'{"run": "x", "recorded_at": "yesterday"}',
    ],
)
async def test_a_foreign_object_is_refused_clearly(tmp_path: Path, content: bytes) -> None:
    """The error names the object and what to do."""
    store = folder_store(tmp_path)
    await store.create(f"{FOLDER}/0003-verified.json", content)
    with pytest.raises(GiveUp) as raised:
        await journal(store).records()
    assert f"{FOLDER}/0003-verified.json" in str(raised.value)
    assert "move the object away" in str(raised.value)


async def test_a_foreign_object_in_place_of_a_record_is_refused(tmp_path: Path) -> None:
    """A write that finds an unreadable object does not take it for another run's record."""
    store = folder_store(tmp_path)
    await store.create(f"{FOLDER}/0001-done.json", b"not json")
    with pytest.raises(GiveUp, match="0001-done"):
        await journal(store).create(1, "done", {})


async def test_a_store_that_does_not_answer_is_retried() -> None:
    """The store's error reaches the caller."""
    store = open_store(
        Settings.model_validate(
            {
                "store": "gs://case-files",
                "emulator": {"grpc": "127.0.0.1:9", "http": "127.0.0.1:9"},
            }
        )
    )
    with pytest.raises(Retry, match="case-files"):
        await journal(store).records()


@pytest.mark.parametrize("value", [{}, {"b": 1, "a": [None, True, "ä"]}, {"x": {"y": 1.5}}])
def test_an_encoded_record_is_decoded_to_the_same(value: dict[str, Json]) -> None:
    """The same value is always the same bytes, and is read back."""
    assert encode_json(value) == encode_json(dict(value))
    assert decode_record("somewhere", encode_json(value)) == value


class ReadCountingStore(Store):
    """A store that remembers which objects were read."""

    reads: ClassVar[list[str]] = []

    async def read(self, path: str) -> bytes | None:
        """Read, and remember it."""
        self.reads.append(path)
        return await super().read(path)


async def test_known_records_are_not_read_again(tmp_path: Path) -> None:
    """Only new ones are read; all are returned in order."""
    there = journal(folder_store(tmp_path, ReadCountingStore))
    await there.append(0, "received", {})
    known = await there.records()
    await there.append(1, "decided", {})
    ReadCountingStore.reads.clear()
    assert await there.records(known) == await there.records()
    assert [path.rpartition("/")[2] for path in ReadCountingStore.reads] == [
        "0002-decided.json",
        "0001-received.json",
        "0002-decided.json",
    ]
