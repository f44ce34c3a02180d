"""Hourly slots: exactly as many as the caps, whoever asks at once."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from clients.store import Store
from incident.decision.guards import Objection, Slots
from incident.decision.rate_limit import SlotBook
from incident.policy.schema import Guards
from tests.support.model import NOW, folder_store, workload


def guards(overall: int = 10, in_project: int = 10) -> Guards:
    """The two caps."""
    return Guards(max_containments_per_hour=overall, max_per_project_per_hour=in_project)


def book(
    store: Store, name: str, project: str = "example-shop-prod", at: datetime = NOW
) -> SlotBook:
    """The slots as the containment of one service sees them."""
    service = workload(name=name, project_id=project)
    return SlotBook(store, service, f"run-of-{name}", lambda: at)


def holder(slots: SlotBook) -> str:
    """The folder of the containment that a book is for."""
    return f"containments/{slots.workload.key}/1"


async def ask(slots: SlotBook, caps: Guards) -> Objection | None:
    """Look, and then claim."""
    return await slots.claim(holder(slots), caps, await slots.taken())


@pytest.mark.parametrize("looked", [True, False])
async def test_of_many_at_once_exactly_the_cap_is_granted(tmp_path: Path, *, looked: bool) -> None:
    """Twelve containments, five slots: five have one, whether or not anybody looked before."""
    store = folder_store(tmp_path)
    books = [book(store, f"shop-{number}", f"project-{number}") for number in range(12)]
    asked = (
        ask(one, guards(5)) if looked else one.claim(holder(one), guards(5), Slots())
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
    books = [book(store, f"shop-{n}", f"project-{n % 3}") for n in range(12)]
    refused = [
        each for each in await asyncio.gather(*(ask(b, guards(10, 2)) for b in books)) if each
    ]
    assert len(refused) == 6
    assert {objection.reason.text for objection in refused} == {
        "the policy's cap of 2 containments an hour in this project is reached"
    }
    for one in books[:3]:
        taken = await one.taken()
        assert (len(set(taken.overall)), len(set(taken.in_project))) == (6, 2)


async def test_whoever_begins_one_containment_shares_its_slot(tmp_path: Path) -> None:
    """Many runs of one containment take one slot together, and leave the last one free."""
    store = folder_store(tmp_path)
    runs = [book(store, "shop") for _ in range(8)]
    seen = [await run.taken() for run in runs]
    claims = (
        run.claim(holder(run), guards(2, 2), saw) for run, saw in zip(runs, seen, strict=True)
    )
    assert set(await asyncio.gather(*claims)) == {None}
    ours = (holder(runs[0]),)
    assert await runs[0].taken() == Slots(ours, ours)
    assert await ask(book(store, "other"), guards(2, 2)) is None
    assert await ask(book(store, "third"), guards(2, 2)) is not None


async def test_who_has_a_slot_asks_for_no_other(tmp_path: Path) -> None:
    """A containment that is begun may be finished, though nobody else gets a slot any more."""
    slots = book(folder_store(tmp_path), "shop")
    assert await ask(slots, guards()) is None
    assert await ask(slots, guards(1, 1)) is None
    assert (await slots.taken()).overall == (holder(slots),)


async def test_a_cap_of_none_holds_everything(tmp_path: Path) -> None:
    """Zero is a cap like any other."""
    slots = book(folder_store(tmp_path), "shop")
    assert await ask(slots, guards(0)) is not None
    assert await ask(slots, guards(1, 0)) is not None


async def test_a_new_hour_begins_with_all_its_slots(tmp_path: Path) -> None:
    """Hours are those of UTC: what was taken at 08:59 does not count at 09:00."""
    store = folder_store(tmp_path)
    last = datetime(2026, 10, 2, 8, 59, 59, tzinfo=UTC)
    assert await ask(book(store, "shop", at=last), guards(1)) is None
    assert await ask(book(store, "other", at=last), guards(1)) is not None
    next_hour = last + timedelta(seconds=1)
    assert await book(store, "other", at=next_hour).taken() == Slots()
    assert await ask(book(store, "other", at=next_hour), guards(1)) is None


async def test_the_project_may_be_spelled_by_its_number(tmp_path: Path) -> None:
    """Where no id is known the number names the project's slots."""
    service = workload(project_id=None)
    slots = SlotBook(folder_store(tmp_path), service, "run-1", lambda: NOW)
    assert await ask(slots, guards(1, 1)) is None
    assert await slots.taken() == Slots((holder(slots),), (holder(slots),))
