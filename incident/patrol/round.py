"""The patrol: one round over what is held and what was left behind, within its budget.

What is done at each stop is for the stages; here is only how a round goes.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from incident.case_file.manifest_chain import list_held
from incident.case_file.recording_store import Witness
from incident.case_file.walk import CONTAINMENTS, Cursors, Pages, Passed, Stop, ring
from incident.decision.context import Standing
from incident.decision.inputs import Books
from incident.model import IncidentError, InvalidPolicy, Retry
from incident.patrol.containments import Watch
from incident.patrol.context import Beat
from incident.patrol.result import Sight, Sighting
from incident.patrol.unfinished import Leftover, Leftovers
from incident.policy.resolve import Policy
from incident.report.terminal import unreadable
from incident.response.context import Outside
from incident.response.session import read_policy

#: So many names that cannot be read are counted in each part of the store.
_MOST_UNREADABLE = 10_000


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much one round takes on.

    Attributes:
        budget: How long stops are begun at. The function has 300 s.
        grace: How much longer one that was begun may take before it is cut off; the next
            round takes it up, as after a crash.
        write: How much of both must be left for applying a containment again.
        page: How many paths of the store make a page.
        at_once: How many stops are looked at side by side.
    """

    budget: timedelta = timedelta(seconds=180)
    grace: timedelta = timedelta(seconds=60)
    write: timedelta = timedelta(seconds=90)
    page: int = 1000
    at_once: int = 8


@dataclass(frozen=True, slots=True)
class Fault:
    """A stop that could not be looked at, with the reason."""

    folder: str
    reason: str


@dataclass(slots=True)
class Round:
    """What one round found.

    Attributes:
        sightings: Containments, but for those that simply stand.
        leftovers: Incidents that were taken up, and plans that expired.
        faults: What could not be looked at.
        seals: By case file, the digest of the newest manifest that the round has written.
        counts: How many containments were found how.
        problem: Why the policy could not be used; empty where it could.
        complete: Whether the round got all around.
    """

    sightings: list[Sighting] = field(default_factory=list)
    leftovers: list[Leftover] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    seals: dict[str, str] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    problem: str = ""
    complete: bool = True

    @property
    def alarm(self) -> bool:
        """Whether a person must look now."""
        unfinished = any(each.answer is None for each in self.leftovers)
        seen = any(sighting.alarm for sighting in self.sightings)
        return bool(seen or unfinished or self.faults or self.problem)

    @property
    def summary(self) -> Mapping[str, int | bool]:
        """The numbers, for one line."""
        finished = sum(1 for each in self.leftovers if each.answer)
        return {
            **{sight.value: self.counts[sight.value] for sight in Sight},
            "finished": finished,
            "unfinished": len(self.leftovers) - finished,
            "unchecked": len(self.faults),
            "complete": self.complete,
        }


class Patrol:
    """Goes rounds; any number of them may go at once."""

    def __init__(
        self, standing: Standing, outside: Outside, store: Pages, bounds: Bounds | None = None
    ) -> None:
        """Patrol a store, which is the outside's own, able to list in pages."""
        self._standing = standing
        self._outside = outside
        self._store = store
        self._bounds = bounds or Bounds()

    async def go(self) -> Round:
        """One round, from where the last one stopped.

        Raises:
            Retry: The store does not answer.
            GiveUp: The store cannot be used.
        """
        books = Books(self._store, f"patrol-{secrets.token_hex(6)}", self._standing.clock)
        cursors = Cursors(self._store, books.run, self._standing.clock)
        found = Round()
        policy = await self._policy(found)
        walk = _Walk(Beat(self._standing, self._outside, books, policy), self._bounds)
        began = await cursors.newest()
        reached = await walk.around(ring(self._store, began, self._bounds.page), found)
        if not found.complete and reached:
            await cursors.leave(_behind(reached, began, found))
        return found

    async def _policy(self, found: Round) -> Policy | InvalidPolicy | None:
        """The policy; without one, what is held is verified all the same."""
        try:
            policy = await read_policy(self._outside)
        except Retry as error:
            found.problem = self._standing.redactor().text(str(error))
            return None
        if isinstance(policy, InvalidPolicy):
            found.problem = str(policy)
        return policy


def _behind(reached: Passed, began: str, found: Round) -> str:
    """Where the next round begins: one folder that is too large must not stop all rounds."""
    if reached.place != began or not reached.within:
        return reached.place
    reason = "to list it took the whole round: nobody looks after it. Move what is not ours away"
    found.faults.append(Fault(reached.within, reason))
    return reached.within


class _Walk:
    """What is done at the stops of one round."""

    def __init__(self, beat: Beat, bounds: Bounds) -> None:
        self._beat = beat
        self._end = asyncio.get_running_loop().time() + bounds.budget.total_seconds()
        self._cut = self._end + bounds.grace.total_seconds()
        self._write = bounds.write.total_seconds()
        self._at_once = bounds.at_once
        self._watch = Watch(beat, self._may_write)
        self._leftovers = Leftovers(beat)
        self._unreadable: dict[str, dict[str, str]] = {}

    async def around(self, way: AsyncIterator[Stop | Passed], found: Round) -> Passed | None:
        """Look at all that is on the way, as far as the time goes.

        Returns:
            The place up to which all of it was dealt with; None where nothing was.
        """
        batch: list[Stop] = []
        reached: Passed | None = None
        visited = False
        async for met in self._in_time(way, found):
            if self.over and visited:
                found.complete = False
                break
            if isinstance(met, Stop) and self.wanted(met):
                batch.append(met)
            elif not batch:
                reached = Passed(met.folder) if isinstance(met, Stop) else met
            if isinstance(met, Passed):
                self._note(met, found)
            if len(batch) == self._at_once:
                await self.visit(batch, found)
                reached, visited, batch = Passed(batch[-1].folder), True, []
        if batch and found.complete:
            await self.visit(batch, found)
        for section, names in self._unreadable.items():
            found.faults.append(Fault(f"{section}/", self._beat.harmless(unreadable(names))))
        return reached

    def _note(self, page: Passed, found: Round) -> None:
        """What is wrong with a page itself. A round may come by one twice."""
        if page.fault:
            found.faults.append(Fault(page.within or page.place, page.fault))
        if page.unreadable:
            known = self._unreadable.setdefault(page.place.partition("/")[0], {})
            known |= page.unreadable if len(known) < _MOST_UNREADABLE else {}

    async def _in_time(
        self, way: AsyncIterator[Stop | Passed], found: Round
    ) -> AsyncIterator[Stop | Passed]:
        """What is met until the round is cut off: already to list may take longer than that."""
        while asyncio.get_running_loop().time() < self._cut:
            try:
                async with asyncio.timeout_at(self._cut):
                    met = await anext(way)
            except StopAsyncIteration:
                return
            except TimeoutError:
                break
            yield met
        found.complete = False

    @property
    def over(self) -> bool:
        """Whether nothing more is begun."""
        return asyncio.get_running_loop().time() >= self._end

    def _may_write(self) -> bool:
        return asyncio.get_running_loop().time() + self._write <= self._cut

    def wanted(self, stop: Stop) -> bool:
        """Whether a stop is worth looking at, as far as names tell."""
        if stop.section == CONTAINMENTS:
            return self._watch.wanted(stop)
        return self._leftovers.wanted(stop)

    async def visit(self, batch: list[Stop], found: Round) -> None:
        """Look at some stops side by side; what goes wrong at one does not stop the others."""
        witnesses = [Witness(self._beat.books.store) for _ in batch]
        for result in await asyncio.gather(*map(self._guarded, batch, witnesses)):
            if isinstance(result, Fault):
                found.faults.append(result)
            elif isinstance(result, Leftover):
                found.leftovers.append(result)
            elif result:
                found.counts[result.sight.value] += 1
                if result.sight is not Sight.STANDS:
                    found.sightings.append(result)
        for seen in witnesses:
            found.seals |= seen.seals
            harmless = ((name, self._beat.harmless(why)) for name, why in seen.unlisted.items())
            found.faults += [Fault(name, why) for name, why in harmless]

    async def _guarded(self, stop: Stop, seen: Witness) -> Sighting | Leftover | Fault | None:
        try:
            async with asyncio.timeout_at(self._cut):
                return await self._visit(stop, seen)
        except TimeoutError:
            reason = "it took longer than the round had; the next one takes it up"
        except IncidentError as error:
            reason = str(error)
        except Exception as error:  # noqa: BLE001 - one bad stop must not hide the others
            reason = f"the patrol failed in a way that we did not foresee: {error!r}"
        return Fault(stop.folder, self._beat.harmless(reason))

    async def _visit(self, stop: Stop, seen: Witness) -> Sighting | Leftover | None:
        beat = self._beat.seen_by(seen)
        if stop.section != CONTAINMENTS:
            return await Leftovers(beat).finish(stop)
        sighting = await Watch(beat, self._may_write).look(stop)
        if sighting and seen.written:
            await list_held(seen, sighting.incidents, sighting.containment)
        return sighting
