"""Standing guard over one containment: does it still hold, who undid it, what is done about it.

Walking from one to the next does not belong here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta

from incident import aftermath
from incident.attribution import Blame, blame, blamed
from incident.beat import Beat
from incident.containment import lacking, needed_by
from incident.custody import Containment, fold
from incident.images import Image, stated
from incident.journal import Journal, Record
from incident.look import look
from incident.model import (
    AuditEvent,
    Change,
    ChangeKind,
    ChangeState,
    IncidentError,
    Json,
    JsonObject,
    Missing,
    Settings,
    Workload,
)
from incident.policy import Policy
from incident.reapply import Reapplication, Reapplied, claims_of
from incident.rounds import Stop
from incident.sighting import Sight, Sighting
from incident.vigil import (
    Names,
    Undone,
    Watched,
    as_it_stands,
    names_in,
    news_of,
    ours_until,
    undone,
    watched,
    workload_at,
)
from incident.withdraw import take_back

#: No response works longer than this: what is younger may still be under way.
_UNDER_WAY = timedelta(minutes=5)
#: Audit entries lag, and are stamped by another clock.
_SKEW = timedelta(minutes=5)
_AUDIT_EVENTS = 50
_SECOND_LOOK_S = 1.0


@dataclass(frozen=True, slots=True)
class _Seen:
    """One containment, its records and its workload as read at one moment."""

    workload: Workload
    journal: Journal
    records: tuple[Record, ...]
    containment: Containment
    image: Image
    settings: Settings | None

    @property
    def watched(self) -> Watched:
        return watched(self.records)

    @property
    def undone(self) -> tuple[Undone, ...]:
        return undone(self.image, self.settings) if self.settings else ()

    @property
    def gone(self) -> bool:
        """Whether the workload is no more, or another one has its name."""
        named = self.containment.uid
        return self.settings is None or bool(named and named != self.settings.uid)

    def sighting(self, sight: Sight, note: str = "", by: Blame | None = None) -> Sighting:
        return Sighting(
            sight=sight,
            workload=self.workload.resource_name,
            containment=self.containment.folder,
            incidents=tuple(sorted(self.containment.incidents)),
            differs=tuple(one.text for one in self.undone) if not self.gone else (),
            by=by,
            note=note,
        )


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
        return await self._weigh(await self._see(workload, journal, records, containment, image))

    async def _see(
        self,
        workload: Workload,
        journal: Journal,
        records: tuple[Record, ...],
        containment: Containment,
        image: Image,
    ) -> _Seen:
        needs = needed_by(image.changes)
        settings: Settings | None = None
        for pause in (_SECOND_LOOK_S, 0.0):
            try:
                settings = await look(workload, needs, self._outside.run)
                break
            except Missing:
                # What is recorded as gone is never looked at again: one answer is not enough.
                await asyncio.sleep(pause)
        # An attempt whose answer was lost counts where it is what the workload is left by.
        standing = containment.stands(settings) if settings else None
        return _Seen(workload, journal, records, containment, standing or image, settings)

    async def _weigh(self, seen: _Seen) -> Sighting | None:
        if seen.gone:
            return await self._gone(seen)
        assert seen.settings is not None  # noqa: S101 - it is not gone
        if seen.undone:
            return await self._reverted(seen)
        why = next(filter(None, (lacking(c, seen.settings) for c in seen.image.changes)), None)
        if why is None:
            return await self._stands(seen)
        # A deployment that rolls out over a containment which was verified leaves it in effect.
        rolling = seen.settings.observed_generation < seen.settings.generation
        known = seen.watched.telling is not None and seen.watched.telling.kind == "verified"
        return seen.sighting(Sight.STANDS if known and rolling else Sight.PENDING, why)

    async def _stands(self, seen: _Seen) -> Sighting:
        """It holds: recorded only where the records said otherwise."""
        telling, sight = seen.watched.telling, Sight.STANDS
        if telling is None or telling.kind != "verified":
            body: JsonObject = {"image": seen.image.number, "by": "patrol"}
            await self._note(seen, "verified", body)
            sight = Sight.VERIFIED
            seen = await self._again(seen)
        await self._tell(seen, "the patrol has seen the containment in effect")
        return seen.sighting(sight)

    async def _reverted(self, seen: _Seen) -> Sighting:
        """It does not hold: who did it, on record; the incidents told; applied again if asked."""
        by = await self._record(seen)
        seen = await self._again(seen)
        if seen.gone:
            return await self._gone(seen)
        if not seen.undone:
            return await self._stands(seen)
        await self._tell(seen, f"the containment was undone by {by.text}")
        note = await self._reapply(seen)
        if note.result is None:
            return seen.sighting(Sight.REVERTED, note.text, by)
        if note.withdrawn:
            return seen.sighting(Sight.WITHDRAWN, note.text, by)
        after = await self._again(seen)
        if after.gone or after.undone:
            return after.sighting(Sight.REVERTED, note.text, by)
        await self._tell(after, "the patrol has applied the containment again")
        told = seen.sighting(Sight.REAPPLIED, note.text, by)
        return replace(told, incidents=tuple(sorted(after.containment.incidents)))

    async def _record(self, seen: _Seen) -> Blame:
        """Record a reversion: once, and once more if only later the audit log tells whose it is."""
        before = seen.watched.reverted
        differs: list[Json] = [_line(one) for one in seen.undone]
        same = before is not None and before.body.get("differs") == differs
        known = blamed(before.body.get("by")) if before and same else None
        if known and known.certain:
            return known
        events, gap = await self._audit(seen)
        kinds = {one.change.kind for one in seen.undone}
        by = blame(kinds, events, ours_until(seen.records, seen.image), seen.settings)
        if known and not by.certain:
            return known
        body: dict[str, Json] = {
            "image": seen.image.number,
            "differs": differs,
            "by": by.json,
            "gap": gap,
        }
        await self._note(seen, "reverted", body)
        return by

    async def _audit(self, seen: _Seen) -> tuple[tuple[AuditEvent, ...], str | None]:
        since = ours_until(seen.records, seen.image)
        until = self._books.clock() + _SKEW
        try:
            log = self._outside.logging
            return await log.audit(seen.workload, since, until, limit=_AUDIT_EVENTS), None
        except IncidentError as error:
            return (), self._beat.harmless(error)

    async def _gone(self, seen: _Seen) -> Sighting:
        """The workload is no more: nothing is left to hold, and nothing to guard."""
        events, gap = await self._audit(seen)
        by = blame((), events, ours_until(seen.records, seen.image), None)
        namesake = seen.settings.uid if seen.settings else None
        body: dict[str, Json] = {"by": by.json, "gap": gap, "namesake": namesake}
        await self._note(seen, "gone", body)
        text = "the workload was deleted"
        if namesake:
            text = "the workload was deleted, and another one has its name: it is not contained"
            reason = f"{text}; by {by.text}"
            for incident in sorted(seen.containment.incidents):
                lost = (stated(c, ChangeState.UNVERIFIED, text) for c in seen.image.changes)
                await aftermath.tell(self._beat, incident, tuple(lost), reason)
        return replace(seen.sighting(Sight.GONE, text, by), urgent=namesake is not None)

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

    async def _reapply(self, seen: _Seen) -> Reapplied:
        policy = self._beat.policy
        if not isinstance(policy, Policy):
            return Reapplied(None, "the policy cannot be read: the patrol only tells")
        if not self._may_write():
            return Reapplied(None, "no time is left in this round; the next one goes on")
        again = Reapplication(self._beat.standing, self._outside)
        try:
            return await again.attempt(seen.containment, seen.image, policy.reapply_limit)
        except IncidentError as error:
            return Reapplied(None, self._beat.harmless(error))

    async def _tell(self, seen: _Seen, reason: str) -> None:
        """Tell every incident how the containment stands now, where that is news."""
        telling = seen.watched.telling
        if seen.watched.told or seen.settings is None or telling is None:
            return
        changes: tuple[Change, ...] = as_it_stands(seen.image, seen.settings, seen.undone)
        reason = self._beat.harmless(reason)
        for incident in sorted(seen.containment.incidents):
            await aftermath.tell(self._beat, incident, changes, reason)
        await self._note(seen, "told", {"of": news_of(telling)})

    async def _again(self, seen: _Seen) -> _Seen:
        """The same containment, read anew."""
        records = await seen.journal.records()
        containment = fold(seen.journal.folder, seen.containment.number, records)
        image = containment.written or seen.image
        return await self._see(seen.workload, seen.journal, records, containment, image)

    async def _note(self, seen: _Seen, kind: str, body: JsonObject) -> None:
        """Add a record; of several patrols that say the same at once, one does."""
        await seen.journal.claim(seen.records[-1].number + 1, kind, body)

    def _under_way(self, containment: Containment) -> bool:
        """Whether somebody may be at it at this moment."""
        attempt, now = containment.open_attempt, self._books.clock()
        if attempt and now - attempt.recorded_at < _UNDER_WAY:
            return True
        written = containment.written_at
        young = written is not None and now - written < _UNDER_WAY
        return young and not containment.verified


def _line(one: Undone) -> JsonObject:
    """What the record of a reversion says of one thing that was undone."""
    change = one.change
    kind = ChangeKind(change.kind).value
    return {
        "action": change.action,
        "kind": kind,
        "target": change.target,
        "field": one.field,
        "ours": one.ours,
        "now": one.now,
    }
