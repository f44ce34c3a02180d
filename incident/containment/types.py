"""What containing is given and what it gives back: the scene, the tools, the result."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from incident.actions.before_image import Image
from incident.case_file.containments import Custody, History
from incident.containment.validate import Rehearsing
from incident.decision.guards import Objection
from incident.investigation.workload_reader import Looking
from incident.model import Change, Decision, Finding, Json, Reason, Settings, Status, Workload


class Run(Rehearsing, Looking, Protocol):
    """What containing needs of Cloud Run: to read, to validate and to write."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What is known when containing begins, and again at each new attempt.

    Attributes:
        incident: The incident's id.
        finding: The finding as SCC lists it.
        workload: What is to be contained.
        settings: Its settings as read, with all that its changes need.
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
        look_again: The workload read again, with all that the policy's actions need by now.
        decide_again: Policy and guards once more, for settings and history read again.
        claim_slot: Claims this hour's slots, or says which cap stands against it.
        clock: Tells the time.
        verify_timeout: How long a write may take until it is seen in effect.
        peer_wait: How long another process may be silent about a write it is about to make.
    """

    run: Run
    custody: Custody
    look_again: Callable[[], Awaitable[tuple[Settings, History]]]
    decide_again: Callable[[Settings, History], Awaitable[Decision]]
    claim_slot: Callable[[], Awaitable[Objection | None]]
    clock: Callable[[], datetime]
    verify_timeout: timedelta
    peer_wait: timedelta

    async def note(self, scene: Scene, after: int, kind: str, image: Image, **details: Json) -> int:
        """Add a record of an attempt to the containment; returns its number.

        Raises:
            Retry: The store does not answer.
            GiveUp: It refuses.
        """
        body = {
            "incident": scene.incident,
            "finding": scene.finding.finding_id,
            "image": image.number,
            **details,
        }
        return await self.custody.note(scene.history, after, kind, body)


@dataclass(frozen=True, slots=True)
class Result:
    """What became of the workload.

    Attributes:
        status: The incident's status as far as containment goes.
        decision: The decision that held in the end: policy and guards may have lowered it.
        changes: The changes, each with how far it came, stopping ones first.
        folder: The containment's path in the store; None when there is none.
        stopped_at: When the write that stopped it was accepted; what is in flight may
            outlive it.
        seen_at: When the workload was read back as stopped.
        reasons: What a person should know besides the decision's reasons.
        alarm: Whether a person must look now.
    """

    status: Status
    decision: Decision
    changes: tuple[Change, ...] = ()
    folder: str | None = None
    stopped_at: datetime | None = None
    seen_at: datetime | None = None
    reasons: tuple[Reason, ...] = ()
    alarm: bool = False
