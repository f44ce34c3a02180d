"""Taking a containment back: what our writes overwrote, restored and read back.

Writes to a workload as ``enforce.py`` does, and for one reason only: a person asked for it. What
has to be written is worked out next door, in ``release_plan``.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from incident.actions.before_image import stated
from incident.actions.redacted import told_json
from incident.case_file.containments import Custody
from incident.containment.peers import FATE
from incident.containment.release_plan import ReleasePlan, lacking, needs_of, plan_release
from incident.containment.release_text import irreparable
from incident.investigation.workload_reader import Looking, look
from incident.model import (
    Change,
    ChangeKind,
    ChangeState,
    Conflict,
    GiveUp,
    IncidentError,
    Json,
    Need,
    Retry,
)
from incident.redaction.errors import told_error
from incident.redaction.redactor import Redactor

__all__ = ["Given", "Halted", "Refused", "ReleasePlan", "Run", "carry_out", "plan_release"]

#: Access comes last: nobody is let in before the rest is as it was.
_ORDER = (ChangeKind.FIELDS, ChangeKind.IAM_POLICY)
_ATTEMPTS = 5
_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 2.0
_PARTS = {ChangeKind.FIELDS: "its settings", ChangeKind.IAM_POLICY: "its IAM policy"}
_INEXACT = (
    "another change came between reading and writing: it may have been overwritten; the audit log"
    " has it"
)


class Refused(GiveUp):
    """The containment is not released as things are; the message says why."""


class Halted(Refused):
    """A release that was begun and is not complete; nothing is recorded as released.

    Attributes:
        changes: The writes of its plan, each with how far it came.
    """

    def __init__(self, message: str, changes: tuple[Change, ...]) -> None:
        super().__init__(message)
        self.changes = changes


class Run(Looking, Protocol):
    """What releasing needs of Cloud Run."""

    async def write(self, change: Change, *, validate_only: bool) -> int | None:
        """Send one change."""


@dataclass(frozen=True, slots=True)
class Given:
    """What a release is given besides its plan.

    Attributes:
        by: Who releases.
        patience: How long each write may take until it is seen in effect.
        hide: Redacts what is recorded and told of it.
        step: Told what was just done, in order.
        only: The incident that the containment must be of alone; None where whoever refers to
            it loses it too.
    """

    by: str
    patience: timedelta
    hide: Redactor
    step: Callable[[str], None] = lambda _: None
    only: str | None = None


async def carry_out(
    plan: ReleasePlan, custody: Custody, run: Run, given: Given
) -> tuple[Change, ...]:
    """Restore what the plan says, prove it by reading back, and record it.

    The intent is recorded before anything is written, so that nobody contains the workload anew
    while it is being released. It is withdrawn where nothing was written after all: what still
    is contained must not stay without its guard. What the plan says that others changed is
    overwritten; whoever calls has asked.

    Args:
        plan: What a person agreed to.
        custody: The workload's containments.
        run: Cloud Run.
        given: Who releases, and how patiently.

    Returns:
        The writes that restored it, each verified; empty when all was as before already.

    Raises:
        Halted: It is not released for certain; the message says what holds and what to do.
        Retry: The store does not answer; nothing was written.
    """
    if plan.containment is None:
        return ()
    body = _body(plan, given.by)
    intent = await custody.note(plan.history, plan.containment.last, "release-intended", body)
    given.step("intended")
    work = _Work(plan, custody, run, given)
    try:
        await work.restore()
        if not work.released_meanwhile:
            changes: list[Json] = [told_json(c, given.hide) for c in work.changes]
            told = {**body, "changes": changes, "intent": intent}
            await custody.note(plan.history, intent, "released", told)
    except IncidentError as error:
        told_error(error, given.hide)
        if work.untouched:
            withdrawn: dict[str, Json] = {"by": given.by, "intent": intent, "reason": str(error)}
            with contextlib.suppress(IncidentError):
                await custody.note(plan.history, intent, "release-withdrawn", withdrawn)
        raise Halted(_halted(plan, work, error), work.changes) from error
    given.step("released")
    return work.changes


def _body(plan: ReleasePlan, by: str) -> dict[str, Json]:
    """What intent and release say alike."""
    image, current = plan.image, plan.containment
    lost: list[Json] = [irreparable(change, plan.workload) for change in plan.lost]
    return {
        "by": by,
        "image": image.number if image else None,
        "restores": image.restores if image else {},
        "overwrites": [difference.name for difference in plan.differs],
        "not_restored": lost,
        "incidents": sorted(current.incidents) if current else [],
    }


class _Work:
    """One release being carried out: looks, writes what is missing, reads it back.

    Attributes:
        changes: The writes, each with how far it came.
        untouched: Whether certainly nothing was written.
        released_meanwhile: Whether somebody else has finished the same release.
    """

    def __init__(self, plan: ReleasePlan, custody: Custody, run: Run, given: Given) -> None:
        self._plan = plan
        self._custody = custody
        self._run = run
        self._given = given
        self._known = {change.kind: change for change in plan.changes}
        self.untouched = True
        self.released_meanwhile = False

    @property
    def changes(self) -> tuple[Change, ...]:
        return tuple(self._known[kind] for kind in _ORDER if kind in self._known)

    async def restore(self) -> None:
        """Write what is missing, in order, and see all of it in effect at once in the end.

        Raises:
            Refused: Somebody stands in the way, or it was not seen in effect in time.
            IncidentError: Google or the store refuses, or does not answer.
        """
        for kind in _ORDER:
            if not await self._restore(kind):
                return
        if await self._fresh():
            await self._read_back(_ORDER)

    async def _restore(self, kind: ChangeKind) -> bool:
        """One write until it is accepted and seen; False where there is nothing left to do.

        After a conflict or a lost answer everything is read again, and nothing is assumed.
        """
        error: Retry | None = None
        for attempt in range(_ATTEMPTS):
            if attempt:
                longest = min(_LONGEST_PAUSE_S, _PAUSE_S * 2**attempt)
                await asyncio.sleep(random.uniform(longest / 2, longest))  # noqa: S311 - jitter
            try:
                now = await self._fresh()
                if now is None:
                    return False
                change = now.change(kind)
                if change:
                    await self._write(change, now)
            except Retry as failed:
                error = failed
                continue
            if kind in self._known:
                await self._read_back((kind,))
            return True
        raise Retry(f"{_ATTEMPTS} attempts met other changes or no answer, last: {error}")

    async def _write(self, change: Change, now: ReleasePlan) -> None:
        try:
            made = await self._run.write(change, validate_only=False)
        except IncidentError as error:
            # Only what was refused has certainly had no effect.
            lost = isinstance(error, Retry) and not isinstance(error, Conflict)
            self.untouched = self.untouched and not lost
            self._known[change.kind] = stated(change, ChangeState.FAILED, str(error))
            raise
        self.untouched = False
        exact = made is None or made <= now.settings.generation + 1
        self._known[change.kind] = stated(change, ChangeState.APPLIED, None if exact else _INEXACT)
        self._given.step(f"written {change.kind}")

    async def _read_back(self, kinds: Sequence[ChangeKind]) -> None:
        """Read until what was written is seen in effect.

        Raises:
            Refused: It is not, in time.
        """
        why: str | None = "it was not read back in time"
        pause = _PAUSE_S / 2
        try:
            async with asyncio.timeout(self._given.patience.total_seconds()):
                while why:
                    try:
                        settings = await look(self._plan.workload, self._needs(kinds), self._run)
                        why = lacking(self._plan, settings, kinds)
                    except Retry as error:
                        why = str(error)
                    if why:
                        await asyncio.sleep(pause)
                        pause = min(pause * 1.5, _LONGEST_PAUSE_S)
        except TimeoutError as error:
            self._state(kinds, ChangeState.UNVERIFIED, why)
            raise Refused(f"it is not seen as it was before: {why}") from error
        self._state(kinds, ChangeState.VERIFIED, None)
        self._given.step(f"verified {' and '.join(kinds)}")

    def _needs(self, kinds: Sequence[ChangeKind]) -> frozenset[Need]:
        return needs_of(self._plan) if ChangeKind.IAM_POLICY in kinds else frozenset()

    def _state(self, kinds: Sequence[ChangeKind], state: ChangeState, why: str | None) -> None:
        for kind in kinds:
            if kind in self._known:
                change = self._known[kind]
                said = change.error if change.state is ChangeState.APPLIED else None
                self._known[kind] = stated(change, state, why or said)

    async def _fresh(self) -> ReleasePlan | None:
        """The plan for settings and records read now; None when somebody else has released it.

        Raises:
            Refused: It is not what the person agreed to any more.
        """
        agreed = self._plan
        now = await plan_release(agreed.workload, self._custody, self._run)
        ours = agreed.containment.number if agreed.containment else 0
        if any(each.released and each.number == ours for each in now.history.containments):
            self.released_meanwhile = True
            return None
        if now.containment is None or now.image is None or agreed.image is None:
            raise Refused("it was deleted and made anew meanwhile: nothing of ours holds it")
        others = now.containment.incidents - {self._given.only}
        if self._given.only and others:
            raise Refused(f"a finding refers to it as well by now: {', '.join(sorted(others))}")
        attempt = now.containment.open_attempt
        if attempt and abs(self._custody.clock() - attempt.recorded_at) < FATE:
            raise Refused(
                "a finding is being responded to at this moment. Wait a minute, look at its"
                " incident, and release again"
            )
        if now.image.number != agreed.image.number:
            raise Refused("it was contained further meanwhile. Look at the difference again")
        if names := [each.name for each in now.differs if each not in agreed.differs]:
            said = ", ".join(names)
            raise Refused(f"somebody changed it meanwhile: {said}. Look at the difference again")
        return now


def _halted(plan: ReleasePlan, work: _Work, error: IncidentError) -> str:
    """What stopped a release, what holds of it all the same, and what to do."""
    name = plan.workload.resource_name
    done = [_PARTS[c.kind] for c in work.changes if c.state is ChangeState.VERIFIED]
    left = [_PARTS[c.kind] for c in work.changes if c.state is not ChangeState.VERIFIED]
    if work.untouched:
        more = "nothing more" if plan.containment and plan.containment.releasing else "nothing"
        return f"cannot release {name}, {more} was written: {error}"
    if not done or not left:
        return f"{name} is not released for certain: {error}. Look at it, and release it again"
    return (
        f"{name} is released in part only. Restored and read back: {done[0]}. Not restored:"
        f" {left[0]}: {error}. When that is mended, release it again; what is done is not done"
        " twice"
    )
