"""Taking our own write back, when a person turns out to have begun a release meanwhile.

Writes to a workload for this one reason only: a release is never fought, not even by a write
that was on its way when it began.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

from incident.actions.before_image import Image, Part
from incident.actions.fields import as_sent, in_full, in_snake_case, normal
from incident.actions.plan import needed_by
from incident.case_file.containments import Containment, Custody
from incident.case_file.journal import Journal, Record
from incident.investigation.workload_reader import Looking, look
from incident.model import Change, ChangeKind, Conflict, Json, JsonObject, Retry, Settings

_ATTEMPTS = 4
_PAUSE_S = 0.3


class Run(Looking, Protocol):
    """What taking back needs of Cloud Run."""

    async def write(self, change: Change, *, validate_only: bool) -> int | None:
        """Send one change."""


async def heed_release(number: int, custody: Custody, run: Run) -> str | None:
    """Right after our own write: take it back, if somebody has begun a release meanwhile.

    Args:
        number: Which containment of the workload was written to.
        custody: The workload's containments, in the run that wrote.
        run: Cloud Run.

    Returns:
        What was done, in words; None where no release was begun, or nothing was written.

    Raises:
        Retry: Time may heal it; the next patrol sees it and tries again.
        GiveUp: Google refuses.
    """
    history = await custody.history()
    for containment in history.containments:
        began = containment.releasing or containment.released
        ours = [image for image in containment.images if image.run == custody.run]
        if containment.number == number and began and ours:
            return await take_back(containment, ours[-1], custody, run)
    return None


async def take_back(containment: Containment, image: Image, custody: Custody, run: Run) -> str:
    """Undo what the write after an image did, as far as it is still there, and record that.

    Where the release is through, what it restored is written; before that, what our own image
    says was there. Somebody else's later change of a field is left alone.

    Returns:
        What was done, in words.

    Raises:
        Retry: Time may heal it; the next patrol sees it and tries again.
        GiveUp: Google refuses.
    """
    journal = Journal(custody.store, containment.folder, custody.run, custody.clock)
    records = await journal.records()
    own = [part for part in image.parts if not part.carried]
    done = [
        part.change.action
        for part in own
        if await _undo(part, _restored(part, records), custody, run)
    ]
    kept = [part.change.target for part in own if not part.change.reversible]
    text = f"took back {', '.join(done)}" if done else "nothing of it was in effect any more"
    if kept:
        text += f"; cannot take back the cancellation of {', '.join(kept)}"
    last = max((record.number for record in records), default=0)
    body: dict[str, Json] = {"image": image.number, "by": "patrol", "done": text}
    await journal.append(last, "withdrawn", body)
    return text


def _restored(part: Part, records: tuple[Record, ...]) -> JsonObject:
    """What is to be there: what a release has restored, or else what was there before us."""
    wanted = dict(part.change.before)
    for record in records:
        restores = record.body.get("restores")
        if record.kind == "released" and isinstance(restores, Mapping):
            wanted |= {name: restores[name] for name in wanted if name in restores}
    return wanted


async def _undo(part: Part, wanted: JsonObject, custody: Custody, run: Run) -> bool:
    """Write back what was there; False where our write is not there any more."""
    if part.change.kind is ChangeKind.CANCELLATION:
        return False
    for attempt in range(_ATTEMPTS):
        settings = await look(custody.workload, needed_by([part.change]), run)
        change = _reverse(part.change, wanted, settings)
        if change is None:
            return False
        try:
            await run.write(change, validate_only=False)
        except Conflict:
            await asyncio.sleep(_PAUSE_S * (attempt + 1))
        else:
            return True
    raise Retry(
        f"cannot take back our write to {part.change.target}: {_ATTEMPTS} attempts met other"
        " changes to it. The next patrol tries again"
    )


def _reverse(change: Change, wanted: JsonObject, settings: Settings) -> Change | None:
    """The write that takes a change back, of what is still as it left it; None for nothing."""
    policy = change.kind is ChangeKind.IAM_POLICY
    if policy:
        raw: Json = list(settings.access.raw) if settings.access else []
        now: dict[str, Json] = {"bindings": raw}
    else:
        now = {name: in_full(settings.fields, name) for name in change.after}
    # The form of an IAM policy, its version, is nobody's to take back.
    names = [name for name in change.after if name in now]
    ours = [name for name in names if _same(name, now[name], change.after[name], settings)]
    after = {name: as_sent(name, wanted[name], settings.kind) for name in ours if name in wanted}
    if not after:
        return None
    return replace(
        change,
        action="withdraw",
        mask=change.mask if policy else tuple(map(in_snake_case, after)),
        before={name: now[name] for name in after},
        after=after,
        stops=False,
        etag=settings.access.etag if settings.access else "",
    )


def _same(name: str, one: Json, other: Json, settings: Settings) -> bool:
    return normal(name, one, settings.kind) == normal(name, other, settings.kind)
