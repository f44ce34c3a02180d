"""Approving a recorded plan, and containing by hand: what is written, told and refused."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from incident.approvals import Refused
from incident.model import Kind
from tests.by_hand import ME, person
from tests.road import Road, policy, road, sample, world_around

WAITING = policy("approve")
SAMPLES = {
    Kind.SERVICE: "revision-by-number",
    Kind.JOB: "v1-job-execution",
    Kind.WORKER_POOL: "worker-pool-without-containers",
}
STEPS = {
    Kind.SERVICE: "[scale-to-zero, restrict-ingress, require-authentication]",
    Kind.JOB: "[cancel-executions, require-authentication]",
    Kind.WORKER_POOL: "[scale-to-zero]",
}
EXACT = ("action", "kind", "target", "mask", "before", "after", "stops", "reversible")


def writes(way: Road) -> list[str]:
    """What was written, without the annotation, by the last part of the method."""
    return [
        write.method.rpartition("/")[2]
        for write in way.emulator.writes
        if not write.validate_only and write.mask != ["annotations"]
    ]


def planned(outcome: Any) -> list[Any]:
    """The changes of an outcome, without how far they came."""
    return [{key: change[key] for key in EXACT} for change in outcome["changes"]]


@pytest.mark.parametrize("kind", Kind)
async def test_approving_writes_exactly_the_recorded_plan(tmp_path: Path, kind: Kind) -> None:
    """Every change of the plan, verified; who approved it is told, and it is announced."""
    rules = f"mode: approve\ncontain:\n  {kind}: {STEPS[kind]}\n"
    given: dict[str, Any] = {"rules": rules, "topic": "projects/p/topics/outcomes"}
    async with road(tmp_path, notification=sample(SAMPLES[kind]), **given) as way:
        waiting: Any = (await way.deliver()).outcome
        assert (waiting["status"], writes(way)) == ("awaiting-approval", [])
        async with person(way) as me:
            outcome = await me.approve(waiting["incident"])
            case = await me.case(waiting["incident"])
        assert outcome["status"] == case.status == "contained"
        assert {change["state"] for change in outcome["changes"]} == {"verified"}
        assert planned(outcome) == planned(waiting)
        assert outcome["decision"]["reasons"][0] == f"approved by {ME}"
        assert (outcome["mode"], outcome["containment"][-2:]) == ("approve", "/1")
        assert (outcome["drains_until"] is not None) is (kind is Kind.SERVICE)
        sent = [write for write in way.emulator.writes if write.mask != ["annotations"]]
        sent = [write for write in sent if not write.method.endswith("/Publish")]
        assert [write.mask for write in sent if write.mask] == [
            change["mask"] for change in waiting["changes"] if change["kind"] == "fields"
        ]
        kinds = [record.kind for record in case.records][-3:]
        assert kinds == ["done", "approved", "contained"]
        approved = case.records[-2].body
        assert (approved["by"], len(str(approved["plan"]))) == (ME, 64)
        published = way.emulator.world.dump()["published"]
        assert [p["attributes"]["status"] for p in published] == ["awaiting-approval", "contained"]
