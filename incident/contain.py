"""Applies changes: the only place that writes to a workload, the only one that reads the mode.

Convergent without a lock: the wanted state is a constant, what it overwrites is stored first,
and any number of processes may do this at once and crash anywhere in between.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from incident import containment
from incident.custody import Containment, Custody, History, Image, stated
from incident.guards import Objection
from incident.model import (
    Change,
    ChangeState,
    Conflict,
    Decision,
    Finding,
    GiveUp,
    IncidentError,
    Json,
    Mode,
    Reason,
    Retry,
    Settings,
    Status,
    Verdict,
    Workload,
)
from incident.rehearse import Rehearsing, rehearse
from incident.together import together
from incident.verify import Reading, annotated, verify

ANNOTATION = "scc-responder-incident"

_ATTEMPTS = 5
_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 1.5
#: A write takes longer than any other step: a peer may be silent so many times as long.
_WRITE_PATIENCE = 3
#: How long a write whose answer was lost may still come into effect.
_FATE = timedelta(seconds=45)


class Run(Rehearsing, Reading, Protocol):
    """What containing needs of Cloud Run: to read, to validate and to write."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What is known when containing begins, and again at each new attempt.

    Attributes:
        incident: The incident's id.
        finding: The finding as SCC lists it.
        workload: What is to be contained.
        settings: Its settings as read.
        history: Its containments.
        decision: What is to be done.
    """

    incident: str
    finding: Finding
    workload: Workload
    settings: Settings
    history: History
    decision: Decision


@dataclass(frozen=True, slots=True)
class Tools:
    """Capabilities.

    Attributes:
        run: Cloud Run.
        custody: The workload's containments in the store.
        decide_again: Policy and guards once more, for settings and history read again.
        claim_slot: Claims this hour's slots, or says which cap stands against it.
        clock: Tells the time.
        verify_timeout: How long a write may take until it is seen in effect.
        peer_wait: How long another process may be silent about a write it is about to make.
    """

    run: Run
    custody: Custody
    decide_again: Callable[[Settings, History], Awaitable[Decision]]
    claim_slot: Callable[[], Awaitable[Objection | None]]
    clock: Callable[[], datetime]
    verify_timeout: timedelta
    peer_wait: timedelta


@dataclass(frozen=True, slots=True)
class Result:
    """What became of the workload.

    Attributes:
        status: The incident's status as far as containment goes.
        decision: The decision that held in the end: policy and guards may have lowered it.
        changes: The changes, each with how far it came.
        folder: The containment's path in the store; None when there is none.
        stopped_at: When the write was accepted; requests in flight may outlive it.
        reasons: What a person should know besides the decision's reasons.
        alarm: Whether a person must look now.
    """

    status: Status
    decision: Decision
    changes: tuple[Change, ...] = ()
    folder: str | None = None
    stopped_at: datetime | None = None
    reasons: tuple[Reason, ...] = ()
    alarm: bool = False


async def contain(scene: Scene, tools: Tools) -> Result:
    """Carry the decision out, as far as its mode goes.

    Raises:
        Retry: Time may heal it; whatever was written is on record, and a redelivery goes on.
        GiveUp: The store or the workload cannot be used.
    """
    decision = scene.decision
    if _enforces(decision):
        return await _Enforcement(scene, tools).carry_out()
    await_fate(scene.incident, scene.history.current, tools.clock)
    if decision.verdict is not Verdict.CONTAIN:
        return Result(Status.HELD, decision, alarm=decision.alarm)
    if not decision.changes:
        return Result(Status.ALREADY_CONTAINED, decision)
    if decision.mode is Mode.APPROVE:
        return Result(Status.AWAITING_APPROVAL, decision, decision.changes)
    rehearsed = [await rehearse(change, scene.workload, tools.run) for change in decision.changes]
    return Result(Status.PLANNED, decision, tuple(rehearsed))


def _enforces(decision: Decision) -> bool:
    return decision.verdict is Verdict.CONTAIN and decision.mode is Mode.ENFORCE


def await_fate(incident: str, current: Containment | None, clock: Callable[[], datetime]) -> None:
    """Nothing final may be said while a write of this incident may still come into effect.

    Raises:
        Retry: An attempt was begun, and no record says yet what became of it.
    """
    attempt = current.open_attempt if current else None
    if attempt is None or attempt.incident != incident:
        return
    if clock() - attempt.recorded_at < _FATE:
        raise Retry(
            f"cannot close incident {incident}: a write to {attempt.change.target} was begun and"
            " may still come into effect; a redelivery looks again"
        )


class _Enforcement:
    """One containment being made: looks, keeps the image, writes, verifies; again if need be."""

    def __init__(self, scene: Scene, tools: Tools) -> None:
        self._scene = scene
        self._tools = tools
        self._waited_for: set[int] = set()
        self._last: IncidentError | None = None

    async def carry_out(self) -> Result:
        for attempt in range(_ATTEMPTS):
            if attempt:
                await self._look_again(attempt)
            if not _enforces(self._scene.decision):
                return self._called_off(self._scene.decision)
            changes = self._scene.decision.changes
            result = await (self._write() if changes else self._settle())
            if result:
                return result
        raise Retry(
            f"cannot contain {self._scene.workload.resource_name}: {_ATTEMPTS} attempts met"
            f" other changes or no answer, last: {self._last or 'another process at work'}"
        ) from self._last

    async def _look_again(self, attempt: int) -> None:
        """Everything that the write depends on is read anew; nothing is assumed."""
        if self._last:
            longest = min(_LONGEST_PAUSE_S, _PAUSE_S * 2**attempt)
            await asyncio.sleep(random.uniform(longest / 2, longest))  # noqa: S311 - jitter
        settings, history = await together(
            self._tools.run.settings(self._scene.workload), self._tools.custody.history()
        )
        history = history.of(settings)
        decision = await self._tools.decide_again(settings, history)
        self._scene = replace(self._scene, settings=settings, history=history, decision=decision)

    def _called_off(self, decision: Decision) -> Result:
        """Policy, guards or settings have lowered the decision since it was first made."""
        self._await_fate()
        text = "this was decided anew at the moment of writing; nothing was written then"
        lowered = replace(decision, verdict=Verdict.HOLD, changes=())
        return Result(Status.HELD, lowered, reasons=(Reason(text, "policy"),), alarm=decision.alarm)

    async def _write(self) -> Result | None:
        """One attempt; None when another is needed."""
        scene, tools = self._scene, self._tools
        current = scene.history.current
        if await self._wait_for_peer(current) or self._outdated(current):
            return None
        (change,) = scene.decision.changes
        image, objection, decision = await together(
            tools.custody.keep_image(
                scene.history, change, scene.settings, scene.incident, scene.finding
            ),
            tools.claim_slot(),
            tools.decide_again(scene.settings, scene.history),
        )
        if image is None:
            return None
        await self._see_history()
        if not self._ours_alone(image):
            await self._note(image.number, "abandoned", image)
            return None
        if objection or not _enforces(decision) or decision.changes != scene.decision.changes:
            await self._note(image.number, "abandoned", image)
            return await self._refusal(decision, objection)
        return await self._send(change, image)

    async def _see_history(self) -> None:
        """The records as they are now; of a release that has begun since, for one."""
        history = (await self._tools.custody.history()).of(self._scene.settings)
        self._scene = replace(self._scene, history=history)

    def _ours_alone(self, image: Image) -> bool:
        """Whether the image lies in a containment that nobody has begun to take back.

        A release records its intent and then looks for images; we keep an image and then look
        for a release: one of the two sees the other.
        """
        current = self._scene.history.current
        if current is None or current.releasing:
            return False
        return any((i.number, i.run) == (image.number, image.run) for i in current.images)

    def _await_fate(self) -> None:
        await_fate(self._scene.incident, self._scene.history.current, self._tools.clock)

    def _outdated(self, current: Containment | None) -> bool:
        """Whether another process has written since the settings were read."""
        written = current.written_generation if current else None
        return written is not None and self._scene.settings.generation < written

    async def _refusal(self, decision: Decision, objection: Objection | None) -> Result:
        """The last word before the write: the policy as it is now, and the hourly caps."""
        await self._see_history()
        if objection is None or not _enforces(decision):
            return self._called_off(decision)
        self._await_fate()
        held = replace(
            decision, verdict=Verdict.HOLD, reasons=(objection.reason,), changes=(), alarm=True
        )
        return Result(Status.HELD, held, alarm=objection.alarm)

    async def _send(self, change: Change, image: Image) -> Result | None:
        try:
            generation = await self._tools.run.write(change, validate_only=False)
        except Conflict as error:
            await self._note(image.number, "abandoned", image)
            self._last = error
            return None
        except Retry as error:
            # The write may have been accepted all the same; looking again tells.
            self._last = error
            return None
        except GiveUp as error:
            await self._note(image.number, "abandoned", image)
            await self._see_history()
            self._await_fate()
            failed = stated(change, ChangeState.FAILED, str(error))
            return Result(Status.FAILED, self._scene.decision, (failed,), alarm=True)
        written_at = self._tools.clock()
        last = await self._note(image.number, "written", image, generation=generation)
        exact = generation is None or generation <= image.generation + 1
        return await self._verified(change, image, written_at, last, exact=exact)

    async def _settle(self) -> Result | None:
        """Nothing to write: is it our containment, an unfinished one, or somebody else's?"""
        scene = self._scene
        current = scene.history.current
        image = current.stands(scene.workload.kind, scene.settings) if current else None
        if current is None or image is None:
            return Result(Status.ALREADY_CONTAINED, scene.decision)
        if await self._wait_for_peer(current):
            return None
        last, recovered = current.last, image == current.open_attempt
        if recovered:
            # The answer was lost, or the process died before it could write this down.
            last = await self._note(last, "written", image, recovered=True)
        if scene.incident not in current.incidents:
            last = await self._note(last, "joined", image)
        written_at = image.recorded_at if recovered else current.written_at
        lacking = containment.lacking(image.change, scene.workload.kind, scene.settings)
        if current.verified and current.annotated and not recovered and lacking is None:
            return self._contained(image.change, written_at)
        return await self._verified(image.change, image, written_at, last, exact=True)

    async def _verified(
        self, change: Change, image: Image, written_at: datetime | None, last: int, *, exact: bool
    ) -> Result:
        scene, tools = self._scene, self._tools
        settings, lacking = await verify(change, scene.workload, tools.run, tools.verify_timeout)
        if lacking is not None or settings is None:
            unseen = stated(change, ChangeState.UNVERIFIED, lacking)
            await self._note(last, "unverified", image, reason=lacking)
            return Result(Status.UNVERIFIED, scene.decision, (unseen,), self._folder, alarm=True)
        last = await self._note(last, "verified", image)
        reasons = list(await self._annotate(settings, image, last))
        if not exact:
            text = (
                "another change came between reading and writing: the before-image may lack it;"
                " the audit log has it"
            )
            reasons.append(Reason(text, "settings"))
        return self._contained(change, written_at, tuple(reasons))

    def _contained(
        self, change: Change, written_at: datetime | None, reasons: tuple[Reason, ...] = ()
    ) -> Result:
        return Result(
            status=Status.CONTAINED if change.stops else Status.RESTRICTED,
            decision=self._scene.decision,
            changes=(stated(change, ChangeState.VERIFIED),),
            folder=self._folder,
            stopped_at=written_at,
            reasons=reasons,
            alarm=not change.stops,
        )

    async def _annotate(self, settings: Settings, image: Image, last: int) -> tuple[Reason, ...]:
        """Name the incident on the workload, for whoever finds it down. Information only."""
        if image.incident != self._scene.incident or ANNOTATION in settings.annotations:
            return ()
        change = annotated(settings, ANNOTATION, self._scene.incident)
        try:
            await self._tools.run.write(change, validate_only=False)
        except IncidentError as error:
            text = f"the workload does not name the incident: {error}"
            return (Reason(text, "settings"),)
        # A release takes our own key away again; what others wrote there is theirs.
        await self._note(last, "annotated", image, annotation=ANNOTATION)
        return ()

    async def _wait_for_peer(self, current: Containment | None) -> bool:
        """Whether another process was about to write, and has been waited for.

        A process that died is waited for once, and then its work is carried on.
        """
        attempt = current.open_attempt if current else None
        if attempt is None or attempt.run == self._tools.custody.run:
            return False
        age = max(self._tools.clock() - attempt.recorded_at, timedelta(0))
        left = (self._tools.peer_wait * _WRITE_PATIENCE - age).total_seconds()
        if attempt.number in self._waited_for or left <= 0:
            return False
        self._waited_for.add(attempt.number)
        tick = asyncio.get_running_loop().time
        deadline = tick() + left
        while tick() < deadline:
            await asyncio.sleep(_PAUSE_S)
            history = (await self._tools.custody.history()).of(self._scene.settings)
            if history.current is None or history.current.open_attempt != attempt:
                break
        return True

    @property
    def _folder(self) -> str:
        return self._tools.custody.folder(self._scene.history)

    async def _note(self, after: int, kind: str, image: Image, **details: Json) -> int:
        body = {
            "incident": self._scene.incident,
            "finding": self._scene.finding.finding_id,
            "image": image.number,
            **details,
        }
        return await self._tools.custody.note(self._scene.history, after, kind, body)
