"""Enforcing: applies the changes of a decision to the workload, and sees them in effect.

Convergent without a lock: the wanted state is a constant, what it overwrites is stored first,
and any number of processes may do this at once and crash anywhere in between.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace

from incident.actions import plan
from incident.actions.before_image import Image, stated
from incident.case_file.containments import Containment
from incident.containment.peers import Peers, await_fate
from incident.containment.read_back import Made, came_to, read_back
from incident.containment.types import Result, Scene, Tools
from incident.containment.write import as_found, send
from incident.decision.guards import Objection
from incident.model import (
    Change,
    ChangeState,
    Conflict,
    Decision,
    IncidentError,
    Json,
    Kind,
    Reason,
    Retry,
    Settings,
    Status,
    Verdict,
)
from incident.model.concurrency import together

_ATTEMPTS = 5
_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 1.5


def as_wanted(decision: Decision) -> Result:
    """Nothing is to be written, and nothing of ours is there: somebody else saw to it.

    Where only access is restricted, what runs goes on running, whoever restricted it.
    """
    if decision.stops:
        return Result(Status.ALREADY_CONTAINED, decision)
    text = "access was restricted before, not by us; what runs was not stopped"
    return Result(Status.RESTRICTED, decision, reasons=(Reason(text, "settings"),), alarm=True)


def _unwritten(image: Image, settings: Settings) -> tuple[Change, ...]:
    """What an attempt did not get to write, and nobody has done since: it is told, not hidden."""
    text = "it was not written: it was refused, or the attempt ended before it"
    return tuple(
        stated(change, ChangeState.FAILED, text)
        for change in image.unsent
        if not plan.in_effect(change, settings)
    )


class Enforcement:
    """One containment being made: looks, keeps the image, writes, verifies; again if need be."""

    def __init__(self, scene: Scene, tools: Tools) -> None:
        """Begin with what was read and decided; it is read anew at each further attempt."""
        self._scene = scene
        self._tools = tools
        self._peers = Peers(tools.custody, tools.peer_wait)
        self._interrupted: IncidentError | None = None

    async def carry_out(self) -> Result:
        """Attempt it until it is done, called off, or may not be tried any longer.

        Raises:
            Retry: Nothing was done yet, or an answer was lost: a redelivery looks again.
            GiveUp: The store or the workload cannot be used.
        """
        for attempt in range(_ATTEMPTS):
            if attempt:
                await self._look_again(attempt)
            if not self._scene.decision.enforces:
                return self._called_off(self._scene.decision)
            result = await (self._write() if self._scene.decision.changes else self._settle())
            if result:
                return result
        return await self._give_in()

    async def _give_in(self) -> Result:
        """A conflict over one change, again and again, hides nothing of what the others did.

        Raises:
            Retry: Nothing was done yet, or an answer was lost: a redelivery looks again.
        """
        await self._look_again(_ATTEMPTS)
        scene, current = self._scene, self._scene.history.current
        image = current.stands(scene.settings) if current else None
        ours = current is not None and scene.incident in current.incidents
        if (
            current is None
            or image is None
            or not ours
            or not isinstance(self._interrupted, Conflict)
        ):
            raise Retry(
                f"cannot contain {scene.workload.resource_name}: {_ATTEMPTS} attempts met other"
                f" changes or no answer, last: {self._interrupted or 'another process at work'}"
            ) from self._interrupted
        failed = [
            stated(c, ChangeState.FAILED, str(self._interrupted)) for c in scene.decision.changes
        ]
        return await self._proven(Made(image, tuple(failed), current.written_at, current.last))

    async def _look_again(self, attempt: int) -> None:
        """Everything that the write depends on is read anew; nothing is assumed."""
        if self._interrupted:
            longest = min(_LONGEST_PAUSE_S, _PAUSE_S * 2**attempt)
            await asyncio.sleep(random.uniform(longest / 2, longest))  # noqa: S311 - jitter
        settings, history = await self._tools.look_again()
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
        if await self._peers.wait(current, scene.settings) or self._outdated(current):
            return None
        image, objection, decision = await together(
            tools.custody.keep_image(
                scene.history,
                scene.decision.changes,
                scene.settings,
                scene.incident,
                scene.finding,
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
        if objection or not decision.enforces or decision.changes != scene.decision.changes:
            await self._note(image.number, "abandoned", image)
            return await self._last_word(decision, objection)
        return await self._send(image)

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

    async def _last_word(self, decision: Decision, objection: Objection | None) -> Result | None:
        """The last word before the write: the policy as it is now, and the hourly caps.

        Where the policy now wants other changes, or none besides those made, it is looked again.
        """
        if objection is None and decision.enforces:
            return None
        await self._see_history()
        if objection is None or not decision.enforces:
            return self._called_off(decision)
        self._await_fate()
        held = replace(
            decision, verdict=Verdict.HOLD, reasons=(objection.reason,), changes=(), alarm=True
        )
        return Result(Status.HELD, held, alarm=objection.alarm)

    async def _send(self, image: Image) -> Result | None:
        """Write the changes of an attempt; None when another attempt is needed."""
        scene, tools = self._scene, self._tools
        sent = await send(scene.decision.changes, tools.run)
        sent = await as_found(sent, image, scene.workload, tools.run)
        written_at, last = tools.clock(), image.number
        self._interrupted = sent.interrupted
        if sent.applied:
            told: dict[str, Json] = {"generation": sent.generation, "unsent": [*sent.unsent]}
            last = await self._note(last, "written", image, **told)
        elif not sent.lost:
            # A write whose answer was lost may have been accepted; looking again tells.
            await self._note(last, "abandoned", image)
        if sent.interrupted:
            return None
        if not sent.applied:
            await self._see_history()
            self._await_fate()
            return await self._refused(sent.failed)
        exact = sent.generation is None or sent.generation <= image.generation + 1
        left = image.without(sent.unsent)
        return await self._proven(Made(left, sent.failed, written_at, last, exact=exact))

    async def _refused(self, failed: tuple[Change, ...]) -> Result:
        """Nothing more could be written: what an earlier attempt did stands all the same."""
        current = self._scene.history.current
        image = current.stands(self._scene.settings) if current else None
        if current and image:
            return await self._proven(Made(image, failed, current.written_at, current.last))
        return await self._proven(Made(None, failed, None, 0))

    async def _settle(self) -> Result | None:
        """Nothing to write: is it our containment, an unfinished one, or somebody else's?"""
        scene = self._scene
        current = scene.history.current
        image = current.stands(scene.settings) if current else None
        if current is None or image is None:
            return as_wanted(scene.decision)
        if await self._peers.wait(current, scene.settings):
            return None
        last, recovered = current.last, image == current.open_attempt
        if recovered:
            # The answer was lost, or the process died before it could write this down.
            last = await self._note(last, "written", image, recovered=True)
        if scene.incident not in current.incidents:
            last = await self._note(last, "joined", image)
        written_at = image.recorded_at if recovered else current.written_at
        made = Made(image, _unwritten(image, scene.settings), written_at, last)
        settled = all(plan.lacking(c, scene.settings) is None for c in image.changes)
        told = current.annotated or scene.workload.kind is Kind.JOB
        if current.verified and told and not recovered and settled:
            return came_to(made, (None,) * len(image.changes), scene, self._tools)
        return await self._proven(made)

    async def _proven(self, made: Made) -> Result:
        return await read_back(made, self._scene, self._tools)

    async def _note(self, after: int, kind: str, image: Image, **details: Json) -> int:
        return await self._tools.note(self._scene, after, kind, image, **details)
