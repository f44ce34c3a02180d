"""Rounds: all around, in pages, from where the last one stopped, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients import connect
from clients.listing import Page
from clients.store import Store
from incident.case_file.verification import Mark
from incident.case_file.verify import examine
from incident.case_file.walk import Cursors, Passed, Stop, ring
from incident.patrol.round import Bounds, Patrol, Round
from tests.support.environment import (
    CONTAINMENTS,
    Road,
    copies,
    policy,
    put,
    road,
    sample,
    world_around,
)
from tests.support.model import NOW, folder_store, now, repeatable
from tests.support.patrol import patrol
from wiring import clock_of, outside_of, standing_of

PAGES = 3
FINE = (Mark.INTACT, Mark.ALIVE)


class Listed:
    """A store of paths only."""

    def __init__(self, *paths: str) -> None:
        self.paths = sorted(paths)
        self.longest = 0

    async def page(self, prefix: str, after: str, limit: int) -> Page:
        """As a bucket answers."""
        found = [path for path in self.paths if path.startswith(prefix) and path > after][:limit]
        self.longest = max(self.longest, len(found))
        return Page(tuple(found), found[-1] if found else "")


async def around(store: Any, cursor: str = "", size: int = PAGES) -> list[Stop]:
    """Every stop of one round."""
    return [met async for met in ring(store, cursor, size) if isinstance(met, Stop)]


def held(*names: str, records: int = 2) -> list[str]:
    """The records of some services' containments."""
    folders = [f"containments/p/europe-west1/service/{name}/1" for name in names]
    return [f"{folder}/{n:04d}-before.json" for folder in folders for n in range(records)]


NAMES = st.lists(
    st.sampled_from(["shop", "shop-2", "shop2", "a", "z-9", "sho"]), unique=True, min_size=1
)
CURSORS = st.sampled_from(
    [
        "",
        "containments/p/europe-west1/service/shop/",
        "containments/p/europe-west1/service/nobody/",
        "incidents/20261002-000000000000/",
        "dry-runs/x/",
        "somewhere/else/",
    ]
)


@repeatable
@given(names=NAMES, cursor=CURSORS, size=st.integers(1, 7), records=st.integers(1, 4))
async def test_every_stop_is_met_once_wherever_a_round_begins(
    names: list[str], cursor: str, size: int, records: int
) -> None:
    """With all of its paths, however the pages fall; and no page is longer than asked."""
    cases = [f"incidents/2026100{n}-000000000000/0001-received.json" for n in range(3)]
    store = Listed(*held(*names, records=records), *cases, "dry-runs/x/0001-received.json", "a/b")
    stops = await around(store, cursor, size)
    folders = [stop.folder for stop in stops]
    assert len(folders) == len(set(folders)) == len(names) + len(cases) + 1
    assert sorted(path for stop in stops for path in stop.paths) == store.paths[1:]
    assert store.longest <= size
    if cursor in folders:
        assert folders[-1] == cursor


@repeatable
@given(names=NAMES, size=st.integers(1, 7), at=st.integers(0, 30))
async def test_a_round_may_begin_at_any_place_that_another_passed(
    names: list[str], size: int, at: int
) -> None:
    """What was met before it and what is met from there on is all, each with all of its paths."""
    store = Listed(*held(*names, records=4), "containments/p", "incidents/notes", "incidents/x/1")
    whole = [met async for met in ring(store, "", size)]  # type: ignore[arg-type]
    passed = [number for number, met in enumerate(whole) if isinstance(met, Passed)]
    here = passed[at % len(passed)]
    place = whole[here]
    assert isinstance(place, Passed)
    before = [met for met in whole[:here] if isinstance(met, Stop)]
    after = [met for met in whole[here:] if isinstance(met, Stop)]
    assert await around(store, place.place, size) == [*after, *before]


class Stuck(Listed):
    """A store whose pages begin again and again where they began before."""

    async def page(self, prefix: str, after: str, limit: int) -> Page:
        """The same page for ever."""
        return Page(tuple(self.paths[:limit]), after or "z") if prefix == "incidents/" else Page()


async def test_a_list_that_does_not_go_on_ends_its_section_with_a_fault(tmp_path: Path) -> None:
    """Told once; what is elsewhere is met all the same."""
    async with road(tmp_path) as way:
        found = await patrolled(way, Stuck("incidents/x/1"))
        (fault,) = found.faults
        assert fault.folder == "incidents/x/"
        assert "does not go on" in fault.reason
        assert (found.complete, found.alarm) == (True, True)


class Endless(Listed):
    """A store that is never at its end, and in which there is nothing to look at."""

    async def page(self, prefix: str, after: str, limit: int) -> Page:
        """Always one more."""
        await asyncio.sleep(0)
        self.longest = limit
        path = f"{after if after.startswith(prefix) else prefix}{self.paths[0]}"
        return Page((path,), path)


async def test_a_round_ends_in_time_also_if_it_does_nothing_but_list(tmp_path: Path) -> None:
    """The next begins where it came to; a folder that is never at its end is left out at last."""
    bounds = Bounds(budget=timedelta(0), grace=timedelta(seconds=0.05))
    folder = "containments/p/europe-west1/service/shop/"
    async with road(tmp_path) as way:
        cursors = Cursors(folder_store(tmp_path / "store"), "b", clock_of(way.settings))
        found = await patrolled(way, Endless("z"), bounds)
        assert (found.complete, found.faults) == (False, [])
        assert (await cursors.newest()).startswith("containments/zz")
        await cursors.leave("containments")
        found = await patrolled(way.later(60), Endless("p/europe-west1/service/shop/1/x"), bounds)
        assert [fault.folder for fault in found.faults] == [folder]
        assert await cursors.newest() == folder


async def test_names_that_nobody_can_read_blind_nobody(tmp_path: Path) -> None:
    """Deliveries go on, the patrol tells of them once, and verifying shows each of them."""
    async with road(tmp_path, store="gs://case-files/responder") as way:
        folder = f"incidents/{(await way.deliver()).outcome['incident']}"
        names = [f"{folder}//double.json", f"{folder}/x\x1b.json", "incidents/../up.json"]
        for name in (*names, f"{CONTAINMENTS}/1//y.json"):
            await put(way.settings, name, b"garbage")
        for name in ("notes/", "incidents/notes/", f"{folder}/evidence/", f"{CONTAINMENTS}/"):
            await put(way.settings, name)
        assert await way.status() == "duplicate"
        found = await patrol(way, page=3)
        assert (found.counts["stands"], found.complete, found.alarm) == (1, True, True)
        held_there, cases = sorted(found.faults, key=lambda fault: fault.folder)
        assert (held_there.folder, cases.folder) == ("containments/", "incidents/")
        assert "1//y.json (an empty part in its name; generation 1" in held_there.reason
        assert f"{folder}/x\\x1b.json (a control character" in cases.reason
        assert cases.reason.startswith("3 that nobody can read")
        clients = await connect(way.settings)
        examined = await examine(clients.store, folder)
        await clients.close()
        assert {item.path: item.mark for item in examined.items if item.mark not in FINE} == {
            f"{folder}//double.json": Mark.NOT_LISTED,
            f"{folder}/x\\x1b.json": Mark.NOT_LISTED,
            f"{CONTAINMENTS}/1//y.json": Mark.NOT_LISTED,
        }
        assert not examined.intact


async def patrolled(way: Road, pages: Listed, bounds: Bounds | None = None) -> Round:
    """One round over a store whose pages are a test's own."""
    clients = await connect(way.settings)
    store: Any = clients.store
    store.page = pages.page
    try:
        return await Patrol(standing_of(way.settings), outside_of(clients), store, bounds).go()
    finally:
        await clients.close()


async def test_the_newest_cursor_of_two_days_counts(tmp_path: Path) -> None:
    """Of several rounds the last; older ones are forgotten, and so nothing piles up to be read."""
    store = folder_store(tmp_path / "store")
    cursors = Cursors(store, "a", now)
    assert not await cursors.newest()
    before, yesterday = NOW - timedelta(hours=30), NOW - timedelta(hours=9)
    await Cursors(store, "b", lambda: before).leave("old/")
    await Cursors(store, "b", lambda: yesterday).leave("yesterday/")
    assert await cursors.newest() == "yesterday/"
    await cursors.leave("containments/x/")
    (tmp_path / "store" / f"patrols/{NOW:%Y-%m-%d}" / "999999.json").write_bytes(b"garbage")
    assert await cursors.newest() == "containments/x/"
    assert not await Cursors(store, "c", lambda: NOW + timedelta(days=3)).newest()


def many(count: int) -> tuple[list[Any], Any]:
    """Findings on as many services, and a world in which all of it is true."""
    found: list[Any] = []
    world: dict[str, Any] = {}
    for number, one in enumerate(copies(sample(), count)):
        text = json.dumps(one).replace("storefront", f"shop-{number}")
        found.append(json.loads(text))
        for key, part in world_around(found[-1]).items():
            if isinstance(part, list):
                there = world.setdefault(key, [])
                there += [item for item in part if item not in there]
            else:
                world.setdefault(key, {}).update(part)
    return found, {**world, "latency": {"reconcile": "0ms"}}


@pytest.fixture
def guards() -> str:
    """A policy whose caps are out of the way."""
    caps = "max_containments_per_hour: 50, max_per_project_per_hour: 50"
    return policy(extra=f"guards: {{{caps}}}\n")


async def test_a_round_that_runs_out_of_time_is_gone_on_with(tmp_path: Path, guards: str) -> None:
    """Each begins behind the last; together they meet everything, and none is lost."""
    found, world = many(5)
    async with road(tmp_path, notification=found[0], world=world, rules=guards) as way:
        for one in found:
            assert await way.status(one) == "contained"
        bounds: Any = {"budget": timedelta(0), "page": 4, "at_once": 2}
        rounds = [await patrol(way.later(60 * n), **bounds) for n in range(6)]
        assert not any(each.complete or each.faults for each in rounds)
        # Five containments, then five incidents that might be waiting for a person.
        assert [each.counts["stands"] for each in rounds] == [2, 2, 1, 0, 0, 2]
        whole = await patrol(way, page=4, at_once=2)
        assert (whole.counts["stands"], whole.complete) == (5, True)


class Counting(Store):
    """A store that counts what is read."""

    reads = 0

    async def read(self, path: str) -> bytes | None:
        """Read, and count."""
        self.reads += 1
        return await super().read(path)


async def test_what_is_over_is_told_by_names_alone(tmp_path: Path) -> None:
    """A thousand released containments and finished incidents cost not one read."""
    store = folder_store(tmp_path / "store", Counting)
    for number in range(1000):
        place = tmp_path / "store" / "containments/p/europe-west1/service" / f"s{number}" / "1"
        place.mkdir(parents=True)
        (place / "0001-before.json").touch()
        (place / "0002-released.json").touch()
    for number in range(200):
        place = tmp_path / "store" / "incidents" / f"20250101-{number:012x}"
        place.mkdir(parents=True)
        (place / "0001-received.json").touch()
        (place / "1000-done.json").touch()
    async with road(tmp_path) as way:
        clients = await connect(way.settings)
        outside = replace(outside_of(clients), store=store)
        found = await Patrol(standing_of(way.settings), outside, store).go()
        await clients.close()
    assert not found.faults
    assert not found.counts
    assert isinstance(store, Counting)
    assert store.reads == 0
