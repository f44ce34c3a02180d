"""Carries a decision out as far as its mode goes: the only stage that reads the mode.

What enforcing does is next door, in ``enforce``; what a dry run does instead, in ``rehearse``.
"""

from __future__ import annotations

from incident.containment.enforce import Enforcement, as_wanted
from incident.containment.peers import await_fate
from incident.containment.types import Result, Scene, Tools
from incident.containment.validate import rehearse
from incident.model import Mode, Status, Verdict


async def contain(scene: Scene, tools: Tools) -> Result:
    """Carry the decision out, as far as its mode goes.

    Raises:
        Retry: Time may heal it; whatever was written is on record, and a redelivery goes on.
        GiveUp: The store or the workload cannot be used.
    """
    decision = scene.decision
    if decision.enforces:
        return await Enforcement(scene, tools).carry_out()
    await_fate(scene.incident, scene.history.current, tools.clock)
    if decision.verdict is not Verdict.CONTAIN:
        return Result(Status.HELD, decision, alarm=decision.alarm)
    if not decision.changes:
        return as_wanted(decision)
    if decision.mode is Mode.APPROVE:
        return Result(Status.AWAITING_APPROVAL, decision, decision.changes)
    rehearsed = [await rehearse(change, scene.workload, tools.run) for change in decision.changes]
    return Result(Status.PLANNED, decision, tuple(rehearsed))
