"""Taking a containment back: the fields that our write overwrote, restored and read back.

Writes to a workload as ``contain.py`` does, and for one reason only: a person asked for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from incident.contain import ANNOTATION
from incident.custody import Containment, Custody, History
from incident.fields import in_snake_case, normal
from incident.images import Image, change_json
from incident.model import (
    AuditEvent,
    Change,
    ChangeKind,
    Conflict,
    GiveUp,
    Json,
    JsonObject,
    Kind,
    Retry,
    Settings,
    Workload,
)

_ATTEMPTS = 5
_PAUSE_S = 0.5
_DEFAULTS: Mapping[str, int] = {"minInstanceCount": 0, "maxInstanceCount": 0}


class Refused(GiveUp):
    """The containment is not released as things are; the message says why."""


class Run(Protocol):
    """What releasing needs of Cloud Run."""

    async def settings(self, workload: Workload) -> Settings:
        """The workload's settings as they are now."""

    async def write(self, change: Change, *, validate_only: bool) -> int | None:
        """Send one change."""


@dataclass(frozen=True, slots=True)
class ReleasePlan:
    """What a release would do.

    Attributes:
        workload: What is held.
        containment: The containment that is taken back; None when nothing is held.
        history: All containments of the workload.
        image: What the release restores.
        change: The one write that restores it; None when nothing has to be written.
        differs: Fields that are not as our write left them: somebody changed them since.
        last_modifier: Who changed the workload last.
    """

    workload: Workload
    containment: Containment | None
    history: History
    image: Image | None
    change: Change | None
    differs: tuple[str, ...]
    last_modifier: str


async def plan_release(workload: Workload, custody: Custody, run: Run) -> ReleasePlan:
    """What releasing the workload would write, for settings read now. Writes nothing.

    Raises:
        Retry: Time may heal it.
        GiveUp: The workload or the records cannot be read.
    """
    settings = await run.settings(workload)
    history = (await custody.history()).of(settings)
    current = history.current
    image = current.effective if current else None
    if current is None or image is None:
        return ReleasePlan(workload, None, history, None, None, (), settings.last_modifier)
    _check(image)
    wanted = _wanted(image, settings)
    before = {name: settings.fields.get(name) for name in wanted}
    differs = tuple(
        name
        for name in image.restores
        if _now(settings, name) != normal(name, image.left[name], settings.kind)
        and _now(settings, name) != normal(name, wanted[name], settings.kind)
    )
    change = Change(
        action="release",
        target=settings.name,
        mask=tuple(map(in_snake_case, wanted)),
        before=before,
        after=wanted,
        stops=False,
        reversible=True,
    )
    needed = change if _lacking(change, settings) else None
    return ReleasePlan(workload, current, history, image, needed, differs, settings.last_modifier)


async def carry_out(
    plan: ReleasePlan, custody: Custody, run: Run, *, by: str, patience: timedelta
) -> None:
    """Restore what the plan says, prove it by reading back, and record it.

    The intent is recorded before the write, so that nobody contains the workload anew while
    it is being released.

    Raises:
        Refused: It was not seen restored in time; nothing is recorded as released.
        Retry: Time may heal it.
        GiveUp: Google refuses the write.
    """
    current, image = plan.containment, plan.image
    if current is None or image is None:
        return
    body: dict[str, Json] = {"by": by, "image": image.number, "restores": image.restores}
    last = await custody.note(plan.history, current.last, "release-intended", body)
    fresh = (await custody.history()).of_uid(plan.history.uid).current
    if fresh is None or (fresh.open_attempt and fresh.open_attempt != current.open_attempt):
        raise Refused(
            f"cannot release {plan.workload.resource_name}: a finding is being responded to at"
            " this moment. Wait a minute, look at its incident, and release again"
        )
    if plan.change:
        await _write(plan.change, run)
        await _restored(plan, run, patience)
    incidents: list[Json] = [*sorted(current.incidents)]
    released = {**body, "change": change_json(plan.change) if plan.change else None}
    await custody.note(plan.history, last, "released", {**released, "incidents": incidents})


def blame(plan: ReleasePlan, audit: Sequence[AuditEvent]) -> str:
    """Who changed the workload since our write, as far as anything tells."""
    written_at = plan.containment.written_at if plan.containment else None
    since = [event for event in audit if written_at is None or event.timestamp > written_at]
    people = {
        event.principal: event.method.rpartition(".")[2] for event in since if event.principal
    }
    told = ", ".join(f"{who} ({what})" for who, what in people.items())
    return told or f"last modifier: {plan.last_modifier or 'unknown'}"


def _check(image: Image) -> None:
    """Refuse what this version cannot restore in full: a release in part would be a lie."""
    for change in image.changes:
        if change.kind is ChangeKind.IAM_POLICY:
            raise Refused(
                f"cannot release {change.target}: its containment changed the IAM policy, which"
                " this version does not restore. Restore it by hand from the before-image"
            )


def _wanted(image: Image, settings: Settings) -> dict[str, Json]:
    """What is written: the restored fields, and the annotations without our own."""
    service = settings.kind is Kind.SERVICE
    wanted = {
        name: _explicit(name, value) if service else value for name, value in image.restores.items()
    }
    if ANNOTATION in settings.annotations:
        others = {key: text for key, text in settings.annotations.items() if key != ANNOTATION}
        wanted["annotations"] = others
    return wanted


def _explicit(name: str, value: Json) -> Json:
    """Scaling with its bounds spelled out.

    Left out, they would inherit the manual count when a service goes back to automatic
    scaling, as an earlier text of Cloud Run's documentation says.
    """
    if name != "scaling" or not isinstance(value, Mapping) or value.get("scalingMode") == "MANUAL":
        return value
    kept = {key: count for key, count in value.items() if key != "manualInstanceCount"}
    return {"scalingMode": "AUTOMATIC", **_DEFAULTS, **kept}


def _lacking(change: Change, settings: Settings) -> str | None:
    """What is not as the release wants it; None when all is."""
    if settings.observed_generation < settings.generation:
        return "Cloud Run is still at work on it"
    for name, value in change.after.items():
        if _now(settings, name) != normal(name, value, settings.kind):
            return f"{name} does not read back as it was before"
    return None


def _now(settings: Settings, name: str) -> Json:
    there = settings.fields.get(name) or ({} if name == "annotations" else None)
    return normal(name, there, settings.kind)


async def _write(change: Change, run: Run) -> None:
    for attempt in range(_ATTEMPTS):
        try:
            await run.write(change, validate_only=False)
        except Conflict:
            await asyncio.sleep(_PAUSE_S * (attempt + 1))
        else:
            return
    raise Retry(
        f"cannot release {change.target}: {_ATTEMPTS} attempts met other changes to it. Try again"
    )


async def _restored(plan: ReleasePlan, run: Run, patience: timedelta) -> None:
    change = plan.change
    reason: str | None = "it was not read back in time"
    try:
        async with asyncio.timeout(patience.total_seconds()):
            while change and reason:
                await asyncio.sleep(_PAUSE_S / 2)
                reason = _lacking(change, await run.settings(plan.workload))
    except TimeoutError as error:
        raise Refused(
            f"{plan.workload.resource_name} is not released for certain: {reason}. Look at the"
            " service, and release again"
        ) from error


def explain(plan: ReleasePlan, who: str) -> str:
    """Why a plan is refused without force."""
    return (
        f"cannot release {plan.workload.resource_name}: {', '.join(plan.differs)} changed since it"
        f" was contained ({who}). Look at the difference; --force overwrites what they did"
    )


def told(plan: ReleasePlan) -> JsonObject:
    """The plan as JSON."""
    return {
        "workload": plan.workload.resource_name,
        "containment": plan.containment.folder if plan.containment else None,
        "change": change_json(plan.change) if plan.change else None,
        "changed_since": [*plan.differs],
        "last_modifier": plan.last_modifier,
    }
