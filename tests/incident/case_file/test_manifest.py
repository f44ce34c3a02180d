"""Manifests: each run lists the objects that it created, and no others."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients import connect
from incident.case_file.manifest import (
    RecordingStore,
    decode_manifest,
    encode_manifest,
    sha256_hex,
    write_manifest,
)
from incident.case_file.paths import is_manifest
from incident.case_file.verification import ObjectState, verify_case_file
from incident.model import GiveUp, Malformed, Retry
from incident.response.deliveries import DeliveryHandler
from tests.support.constants import INCIDENT_ID
from tests.support.environment import responder_environment, statuses_of
from tests.support.findings import encode
from tests.support.model import folder_store, repeatable
from tests.support.patrol import deploy, run_patrol, with_automatic_scaling
from tests.support.worlds import two_findings_on_one_service
from wiring import build_process

FOLDER = f"incidents/{INCIDENT_ID}"
NOTE = f"{FOLDER}/0001-noted.json"


async def test_concurrent_runs_write_a_manifest_each(tmp_path: Path) -> None:
    """No run overwrites the manifest of another, and all objects are listed."""
    store = folder_store(tmp_path)

    async def run(number: int) -> str | None:
        recording = RecordingStore(store)
        await recording.create(f"{FOLDER}/{number:04d}-noted.json", str(number).encode())
        return await write_manifest(recording, FOLDER)

    digests = await asyncio.gather(*map(run, range(1, 9)))
    found = await verify_case_file(store, FOLDER)
    assert found.intact
    assert sorted(map(str, digests)) == sorted(manifest.sha256 for manifest in found.manifests)
    assert len(found.objects) == 16


async def test_a_run_that_created_nothing_writes_no_manifest(tmp_path: Path) -> None:
    """Reading is not listed."""
    store = folder_store(tmp_path)
    await store.create(NOTE, b"{}")
    recording = RecordingStore(store)
    assert await recording.list(f"{FOLDER}/") == (NOTE,)
    assert await recording.read(NOTE) == b"{}"
    assert await write_manifest(recording, FOLDER) is None
    assert await store.list(f"{FOLDER}/") == (NOTE,)


class InterruptedStore:
    """A store that puts an object, and whose answer to that is lost in one way or another."""

    def __init__(self, folder: Path, error: BaseException | None, put: bytes | None = None) -> None:
        self._store, self._error, self._put = folder_store(folder), error, put

    async def create(self, path: str, data: bytes) -> bool:
        """Put an object, and lose the answer to a record."""
        if not path.endswith("-noted.json"):
            return await self._store.create(path, data)
        await self._store.create(path, data if self._put is None else self._put)
        if self._error:
            raise self._error
        return False

    async def read(self, path: str) -> bytes | None:
        """What is there."""
        return await self._store.read(path)

    async def list(self, prefix: str) -> tuple[str, ...]:
        """What is there."""
        return await self._store.list(prefix)


@pytest.mark.parametrize("error", [Retry("away"), asyncio.CancelledError()])
async def test_an_interrupted_creation_is_listed_if_it_took_effect(
    tmp_path: Path, error: BaseException
) -> None:
    """The object's content decides: what somebody else put there is not listed."""
    for folder, put, expected in (("own", None, ObjectState.INTACT), ("other", b"[]", None)):
        recording = RecordingStore(InterruptedStore(tmp_path / folder, error, put))
        with pytest.raises(type(error)):
            await recording.create(NOTE, b"{}")
        digest = await write_manifest(recording, FOLDER)
        assert (digest is not None) == (expected is not None)
        found = await verify_case_file(folder_store(tmp_path / folder), FOLDER)
        states = {item.path: item.state for item in found.objects}
        assert states[NOTE] is (expected or ObjectState.NOT_LISTED)


async def test_an_object_whose_answer_was_lost_is_listed_once_it_is_read(tmp_path: Path) -> None:
    """A caller whose object exists already reads it; only its own content counts."""
    for folder, put, count in (("own", None, 1), ("other", b"[]", 0)):
        recording = RecordingStore(InterruptedStore(tmp_path / folder, None, put))
        assert not await recording.create(NOTE, b"{}")
        assert recording.created == {}
        await recording.read(NOTE)
        assert len(recording.created) == count


async def test_an_object_changed_before_the_manifest_is_detected(tmp_path: Path) -> None:
    """A run lists the digest of what it wrote, not of what the store has by then."""
    store = folder_store(tmp_path)
    recording = RecordingStore(store)
    await recording.create(NOTE, b'{"a": 1}')
    (tmp_path / NOTE).write_bytes(b"{}")
    await write_manifest(recording, FOLDER)
    found = await verify_case_file(store, FOLDER)
    assert (found.objects[0].path, found.objects[0].state) == (NOTE, ObjectState.CHANGED)


class StoreRefusingManifests(InterruptedStore):
    """A store that takes no manifests."""

    def __init__(self, folder: Path, error: Exception) -> None:
        super().__init__(folder, None)
        self._error = error

    async def create(self, path: str, data: bytes) -> bool:
        """Put an object, unless it is a manifest."""
        if is_manifest(path):
            assert self._error
            raise self._error
        return await self._store.create(path, data)


@pytest.mark.parametrize("error", [Retry("away"), GiveUp("denied")])
async def test_an_outcome_counts_even_if_its_manifest_cannot_be_written(
    tmp_path: Path, error: Exception
) -> None:
    """The delivery is answered with the outcome, an alarm, and the reason as a gap."""
    async with responder_environment(tmp_path) as env:
        clients = await connect(env.settings)
        store = StoreRefusingManifests(tmp_path / "store", error)
        process = replace(build_process(env.settings, clients), store=store)
        result = await DeliveryHandler(process).receive(encode(env.notification))
        await clients.close()
        assert (result.outcome.status, result.manifest_sha256) == ("contained", None)
        assert result.alarm
        assert f"cannot write the manifest of {result.case_file}: {error}" in str(
            result.outcome.to_json()["gaps"]
        )
        done = env.read_record(f"{result.case_file}/1000-done.json")
        assert "manifest" not in {gap["collector"] for gap in done["outcome"]["gaps"]}


async def test_every_object_of_a_delivery_is_listed(tmp_path: Path) -> None:
    """Records, evidence, report, containment and slots, and the record that it was logged."""
    async with responder_environment(tmp_path) as env:
        result = await env.deliver()
        stored = env.stored_objects()
        path = f"{result.case_file}/manifest.json"
        listed = decode_manifest(path, stored.pop(path))
        assert listed == {name: sha256_hex(data) for name, data in stored.items()}
        assert {name.partition("/")[0] for name in listed} == {"incidents", "containments", "slots"}
        assert f"{result.case_file}/1000-logged.json" in listed


async def test_parallel_deliveries_in_two_processes_leave_nothing_unlisted(tmp_path: Path) -> None:
    """Each process lists what it created."""
    async with responder_environment(tmp_path) as env:
        processes = [await env.start_process() for _ in range(2)]
        statuses = await statuses_of(*(env.deliver(process=one) for one in processes * 2))
        assert statuses.count("contained") == 1
        (folder,) = {
            path.rpartition("/")[0] for path in env.stored_objects("incidents/*/manifest.json")
        }
        assert (await verify_case_file(folder_store(tmp_path / "store"), folder)).intact


async def test_a_patrol_lists_what_it_creates_with_the_containment(tmp_path: Path) -> None:
    """One manifest per visit; every incident of the containment is verified with it."""
    one, other, world = two_findings_on_one_service()
    async with responder_environment(tmp_path, notification=one, world=world) as env:
        folders = [(await env.deliver(each)).case_file for each in (one, other)]
        await deploy(env, with_automatic_scaling)
        (check,) = (await run_patrol(env)).checks
        store = folder_store(tmp_path / "store")
        (path,) = env.stored_objects("containments/**/manifest*.json")
        assert path == f"{check.containment}/manifest.json"
        for folder in map(str, folders):
            found = await verify_case_file(store, folder)
            assert found.intact
            digests = {manifest.path: manifest.sha256 for manifest in found.manifests}
            assert digests[path] == check.manifest_sha256
            assert len(digests) == 3
        assert (await run_patrol(env)).checks[0].manifest_sha256 is None


@given(st.binary(max_size=40) | st.just(b'{"folder": "x", "objects": []}'))
@repeatable
def test_content_that_is_not_a_manifest_is_malformed(data: bytes) -> None:
    """Whatever lies there under a manifest's name."""
    with pytest.raises(Malformed):
        decode_manifest(f"{FOLDER}/manifest.json", data)


@pytest.mark.parametrize("objects", [{"a": "b"}, ["a"], None, {"a": 7}])
def test_a_manifest_lists_digests_only(objects: object) -> None:
    """A manifest with anything else is malformed."""
    data = json.dumps({"folder": FOLDER, "objects": objects}).encode()
    with pytest.raises(Malformed):
        decode_manifest(f"{FOLDER}/manifest.json", data)


def test_a_manifest_belongs_to_the_folder_that_it_names() -> None:
    """Copied to another case file, it is no manifest."""
    data = encode_manifest(FOLDER, {NOTE: sha256_hex(b"{}")})
    assert decode_manifest(f"{FOLDER}/manifest-2.json", data) == {NOTE: sha256_hex(b"{}")}
    for path in ("incidents/20261002-000000000000/manifest.json", f"{FOLDER}/0001-noted.json"):
        with pytest.raises(Malformed):
            decode_manifest(path, data)
