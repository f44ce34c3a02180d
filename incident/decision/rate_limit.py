"""Rate limit: hourly containment slots as create-only objects, at a constant cost per claim.

A slot is a number up to the cap, claimed by creating ``NNNN-slot.json``: processes that know
nothing of one another never exceed a cap. A second object, ``NNNN-HOLDER.json``, has the holder in
its name, so that one list of names says which numbers are taken and by whom; no slot is read to
count. A slot belongs to a containment: all its runs share it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from incident.case_file.journal import Journal, ObjectStore, encode_json
from incident.case_file.paths import parse_slot_name, slot_holder_path, slots_folder
from incident.decision.guards import GuardBlock, TakenSlots, cap_reached, slot_holder
from incident.model import Retry, Workload
from incident.model.concurrency import gather_all
from incident.policy.schema import Guards

# Each round is lost to another containment that took a number; many rounds mean a broken store.
_MAX_ROUNDS = 50
# A claim that has no holder's object yet is in flight, or its process died in between.
_MAX_UNMARKED_READS = 3


@dataclass(frozen=True, slots=True)
class HourlySlots:
    """The slots of one workload's containment, in the current hour.

    Attributes:
        store: Where the slots are.
        workload: The workload; its project has a cap of its own.
        run_id: Names this run in the slots that it claims.
        clock: Tells the time; hours are those of UTC.
    """

    store: ObjectStore
    workload: Workload
    run_id: str
    clock: Callable[[], datetime]

    @property
    def _overall(self) -> _Scope:
        return self._scope(slots_folder(self.clock()))

    @property
    def _in_project(self) -> _Scope:
        return self._scope(slots_folder(self.clock(), self.workload.project))

    def _scope(self, folder: str) -> _Scope:
        return _Scope(Journal(self.store, folder, self.run_id, self.clock))

    async def taken(self) -> TakenSlots:
        """The slots of this hour that are taken, from two lists of names.

        Raises:
            Retry: The store does not answer.
        """
        overall, in_project = await gather_all(self._overall.taken(), self._in_project.taken())
        return TakenSlots(overall, in_project)

    async def resolved(self, taken: TakenSlots, folder: str) -> TakenSlots:
        """The same slots, with the containment's own where its holder's object is missing.

        Args:
            taken: The slots as listed.
            folder: The containment's folder.

        Raises:
            Retry: The store does not answer.
        """
        overall, in_project = await gather_all(
            self._overall.resolved(taken.overall, folder),
            self._in_project.resolved(taken.in_project, folder),
        )
        return TakenSlots(overall, in_project)

    async def acquire(self, folder: str, guards: Guards, taken: TakenSlots) -> GuardBlock | None:
        """Take one slot of each cap for a containment, or say which cap is reached.

        The project's is taken first, so that a burst in one project leaves the others theirs.

        Args:
            folder: The containment's folder.
            guards: The caps.
            taken: The slots as listed a moment ago.

        Raises:
            Retry: The store does not answer.
        """
        holder = slot_holder(folder)
        # Both scopes stay those of one hour, also where the next one begins meanwhile.
        in_all, in_one = self._overall, self._in_project
        in_project, overall = guards.max_per_project_per_hour, guards.max_containments_per_hour
        own = await in_one.acquire(folder, in_project, taken.in_project)
        if own is None:
            return cap_reached("in this project", in_project)
        number, _ = await gather_all(
            in_all.acquire(folder, overall, taken.overall), in_one.mark(own, holder)
        )
        if number is None:
            return cap_reached("in all", overall)
        await in_all.mark(number, holder)
        return None


@dataclass(frozen=True, slots=True)
class _Scope:
    """The slots that one cap counts, in one hour."""

    journal: Journal

    async def taken(self) -> dict[int, str]:
        """The numbers that are taken, each with its holder; empty where none is named yet."""
        holders: dict[int, str] = {}
        prefix = f"{self.journal.folder}/"
        for path in await self.journal.store.list(prefix):
            if name := parse_slot_name(path.removeprefix(prefix)):
                number, holder = name
                holders[number] = holder or holders.get(number, "")
        return holders

    async def resolved(self, taken: Mapping[int, str], folder: str) -> dict[int, str]:
        """The same, with the containment's own number where its holder's object is missing."""
        holder, found = slot_holder(folder), dict(taken)
        if holder not in found.values():
            unmarked = [number for number, other in found.items() if not other]
            for number in _order(holder, unmarked)[:_MAX_UNMARKED_READS]:
                if await self._holder_of(number) == folder:
                    found[number] = holder
        return found

    async def acquire(self, folder: str, cap: int, taken: Mapping[int, str]) -> int | None:
        """The containment's number of this cap, claimed where it has none; None if all are taken.

        A containment tries the numbers in an order of its own, which is the same in each of its
        runs and changes with no other's. Two of its runs meet at the first number that is free, or
        one finds what the other has claimed before it: it never takes two.
        """
        holder = slot_holder(folder)
        for _ in range(_MAX_ROUNDS):
            if cap and holder in taken.values():
                return next(number for number, other in taken.items() if other == holder)
            number = await self._own_or_free(folder, cap, taken)
            if number is None or (number not in taken and len(taken) >= cap):
                return None
            if number in taken or await self._claim(number, folder):
                return number
            taken = await self.taken()
        raise Retry(
            f"cannot claim a containment slot in {self.journal.folder}: {_MAX_ROUNDS} numbers were"
            " taken by others meanwhile; a redelivery tries again"
        )

    async def _own_or_free(self, folder: str, cap: int, taken: Mapping[int, str]) -> int | None:
        """The containment's own number if it has one that is not marked, else the first free."""
        for number in _order(slot_holder(folder), range(1, cap + 1)):
            if number not in taken:
                return number
            if not taken[number] and await self._holder_of(number) == folder:
                return number
        return None

    async def _claim(self, number: int, folder: str) -> bool:
        """Whether the number is the containment's, by this claim or by one of another run."""
        if await self.journal.create(number, "slot", {"containment": folder}):
            return True
        return await self._holder_of(number) == folder

    async def mark(self, number: int, holder: str) -> None:
        """Create the object that names a number's holder; creating it again does no harm."""
        path = slot_holder_path(self.journal.folder, number, holder)
        await self.journal.store.create(path, encode_json({"number": number}))

    async def _holder_of(self, number: int) -> str:
        slot = await self.journal.record(number, "slot")
        return "" if slot is None else str(slot.body.get("containment"))


def _order(holder: str, numbers: Iterable[int]) -> list[int]:
    """The numbers in the holder's own order, in which other numbers change nothing."""
    return sorted(
        numbers, key=lambda number: hashlib.sha256(f"{holder} {number}".encode()).digest()
    )
