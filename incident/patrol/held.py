"""One containment as whoever keeps watch sees it: its records and its workload at one moment.

What is made of it is for the watch.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

from incident.actions.before_image import Image
from incident.actions.plan import needed_by
from incident.case_file.containments import Containment, fold
from incident.case_file.journal import Journal, Record
from incident.investigation.attribution import Blame
from incident.investigation.workload_reader import Looking, look
from incident.model import JsonObject, Missing, Settings, Workload
from incident.patrol.drift import Undone, Watched, undone, watched
from incident.patrol.result import Sight, Sighting
from incident.redaction.redactor import Redactor

_SECOND_LOOK_S = 1.0


@dataclass(frozen=True, slots=True)
class Held:
    """One containment, its records and its workload as read at one moment.

    Attributes:
        workload: What it holds.
        journal: Its records, as this round writes them.
        records: Those that were there.
        containment: What they come to.
        image: The image of the write that it rests on.
        redactor_of: Redacts what a workload's settings hold.
        settings: The workload as it was; None where it was not found, or not looked at yet.
    """

    workload: Workload
    journal: Journal
    records: tuple[Record, ...]
    containment: Containment
    image: Image
    redactor_of: Callable[[Workload, Settings | None], Redactor]
    settings: Settings | None = None

    @property
    def watched(self) -> Watched:
        """What the records say to whoever keeps watch."""
        return watched(self.records)

    @property
    def hide(self) -> Redactor:
        """Redacts what is told of it."""
        return self.redactor_of(self.workload, self.settings)

    @property
    def undone(self) -> tuple[Undone, ...]:
        """What is not as our writes left it."""
        return undone(self.image, self.settings) if self.settings else ()

    @property
    def gone(self) -> bool:
        """Whether the workload is no more, or another one has its name."""
        named = self.containment.uid
        return self.settings is None or bool(named and named != self.settings.uid)

    @property
    def namesake(self) -> str | None:
        """Unique id of the workload that has the name of one that is gone, if there is one."""
        return self.settings.uid if self.gone and self.settings else None

    def sighting(self, sight: Sight, note: str = "", by: Blame | None = None) -> Sighting:
        """The same as the patrol tells it."""
        hide = self.hide
        return Sighting(
            sight=sight,
            workload=self.workload.resource_name,
            containment=self.containment.folder,
            incidents=tuple(sorted(self.containment.incidents)),
            differs=tuple(one.told(hide).text for one in self.undone) if not self.gone else (),
            by=by,
            note=hide.text(note),
        )

    async def looked_at(self, run: Looking) -> Held:
        """The same, with the workload as it is now.

        Raises:
            Retry: Time may heal it.
            GiveUp: The workload cannot be read.
        """
        needs = needed_by(self.image.changes)
        settings: Settings | None = None
        for pause in (_SECOND_LOOK_S, 0.0):
            try:
                settings = await look(self.workload, needs, run)
                break
            except Missing:
                # What is recorded as gone is never looked at again: one answer is not enough.
                await asyncio.sleep(pause)
        # An attempt whose answer was lost counts where it is what the workload is left by.
        standing = self.containment.stands(settings) if settings else None
        return replace(self, image=standing or self.image, settings=settings)

    async def again(self, run: Looking) -> Held:
        """The same containment, read anew.

        Raises:
            Retry: Time may heal it.
            GiveUp: The workload or the records cannot be read.
        """
        records = await self.journal.records()
        containment = fold(self.journal.folder, self.containment.number, records)
        image = containment.written or self.image
        anew = replace(self, records=records, containment=containment, image=image)
        return await anew.looked_at(run)

    async def note(self, kind: str, body: JsonObject) -> None:
        """Add a record; of several patrols that say the same at once, one does.

        Raises:
            Retry: The store does not answer.
        """
        await self.journal.claim(self.records[-1].number + 1, kind, body)
