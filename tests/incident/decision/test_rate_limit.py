"""Hourly slots: exactly as many as the caps, whoever asks at once."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from clients.store import Store
from incident.decision.guards import GuardBlock, TakenSlots
from incident.decision.rate_limit import HourlySlots
from incident.policy.schema import Guards
from tests.support.model import NOW, folder_store, workload


def guards(overall: int = 10, in_project: int = 10) -> Guards:
    """The two caps."""
    return Guards(max_containments_per_hour=overall, max_per_project_per_hour=in_project)


def hourly_slots(
    store: Store, name: str, project: str = "example-shop-prod", at: datetime = NOW
) -> HourlySlots:
    """The slots as the containment of one service sees them."""
    service = workload(name=name, project_id=project)
    return HourlySlots(store, service, f"run-of-{name}", lambda: at)


def containment_folder(slots: HourlySlots) -> str:
    """The folder of the containment that a book is for."""
    return f"containments/{slots.workload.key}/1"


async def check_and_take(slots: HourlySlots, caps: Guards) -> GuardBlock | None:
    """Look, and then claim."""
    return await slots.acquire(containment_folder(slots), caps, await slots.taken())


@pytest.mark.parametrize("looked", [True, False])
async def test_of_many_at_once_exactly_the_cap_is_granted(tmp_path: Path, *, looked: bool) -> None:
    """Twelve containments, five slots: five have one, whether or not anybody looked before."""
    store = folder_store(tmp_path)
    books = [hourly_slots(store, f"shop-{number}", f"project-{number}") for number in range(12)]
    asked = (
        check_and_take(one, guards(5))
        if looked
        else one.acquire(containment_folder(one), guards(5), TakenSlots())
        for one in books
    )
    refused = [objection for objection in await asyncio.gather(*asked) if objection]
    assert len(refused) == 7
    assert {objection.alarm for objection in refused} == {True}
    assert {objection.reason.text for objection in refused} == {
        "the policy's cap of 5 containments an hour in all is reached"
    }
    assert len(set((await books[0].taken()).overall)) == 5


async def test_each_project_has_a_cap_of_its_own(tmp_path: Path) -> None:
    """A burst in one project leaves the others theirs."""
    store = folder_store(tmp_path)
    books = [hourly_slots(store, f"shop-{n}", f"project-{n % 3}") for n in range(12)]
    refused = [
        each
        for each in await asyncio.gather(*(check_and_take(b, guards(10, 2)) for b in books))
        if each
    ]
    assert len(refused) == 6
    assert {objection.reason.text for objection in refused} == {
        "the policy's cap of 2 containments an hour in this project is reached"
    }
    for one in books[:3]:
        taken = await one.taken()
        assert (len(set(taken.overall)), len(set(taken.in_project))) == (6, 2)


async def test_runs_of_one_containment_share_one_slot(tmp_path: Path) -> None:
    """Many runs of one containment take one slot together, and leave the last one free."""
    store = folder_store(tmp_path)
    runs = [hourly_slots(store, "shop") for _ in range(8)]
    seen = [await run.taken() for run in runs]
    claims = (
        run.acquire(containment_folder(run), guards(2, 2), saw)
        for run, saw in zip(runs, seen, strict=True)
    )
    assert set(await asyncio.gather(*claims)) == {None}
    ours = (containment_folder(runs[0]),)
    assert await runs[0].taken() == TakenSlots(ours, ours)
    assert await check_and_take(hourly_slots(store, "other"), guards(2, 2)) is None
    assert await check_and_take(hourly_slots(store, "third"), guards(2, 2)) is not None


async def test_a_containment_with_a_slot_needs_no_other(tmp_path: Path) -> None:
    """A containment that is begun may be finished, though nobody else gets a slot any more."""
    slots = hourly_slots(folder_store(tmp_path), "shop")
    assert await check_and_take(slots, guards()) is None
    assert await check_and_take(slots, guards(1, 1)) is None
    assert (await slots.taken()).overall == (containment_folder(slots),)


async def test_a_cap_of_none_holds_everything(tmp_path: Path) -> None:
    """Zero is a cap like any other."""
    slots = hourly_slots(folder_store(tmp_path), "shop")
    assert await check_and_take(slots, guards(0)) is not None
    assert await check_and_take(slots, guards(1, 0)) is not None


async def test_a_new_hour_begins_with_all_its_slots(tmp_path: Path) -> None:
    """Hours are those of UTC: what was taken at 08:59 does not count at 09:00."""
    store = folder_store(tmp_path)
    last = datetime(2026, 10, 2, 8, 59, 59, tzinfo=UTC)
    assert await check_and_take(hourly_slots(store, "shop", at=last), guards(1)) is None
    assert await check_and_take(hourly_slots(store, "other", at=last), guards(1)) is not None
    next_hour = last + timedelta(seconds=1)
    assert await hourly_slots(store, "other", at=next_hour).taken() == TakenSlots()
    assert await check_and_take(hourly_slots(store, "other", at=next_hour), guards(1)) is None


async def test_the_project_may_be_spelled_by_its_number(tmp_path: Path) -> None:
    """Where no id is known the number names the project's slots."""
    service = workload(project_id=None)
    slots = HourlySlots(folder_store(tmp_path), service, "run-1", lambda: NOW)
    assert await check_and_take(slots, guards(1, 1)) is None
    assert await slots.taken() == TakenSlots(
        (containment_folder(slots),), (containment_folder(slots),)
    )
