"""What a containment's records and its workload's settings tell whoever keeps watch. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from incident.actions.before_image import Image, stated
from incident.actions.plan import in_effect, lacking
from incident.case_file.journal import Record
from incident.model import Change, ChangeKind, ChangeState, Json, Kind, Settings, Workload
from incident.model.decision import UNDONE
from incident.redaction.redactor import Redactor

_TELLING = frozenset({"written", "verified", "unverified", "reverted"})
_OURS = frozenset({"written", "verified", "annotated"})
_FOLDER = re.compile(r"containments/([^/]+)/([^/]+)/([^/]+)/([^/]+)/")
_LONGEST = 300
_RECORD = re.compile(r"(\d{1,9})/(\d{4,9})-([a-z-]+)\.json")


@dataclass(frozen=True, slots=True)
class Undone:
    """One thing that is not as our writes left it.

    Attributes:
        change: The change that it belongs to.
        field: Which field; ``executions`` for a job that runs again.
        ours: What it was after our write.
        now: What it is.
    """

    change: Change
    field: str
    ours: Json
    now: Json

    def told(self, hide: Redactor) -> Undone:
        """The same as it may be told: an IAM policy holds what anybody wrote into it."""
        if self.change.kind is not ChangeKind.IAM_POLICY:
            return self
        return replace(self, ours=hide.json(self.ours), now=hide.json(self.now))

    @property
    def text(self) -> str:
        """The same in one line."""
        return f"{self.field}: {_short(self.ours)} is now {_short(self.now)}"


@dataclass(frozen=True, slots=True)
class Watched:
    """What the records of one containment say to whoever keeps watch.

    Attributes:
        telling: The newest record that says how it stands; None before any write.
        told: Whether the incidents were told of that, where they have to be.
    """

    telling: Record | None
    told: bool

    @property
    def reverted(self) -> Record | None:
        """The record of a reversion that nobody has mended since."""
        return self.telling if self.telling and self.telling.kind == "reverted" else None


def watched(records: Sequence[Record]) -> Watched:
    """The records of one containment, in order, as the watch reads them.

    Only what departs from an ordinary containment is news to its incidents: a reversion, and
    what follows one or follows a write that was not seen in effect at first.
    """
    telling = [record for record in records if record.kind in _TELLING]
    newest = telling[-1] if telling else None
    if newest is None:
        return Watched(None, told=True)
    departed = any(record.kind in ("reverted", "unverified") for record in telling[:-1])
    news = newest.kind == "reverted" or (newest.kind == "verified" and departed)
    told = any(_tells(record, newest) for record in records)
    return Watched(newest, told=told or not news)


def news_of(record: Record) -> Json:
    """What the record ``told`` says it was about."""
    return [record.number, record.kind]


def _tells(record: Record, of: Record) -> bool:
    return record.kind == "told" and record.body.get("of") == news_of(of)


def ours_until(records: Iterable[Record], image: Image) -> datetime:
    """Until when changes to the workload may be our own: whoever came later was somebody else."""
    return max(
        (record.recorded_at for record in records if record.kind in _OURS),
        default=image.recorded_at,
    )


def undone(image: Image, settings: Settings) -> tuple[Undone, ...]:
    """What is not as our writes left it, field by field; in settings with all that they need.

    A job of which executions were cancelled was stopped: one that runs now undoes that.
    """
    found: list[Undone] = []
    cancelled = [change for change in image.changes if change.kind is ChangeKind.CANCELLATION]
    for change in image.changes:
        if change.kind is ChangeKind.FIELDS:
            found += _fields(change, settings)
        elif change.kind is ChangeKind.IAM_POLICY and not in_effect(change, settings):
            access = settings.access
            now = list(access.raw) if access else None
            found.append(Undone(change, "bindings", change.after.get("bindings"), now))
    if cancelled and settings.running:
        names: list[Json] = [execution.short_name for execution in settings.running]
        found.append(Undone(cancelled[0], "executions", [], names))
    return tuple(found)


def _fields(change: Change, settings: Settings) -> list[Undone]:
    """The fields of one change that do not do any more what it was for."""
    return [
        Undone(change, name, change.after[name], settings.fields.get(name))
        for name in change.after
        if not in_effect(replace(change, after={name: change.after[name]}), settings)
    ]


def as_it_stands(image: Image, settings: Settings, differs: Sequence[Undone]) -> tuple[Change, ...]:
    """The changes of an image, each verified, or not with what undid it."""
    reasons: dict[tuple[str, str, tuple[str, ...]], str] = {}
    for one in differs:
        same_kind = [c for c in image.changes if c.kind is ChangeKind.CANCELLATION]
        for change in same_kind if one.field == "executions" else [one.change]:
            key = _key(change)
            reasons[key] = f"{reasons[key]}; {one.text}" if key in reasons else one.text
    return tuple(_stated(change, reasons.get(_key(change)), settings) for change in image.changes)


def _stated(change: Change, reason: str | None, settings: Settings) -> Change:
    if reason:
        return stated(change, ChangeState.UNVERIFIED, f"{UNDONE}{reason}")
    why = lacking(change, settings)
    return stated(change, ChangeState.UNVERIFIED if why else ChangeState.VERIFIED, why)


def _key(change: Change) -> tuple[str, str, tuple[str, ...]]:
    return change.kind, change.target, change.mask


def workload_at(folder: str) -> Workload | None:
    """The workload whose containments lie in a folder of the store; None for any other."""
    match = _FOLDER.fullmatch(folder)
    if match is None or match[3] not in list(Kind):
        return None
    numbered = match[1].isdigit()
    return Workload(
        kind=Kind(match[3]),
        location=match[2],
        name=match[4],
        project_id=None if numbered else match[1],
        project_number=match[1] if numbered else None,
    )


@dataclass(frozen=True, slots=True)
class Names:
    """What the names of a containment's records tell already, without reading one.

    Attributes:
        number: The newest containment of the workload.
        over: Whether it was released, or its workload is gone.
        overtaken: Whether a write may have come after somebody began to release it.
    """

    number: int
    over: bool
    overtaken: bool


def names_in(folder: str, paths: Iterable[str]) -> Names | None:
    """What the names of the records of a workload's containments tell; None without any."""
    found = [m for path in paths if (m := _RECORD.fullmatch(path.removeprefix(folder)))]
    if not found:
        return None
    newest = max(int(match[1]) for match in found)
    numbers: dict[str, list[int]] = {}
    for match in found:
        if int(match[1]) == newest:
            numbers.setdefault(match[3], []).append(int(match[2]))
    intended = numbers.get("release-intended", [])
    written, withdrawn = max(numbers.get("written", [0])), max(numbers.get("withdrawn", [0]))
    return Names(
        number=newest,
        over="released" in numbers or "gone" in numbers,
        overtaken=bool(intended) and written >= min(intended) and withdrawn < written,
    )


def _short(value: Json) -> str:
    text = json.dumps(value, ensure_ascii=False, sort_keys=True)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
