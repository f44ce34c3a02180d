"""Containments as the store tells of them: what we hold, and what a release would restore.

A containment belongs to its workload; incidents refer to it. Its records are folded here,
and the next ones are written through here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from incident.actions.before_image import Image, Part, change_of, image_json, parts_of
from incident.case_file.journal import Journal, Record, Store
from incident.model import Change, Finding, GiveUp, Json, JsonObject, Settings, Workload
from incident.model.concurrency import together
from incident.notification.synthetic_finding import DRILL

#: Records after which the attempt that an image was taken for is over.
_CLOSING = frozenset({"written", "abandoned"})
#: Records after which an attempt is as if it had never been: not sent, or taken back by us.
_UNDONE = frozenset({"abandoned", "withdrawn"})


@dataclass(frozen=True, slots=True)
class Containment:
    """One containment of one workload, folded from its records.

    Attributes:
        folder: Its path in the store.
        number: Counts the workload's containments from 1.
        images: Before-images, oldest first, without those of abandoned attempts and without
            the changes that an attempt did not get to send.
        written: The image that the last known write followed; None before any.
        written_at: When that write was recorded.
        written_generation: The generation that it made, where that was told.
        verified: Whether that write was seen in effect.
        annotated: Whether the workload names the incident.
        incidents: The incidents that refer to it.
        findings: The ids of their findings.
        releasing: Whether somebody has begun to take it back, and not given up.
        released: Whether it was taken back.
        last: Number of the last record.
        open_attempt: The newest image, when nothing yet says what became of its attempt.
    """

    folder: str
    number: int
    images: tuple[Image, ...]
    written: Image | None
    written_at: datetime | None
    written_generation: int | None
    verified: bool
    annotated: bool
    incidents: frozenset[str]
    findings: frozenset[str]
    releasing: bool
    released: bool
    last: int
    open_attempt: Image | None

    @property
    def uid(self) -> str:
        """The unique id of the workload that it holds; empty where no image is left."""
        return self.images[-1].uid if self.images else ""

    @property
    def drill(self) -> bool:
        """Whether it is a drill's alone: no finding refers to it."""
        return bool(self.findings) and all(each.startswith(DRILL) for each in self.findings)

    @property
    def effective(self) -> Image | None:
        """The image that a release restores: of the write that took effect.

        Where a crash left a write without its record, the newest image tells.
        """
        return self.written if self.open_attempt is None else self.open_attempt

    @property
    def irreversible(self) -> tuple[Change, ...]:
        """What any of its attempts did and nobody can take back, each once."""
        done = [change for image in self.images for change in image.changes]
        return tuple({(c.kind, c.target): c for c in done if not c.reversible}.values())

    def stands(self, settings: Settings) -> Image | None:
        """The image of our writes, if the workload still is as those writes left it.

        An attempt of which no record says what became of it counts as a write only if the
        workload was changed at all since its image was taken.
        """
        attempt = self.open_attempt
        if attempt and attempt.touched(settings) and attempt.holds(settings):
            return attempt
        return self.written if self.written and self.written.holds(settings) else None


@dataclass(frozen=True, slots=True)
class History:
    """All containments of one workload, oldest first.

    Attributes:
        containments: As the store has them.
        uid: Unique id of the workload as it is now; empty where that is not known.
    """

    containments: tuple[Containment, ...] = ()
    uid: str = ""

    def of(self, settings: Settings | None) -> History:
        """The same history, seen from the workload as it is now."""
        return self if settings is None else self.of_uid(settings.uid)

    def of_uid(self, uid: str) -> History:
        """The same history, seen from the workload of that unique id."""
        return replace(self, uid=uid)

    @property
    def current(self) -> Containment | None:
        """The one that holds this workload, if there is one: not released, not of a namesake."""
        last = self.containments[-1] if self.containments else None
        if last is None or last.released:
            return None
        return None if self.uid and last.uid and last.uid != self.uid else last

    @property
    def next_number(self) -> int:
        """The number of the containment that a write made now belongs to."""
        if self.current:
            return self.current.number
        return self.containments[-1].number + 1 if self.containments else 1

    @property
    def released_findings(self) -> frozenset[str]:
        """Findings whose containment a person has taken back."""
        return frozenset(
            finding
            for containment in self.containments
            if containment.released
            for finding in containment.findings
        )


@dataclass(frozen=True, slots=True)
class Custody:
    """The containments of one workload in the store."""

    store: Store
    workload: Workload
    run: str
    clock: Callable[[], datetime]

    def _journal(self, number: int) -> Journal:
        folder = f"containments/{self.workload.key}/{number}"
        return Journal(self.store, folder, self.run, self.clock)

    async def history(self) -> History:
        """All containments of the workload so far.

        Raises:
            Retry: The store does not answer.
            GiveUp: A record cannot be read.
        """
        prefix = f"containments/{self.workload.key}/"
        pattern = re.compile(re.escape(prefix) + r"(\d{1,9})/")
        found = await self.store.list(prefix)
        numbers = sorted({int(match[1]) for path in found if (match := pattern.match(path))})
        return History(tuple(await together(*map(self._containment, numbers))))

    async def _containment(self, number: int) -> Containment:
        journal = self._journal(number)
        records = await journal.records()
        try:
            return fold(journal.folder, number, records)
        except (KeyError, TypeError, ValueError) as error:
            raise GiveUp(
                f"cannot read the records of {journal.folder}: one lacks what it must say"
                f" ({error!r}). Somebody else wrote to the store: find out who, move the object"
                " away, and contain the incident with `python cli.py contain`"
            ) from error

    async def keep_image(
        self,
        history: History,
        changes: tuple[Change, ...],
        settings: Settings,
        incident: str,
        finding: Finding,
    ) -> Image | None:
        """Store what the writes will overwrite; None when another process is at it already."""
        current = history.current
        number = (current.last if current else 0) + 1
        image = Image(
            number=number,
            run=self.run,
            recorded_at=self.clock(),
            incident=incident,
            uid=settings.uid,
            generation=settings.generation,
            parts=parts_of(changes, settings, current.effective if current else None),
        )
        body: dict[str, Json] = {
            "incident": incident,
            "finding": finding.finding_id,
            "workload": self.workload.resource_name,
            **image_json(image),
        }
        journal = self._journal(history.next_number)
        return image if await journal.claim(number, "before", body) else None

    async def note(self, history: History, after: int, kind: str, body: JsonObject) -> int:
        """Add a record to the containment that is under way; returns its number."""
        return await self._journal(history.next_number).append(after, kind, body)

    def folder(self, history: History) -> str:
        """Path of the containment that is under way."""
        return self._journal(history.next_number).folder


def fold(folder: str, number: int, records: tuple[Record, ...]) -> Containment:
    """What the records of one containment come to. Their order matters only where it must."""
    kinds = [record.kind for record in records]
    abandoned = {record.body.get("image") for record in records if record.kind in _UNDONE}
    unsent = {
        r.body.get("image"): _numbers(r.body.get("unsent")) for r in records if r.kind == "written"
    }
    images = tuple(
        image_of(record).without(unsent.get(record.number, ()))
        for record in records
        if record.kind == "before" and record.number not in abandoned
    )
    writes = [r for r in records if r.kind == "written" and r.body.get("image") not in abandoned]
    by_number = {image.number: image for image in images}
    named = _number(writes[-1].body.get("image")) if writes else None
    closed = {record.body.get("image") for record in records if record.kind in _CLOSING}
    # An image older than the one that the last write followed is superseded by it.
    waiting = [i for i in images if i.number not in closed and i.number > (named or 0)]
    last_write = writes[-1].number if writes else 0
    return Containment(
        folder=folder,
        number=number,
        images=images,
        written=by_number.get(named) if named else None,
        written_at=writes[-1].recorded_at if writes else None,
        written_generation=_number(writes[-1].body.get("generation")) if writes else None,
        verified=any(r.kind == "verified" and r.number > last_write for r in records),
        annotated="annotated" in kinds,
        incidents=frozenset(str(r.body["incident"]) for r in records if "incident" in r.body),
        findings=frozenset(str(r.body["finding"]) for r in records if "finding" in r.body),
        releasing=_releasing(records),
        released="released" in kinds,
        last=records[-1].number if records else 0,
        open_attempt=waiting[-1] if waiting else None,
    )


def _releasing(records: tuple[Record, ...]) -> bool:
    """Whether a release was begun, and not given up before it wrote anything."""
    withdrawn = {r.body.get("intent") for r in records if r.kind == "release-withdrawn"}
    return any(r.kind == "release-intended" and r.number not in withdrawn for r in records)


def _number(value: Json) -> int | None:
    return value if isinstance(value, int) else None


def _numbers(value: Json) -> tuple[int, ...]:
    return tuple(n for n in value if isinstance(n, int)) if isinstance(value, list) else ()


async def released_by(store: Store, folder: Json) -> str | None:
    """Who has taken a containment back; None where nobody has, or there is none.

    Args:
        store: Where it is kept.
        folder: Its path, as an outcome names it.

    Raises:
        Retry: The store does not answer.
        GiveUp: A record cannot be read.
    """
    if not isinstance(folder, str):
        return None
    records = await Journal(store, folder, run="", clock=datetime.now).records()
    by = [record.body.get("by") for record in records if record.kind == "released"]
    return str(by[-1]) if by else None


def image_of(record: Record) -> Image:
    """The image that a record holds.

    Raises:
        KeyError, TypeError, ValueError: The record lacks what it must say.
    """
    body: Any = record.body
    return Image(
        number=record.number,
        run=record.run,
        recorded_at=record.recorded_at,
        incident=body["incident"],
        uid=body["uid"],
        generation=body["generation"],
        parts=tuple(_part(value) for value in body["changes"]),
    )


def _part(value: Any) -> Part:
    return Part(change_of(value), value["restores"], value["carried"])
