"""Applies changes: the only place that writes to a workload, the only one that reads the mode.

Convergent without a lock: the wanted state is a constant, what it overwrites is stored first,
and any number of processes may do this at once and crash anywhere in between.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from incident import containment
from incident.attempt import as_found, send, status_of
from incident.custody import Containment
from incident.guards import Objection
from incident.images import Image, stated
from incident.look import look
from incident.model import (
    Change,
    ChangeKind,
    ChangeState,
    Conflict,
    Decision,
    IncidentError,
    Json,
    Kind,
    Mode,
    Reason,
    Retry,
    Settings,
    Status,
    Verdict,
)
from incident.rehearse import rehearse
from incident.scene import Result, Scene, Tools
from incident.together import together
from incident.verify import annotated, verify

ANNOTATION = "scc-responder-incident"

_ATTEMPTS = 5
_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 1.5
#: A write takes longer than any other step: a peer may be silent so many times as long.
_WRITE_PATIENCE = 3
#: How long a write whose answer was lost may still come into effect.
_FATE = timedelta(seconds=45)


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
        return _as_wanted(decision)
    if decision.mode is Mode.APPROVE:
        return Result(Status.AWAITING_APPROVAL, decision, decision.changes)
    rehearsed = [await rehearse(change, scene.workload, tools.run) for change in decision.changes]
    return Result(Status.PLANNED, decision, tuple(rehearsed))


def _as_wanted(decision: Decision) -> Result:
    """Nothing is to be written, and nothing of ours is there: somebody else saw to it.

    Where only access is restricted, what runs goes on running, whoever restricted it.
    """
    if decision.stops:
        return Result(Status.ALREADY_CONTAINED, decision)
    text = "access was restricted before, not by us; what runs was not stopped"
    return Result(Status.RESTRICTED, decision, reasons=(Reason(text, "settings"),), alarm=True)


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
            f"cannot close incident {incident}: a write to {attempt.changes[0].target} was begun"
            " and may still come into effect; a redelivery looks again"
        )


@dataclass(frozen=True, slots=True)
class _Made:
    """What was made of the decision, to be read back.

    Attributes:
        image: The image of what was written; None when nothing was.
        failed: The changes that were refused.
        written_at: When the writes were accepted.
        last: Number of the containment's last record.
        exact: Whether nobody else wrote between reading and writing.
    """

    image: Image | None
    failed: tuple[Change, ...]
    written_at: datetime | None
    last: int
    exact: bool = True

    @property
    def changes(self) -> tuple[Change, ...]:
        """The changes that were written."""
        return self.image.changes if self.image else ()


def _told(change: Change, lacking: str | None) -> Change:
    """A change once it was read back."""
    if lacking:
        return stated(change, ChangeState.UNVERIFIED, lacking)
    return stated(change, ChangeState.VERIFIED)


def _missing(image: Image, settings: Settings) -> tuple[Change, ...]:
    """What an attempt did not get to write, and nobody has done since: it is told, not hidden."""
    text = "it was not written: it was refused, or the attempt ended before it"
    return tuple(
        stated(change, ChangeState.FAILED, text)
        for change in image.unsent
        if not containment.in_effect(change, settings)
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
        if current is None or image is None or not ours or not isinstance(self._last, Conflict):
            raise Retry(
                f"cannot contain {scene.workload.resource_name}: {_ATTEMPTS} attempts met other"
                f" changes or no answer, last: {self._last or 'another process at work'}"
            ) from self._last
        failed = [stated(c, ChangeState.FAILED, str(self._last)) for c in scene.decision.changes]
        return await self._verified(_Made(image, tuple(failed), current.written_at, current.last))

    async def _look_again(self, attempt: int) -> None:
        """Everything that the write depends on is read anew; nothing is assumed."""
        if self._last:
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
        if await self._wait_for_peer(current) or self._outdated(current):
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
        if objection or not _enforces(decision) or decision.changes != scene.decision.changes:
            await self._note(image.number, "abandoned", image)
            return await self._refusal(decision, objection)
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

    async def _refusal(self, decision: Decision, objection: Objection | None) -> Result | None:
        """The last word before the write: the policy as it is now, and the hourly caps.

        Where the policy now wants other changes, or none besides those made, it is looked again.
        """
        if objection is None and _enforces(decision):
            return None
        await self._see_history()
        if objection is None or not _enforces(decision):
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
        self._last = sent.interrupted
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
        return await self._verified(_Made(left, sent.failed, written_at, last, exact=exact))

    async def _refused(self, failed: tuple[Change, ...]) -> Result:
        """Nothing more could be written: what an earlier attempt did stands all the same."""
        current = self._scene.history.current
        image = current.stands(self._scene.settings) if current else None
        if current and image:
            return await self._verified(_Made(image, failed, current.written_at, current.last))
        return await self._verified(_Made(None, failed, None, 0))

    async def _settle(self) -> Result | None:
        """Nothing to write: is it our containment, an unfinished one, or somebody else's?"""
        scene = self._scene
        current = scene.history.current
        image = current.stands(scene.settings) if current else None
        if current is None or image is None:
            return _as_wanted(scene.decision)
        if await self._wait_for_peer(current):
            return None
        last, recovered = current.last, image == current.open_attempt
        if recovered:
            # The answer was lost, or the process died before it could write this down.
            last = await self._note(last, "written", image, recovered=True)
        if scene.incident not in current.incidents:
            last = await self._note(last, "joined", image)
        written_at = image.recorded_at if recovered else current.written_at
        made = _Made(image, _missing(image, scene.settings), written_at, last)
        settled = all(containment.lacking(c, scene.settings) is None for c in image.changes)
        told = current.annotated or scene.workload.kind is Kind.JOB
        if current.verified and told and not recovered and settled:
            return self._result(made, (None,) * len(image.changes))
        return await self._verified(made)

    async def _verified(self, made: _Made) -> Result:
        """Read back what was written, and tell it change by change."""
        scene, tools = self._scene, self._tools
        settings: Settings | None = None
        lacking: tuple[str | None, ...] = ()
        if made.changes:
            settings, lacking = await verify(
                made.changes, scene.workload, tools.run, tools.verify_timeout
            )
        result = self._result(replace(made, failed=await self._over(made.failed)), lacking)
        if made.image is None:
            return result
        unseen = [c.error for c in result.changes if c.state is ChangeState.UNVERIFIED]
        if unseen:
            await self._note(made.last, "unverified", made.image, reason=unseen[0])
            return result
        last = await self._note(made.last, "verified", made.image)
        if settings is None or result.status not in (Status.CONTAINED, Status.RESTRICTED):
            return result
        told = await self._annotate(settings, made.image, last)
        return replace(result, reasons=(*told, *result.reasons))

    async def _over(self, failed: tuple[Change, ...]) -> tuple[Change, ...]:
        """What was refused; an execution that was over before it was cancelled is as wanted."""
        cancelled = [change for change in failed if change.kind is ChangeKind.CANCELLATION]
        if not cancelled:
            return failed
        needs = containment.needed_by(cancelled)
        try:
            settings = await look(self._scene.workload, needs, self._tools.run)
        except IncidentError:
            return failed
        return tuple(
            stated(change, ChangeState.VERIFIED)
            if change in cancelled and containment.in_effect(change, settings)
            else change
            for change in failed
        )

    def _result(self, made: _Made, lacking: tuple[str | None, ...]) -> Result:
        """What the changes come to, each in effect or with why it is not."""
        told = [_told(change, why) for change, why in zip(made.changes, lacking, strict=True)]
        changes = sorted((*told, *made.failed), key=lambda change: not change.stops)
        status = status_of(changes)
        text = (
            "another change came between reading and writing: the before-image may lack it;"
            " the audit log has it"
        )
        return Result(
            status=status,
            decision=self._scene.decision,
            changes=tuple(changes),
            folder=self._folder if made.image else None,
            stopped_at=made.written_at if status is Status.CONTAINED else None,
            seen_at=self._tools.clock() if status is Status.CONTAINED else None,
            reasons=() if made.exact else (Reason(text, "settings"),),
            alarm=any(change.state is not ChangeState.VERIFIED for change in changes)
            or status is not Status.CONTAINED,
        )

    async def _annotate(self, settings: Settings, image: Image, last: int) -> tuple[Reason, ...]:
        """Name the incident on the workload, for whoever finds it down. Information only."""
        job = settings.kind is Kind.JOB  # a job can only be replaced as a whole
        if job or image.incident != self._scene.incident or ANNOTATION in settings.annotations:
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
