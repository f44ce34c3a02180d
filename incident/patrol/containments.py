"""Standing guard over one containment: does it still hold, who undid it, what is done about it.

Walking from one to the next does not belong here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from incident.actions.before_image import stated
from incident.actions.plan import lacking
from incident.actions.redacted import told
from incident.case_file.containments import Containment, fold
from incident.case_file.walk import Stop
from incident.containment.undo import take_back
from incident.model import ChangeState, IncidentError, JsonObject, Workload
from incident.patrol import update_incidents
from incident.patrol.context import Beat
from incident.patrol.drift import Names, as_it_stands, names_in, news_of, workload_at
from incident.patrol.held import Held
from incident.patrol.reapply import Reapplication, Reapplied, claims_of
from incident.patrol.result import Sight, Sighting
from incident.patrol.reverted import record_loss, record_reversion
from incident.policy.resolve import Policy

#: No response works longer than this: what is younger may still be under way.
_UNDER_WAY = timedelta(minutes=5)


class Watch:
    """Looks after containments, one at a time."""

    def __init__(self, beat: Beat, may_write: Callable[[], bool]) -> None:
        """Keep watch for one round; ``may_write`` says whether time is left for a write."""
        self._beat = beat
        self._outside = beat.outside
        self._books = beat.books
        self._may_write = may_write

    def wanted(self, stop: Stop) -> bool:
        """Whether anything is held there, as far as the names of the records tell."""
        names = names_in(stop.folder, stop.paths)
        return names is not None and (not names.over or names.overtaken)

    async def look(self, stop: Stop) -> Sighting | None:
        """One workload's containments; None where nothing is held.

        Raises:
            Retry: Time may heal it; the next patrol looks again.
            GiveUp: The workload or the records cannot be read.
        """
        workload, names = workload_at(stop.folder), names_in(stop.folder, stop.paths)
        if workload is None or names is None:
            return None
        journal = self._beat.journal(f"{stop.folder}{names.number}")
        records = await journal.records()
        containment = fold(journal.folder, names.number, records)
        if containment.released or containment.releasing:
            return await self._released(workload, containment, names)
        image = containment.written
        if image is None or self._under_way(containment):
            return None
        redactor_of = self._beat.standing.redactor_of
        held = Held(workload, journal, records, containment, image, redactor_of)
        return await self._weigh(await held.looked_at(self._outside.run))

    async def _weigh(self, held: Held) -> Sighting | None:
        if held.gone:
            return await self._gone(held)
        assert held.settings is not None  # noqa: S101 - it is not gone
        if held.undone:
            return await self._reverted(held)
        why = next(filter(None, (lacking(c, held.settings) for c in held.image.changes)), None)
        if why is None:
            return await self._stands(held)
        # A deployment that rolls out over a containment which was verified leaves it in effect.
        rolling = held.settings.observed_generation < held.settings.generation
        known = held.watched.telling is not None and held.watched.telling.kind == "verified"
        return held.sighting(Sight.STANDS if known and rolling else Sight.PENDING, why)

    async def _stands(self, held: Held) -> Sighting:
        """It holds: recorded only where the records said otherwise."""
        telling, sight = held.watched.telling, Sight.STANDS
        if telling is None or telling.kind != "verified":
            body: JsonObject = {"image": held.image.number, "by": "patrol"}
            await held.note("verified", body)
            sight = Sight.VERIFIED
            held = await held.again(self._outside.run)
        await self._tell(held, "the patrol has seen the containment in effect")
        return held.sighting(sight)

    async def _reverted(self, held: Held) -> Sighting:
        """It does not hold: who did it, on record; the incidents told; applied again if asked."""
        by = await record_reversion(held, self._beat)
        held = await held.again(self._outside.run)
        if held.gone:
            return await self._gone(held)
        if not held.undone:
            return await self._stands(held)
        await self._tell(held, f"the containment was undone{by.clause}")
        note = await self._reapply(held)
        if note.result is None:
            return held.sighting(Sight.REVERTED, note.text, by)
        if note.withdrawn:
            return held.sighting(Sight.WITHDRAWN, note.text, by)
        after = await held.again(self._outside.run)
        if after.gone or after.undone:
            return after.sighting(Sight.REVERTED, note.text, by)
        await self._tell(after, "the patrol has applied the containment again")
        told = held.sighting(Sight.REAPPLIED, note.text, by)
        return replace(told, incidents=tuple(sorted(after.containment.incidents)))

    async def _gone(self, held: Held) -> Sighting:
        """The workload is no more: nothing is left to hold, and nothing to guard."""
        by, namesake = await record_loss(held, self._beat), held.namesake
        text = "the workload was deleted"
        if namesake:
            another = "Another one has its name, which is not contained"
            text = "the workload was deleted, and another one has its name: it is not contained"
            hide = held.hide
            reason = hide.text(f"the workload was deleted{by.clause}. {another}")
            for incident in sorted(held.containment.incidents):
                lost = (stated(c, ChangeState.UNVERIFIED, text) for c in held.image.changes)
                changes = tuple(told(change, hide) for change in lost)
                await update_incidents.tell(self._beat, incident, changes, reason, hide)
        return replace(held.sighting(Sight.GONE, text, by), urgent=namesake is not None)

    async def _released(
        self, workload: Workload, containment: Containment, names: Names
    ) -> Sighting | None:
        """A release is left alone; but for a write of a patrol that came after it."""
        image = containment.written
        if names.overtaken and image:
            claims = claims_of(containment.folder, self._books.store, "", self._books.clock)
            if image.run in {claim.run for claim in await claims.records()}:
                custody = self._books.custody(workload)
                text = await take_back(containment, image, custody, self._outside.run)
                where, folder = workload.resource_name, containment.folder
                return Sighting(Sight.WITHDRAWN, where, folder, note=f"the patrol {text}")
        if containment.released:
            return None
        return await self._being_released(workload, containment)

    async def _being_released(self, workload: Workload, containment: Containment) -> Sighting:
        """A release under way is left alone; one that nobody ends leaves nobody on guard."""
        records = await self._beat.journal(containment.folder).records()
        begun = [record.recorded_at for record in records if record.kind == "release-intended"]
        stuck = bool(begun) and self._books.clock() - max(begun) > _UNDER_WAY
        text = "a person is releasing it, or began to"
        if stuck:
            text = (
                f"a release was begun at {max(begun).isoformat()} and not ended: nobody keeps watch"
                " until it is. Look at the workload, and release it again"
            )
        return Sighting(
            sight=Sight.LEFT_ALONE,
            workload=workload.resource_name,
            containment=containment.folder,
            incidents=tuple(sorted(containment.incidents)),
            note=text,
            urgent=stuck,
        )

    async def _reapply(self, held: Held) -> Reapplied:
        policy = self._beat.policy
        if not isinstance(policy, Policy):
            return Reapplied(None, "the policy cannot be read: the patrol only tells")
        if not self._may_write():
            return Reapplied(None, "no time is left in this round; the next one goes on")
        again = Reapplication(self._beat.standing, self._outside)
        try:
            return await again.attempt(held.containment, held.image, policy.reapply_limit)
        except IncidentError as error:
            return Reapplied(None, self._beat.harmless(error))

    async def _tell(self, held: Held, reason: str) -> None:
        """Tell every incident how the containment stands now, where that is news."""
        telling = held.watched.telling
        if held.watched.told or held.settings is None or telling is None:
            return
        hide = held.hide
        differs = [one.told(hide) for one in held.undone]
        stands = as_it_stands(held.image, held.settings, differs)
        changes, reason = tuple(told(change, hide) for change in stands), hide.text(reason)
        for incident in sorted(held.containment.incidents):
            await update_incidents.tell(self._beat, incident, changes, reason, hide)
        await held.note("told", {"of": news_of(telling)})

    def _under_way(self, containment: Containment) -> bool:
        """Whether somebody may be at it at this moment."""
        attempt, now = containment.open_attempt, self._books.clock()
        if attempt and now - attempt.recorded_at < _UNDER_WAY:
            return True
        written = containment.written_at
        young = written is not None and now - written < _UNDER_WAY
        return young and not containment.verified
