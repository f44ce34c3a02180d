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
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import grpc
import pytest
from google.cloud import run_v2

from emulator.api.errors import ApiError
from emulator.server import http_routes
from emulator.services.gate import CallPoint, Dropped
from emulator.services.storage.objects import BucketObjects, StoredObject
from incident.case_file.verification import KnownDigest, ObjectState, verify_case_file
from tests.support.constants import TOPIC
from tests.support.findings import SampleFinding
from tests.support.function_process import (
    JsonDict,
    RunningFunction,
    children,
    is_alive,
    is_scaled_to_zero,
    running_function,
    snapshot_of_last_write,
)
from tests.support.worlds import world_with_findings

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
contain: {service: [scale-to-zero, disable-service-account]}
identity: {dedicated: ["*@*.iam.gserviceaccount.com"]}
guards: {max_containments_per_hour: 1000, max_per_project_per_hour: 1}
"""
SETTINGS = {
    "RESPONDER_STORE": "gs://case-files",
    "RESPONDER_TOPIC": TOPIC,
    "RESPONDER_PEER_WAIT": "1s",
}
# Calls that have an effect, besides puts.
EFFECTS = {
    "UpdateService",
    "DisableServiceAccount",
    "UpdateSecurityMarks",
    "UpdateExternalSystem",
    "Publish",
}
# What a containment stores at least; whatever else is stored is a step like these.
STORED = {
    "incidents/received.json",
    "incidents/decided.json",
    "slots/projects/slot.json",
    "slots/projects/holder.json",
    "slots/all/slot.json",
    "slots/all/holder.json",
    "containments/service/snapshot.json",
    "containments/service/written.json",
    "containments/service/verified.json",
    "containments/service/annotated.json",
    "incidents/contained.json",
    "incidents/logs.jsonl",
    "incidents/evidence/finding.json",
    "incidents/evidence/settings.json",
    "incidents/written-back.json",
    "incidents/published.json",
    "incidents/done.json",
    "incidents/manifest.json",
    "incidents/logged.json",
}
# The other evidence is stored by the same lines: two stand for all.
REPEATED_EVIDENCE = re.compile(r"incidents/evidence/(?!finding|settings)")
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
        """Start the count again, for another incident."""
        self.steps.clear()
        self._counts.clear()
        self.phase, self.target = phase, target

    def reached(self, phase: Phase, what: str) -> bool:
        """Count a step; whether the worker died of it."""
        if what == "incidents/heartbeat.json":
            return False  # a sign of life depends on time, not on the steps
        self._counts[phase, what] += 1
        step = (what, self._counts[phase, what])
        if phase == "before":
            self.steps.append(step)
        if (phase, step) != (self.phase, self.target):
            return False
        self.target = None
        worker = self.worker()
        os.kill(worker, signal.SIGKILL)
        while is_alive(worker):
            time.sleep(0.001)
        return True

    def hook(self, moment: CallPoint) -> None:
        """What the emulator calls around every call; puts are left to the ledger."""
        if moment.method == "storage.PUT":
            return
        killed = self.reached(moment.phase, moment.method.rpartition("/")[2])
        if killed and moment.phase == "before":
            raise Dropped


class StepCountingStore(BucketObjects):
    """The objects of a store; to put one is a step with the object's kind for a name.

    Attributes:
        killer: Is notified of every step.
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
    ) -> StoredObject:
        """Stores an object, unless the worker is killed before that."""
        if self.killer.reached("before", _object_kind(name)):
            raise ApiError(grpc.StatusCode.UNAVAILABLE, "killed before it was stored")
        stored = super().put(
            bucket, name, data, content_type=content_type, if_generation=if_generation
        )
        if name in self.contents:
            self.overwritten.append(name)
        self.contents.setdefault(name, data)
        self.killer.reached("after", _object_kind(name))
        return stored

    def records(self, folder: str) -> dict[str, JsonDict]:
        """The records in a folder, by name and in order."""
        found = sorted(name for name in self.contents if name.rpartition("/")[0] == folder)
        return {Path(name).stem: json.loads(self.contents[name]) for name in found}

    async def suspected(
        self, reported: SampleFinding, known: Sequence[KnownDigest], crashed: Collection[str]
    ) -> list[tuple[str, str]]:
        """What verifying the finding's incident does not call intact, and why.

        Args:
            reported: The finding.
            known: The digests that the log has.
            crashed: Objects that may be in no manifest: those of runs that were killed.
        """
        about = f'"name": "{reported.name}"'.encode()
        done = [name for name, data in self.contents.items() if about in data]
        folder = next((n.rpartition("/")[0] for n in done if n.endswith("-done.json")), "")
        found = await verify_case_file(ObjectsOf(self.contents), folder, known)
        return [
            (item.path, item.state.value)
            for item in found.objects
            if item.state is not ObjectState.INTACT
            and not (item.state is ObjectState.NOT_LISTED and item.path in crashed)
        ]

    def done(self, reported: SampleFinding) -> list[str]:
        """The statuses that incidents of a finding are done with."""
        names = [name for name in self.contents if name.endswith("-done.json")]
        outcomes = [json.loads(self.contents[name])["outcome"] for name in names]
        return [o["status"] for o in outcomes if o["finding"]["name"] == reported.name]


class ObjectsOf:
    """Objects by name, as ``verify`` reads a store."""

    def __init__(self, contents: Mapping[str, bytes]) -> None:
        self._contents = contents

    async def create(self, path: str, data: bytes) -> bool:
        """Nothing is created here."""
        raise NotImplementedError

    async def read(self, path: str) -> bytes | None:
        """What is there."""
        return self._contents.get(path)

    async def list(self, prefix: str) -> tuple[str, ...]:
        """What is there."""
        return tuple(sorted(name for name in self._contents if name.startswith(prefix)))

    async def unreadable(self, prefix: str) -> Mapping[str, str]:
        """Nothing is."""
        del prefix
        return {}


# The store of the lane that the running task belongs to.
CURRENT_STORE: ContextVar[StepCountingStore] = ContextVar("LEDGER")


@dataclass(frozen=True, slots=True)
class FunctionUnderKills:
    """One function process, to which findings are delivered one after another.

    Attributes:
        stage: The function and its cloud.
        ledger: Its store.
        reported: The findings, each on a service and in a project of its own.
    """

    stage: RunningFunction
    ledger: StepCountingStore
    reported: Sequence[SampleFinding]

    async def undisturbed(self) -> list[Step]:
        """The steps of an incident that nothing happens to: the last one's."""
        self.ledger.killer.begin("before", None)
        await self.stage.deliver(self.reported[-1])
        assert await self._flaws(self.reported[-1], ()) == []
        return list(self.ledger.killer.steps)

    async def killed(self, number: int, phase: Phase, step: Step) -> list[str]:
        """What is wrong in the end with a finding whose worker was killed at a step."""
        killer, reported = self.ledger.killer, self.reported[number]
        killer.begin(phase, step)
        crashed: list[str] = []
        for _ in range(MOST_DELIVERIES):
            (delivery,) = await self.stage.deliver(reported)
            if delivery.acknowledged:
                break
            crashed = list(self.ledger.contents)
        flaws = [
            *(["never acknowledged"] if not delivery.acknowledged else []),
            *(["the step was never reached"] if killer.target else []),
            *await self._flaws(reported, crashed),
        ]
        return [f"killed {phase} {step[0]} {step[1]}: {flaw}" for flaw in flaws]

    async def _flaws(self, reported: SampleFinding, crashed: Collection[str]) -> list[str]:
        """What differs from the end of an undisturbed run, in the cloud and in the store."""
        service, ledger = self.stage.service(reported), self.ledger
        annotated = "scc-responder-incident" in service.annotations
        image = snapshot_of_last_write(ledger.records(reported.containment_folder))
        published = [message["data"]["finding"] for message in self.stage.emulator.world.published]
        lines = self.stage.function.entries
        known = [
            KnownDigest(line["manifest_sha256"], line["case_file"])
            for line in lines
            if line.get("manifest_sha256") and line["finding"] == reported.name
        ]
        suspected = await ledger.suspected(reported, known, crashed)
        outcomes = self.stage.outcomes(reported)
        return [
            text
            for wrong, text in (
                (not is_scaled_to_zero(service), "the service still runs"),
                (not self._account_is_disabled(service), "the account's tokens are accepted"),
                (service.generation != 7 + 1 + annotated, f"generation {service.generation}"),
                (
                    image != {**self.stage.restorable_fields(reported), "disabled": False},
                    f"a release would restore {image}",
                ),
                (ledger.done(reported) != ["contained"], f"done as {ledger.done(reported)}"),
                (ledger.overwritten, f"overwritten: {ledger.overwritten}"),
                (self._written_back(reported) != ["contained"] * 2, "not written back"),
                (not any(f["name"] == reported.name for f in published), "not announced"),
                (suspected, f"verify suspects {suspected}"),
                (
                    not any(o["status"] == "contained" for o in outcomes),
                    "no line tells the outcome",
                ),
            )
            if wrong
        ]

    def _account_is_disabled(self, service: run_v2.Service) -> bool:
        """Whether the account that a service runs as is disabled."""
        accounts = self.stage.emulator.world.service_accounts.by_email
        return accounts[service.template.service_account].disabled

    def _written_back(self, reported: SampleFinding) -> list[str | None]:
        """What was reported to SCC of a finding: its mark, and its external system's status."""
        entries = self.stage.emulator.world.findings
        found = next(e.result.finding for e in entries if e.result.finding.name == reported.name)
        system = found.external_systems.get("scc-responder")
        return [
            found.security_marks.marks.get("responder-status"),
            system.status if system else None,
        ]


async def run_in_own_process(
    folder: Path, work: Callable[[FunctionUnderKills], Awaitable[list[str]]]
) -> list[str]:
    """The result of some work in a lane of its own."""
    CURRENT_STORE.set(StepCountingStore())
    ledger = CURRENT_STORE.get()
    now = dt.datetime.now(dt.UTC)
    reported = [
        SampleFinding(f"{n}", f"shop-{n}", f"example-{n}", f"{10**11 + n}", now)
        for n in range(1, ROUNDS + 2)
    ]
    async with running_function(
        world_with_findings(*reported),
        folder,
        policy=POLICY,
        settings=SETTINGS,
        hook=ledger.killer.hook,
    ) as stage:
        master = stage.function.master_pid
        ledger.killer.worker = lambda: children(master)[0]
        return await work(FunctionUnderKills(stage, ledger, reported))


async def problems_after_kills(
    folder: Path, phase: Phase, chosen: Callable[[list[Step]], list[Step]]
) -> list[str]:
    """What is wrong after kills at the chosen ones of all steps, shared out among the lanes."""

    async def share(lane: FunctionUnderKills, first: int) -> list[str]:
        steps = chosen(await lane.undisturbed())[first::LANES]
        flaws = [await lane.killed(n, phase, step) for n, step in enumerate(steps)]
        return [flaw for of_one in flaws for flaw in of_one]

    async with asyncio.TaskGroup() as group:
        lanes = [
            group.create_task(
                run_in_own_process(folder / str(n), functools.partial(share, first=n))
            )
            for n in range(LANES)
        ]
    return [flaw for lane in lanes for flaw in lane.result()]


def has_effect(step: Step) -> bool:
    """Whether a step has an effect: only objects have names with slashes."""
    return step[0] in EFFECTS or "/" in step[0]


def changing_steps(steps: list[Step]) -> list[Step]:
    """The steps that have an effect, which are the same in every undisturbed run."""
    assert {what for what, _ in steps} >= EFFECTS | STORED
    return sorted(
        step for step in steps if has_effect(step) and not REPEATED_EVIDENCE.match(step[0])
    )


def reading_steps(steps: list[Step]) -> list[Step]:
    """One step of each kind that only reads, and the reading back of the write."""
    return sorted({step for step in steps if not has_effect(step) and step[1] == 1} | READ_BACK)


def _object_kind(name: str) -> str:
    """An object's name without whatever differs between incidents."""
    name = re.sub(r"(slots/.*/\d{4}-)[0-9a-f]{16}\.json$", r"\1holder.json", name)
    parts = (re.sub(r"^\d{4}-|-\d+(?=\.[a-z]+$)", "", part) for part in name.split("/"))
    return "/".join(part for part in parts if not re.search(r"\d", part))


@pytest.fixture(autouse=True)
def counted_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every emulator's store is the ledger of its lane."""
    monkeypatch.setattr(http_routes, "BucketObjects", CURRENT_STORE.get)


async def test_a_kill_before_any_effect_leads_to_the_same_outcome(tmp_path: Path) -> None:
    """Killed before a write, a publication or a put, the work is done by the redelivery."""
    assert await problems_after_kills(tmp_path, "before", changing_steps) == []


async def test_a_kill_after_any_effect_leads_to_the_same_outcome(tmp_path: Path) -> None:
    """Killed when the effect was there and its answer was not, the redelivery carries on."""
    assert await problems_after_kills(tmp_path, "after", changing_steps) == []


async def test_a_kill_while_reading_leads_to_the_same_outcome(tmp_path: Path) -> None:
    """Killed while it reads what the decision or the verification needs, or evidence."""
    assert await problems_after_kills(tmp_path, "after", reading_steps) == []
