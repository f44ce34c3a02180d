"""Hourly slots: exactly as many as the caps, however many ask at once."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from clients.store import Store
from incident.decision.guards import GuardBlock, TakenSlots, slot_holder
from incident.decision.rate_limit import HourlySlots
from incident.policy.schema import Guards
from tests.support.constants import REPOSITORY
from tests.support.model import NOW, folder_store, workload

HOUR = "2026-10-02T08"
# Ten claimants in a process of their own; it prints how many of them have a slot.
CLAIMANTS = """
import asyncio, sys
from pathlib import Path
from incident.decision.guards import TakenSlots
from tests.incident.decision.test_rate_limit import containment_folder, guards, hourly_slots
from tests.support.model import folder_store

async def claim(process, store):
    claimants = [hourly_slots(store, f"shop-{process}-{n}", f"project-{n}") for n in range(10)]
    claims = [c.acquire(containment_folder(c), guards(), TakenSlots()) for c in claimants]
    print((await asyncio.gather(*claims)).count(None))

sys.stdin.read()
asyncio.run(claim(sys.argv[1], folder_store(Path(sys.argv[2]))))
"""


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
    all_slots = [hourly_slots(store, f"shop-{number}", f"project-{number}") for number in range(12)]
    asked = (
        check_and_take(one, guards(5))
        if looked
        else one.acquire(containment_folder(one), guards(5), TakenSlots())
        for one in all_slots
    )
    refused = [objection for objection in await asyncio.gather(*asked) if objection]
    assert len(refused) == 7
    assert {objection.alarm for objection in refused} == {True}
    assert {objection.reason.text for objection in refused} == {
        "the policy's cap of 5 containments an hour in all is reached"
    }
    assert len(set((await all_slots[0].taken()).overall.values())) == 5


async def test_each_project_has_a_cap_of_its_own(tmp_path: Path) -> None:
    """A burst in one project leaves the others theirs."""
    store = folder_store(tmp_path)
    all_slots = [hourly_slots(store, f"shop-{n}", f"project-{n % 3}") for n in range(12)]
    refused = [
        each
        for each in await asyncio.gather(*(check_and_take(b, guards(10, 2)) for b in all_slots))
        if each
    ]
    assert len(refused) == 6
    assert {objection.reason.text for objection in refused} == {
        "the policy's cap of 2 containments an hour in this project is reached"
    }
    for one in all_slots[:3]:
        taken = await one.taken()
        holders = (set(taken.overall.values()), set(taken.in_project.values()))
        assert tuple(map(len, holders)) == (6, 2)


async def test_runs_of_one_containment_share_one_slot(tmp_path: Path) -> None:
    """Many runs of one containment share one slot, and leave the last one free."""
    store = folder_store(tmp_path)
    runs = [hourly_slots(store, "shop") for _ in range(8)]
    seen = [await run.taken() for run in runs]
    claims = (
        run.acquire(containment_folder(run), guards(2, 2), saw)
        for run, saw in zip(runs, seen, strict=True)
    )
    assert set(await asyncio.gather(*claims)) == {None}
    taken, own = await runs[0].taken(), [slot_holder(containment_folder(runs[0]))]
    assert [*taken.overall.values()] == [*taken.in_project.values()] == own
    assert await check_and_take(hourly_slots(store, "other"), guards(2, 2)) is None
    assert await check_and_take(hourly_slots(store, "third"), guards(2, 2)) is not None


async def test_a_containment_with_a_slot_needs_no_other(tmp_path: Path) -> None:
    """A containment that is begun may be finished, though nobody else gets a slot any more."""
    slots = hourly_slots(folder_store(tmp_path), "shop")
    assert await check_and_take(slots, guards()) is None
    assert await check_and_take(slots, guards(1, 1)) is None
    own = slot_holder(containment_folder(slots))
    assert [*(await slots.taken()).overall.values()] == [own]


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
    taken, own = await slots.taken(), [slot_holder(containment_folder(slots))]
    assert [*taken.overall.values()] == [*taken.in_project.values()] == own


async def test_forty_claimants_in_four_processes_get_exactly_ten_slots(tmp_path: Path) -> None:
    """Processes that know nothing of one another fill the cap, and never exceed it."""
    processes = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", CLAIMANTS, str(number), str(tmp_path)),
            cwd=REPOSITORY,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        for number in range(4)
    ]
    answers = await asyncio.gather(*(process.communicate(b"") for process in processes))
    assert sum(int(out) for out, _ in answers) == 10
    taken = (await hourly_slots(folder_store(tmp_path), "shop").taken()).overall
    assert sorted(taken) == list(range(1, 11))
    assert len({*taken.values()} - {""}) == 10


class CountingStore(Store):
    """A store that counts what it is asked."""

    operations = 0

    async def create(self, path: str, data: bytes) -> bool:
        """As the store does."""
        self.operations += 1
        return await super().create(path, data)

    async def read(self, path: str) -> bytes | None:
        """As the store does."""
        self.operations += 1
        return await super().read(path)

    async def list(self, prefix: str) -> tuple[str, ...]:
        """As the store does."""
        self.operations += 1
        return await super().list(prefix)


@pytest.mark.parametrize("already_taken", [0, 20, 100])
async def test_a_claim_costs_the_same_whatever_the_load(tmp_path: Path, already_taken: int) -> None:
    """Two lists, two claims and two holders' names: nothing grows with the slots of the hour."""
    store = folder_store(tmp_path)
    for n in range(already_taken):
        assert await check_and_take(hourly_slots(store, f"shop-{n}"), guards(500, 500)) is None
    counting = folder_store(tmp_path, CountingStore)
    slots = hourly_slots(counting, "storefront")
    taken = await slots.resolved(await slots.taken(), containment_folder(slots))
    assert await slots.acquire(containment_folder(slots), guards(500, 500), taken) is None
    assert isinstance(counting, CountingStore)
    assert counting.operations == 6


async def test_a_crash_between_claim_and_name_costs_no_second_slot(tmp_path: Path) -> None:
    """A redelivery finds the slot that is its own, although no name says so."""
    store = folder_store(tmp_path)
    slots = hourly_slots(store, "shop")
    assert await check_and_take(slots, guards(1, 1)) is None
    own = slot_holder(containment_folder(slots))
    for scope in ("all", f"projects/{slots.workload.project}"):
        (tmp_path / "slots" / HOUR / scope / f"0001-{own}.json").unlink()
    taken = await slots.taken()
    assert taken == TakenSlots({1: ""}, {1: ""})
    resolved = await slots.resolved(taken, containment_folder(slots))
    assert resolved == TakenSlots({1: own}, {1: own})
    assert await check_and_take(slots, guards(1, 1)) is None
    assert await check_and_take(hourly_slots(store, "other"), guards(1, 1)) is not None


async def test_a_claim_that_runs_into_the_next_hour_stays_in_its_own(tmp_path: Path) -> None:
    """Number and holder's name lie in one hour, or the holder would have a slot of the next."""
    last = datetime(2026, 10, 2, 8, 59, 59, tzinfo=UTC)
    moments = iter([last, last])
    slots = HourlySlots(
        folder_store(tmp_path),
        workload(),
        "run-1",
        lambda: next(moments, last + timedelta(hours=1)),
    )
    assert await slots.acquire(containment_folder(slots), guards(), TakenSlots()) is None
    assert [path.name for path in (tmp_path / "slots").iterdir()] == [HOUR]
