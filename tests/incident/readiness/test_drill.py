"""Drills: the enforcing road and back, beside findings, patrols and people."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from grpc import StatusCode

from emulator.api.faults import Fault, Faults
from incident.case_file.verification import Mark
from incident.case_file.verify import examine
from incident.containment import release
from incident.containment.release import Refused
from incident.containment.release_plan import plan_release
from incident.decision.inputs import Books
from incident.model import Denied, Kind, Status, Workload
from incident.notification.resource_names import parse_resource_name
from incident.readiness.drill import Exercise, carry_out
from incident.readiness.drill_plan import Drill, prepare
from incident.readiness.drill_report import Report
from incident.redaction.redactor import Redactor
from tests.support.environment import CONTAINMENTS, Road, World, road, sample
from tests.support.manual_containment import Person, person
from tests.support.model import folder_store
from tests.support.patrol import Dying, Killed, automatic, deploy, patrol, seen
from tests.support.releases import SAMPLES, comparable, dumped, rich_world, rules, workload_in


@dataclass(frozen=True, slots=True)
class Ground:
    """A workload to drill on, and somebody who does."""

    way: Road
    me: Person
    workload: Workload
    before: World

    async def prepare(self) -> Drill:
        """What a drill would write."""
        return await prepare(self.workload, self.me.standing, self.me.outside, self.me.name)

    async def drill(self) -> Report:
        """A whole drill, without being asked."""
        return await carry_out(await self.prepare())

    def is_as_before(self) -> bool:
        """Whether all of the world is what it was, but for what tells that somebody wrote."""
        kind = self.workload.kind
        return comparable(self.before, kind) == comparable(dumped(self.way), kind)

    def fails(self, method: str, code: StatusCode, **how: Any) -> None:
        """From now on a method fails, and nothing else does."""
        self.way.emulator.world.faults = Faults((Fault(method, code, **how),))


@asynccontextmanager
async def ground(
    folder: Path, kind: Kind = Kind.SERVICE, policy: str = "", **workload: Any
) -> AsyncIterator[Ground]:
    """A world with everything that has to be given back, under a policy that only rehearses."""
    text = policy or rules(kind).replace("mode: enforce", "mode: dry-run")
    world = rich_world(kind, **workload)
    notification = sample(SAMPLES[kind])
    async with road(folder, notification=notification, world=world, rules=text) as way:
        name = workload_in(world, kind)["name"]
        place = parse_resource_name(f"//run.googleapis.com/{name}").workload
        assert place
        async with person(way) as me:
            yield Ground(way, me, place, dumped(way))


@pytest.mark.parametrize("kind", [Kind.SERVICE, Kind.WORKER_POOL])
async def test_after_a_drill_the_world_is_what_it_was(tmp_path: Path, kind: Kind) -> None:
    """It was stopped, seen stopped and given back; nobody was asked or told, no slot is taken."""
    async with ground(tmp_path, kind) as here:
        report = await here.drill()
        assert report.good, report.json
        assert report.status is Status.CONTAINED
        assert here.is_as_before()
        told = [name for name, _ in report.steps]
        assert told[:3] == ["before-image kept", "written", "seen in effect"]
        assert told[-1] == "release: released"
        times = [at_ms for _, at_ms in report.steps]
        assert times == sorted(times)
        stored = here.way.stored()
        assert {path.split("/")[0] for path in stored} == {"containments", "drills"}
        done = here.way.record(f"drills/{report.drill}/1000-done.json")["outcome"]
        assert (done["result"], done["status"], done["by"]) == ("passed", "released", here.me.name)
        kept = await examine(folder_store(tmp_path / "store"), f"drills/{report.drill}")
        assert {item.mark for item in kept.items} == {Mark.INTACT}
        called = {call.method.split(".")[1] for call in here.way.emulator.calls}
        assert called == {"cloud"}
        assert not [c for c in here.way.emulator.calls if ".cloud.run." not in c.method]
        assert not dumped(here.way).get("published")


async def test_a_finding_after_a_drill_is_contained_as_if_there_had_been_none(
    tmp_path: Path,
) -> None:
    """The drill's release speaks of no finding, and its slot is nobody's."""
    async with ground(tmp_path, policy=rules(Kind.SERVICE)) as here:
        assert (await here.drill()).good
        outcome: Any = (await here.way.deliver()).outcome
        assert outcome["status"] == "contained"
        assert outcome["containment"].endswith("/2")
        assert here.way.stored("slots/**/*")
        with pytest.raises(Refused, match="we hold it already, for"):
            await here.prepare()


async def test_a_finding_during_a_drill_keeps_the_workload_contained(tmp_path: Path) -> None:
    """It joins what holds; the drill does not take that away, and says whose it is."""
    async with ground(tmp_path, policy=rules(Kind.SERVICE)) as here:
        exercise = Exercise(await here.prepare())
        await exercise.contain()
        outcome: Any = (await here.way.deliver()).outcome
        assert outcome["status"] == "contained"
        await exercise.give_back()
        report = await exercise.close()
        assert (report.good, report.given_back, report.released) == (False, False, ())
        assert f"python cli.py release {outcome['incident']}" in report.problems[0]
        scaling = here.way.service["scaling"]
        assert (scaling["scalingMode"], scaling.get("manualInstanceCount", 0)) == ("MANUAL", 0)
        assert not here.way.stored("containments/**/*release-intended.json")


async def test_a_finding_that_joins_at_the_last_moment_stops_the_release(tmp_path: Path) -> None:
    """The release looks once more after its intent is on record, and withdraws that."""
    async with ground(tmp_path, policy=rules(Kind.SERVICE)) as here:
        drill = await here.prepare()
        exercise = Exercise(drill)
        await exercise.contain()
        plan = await plan_release(drill.workload, drill.custody, here.me.outside.run)
        await here.way.deliver()
        given = release.Given("x", here.way.settings.verify_timeout, drill.hide, only=drill.id)
        with pytest.raises(release.Halted, match="a finding refers to it as well by now"):
            await release.carry_out(plan, drill.custody, here.me.outside.run, given)
        assert here.way.stored("containments/**/*release-withdrawn.json")
        assert here.way.service["scaling"]["scalingMode"] == "MANUAL"


async def test_a_finding_while_a_drill_is_given_back_waits_for_that(tmp_path: Path) -> None:
    """Neither held nor contained against the release: it comes again, and then is contained."""
    async with ground(tmp_path, policy=rules(Kind.SERVICE)) as here:
        drill = await here.prepare()
        exercise = Exercise(drill)
        await exercise.contain()
        history = await drill.custody.history()
        assert history.current
        await drill.custody.note(history, history.current.last, "release-intended", {})
        assert await here.way.status() == "retry"
        late: Any = await here.way.later(400).deliver()
        assert (late.outcome["status"], late.alarm) == ("held", True)
        await exercise.give_back()
        assert (await exercise.close()).good


async def test_whoever_dies_in_the_middle_of_a_drill_releases_it(tmp_path: Path) -> None:
    """The containment is there under the drill's id; the patrol knows it and leaves it alone."""
    policy = rules(Kind.SERVICE) + "reapply_limit: 3\n"
    async with ground(tmp_path, policy=policy) as here:
        drill = await here.prepare()
        await Exercise(drill).contain()
        found = await patrol(here.way.later(3000))
        assert (seen(found), found.alarm) == ([], False)
        await deploy(here.way, automatic, "scaling")
        writes = len(here.way.emulator.writes)
        found = await patrol(here.way.later(3000))
        assert seen(found) == ["reverted"]
        assert "cannot take up incident" in found.sightings[0].note
        assert len(here.way.emulator.writes) == writes
        case = await here.me.case(drill.id)
        assert (case.workload, case.folder) == (drill.workload, f"drills/{drill.id}")


async def test_wherever_a_drill_dies_a_release_gives_the_workload_back(tmp_path: Path) -> None:
    """After each of its records, and after the last one there is nothing left to release."""
    async with ground(tmp_path) as here:
        outside, died = here.me.outside, 0
        kept: Any = outside.store
        while True:
            dying = replace(outside, store=Dying(kept, died + 1))
            try:
                drill = await prepare(here.workload, here.me.standing, dying, here.me.name)
                assert (await carry_out(drill)).good
                break
            except Killed:
                died += 1
            books = Books(outside.store, f"cli {died}", later(here.me.standing.clock))
            custody = books.custody(here.workload)
            plan = await plan_release(here.workload, custody, outside.run)
            given = release.Given("x", here.way.settings.verify_timeout, Redactor(b"key"))
            await release.carry_out(plan, custody, outside.run, given)
            assert here.is_as_before(), died
        assert died > 8
        assert here.is_as_before()


def later(clock: Callable[[], datetime]) -> Callable[[], datetime]:
    """A minute later: what was begun has had its time."""
    return lambda: clock() + timedelta(minutes=1)


REFUSED = {
    "protected": (f"{rules(Kind.SERVICE)}protect: [{{services: [store*]}}]\n", "is protected by"),
    "in a folder that is not known": (
        f'{rules(Kind.SERVICE)}protect: [{{folders: ["1"]}}]\n',
        "counts as protected by",
    ),
    "no action": ("mode: enforce\ncontain: {service: []}\n", "no action is named for a service"),
    "an action that does not fit": (
        "contain: {service: [isolate-revision]}\n",
        "no configured action fits",
    ),
    "no policy": ("mode: perhaps\n", "cannot drill on projects/"),
}


@pytest.mark.parametrize(("policy", "why"), REFUSED.values(), ids=REFUSED)
async def test_what_the_policy_does_not_let_be_contained_is_not_drilled_on(
    tmp_path: Path, policy: str, why: str
) -> None:
    """Nothing is stored and nothing written, whoever asks."""
    traffic = [{"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST", "percent": 100}]
    async with ground(tmp_path, policy=policy, traffic=traffic) as here:
        with pytest.raises(Refused, match=why):
            await here.prepare()
        assert not here.way.stored()
        assert not here.way.emulator.writes


async def test_a_service_that_is_stopped_already_proves_nothing(tmp_path: Path) -> None:
    """Nor does one whose name Cloud Run does not know."""
    stopped = {"scalingMode": "MANUAL", "manualInstanceCount": 0}
    latest = [{"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST", "percent": 100}]
    async with ground(
        tmp_path, policy=rules(Kind.SERVICE, "[scale-to-zero]"), scaling=stopped, traffic=latest
    ) as here:
        with pytest.raises(Refused, match="a drill would prove nothing"):
            await here.prepare()
        here.fails("GetService", StatusCode.PERMISSION_DENIED)
        with pytest.raises(Denied, match=r"run\.services\.get"):
            await here.prepare()


async def test_a_drill_that_is_denied_fails_and_leaves_nothing(tmp_path: Path) -> None:
    """What it proves is that enforcing would fail."""
    async with ground(tmp_path) as here:
        here.fails("UpdateService", StatusCode.PERMISSION_DENIED)
        report = await here.drill()
        assert not report.good
        assert any("run.services.update" in problem for problem in report.problems)
        here.fails("DeleteService", StatusCode.PERMISSION_DENIED)
        assert here.is_as_before()


async def test_what_was_written_before_a_refusal_is_given_back(tmp_path: Path) -> None:
    """The settings are written, the IAM policy is refused: a failed drill, and nothing left."""
    async with ground(tmp_path) as here:
        here.fails("SetIamPolicy", StatusCode.PERMISSION_DENIED, times=1)
        report = await here.drill()
        assert (report.good, report.given_back, report.differs) == (False, True, ())
        assert any("setIamPolicy" in problem for problem in report.problems)
        here.fails("DeleteService", StatusCode.PERMISSION_DENIED)
        assert here.is_as_before()


async def test_what_somebody_changes_during_a_drill_is_not_overwritten(tmp_path: Path) -> None:
    """It stays contained where they did not touch it, and the way out is told."""
    async with ground(tmp_path) as here:
        exercise = Exercise(await here.prepare())
        await exercise.contain()
        await deploy(here.way, automatic, "scaling")
        await exercise.give_back()
        report = await exercise.close()
        assert not report.good
        assert "somebody changed scaling" in report.problems[0]
        assert f"python cli.py release {report.drill}" in report.problems[0]
        assert here.way.stored(f"{CONTAINMENTS}/1/*-before.json")
