"""The chain of manifests: who adds a link, what it lists, and what stands in nobody's way."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from clients import connect
from incident.case_file.journal import Journal
from incident.case_file.manifest import encode_manifest, manifest_number, sha256_hex
from incident.case_file.manifest_chain import extend_manifest_chain
from incident.case_file.recording_store import RecordingStore
from incident.case_file.verification import CaseFileVerification, ObjectState
from incident.case_file.verify import verify_case_file
from incident.model import GiveUp, Retry
from incident.response.deliveries import DeliveryHandler
from tests.support.environment import (
    CONTAINMENTS_FOLDER,
    encode,
    responder_environment,
    statuses_of,
    two_findings_on_one_service,
)
from tests.support.model import NOW, folder_store
from tests.support.patrol import deploy, run_patrol, with_automatic_scaling
from wiring import build_context, build_ports

FOLDER = "incidents/20261002-6255b37a8bf0"


def marks_by_name(found: CaseFileVerification) -> dict[str, ObjectState]:
    """What is to be thought of each object, by the last part of its path."""
    return {item.path.rpartition("/")[2]: item.state for item in found.objects}


async def test_concurrent_runs_extend_one_manifest_chain(tmp_path: Path) -> None:
    """Each of them lists what it wrote, behind those who were before it."""
    store, folder = folder_store(tmp_path), FOLDER

    async def run(at: int) -> str | None:
        seen = RecordingStore(store)
        await seen.create(f"{folder}/{at:04d}-noted.json", str(at).encode())
        return await extend_manifest_chain(seen, folder)

    seals = await asyncio.gather(*map(run, range(1, 9)))
    found = await verify_case_file(store, folder)
    assert found.intact
    assert found.counts[ObjectState.FOUND] == 0
    assert {link.sha256 for link in found.links} >= set(seals)


class StoreWithTampering:
    """A store in which somebody changes every record right after it was put."""

    def __init__(self, place: Path) -> None:
        self._store, self._place = folder_store(place), place

    async def create(self, path: str, data: bytes) -> bool:
        """Put an object, and change it behind the back of who put it."""
        created = await self._store.create(path, data)
        if created and path.endswith("-noted.json"):
            (self._place / path).write_bytes(b"{}")
        return created

    async def read(self, path: str) -> bytes | None:
        """What is there by now."""
        return await self._store.read(path)

    async def list(self, prefix: str) -> tuple[str, ...]:
        """What is there."""
        return await self._store.list(prefix)


async def test_an_object_changed_before_its_manifest_is_detected(tmp_path: Path) -> None:
    """A run lists the digest of what it wrote, not of what it finds there."""
    seen, folder = RecordingStore(StoreWithTampering(tmp_path)), "incidents/20261002-6255b37a8bf0"
    await seen.create(f"{folder}/0001-noted.json", b'{"a": 1}')
    await extend_manifest_chain(seen, folder)
    assert (
        marks_by_name(await verify_case_file(folder_store(tmp_path), folder))["0001-noted.json"]
        is ObjectState.CHANGED
    )


async def test_a_link_that_was_there_first_does_not_keep_a_run_from_listing(
    tmp_path: Path,
) -> None:
    """Whoever changes a record and lists it before the run does is found out all the same."""
    store = folder_store(tmp_path)
    seen, path = RecordingStore(store), f"{FOLDER}/0001-noted.json"
    await seen.create(path, b'{"a": 1}')
    (tmp_path / path).write_bytes(b"{}")
    forged = encode_manifest(FOLDER, None, {path: sha256_hex(b"{}")}, {})
    await store.create(f"{FOLDER}/manifest.json", forged)
    await extend_manifest_chain(seen, FOLDER)
    assert (
        await extend_manifest_chain(seen, FOLDER)
        == (await verify_case_file(store, FOLDER)).links[-1].sha256
    )
    found = await verify_case_file(store, FOLDER)
    assert (len(found.links), marks_by_name(found)["0001-noted.json"]) == (2, ObjectState.CHANGED)


class StoreRefusingManifests:
    """A store that takes no more manifests from some moment on."""

    def __init__(self, place: Path, error: Exception, after: int) -> None:
        self._store, self._error, self._left = folder_store(place), error, after

    async def create(self, path: str, data: bytes) -> bool:
        """Put an object, unless it is one manifest too many."""
        if manifest_number(path.rpartition("/")[2]) is not None:
            if self._left == 0:
                raise self._error
            self._left -= 1
        return await self._store.create(path, data)

    async def read(self, path: str) -> bytes | None:
        """What is there."""
        return await self._store.read(path)

    async def list(self, prefix: str) -> tuple[str, ...]:
        """What is there."""
        return await self._store.list(prefix)


@pytest.mark.parametrize("error", [Retry("away"), GiveUp("denied")])
async def test_a_recorded_outcome_counts_even_if_no_manifest_can_be_written(
    tmp_path: Path, error: Exception
) -> None:
    """The delivery is answered with the outcome, and the log says what is lacking."""
    async with responder_environment(tmp_path) as env:
        clients = await connect(env.settings)
        refusing = StoreRefusingManifests(tmp_path / "store", error, after=1)
        outside = replace(build_ports(clients), store=refusing)
        answer = await DeliveryHandler(build_context(env.settings), outside).receive(
            encode(env.notification)
        )
        await clients.close()
        assert answer.outcome["status"] == "contained"
        assert str(error) in answer.unlisted
        folder = f"incidents/{answer.outcome['incident']}"
        found = await verify_case_file(folder_store(tmp_path / "store"), folder)
        assert found.links[-1].sha256 == answer.manifest_sha256
        assert marks_by_name(found)["1000-done.json"] is ObjectState.NOT_LISTED


async def test_deliveries_at_once_in_two_processes_leave_nothing_unlisted(tmp_path: Path) -> None:
    """Also what the one writes after the other is done."""
    async with responder_environment(tmp_path) as env:
        inboxes = [await env.start_process() for _ in range(2)]
        became = await statuses_of(*(env.deliver(process=inbox) for inbox in inboxes * 2))
        assert became.count("contained") == 1
        (folder,) = {
            path.rpartition("/")[0] for path in env.stored_objects("incidents/*/manifest.json")
        }
        found = await verify_case_file(folder_store(tmp_path / "store"), folder)
        assert found.intact
        assert not found.counts[ObjectState.CHANGED]


async def test_a_patrol_lists_what_a_dead_run_left_once(tmp_path: Path) -> None:
    """Not while somebody may be at it, and not again; its digest is in the patrol's log."""
    async with responder_environment(tmp_path) as env:
        outcome = (await env.deliver()).outcome
        folder = f"incidents/{outcome['incident']}"
        (tmp_path / "store" / folder / "manifest-2.json").unlink()
        assert (await run_patrol(env)).manifest_digests == {}
        found = await run_patrol(env.later(600))
        after = await verify_case_file(folder_store(tmp_path / "store"), folder)
        assert found.manifest_digests == {folder: after.links[-1].sha256}
        assert after.intact
        assert marks_by_name(after)["1000-done.json"] is ObjectState.FOUND
        assert (await run_patrol(env.later(900))).manifest_digests == {}


async def test_what_a_patrol_notes_is_listed_with_every_incident_it_is_of(tmp_path: Path) -> None:
    """Each can be verified by itself; what only another run vouches for is said."""
    one, other, world = two_findings_on_one_service()
    async with responder_environment(tmp_path, notification=one, world=world) as env:
        incidents = [str((await env.deliver(each)).outcome["incident"]) for each in (one, other)]
        await deploy(env, with_automatic_scaling)
        assert (await run_patrol(env)).manifest_digests.keys() == {
            f"incidents/{each}" for each in incidents
        }
        store = folder_store(tmp_path / "store")
        found = [await verify_case_file(store, f"incidents/{incident}") for incident in incidents]
        assert all(each.intact and not each.counts[ObjectState.FOUND] for each in found)
        assert [each.other_incidents for each in found] == [(incidents[1],), (incidents[0],)]
        forged = tmp_path / "store" / CONTAINMENTS_FOLDER / "1" / "0099-released.json"
        forged.write_text('{"by": "nobody"}')
        again = [await verify_case_file(store, f"incidents/{incident}") for incident in incidents]
        assert [each.objects[0].path for each in again] == [
            f"{CONTAINMENTS_FOLDER}/1/0099-released.json"
        ] * 2


async def test_only_objects_of_own_runs_are_listed_as_found(
    tmp_path: Path,
) -> None:
    """Those of other incidents list themselves what they write; a forger has no run here."""
    store, held = folder_store(tmp_path), f"{CONTAINMENTS_FOLDER}/1"

    def journal(folder: str, run: str) -> Journal:
        return Journal(store, folder, run, lambda: NOW)

    await journal(FOLDER, "died").create(1, "received", {})
    await journal(held, "died").create(1, "snapshot", {})
    await journal(held, "other").create(2, "joined", {})
    seen = RecordingStore(store)
    await extend_manifest_chain(seen, FOLDER, held)
    (link,) = (await verify_case_file(store, FOLDER)).links
    assert link.manifest
    names = {path.rpartition("/")[2] for path in link.manifest.found}
    assert names == {"0001-received.json", "0001-snapshot.json"}


async def test_an_object_whose_put_answer_was_lost_is_listed_as_own(tmp_path: Path) -> None:
    """Told that something is there, it reads what is there, and finds that it is its own."""
    store = folder_store(tmp_path)
    seen = RecordingStore(store)
    await store.create(f"{FOLDER}/0001-noted.json", b"{}")
    assert not await seen.create(f"{FOLDER}/0001-noted.json", b"{}")
    assert seen.written == {}
    await seen.read(f"{FOLDER}/0001-noted.json")
    assert [*seen.written] == [f"{FOLDER}/0001-noted.json"]
    await store.create(f"{FOLDER}/0002-noted.json", b"[]")
    assert not await seen.create(f"{FOLDER}/0002-noted.json", b"{}")
    await seen.read(f"{FOLDER}/0002-noted.json")
    assert [*seen.written] == [f"{FOLDER}/0001-noted.json"]
