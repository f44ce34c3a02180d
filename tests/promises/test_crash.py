"""`kill -9` of the worker between any two steps: a redelivery ends where an undisturbed run does.

The steps are taken from an undisturbed run. The emulator kills the worker while it answers
it, so the product needs no code for that; gunicorn's master starts another one.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import functools
import json
import os
import re
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import grpc
import pytest

from emulator.api.errors import Refusal
from emulator.server import http_routes
from emulator.services.gate import Dropped, Moment
from emulator.services.storage.objects import Objects, Stored
from incident.case_file.manifest import says_nothing
from incident.case_file.verification import Mark, examined
from tests.support.function_process import (
    JsonObject,
    Reported,
    Stage,
    alive,
    children,
    kept_image,
    running,
    scaled_to_zero,
    world_around,
)

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux's /proc")

Phase = Literal["before", "after"]
Step = tuple[str, int]

# So many function processes side by side, each with so many findings to be killed over.
LANES, ROUNDS = 4, 12
MOST_DELIVERIES = 8
# Every incident has a project of its own, so that no quota is in its way. A crash may cost it
# no more than the one slot that its containment needs.
POLICY = """
mode: enforce
contain: {service: [scale-to-zero]}
guards: {max_containments_per_hour: 1000, max_per_project_per_hour: 1}
"""
SETTINGS = {
    "RESPONDER_STORE": "gs://case-files",
    "RESPONDER_TOPIC": "projects/example-shop-prod/topics/outcomes",
    "RESPONDER_PEER_WAIT": "1s",
}
# Calls that have an effect, besides puts.
EFFECTS = {"UpdateService", "UpdateSecurityMarks", "UpdateExternalSystem", "Publish"}
# What a containment stores at least; whatever else is stored is a step like these.
STORED = {
    "incidents/received.json",
    "incidents/decided.json",
    "slots/projects/slot.json",
    "slots/all/slot.json",
    "containments/service/before.json",
    "containments/service/written.json",
    "containments/service/verified.json",
    "containments/service/annotated.json",
    "incidents/contained.json",
    "incidents/logs.jsonl",
    "incidents/evidence/finding.json",
    "incidents/evidence/settings.json",
    "incidents/written-back.json",
    "incidents/announced.json",
    "incidents/done.json",
    "incidents/manifest.json",
}
BAD = {Mark.CHANGED, Mark.MISSING, Mark.NOT_LISTED}
# The other evidence is stored by the same lines: two stand for all.
ALIKE = re.compile(r"incidents/evidence/(?!finding|settings)")
READ_BACK = {("GetService", 2)}


@dataclass(slots=True)
class Killer:
    """Counts the steps of the incident under way, and kills the worker at one of them.

    Attributes:
        worker: Tells the worker's process id.
        steps: The steps so far: what was done, and how often it had been done by then.
        phase: Whether to kill before the step or after its effect.
        target: The step to kill at; None for none, and when it is done.
    """

    worker: Callable[[], int] = lambda: 0
    steps: list[Step] = field(default_factory=list)
    phase: Phase = "before"
    target: Step | None = None
    _counts: Counter[tuple[Phase, str]] = field(default_factory=Counter)

    def begin(self, phase: Phase, target: Step | None) -> None:
        """Count anew, for another incident."""
        self.steps.clear()
        self._counts.clear()
        self.phase, self.target = phase, target

    def reached(self, phase: Phase, what: str) -> bool:
        """Count a step; whether the worker died of it."""
        if what == "incidents/alive.json":
            return False  # a sign of life comes with time, not with the road
        self._counts[phase, what] += 1
        step = (what, self._counts[phase, what])
        if phase == "before":
            self.steps.append(step)
        if (phase, step) != (self.phase, self.target):
            return False
        self.target = None
        worker = self.worker()
        os.kill(worker, signal.SIGKILL)
        while alive(worker):
            time.sleep(0.001)
        return True

    def hook(self, moment: Moment) -> None:
        """What the emulator calls around every call; puts are left to the ledger."""
        if moment.method == "storage.PUT":
            return
        killed = self.reached(moment.phase, moment.method.rpartition("/")[2])
        if killed and moment.phase == "before":
            raise Dropped


class Ledger(Objects):
    """The objects of a store; to put one is a step with the object's kind for a name.

    Attributes:
        killer: Is told of every step.
        contents: Every object as it was first put.
        overwritten: Names of objects that were put once more.
    """

    def __init__(self) -> None:
        super().__init__()
        self.killer = Killer()
        self.contents: dict[str, bytes] = {}
        self.overwritten: list[str] = []

    def put(
        self, bucket: str, name: str, data: bytes, *, content_type: str, if_generation: str = ""
    ) -> Stored:
        """Stores an object, unless the worker is killed before that."""
        if self.killer.reached("before", _kind(name)):
            raise Refusal(grpc.StatusCode.UNAVAILABLE, "killed before it was stored")
        stored = super().put(
            bucket, name, data, content_type=content_type, if_generation=if_generation
        )
        if name in self.contents:
            self.overwritten.append(name)
        self.contents.setdefault(name, data)
        self.killer.reached("after", _kind(name))
        return stored

    def records(self, folder: str) -> dict[str, JsonObject]:
        """The records in a folder, by name and in order."""
        found = sorted(name for name in self.contents if name.rpartition("/")[0] == folder)
        return {Path(name).stem: json.loads(self.contents[name]) for name in found}

    def suspected(self, reported: Reported) -> list[tuple[str, str]]:
        """What verifying the finding's incident would not call intact, and why."""
        about = f'"name": "{reported.name}"'.encode()
        done = [name for name, data in self.contents.items() if about in data]
        folder = next((n.rpartition("/")[0] for n in done if n.endswith("-done.json")), "")
        places = (f"{folder}/", f"{reported.custody}/")
        bodies = {name: data for name, data in self.contents.items() if name.startswith(places)}
        names = {name.removeprefix(f"{folder}/"): name for name in bodies}
        alive = frozenset(path for name, path in names.items() if says_nothing(name, bodies[path]))
        found = examined(folder, bodies, alive, {}, [reported.custody])
        return [(item.path, item.mark.value) for item in found.items if item.mark in BAD]

    def done(self, reported: Reported) -> list[str]:
        """The statuses that incidents of a finding are done with."""
        names = [name for name in self.contents if name.endswith("-done.json")]
        outcomes = [json.loads(self.contents[name])["outcome"] for name in names]
        return [o["status"] for o in outcomes if o["finding"]["name"] == reported.name]


# The store of the lane that the running task belongs to.
LEDGER: ContextVar[Ledger] = ContextVar("LEDGER")


@dataclass(frozen=True, slots=True)
class Lane:
    """One function process, to which findings are delivered one after another.

    Attributes:
        stage: The function and its cloud.
        ledger: Its store.
        reported: The findings, each on a service and in a project of its own.
    """

    stage: Stage
    ledger: Ledger
    reported: Sequence[Reported]

    async def undisturbed(self) -> list[Step]:
        """The steps of an incident that nothing happens to: the last one's."""
        self.ledger.killer.begin("before", None)
        await self.stage.deliver(self.reported[-1])
        assert self._flaws(self.reported[-1]) == []
        return list(self.ledger.killer.steps)

    async def killed(self, number: int, phase: Phase, step: Step) -> list[str]:
        """What is wrong in the end with a finding whose worker was killed at a step."""
        killer, reported = self.ledger.killer, self.reported[number]
        killer.begin(phase, step)
        for _ in range(MOST_DELIVERIES):
            (delivery,) = await self.stage.deliver(reported)
            if delivery.acknowledged:
                break
        flaws = [
            *(["never acknowledged"] if not delivery.acknowledged else []),
            *(["the step was never reached"] if killer.target else []),
            *self._flaws(reported),
        ]
        return [f"killed {phase} {step[0]} {step[1]}: {flaw}" for flaw in flaws]

    def _flaws(self, reported: Reported) -> list[str]:
        """What differs from the end of an undisturbed run, in the cloud and in the store."""
        service, ledger = self.stage.service(reported), self.ledger
        annotated = "scc-responder-incident" in service.annotations
        image = kept_image(ledger.records(reported.custody))
        published = [message["data"]["finding"] for message in self.stage.emulator.world.published]
        suspected, told = ledger.suspected(reported), self.stage.outcomes(reported)
        return [
            text
            for wrong, text in (
                (not scaled_to_zero(service), "the service still runs"),
                (service.generation != 7 + 1 + annotated, f"generation {service.generation}"),
                (image != self.stage.original(reported), f"a release would restore {image}"),
                (ledger.done(reported) != ["contained"], f"done as {ledger.done(reported)}"),
                (ledger.overwritten, f"overwritten: {ledger.overwritten}"),
                (self._said_of(reported) != ["contained"] * 2, "not written back"),
                (not any(f["name"] == reported.name for f in published), "not announced"),
                (suspected, f"verify suspects {suspected}"),
                (not any(o["status"] == "contained" for o in told), "no line tells the outcome"),
            )
            if wrong
        ]

    def _said_of(self, reported: Reported) -> list[str | None]:
        """What SCC was told of a finding: its mark, and its external system's status."""
        entries = self.stage.emulator.world.findings
        found = next(e.result.finding for e in entries if e.result.finding.name == reported.name)
        system = found.external_systems.get("scc-responder")
        return [
            found.security_marks.marks.get("responder-status"),
            system.status if system else None,
        ]


async def in_lane(folder: Path, work: Callable[[Lane], Awaitable[list[str]]]) -> list[str]:
    """What some work in a lane of its own comes to."""
    LEDGER.set(Ledger())
    ledger = LEDGER.get()
    now = dt.datetime.now(dt.UTC)
    reported = [
        Reported(f"{n}", f"shop-{n}", f"example-{n}", f"{10**11 + n}", now)
        for n in range(1, ROUNDS + 2)
    ]
    async with running(
        world_around(*reported), folder, policy=POLICY, settings=SETTINGS, hook=ledger.killer.hook
    ) as stage:
        master = stage.function.master
        ledger.killer.worker = lambda: children(master)[0]
        return await work(Lane(stage, ledger, reported))


async def flaws_of_kills(
    folder: Path, phase: Phase, chosen: Callable[[list[Step]], list[Step]]
) -> list[str]:
    """What is wrong after kills at the chosen ones of all steps, shared out among the lanes."""

    async def share(lane: Lane, first: int) -> list[str]:
        steps = chosen(await lane.undisturbed())[first::LANES]
        flaws = [await lane.killed(n, phase, step) for n, step in enumerate(steps)]
        return [flaw for of_one in flaws for flaw in of_one]

    async with asyncio.TaskGroup() as group:
        lanes = [
            group.create_task(in_lane(folder / str(n), functools.partial(share, first=n)))
            for n in range(LANES)
        ]
    return [flaw for lane in lanes for flaw in lane.result()]


def changes(step: Step) -> bool:
    """Whether a step has an effect: only objects have names with slashes."""
    return step[0] in EFFECTS or "/" in step[0]


def changing(steps: list[Step]) -> list[Step]:
    """The steps that have an effect, which are the same in every undisturbed run."""
    assert {what for what, _ in steps} >= EFFECTS | STORED
    return sorted(step for step in steps if changes(step) and not ALIKE.match(step[0]))


def reading(steps: list[Step]) -> list[Step]:
    """One step of each kind that only reads, and the reading back of the write."""
    return sorted({step for step in steps if not changes(step) and step[1] == 1} | READ_BACK)


def _kind(name: str) -> str:
    """An object's name without whatever differs between incidents."""
    parts = (re.sub(r"^\d{4}-|-\d+(?=\.[a-z]+$)", "", part) for part in name.split("/"))
    return "/".join(part for part in parts if not re.search(r"\d", part))


@pytest.fixture(autouse=True)
def watched_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every emulator's store is the ledger of its lane."""
    monkeypatch.setattr(http_routes, "Objects", LEDGER.get)


async def test_a_kill_before_any_effect_changes_nothing_in_the_end(tmp_path: Path) -> None:
    """Killed before a write, a publication or a put, the work is done by the redelivery."""
    assert await flaws_of_kills(tmp_path, "before", changing) == []


async def test_a_kill_after_any_effect_changes_nothing_in_the_end(tmp_path: Path) -> None:
    """Killed when the effect was there and its answer was not, the redelivery carries on."""
    assert await flaws_of_kills(tmp_path, "after", changing) == []


async def test_a_kill_at_reading_changes_nothing_in_the_end(tmp_path: Path) -> None:
    """Killed while it reads what the decision or the verification needs, or evidence."""
    assert await flaws_of_kills(tmp_path, "after", reading) == []
