"""Rounds: all around, in pages, from where the last one stopped, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients import connect
from clients.store import Store
from clients.store_listing import ListedPage
from incident.case_file.verification import ObjectState, verify_case_file
from incident.patrol.round import Patrol, PatrolLimits, RoundResult
from incident.patrol.walk import WalkCursors, WalkedFolder, WalkedPage, walk_store
from tests.support.constants import CONTAINMENTS_FOLDER
from tests.support.environment import (
    ResponderEnvironment,
    policy_yaml,
    put_object,
    responder_environment,
)
from tests.support.findings import FindingSpec, sample_notification, similar_findings
from tests.support.model import NOW, fixed_now, folder_store, repeatable
from tests.support.patrol import run_patrol
from tests.support.worlds import world_around_all
from wiring import build_clock, build_process

PAGES = 3


class ListedStore:
    """A store of paths only."""

    def __init__(self, *paths: str) -> None:
        self.paths = sorted(paths)
        self.longest = 0

    async def page(self, prefix: str, after: str, limit: int) -> ListedPage:
        """As a bucket answers."""
        found = [path for path in self.paths if path.startswith(prefix) and path > after][:limit]
        self.longest = max(self.longest, len(found))
        return ListedPage(tuple(found), found[-1] if found else "")


async def stops_of_round(store: Any, cursor: str = "", size: int = PAGES) -> list[WalkedFolder]:
    """Every stop of one round."""
    return [met async for met in walk_store(store, cursor, size) if isinstance(met, WalkedFolder)]


def containment_paths(*names: str, records: int = 2) -> list[str]:
    """The records of some services' containments."""
    folders = [f"containments/p/europe-west1/service/{name}/1" for name in names]
    return [f"{folder}/{n:04d}-snapshot.json" for folder in folders for n in range(records)]


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
async def test_every_folder_is_visited_once_from_any_cursor(
    names: list[str], cursor: str, size: int, records: int
) -> None:
    """With all of its paths, however the pages fall; and no page is longer than asked."""
    cases = [f"incidents/2026100{n}-000000000000/0001-received.json" for n in range(3)]
    store = ListedStore(
        *containment_paths(*names, records=records), *cases, "dry-runs/x/0001-received.json", "a/b"
    )
    stops = await stops_of_round(store, cursor, size)
    folders = [stop.folder for stop in stops]
    assert len(folders) == len(set(folders)) == len(names) + len(cases) + 1
    assert sorted(path for stop in stops for path in stop.paths) == store.paths[1:]
    assert store.longest <= size
    if cursor in folders:
        assert folders[-1] == cursor


@repeatable
@given(names=NAMES, size=st.integers(1, 7), at=st.integers(0, 30))
async def test_a_walk_can_resume_at_any_earlier_position(
    names: list[str], size: int, at: int
) -> None:
    """What was met before it and what is met from there on is all, each with all of its paths."""
    store = ListedStore(
        *containment_paths(*names, records=4), "containments/p", "incidents/notes", "incidents/x/1"
    )
    whole = [met async for met in walk_store(store, "", size)]  # type: ignore[arg-type]
    passed = [number for number, met in enumerate(whole) if isinstance(met, WalkedPage)]
    here = passed[at % len(passed)]
    place = whole[here]
    assert isinstance(place, WalkedPage)
    before = [met for met in whole[:here] if isinstance(met, WalkedFolder)]
    after = [met for met in whole[here:] if isinstance(met, WalkedFolder)]
    assert await stops_of_round(store, place.resume_after, size) == [*after, *before]


class StoreRepeatingPages(ListedStore):
    """A store whose pages begin again and again where they began before."""

    async def page(self, prefix: str, after: str, limit: int) -> ListedPage:
        """The same page for ever."""
        return (
            ListedPage(tuple(self.paths[:limit]), after or "z")
            if prefix == "incidents/"
            else ListedPage()
        )


async def test_a_listing_that_repeats_pages_is_reported_as_a_fault(tmp_path: Path) -> None:
    """Reported once; everything else is still visited."""
    async with responder_environment(tmp_path) as env:
        found = await patrol_over(env, StoreRepeatingPages("incidents/x/1"))
        (fault,) = found.faults
        assert fault.folder == "incidents/x/"
        assert "listing stopped after" in fault.reason
        assert (found.complete, found.alarm) == (True, True)


class EndlessStore(ListedStore):
    """A store that is never at its end, and in which there is nothing to look at."""

    async def page(self, prefix: str, after: str, limit: int) -> ListedPage:
        """Always one more."""
        await asyncio.sleep(0)
        self.longest = limit
        path = f"{after if after.startswith(prefix) else prefix}{self.paths[0]}"
        return ListedPage((path,), path)


async def test_a_round_ends_in_time_also_if_it_does_nothing_but_list(tmp_path: Path) -> None:
    """The next round begins where it stopped; a folder that never ends is left out at last."""
    bounds = PatrolLimits(budget=timedelta(0), grace=timedelta(seconds=0.3))
    folder = "containments/p/europe-west1/service/shop/"
    async with responder_environment(tmp_path) as env:
        cursors = WalkCursors(folder_store(tmp_path / "store"), "b", build_clock(env.settings))
        found = await patrol_over(env, EndlessStore("z"), bounds)
        assert (found.complete, found.faults) == (False, [])
        assert (await cursors.newest()).startswith("containments/zz")
        await cursors.save("containments")
        found = await patrol_over(
            env.later(60), EndlessStore("p/europe-west1/service/shop/1/x"), bounds
        )
        assert [fault.folder for fault in found.faults] == [folder]
        assert await cursors.newest() == folder


async def test_unreadable_object_names_do_not_stop_the_patrol(tmp_path: Path) -> None:
    """Deliveries go on, the patrol reports them once, and verifying shows each of them."""
    async with responder_environment(tmp_path, store="gs://case-files/responder") as env:
        folder = f"incidents/{(await env.deliver()).outcome.to_json()['incident']}"
        names = [f"{folder}//double.json", f"{folder}/x\x1b.json", "incidents/../up.json"]
        for name in (*names, f"{CONTAINMENTS_FOLDER}/1//y.json"):
            await put_object(env.settings, name, b"garbage")
        for name in (
            "notes/",
            "incidents/notes/",
            f"{folder}/evidence/",
            f"{CONTAINMENTS_FOLDER}/",
        ):
            await put_object(env.settings, name)
        assert await env.status() == "duplicate"
        found = await run_patrol(env, page_size=3)
        assert (found.counts["in-effect"], found.complete, found.alarm) == (1, True, True)
        held_there, cases = sorted(found.faults, key=lambda fault: fault.folder)
        assert (held_there.folder, cases.folder) == ("containments/", "incidents/")
        assert "1//y.json (an empty part in its name; generation 1" in held_there.reason
        assert f"{folder}/x\\x1b.json (a control character" in cases.reason
        assert cases.reason.startswith("3 that nobody can read")
        clients = await connect(env.settings)
        examined = await verify_case_file(clients.store, folder)
        await clients.close()
        assert {
            item.path: item.state
            for item in examined.objects
            if item.state is not ObjectState.INTACT
        } == {
            f"{folder}//double.json": ObjectState.NOT_LISTED,
            f"{folder}/x\\x1b.json": ObjectState.NOT_LISTED,
            f"{CONTAINMENTS_FOLDER}/1//y.json": ObjectState.NOT_LISTED,
        }
        assert not examined.intact


async def patrol_over(
    env: ResponderEnvironment, pages: ListedStore, bounds: PatrolLimits | None = None
) -> RoundResult:
    """One round over a store whose pages are a test's own."""
    clients = await connect(env.settings)
    store: Any = clients.store
    store.page = pages.page
    try:
        return await Patrol(build_process(env.settings, clients), store, bounds).run_round()
    finally:
        await clients.close()


async def test_the_newest_cursor_of_two_days_counts(tmp_path: Path) -> None:
    """Of several rounds the last; older ones are forgotten, and so nothing piles up to be read."""
    store = folder_store(tmp_path / "store")
    cursors = WalkCursors(store, "a", fixed_now)
    assert not await cursors.newest()
    before, yesterday = NOW - timedelta(hours=30), NOW - timedelta(hours=9)
    await WalkCursors(store, "b", lambda: before).save("old/")
    await WalkCursors(store, "b", lambda: yesterday).save("yesterday/")
    assert await cursors.newest() == "yesterday/"
    await cursors.save("containments/x/")
    (tmp_path / "store" / f"patrols/{NOW:%Y-%m-%d}" / "999999.json").write_bytes(b"garbage")
    assert await cursors.newest() == "containments/x/"
    assert not await WalkCursors(store, "c", lambda: NOW + timedelta(days=3)).newest()


def findings_on_services(count: int) -> tuple[list[Any], Any]:
    """Findings on as many services, and a world in which all of it is true."""
    found = [
        FindingSpec(workload=f"shop-{number}").applied_to(one)
        for number, one in enumerate(similar_findings(sample_notification(), count))
    ]
    world = world_around_all(found)
    return found, {**world, "latency": {"reconcile": "0ms"}}


@pytest.fixture
def policy_with_high_caps() -> str:
    """A policy whose caps are out of the env."""
    caps = "max_containments_per_hour: 50, max_per_project_per_hour: 50"
    return policy_yaml(extra=f"guards: {{{caps}}}\n")


async def test_the_next_walk_resumes_where_the_last_ran_out_of_time(
    tmp_path: Path, policy_with_high_caps: str
) -> None:
    """Each begins behind the last; between them they visit everything, and none is lost."""
    found, world = findings_on_services(5)
    async with responder_environment(
        tmp_path, notification=found[0], world=world, policy_text=policy_with_high_caps
    ) as env:
        for one in found:
            assert await env.status(one) == "contained"
        bounds: Any = {"budget": timedelta(0), "page_size": 4, "concurrency": 2}
        rounds = [await run_patrol(env.later(60 * n), **bounds) for n in range(6)]
        assert not any(each.complete or each.faults for each in rounds)
        # Five containments, then five incidents that might be waiting for a person.
        assert [each.counts["in-effect"] for each in rounds] == [2, 2, 1, 0, 0, 2]
        whole = await run_patrol(env, page_size=4, concurrency=2)
        assert (whole.counts["in-effect"], whole.complete) == (5, True)


class ReadCountingStore(Store):
    """A store that counts what is read."""

    reads = 0

    async def read(self, path: str) -> bytes | None:
        """Read, and count."""
        self.reads += 1
        return await super().read(path)


async def test_closed_incidents_are_recognised_without_reading(tmp_path: Path) -> None:
    """A thousand released containments and finished incidents cost not one read."""
    store = folder_store(tmp_path / "store", ReadCountingStore)
    for number in range(1000):
        place = tmp_path / "store" / "containments/p/europe-west1/service" / f"s{number}" / "1"
        place.mkdir(parents=True)
        (place / "0001-snapshot.json").touch()
        (place / "0002-released.json").touch()
    for number in range(200):
        place = tmp_path / "store" / "incidents" / f"20250101-{number:012x}"
        place.mkdir(parents=True)
        (place / "0001-received.json").touch()
        (place / "1000-done.json").touch()
    async with responder_environment(tmp_path) as env:
        clients = await connect(env.settings)
        process = replace(build_process(env.settings, clients), store=store)
        found = await Patrol(process, store).run_round()
        await clients.close()
    assert not found.faults
    assert not found.counts
    assert isinstance(store, ReadCountingStore)
    assert store.reads == 0
