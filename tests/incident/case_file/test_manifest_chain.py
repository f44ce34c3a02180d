"""The chain of manifests: who adds a link, what it lists, and what stands in nobody's way."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from clients import connect
from incident.case_file.journal import Journal
from incident.case_file.manifest import digest, manifest_of, number
from incident.case_file.manifest_chain import extend
from incident.case_file.recording_store import Witness
from incident.case_file.verification import Examination, Mark
from incident.case_file.verify import examine
from incident.model import GiveUp, Retry
from incident.response.deliveries import Inbox
from tests.support.environment import CONTAINMENTS, encode, road, settled, two_on_one_service
from tests.support.model import NOW, folder_store
from tests.support.patrol import automatic, deploy, patrol
from wiring import outside_of, standing_of

FOLDER = "incidents/20261002-6255b37a8bf0"


def marks(found: Examination) -> dict[str, Mark]:
    """What is to be thought of each object, by the last part of its path."""
    return {item.path.rpartition("/")[2]: item.mark for item in found.items}


async def test_many_who_list_at_once_make_one_chain(tmp_path: Path) -> None:
    """Each of them lists what it wrote, behind those who were before it."""
    store, folder = folder_store(tmp_path), FOLDER

    async def run(at: int) -> str | None:
        seen = Witness(store)
        await seen.create(f"{folder}/{at:04d}-noted.json", str(at).encode())
        return await extend(seen, folder)

    seals = await asyncio.gather(*map(run, range(1, 9)))
    found = await examine(store, folder)
    assert found.intact
    assert found.counts[Mark.FOUND] == 0
    assert {link.sha256 for link in found.links} >= set(seals)


class Changing:
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


async def test_what_is_changed_before_it_is_listed_shows_all_the_same(tmp_path: Path) -> None:
    """A run lists the digest of what it wrote, not of what it finds there."""
    seen, folder = Witness(Changing(tmp_path)), "incidents/20261002-6255b37a8bf0"
    await seen.create(f"{folder}/0001-noted.json", b'{"a": 1}')
    await extend(seen, folder)
    assert marks(await examine(folder_store(tmp_path), folder))["0001-noted.json"] is Mark.CHANGED


async def test_a_link_that_was_there_first_does_not_keep_a_run_from_listing(
    tmp_path: Path,
) -> None:
    """Whoever changes a record and lists it before the run does is found out all the same."""
    store = folder_store(tmp_path)
    seen, path = Witness(store), f"{FOLDER}/0001-noted.json"
    await seen.create(path, b'{"a": 1}')
    (tmp_path / path).write_bytes(b"{}")
    forged = manifest_of(FOLDER, None, {path: digest(b"{}")}, {})
    await store.create(f"{FOLDER}/manifest.json", forged)
    await extend(seen, FOLDER)
    assert await extend(seen, FOLDER) == (await examine(store, FOLDER)).links[-1].sha256
    found = await examine(store, FOLDER)
    assert (len(found.links), marks(found)["0001-noted.json"]) == (2, Mark.CHANGED)


class Refusing:
    """A store that takes no more manifests from some moment on."""

    def __init__(self, place: Path, error: Exception, after: int) -> None:
        self._store, self._error, self._left = folder_store(place), error, after

    async def create(self, path: str, data: bytes) -> bool:
        """Put an object, unless it is one manifest too many."""
        if number(path.rpartition("/")[2]) is not None:
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
async def test_an_outcome_on_record_stands_whether_or_not_it_can_be_listed(
    tmp_path: Path, error: Exception
) -> None:
    """The delivery is answered with the outcome, and the log says what is lacking."""
    async with road(tmp_path) as way:
        clients = await connect(way.settings)
        refusing = Refusing(tmp_path / "store", error, after=1)
        outside = replace(outside_of(clients), store=refusing)
        answer = await Inbox(standing_of(way.settings), outside).receive(encode(way.notification))
        await clients.close()
        assert answer.outcome["status"] == "contained"
        assert str(error) in answer.unlisted
        folder = f"incidents/{answer.outcome['incident']}"
        found = await examine(folder_store(tmp_path / "store"), folder)
        assert found.links[-1].sha256 == answer.manifest_sha256
        assert marks(found)["1000-done.json"] is Mark.NOT_LISTED


async def test_deliveries_at_once_in_two_processes_leave_nothing_unlisted(tmp_path: Path) -> None:
    """Also what the one writes after the other is done."""
    async with road(tmp_path) as way:
        inboxes = [await way.inbox() for _ in range(2)]
        became = await settled(*(way.deliver(inbox=inbox) for inbox in inboxes * 2))
        assert became.count("contained") == 1
        (folder,) = {path.rpartition("/")[0] for path in way.stored("incidents/*/manifest.json")}
        found = await examine(folder_store(tmp_path / "store"), folder)
        assert found.intact
        assert not found.counts[Mark.CHANGED]


async def test_a_patrol_lists_what_a_dead_run_left_once(tmp_path: Path) -> None:
    """Not while somebody may be at it, and not again; its digest is in the patrol's log."""
    async with road(tmp_path) as way:
        outcome = (await way.deliver()).outcome
        folder = f"incidents/{outcome['incident']}"
        (tmp_path / "store" / folder / "manifest-2.json").unlink()
        assert (await patrol(way)).seals == {}
        found = await patrol(way.later(600))
        after = await examine(folder_store(tmp_path / "store"), folder)
        assert found.seals == {folder: after.links[-1].sha256}
        assert after.intact
        assert marks(after)["1000-done.json"] is Mark.FOUND
        assert (await patrol(way.later(900))).seals == {}


async def test_what_a_patrol_notes_is_listed_with_every_incident_it_is_of(tmp_path: Path) -> None:
    """Each can be verified by itself; what only another run vouches for is said."""
    one, other, world = two_on_one_service()
    async with road(tmp_path, notification=one, world=world) as way:
        incidents = [str((await way.deliver(each)).outcome["incident"]) for each in (one, other)]
        await deploy(way, automatic)
        assert (await patrol(way)).seals.keys() == {f"incidents/{each}" for each in incidents}
        store = folder_store(tmp_path / "store")
        found = [await examine(store, f"incidents/{incident}") for incident in incidents]
        assert all(each.intact and not each.counts[Mark.FOUND] for each in found)
        assert [each.others for each in found] == [(incidents[1],), (incidents[0],)]
        forged = tmp_path / "store" / CONTAINMENTS / "1" / "0099-released.json"
        forged.write_text('{"by": "nobody"}')
        again = [await examine(store, f"incidents/{incident}") for incident in incidents]
        assert [each.items[0].path for each in again] == [
            f"{CONTAINMENTS}/1/0099-released.json"
        ] * 2


async def test_of_a_containment_only_the_own_runs_leavings_are_listed_as_found(
    tmp_path: Path,
) -> None:
    """Those of other incidents list themselves what they write; a forger has no run here."""
    store, held = folder_store(tmp_path), f"{CONTAINMENTS}/1"

    def journal(folder: str, run: str) -> Journal:
        return Journal(store, folder, run, lambda: NOW)

    await journal(FOLDER, "died").claim(1, "received", {})
    await journal(held, "died").claim(1, "before", {})
    await journal(held, "other").claim(2, "joined", {})
    seen = Witness(store)
    await extend(seen, FOLDER, held)
    (link,) = (await examine(store, FOLDER)).links
    assert link.manifest
    names = {path.rpartition("/")[2] for path in link.manifest.found}
    assert names == {"0001-received.json", "0001-before.json"}


async def test_a_put_whose_answer_was_lost_is_the_runs_own(tmp_path: Path) -> None:
    """Told that something is there, it reads what is there, and finds that it is its own."""
    store = folder_store(tmp_path)
    seen = Witness(store)
    await store.create(f"{FOLDER}/0001-noted.json", b"{}")
    assert not await seen.create(f"{FOLDER}/0001-noted.json", b"{}")
    assert seen.written == {}
    await seen.read(f"{FOLDER}/0001-noted.json")
    assert [*seen.written] == [f"{FOLDER}/0001-noted.json"]
    await store.create(f"{FOLDER}/0002-noted.json", b"[]")
    assert not await seen.create(f"{FOLDER}/0002-noted.json", b"{}")
    await seen.read(f"{FOLDER}/0002-noted.json")
    assert [*seen.written] == [f"{FOLDER}/0001-noted.json"]
