"""Drills: contain and release, concurrent with findings, patrols and people."""

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
from incident.case_file.containments import ContainmentRecords
from incident.case_file.journal import ObjectStore
from incident.case_file.manifest import RecordingStore, write_manifest
from incident.case_file.verification import ObjectState, verify_case_file
from incident.containment import release
from incident.containment.release_plan import plan_release
from incident.model import Denied, Kind, Status, Workload
from incident.notification.resource_names import parse_resource_name
from incident.readiness.drill import DrillReport, DrillRun, drill_request, run_drill
from incident.redaction.redactor import Redactor
from incident.response.pipeline import propose
from incident.response.refusals import RequestRefused
from tests.support.constants import CONTAINMENTS_FOLDER, SAMPLE_OF_KIND
from tests.support.environment import JsonDict, ResponderEnvironment, responder_environment
from tests.support.findings import sample_notification
from tests.support.manual_containment import CommandLineUser, command_line_user
from tests.support.model import folder_store
from tests.support.patrol import (
    ProcessKilled,
    StoreKilledAfterWrites,
    deploy,
    drift_found,
    run_patrol,
    with_automatic_scaling,
)
from tests.support.releases import comparable_world, dump_world, enforcing_policy
from tests.support.worlds import rich_world, workload_in


@dataclass(frozen=True, slots=True)
class DrillEnvironment:
    """A workload to drill on, and somebody who does."""

    env: ResponderEnvironment
    user: CommandLineUser
    workload: Workload
    world_before: JsonDict

    async def prepare_drill(self) -> DrillRun:
        """A drill that is confirmed and not begun."""
        process = self.user.process
        request = await drill_request(process, self.workload, self.user.name)
        return DrillRun(process, request, await propose(process, request))

    async def run_drill(
        self, store: ObjectStore | None = None, *, with_service_account: bool = False
    ) -> DrillReport:
        """A whole drill, without being asked, with its manifest."""
        recording = RecordingStore(store or self.user.process.store)
        process = replace(self.user.process, store=recording)
        request = await drill_request(
            process, self.workload, self.user.name, with_service_account=with_service_account
        )
        report = await run_drill(process, request, await propose(process, request))
        await write_manifest(recording, f"drills/{report.drill}")
        return report

    @property
    def containments(self) -> ContainmentRecords:
        """The workload's containments."""
        return self.user.process.for_run("test").containments(self.workload)

    def is_as_before(self) -> bool:
        """Whether the world is as before, except fields that record a write."""
        kind = self.workload.kind
        return comparable_world(self.world_before, kind) == comparable_world(
            dump_world(self.env), kind
        )

    def fail_method(self, method: str, code: StatusCode, **how: Any) -> None:
        """From now on a method fails, and nothing else does."""
        self.env.emulator.world.faults = Faults((Fault(method, code, **how),))


@asynccontextmanager
async def drill_environment(
    folder: Path, kind: Kind = Kind.SERVICE, policy: str = "", **workload: Any
) -> AsyncIterator[DrillEnvironment]:
    """A world with everything that has to be given back, under a policy that only rehearses."""
    text = policy or enforcing_policy(kind).replace("mode: enforce", "mode: dry-run")
    world = rich_world(kind, **workload)
    notification = sample_notification(SAMPLE_OF_KIND[kind])
    async with responder_environment(
        folder, notification=notification, world=world, policy_text=text
    ) as env:
        name = workload_in(world, kind)["name"]
        target = parse_resource_name(f"//run.googleapis.com/{name}").workload
        assert target
        async with command_line_user(env) as me:
            yield DrillEnvironment(env, me, target, dump_world(env))


@pytest.mark.parametrize("kind", [Kind.SERVICE, Kind.WORKER_POOL, Kind.INSTANCE])
async def test_after_a_drill_the_world_is_what_it_was(tmp_path: Path, kind: Kind) -> None:
    """A drill contains, verifies and releases; SCC is not used and no slot is taken."""
    async with drill_environment(tmp_path, kind) as here:
        report = await here.run_drill()
        assert report.passed, report.json
        assert report.status is Status.CONTAINED
        assert here.is_as_before()
        reported = [name for name, _ in report.steps]
        assert reported[:3] == ["snapshot stored", "written", "verified"]
        assert reported[-1] == "release: released"
        times = [at_ms for _, at_ms in report.steps]
        assert times == sorted(times)
        stored = here.env.stored_objects()
        assert {path.split("/")[0] for path in stored} == {"containments", "drills"}
        done = here.env.read_record(f"drills/{report.drill}/1000-done.json")["outcome"]
        assert (done["drill"]["result"], done["status"], done["drill"]["by"]) == (
            "passed",
            "released",
            here.user.name,
        )
        kept = await verify_case_file(folder_store(tmp_path / "store"), f"drills/{report.drill}")
        assert {item.state for item in kept.objects} == {ObjectState.INTACT}
        methods = {call.method for call in here.env.emulator.calls}
        others = {method for method in methods if ".cloud.run." not in method}
        assert others <= {"/google.iam.admin.v1.IAM/GetServiceAccount"}
        assert not dump_world(here.env).get("published")


@pytest.mark.parametrize("kind", [Kind.SERVICE, Kind.WORKER_POOL])
async def test_the_account_is_disabled_in_a_drill_only_if_asked_for(
    tmp_path: Path, kind: Kind
) -> None:
    """Then it is enabled again at once: in a drill nobody has stolen a token."""
    async with drill_environment(tmp_path, kind) as here:
        request = await drill_request(here.user.process, here.workload, here.user.name)
        proposal = await propose(here.user.process, request)
        assert "disable-service-account" not in {change.action for change in proposal.changes}
        assert any("--with-service-account" in reason for reason in proposal.reasons)
        report = await here.run_drill(with_service_account=True)
        assert report.passed, report.json
        assert "disable-service-account" in {change.action for change in report.changes}
        assert here.is_as_before()


async def test_a_finding_after_a_drill_is_contained_as_if_there_had_been_none(
    tmp_path: Path,
) -> None:
    """The drill's release names no finding, and its slot belongs to no incident."""
    async with drill_environment(tmp_path, policy=enforcing_policy(Kind.SERVICE)) as here:
        assert (await here.run_drill()).passed
        outcome: Any = (await here.env.deliver()).outcome.to_json()
        assert outcome["status"] == "contained"
        assert outcome["containment"].endswith("/2")
        assert here.env.stored_objects("slots/**/*")
        with pytest.raises(RequestRefused, match="it is contained already, for"):
            await here.prepare_drill()


async def test_a_finding_during_a_drill_keeps_the_workload_contained(tmp_path: Path) -> None:
    """It joins what holds; the drill does not take that away, and says whose it is."""
    async with drill_environment(tmp_path, policy=enforcing_policy(Kind.SERVICE)) as here:
        exercise = await here.prepare_drill()
        await exercise.contain()
        outcome: Any = (await here.env.deliver()).outcome.to_json()
        assert outcome["status"] == "contained"
        await exercise.release()
        report = await exercise.close()
        assert (report.passed, report.fully_released, report.release_changes) == (False, False, ())
        assert f"cloud-run-responder release {outcome['incident']}" in report.problems[0]
        scaling = here.env.service["scaling"]
        assert (scaling["scalingMode"], scaling.get("manualInstanceCount", 0)) == ("MANUAL", 0)
        assert not here.env.stored_objects("containments/**/*release-started.json")


async def test_a_finding_that_joins_at_the_last_moment_stops_the_release(tmp_path: Path) -> None:
    """The release checks again after recording its intent, and withdraws it."""
    async with drill_environment(tmp_path, policy=enforcing_policy(Kind.SERVICE)) as here:
        exercise = await here.prepare_drill()
        await exercise.contain()
        cloud_run = here.user.process.cloud_run
        plan = await plan_release(here.workload, here.containments, cloud_run)
        await here.env.deliver()
        given = release.ReleaseOptions(
            "x",
            here.env.settings.verify_timeout,
            Redactor(b"key"),
            only_incident=exercise.report.drill,
        )
        with pytest.raises(
            release.ReleaseIncomplete, match="a finding refers to it as well by now"
        ):
            await release.carry_out_release(plan, here.containments, cloud_run, given)
        assert here.env.stored_objects("containments/**/*release-cancelled.json")
        assert here.env.service["scaling"]["scalingMode"] == "MANUAL"


async def test_a_finding_while_a_drill_is_given_back_waits_for_that(tmp_path: Path) -> None:
    """Neither held nor contained against the release: it comes again, and then is contained."""
    async with drill_environment(tmp_path, policy=enforcing_policy(Kind.SERVICE)) as here:
        exercise = await here.prepare_drill()
        await exercise.contain()
        history = await here.containments.history()
        assert history.current
        await here.containments.add_record(
            history, history.current.last_number, "release-started", {}
        )
        assert await here.env.status() == "retry"
        late: Any = await here.env.later(400).deliver()
        assert (late.outcome.status, late.alarm) == ("held", True)
        await exercise.release()
        assert (await exercise.close()).passed


async def test_a_drill_that_crashed_can_be_released(tmp_path: Path) -> None:
    """The containment is there under the drill's id; the patrol knows it and leaves it alone."""
    policy = enforcing_policy(Kind.SERVICE) + "reapply_limit: 3\n"
    async with drill_environment(tmp_path, policy=policy) as here:
        exercise = await here.prepare_drill()
        await exercise.contain()
        found = await run_patrol(here.env.later(3000))
        assert (drift_found(found), found.alarm) == ([], False)
        await deploy(here.env, with_automatic_scaling, "scaling")
        writes = len(here.env.emulator.writes)
        found = await run_patrol(here.env.later(3000))
        assert drift_found(found) == ["reverted"]
        assert "cannot reopen incident" in found.checks[0].note
        assert len(here.env.emulator.writes) == writes
        drill = exercise.report.drill
        case = await here.user.case_summary(drill)
        assert (case.workload, case.folder) == (here.workload, f"drills/{drill}")


async def test_a_drill_that_crashes_anywhere_can_be_released(tmp_path: Path) -> None:
    """After each of its records, and after the last one there is nothing left to release."""
    async with drill_environment(tmp_path) as here:
        process, died = here.user.process, 0
        kept: Any = process.store
        while True:
            try:
                assert (await here.run_drill(StoreKilledAfterWrites(kept, died + 1))).passed
                break
            except ProcessKilled:
                died += 1
            later = replace(process, clock=a_minute_later(process.clock)).for_run(f"cli {died}")
            containments = later.containments(here.workload)
            plan = await plan_release(here.workload, containments, process.cloud_run)
            given = release.ReleaseOptions("x", here.env.settings.verify_timeout, Redactor(b"key"))
            await release.carry_out_release(plan, containments, process.cloud_run, given)
            assert here.is_as_before(), died
        assert died > 8
        assert here.is_as_before()


def a_minute_later(clock: Callable[[], datetime]) -> Callable[[], datetime]:
    """A minute later: what was begun has had its time."""
    return lambda: clock() + timedelta(minutes=1)


REFUSED = {
    "protected": (
        f"{enforcing_policy(Kind.SERVICE)}protect: [{{services: [store*]}}]\n",
        "is protected by",
    ),
    "in a folder that is not known": (
        f'{enforcing_policy(Kind.SERVICE)}protect: [{{folders: ["1"]}}]\n',
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
async def test_a_workload_the_policy_protects_is_not_drilled(
    tmp_path: Path, policy: str, why: str
) -> None:
    """Nothing is stored or written, whatever the operator's permissions."""
    traffic = [{"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST", "percent": 100}]
    async with drill_environment(tmp_path, policy=policy, traffic=traffic) as here:
        with pytest.raises(RequestRefused, match=why):
            await here.prepare_drill()
        assert not here.env.stored_objects()
        assert not here.env.emulator.writes


async def test_a_service_that_is_stopped_already_proves_nothing(tmp_path: Path) -> None:
    """Nor does one whose name Cloud Run does not know."""
    stopped = {"scalingMode": "MANUAL", "manualInstanceCount": 0}
    latest = [{"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST", "percent": 100}]
    async with drill_environment(
        tmp_path,
        policy=enforcing_policy(Kind.SERVICE, "[scale-to-zero]"),
        scaling=stopped,
        traffic=latest,
    ) as here:
        with pytest.raises(RequestRefused, match="a drill proves nothing"):
            await here.prepare_drill()
        here.fail_method("GetService", StatusCode.PERMISSION_DENIED)
        with pytest.raises(Denied, match=r"run\.services\.get"):
            await here.prepare_drill()


async def test_a_drill_that_is_denied_fails_and_leaves_nothing(tmp_path: Path) -> None:
    """What it proves is that enforcing would fail."""
    async with drill_environment(tmp_path) as here:
        here.fail_method("UpdateService", StatusCode.PERMISSION_DENIED)
        report = await here.run_drill()
        assert not report.passed
        assert any("run.services.update" in problem for problem in report.problems)
        here.fail_method("DeleteService", StatusCode.PERMISSION_DENIED)
        assert here.is_as_before()


async def test_what_was_written_before_a_refusal_is_given_back(tmp_path: Path) -> None:
    """The settings are written, the IAM policy is refused: a failed drill, and nothing left."""
    async with drill_environment(tmp_path) as here:
        here.fail_method("SetIamPolicy", StatusCode.PERMISSION_DENIED, times=1)
        report = await here.run_drill()
        assert (report.passed, report.fully_released, report.differences) == (False, True, ())
        assert any("setIamPolicy" in problem for problem in report.problems)
        here.fail_method("DeleteService", StatusCode.PERMISSION_DENIED)
        assert here.is_as_before()


async def test_changes_during_a_drill_are_not_overwritten(tmp_path: Path) -> None:
    """What they did not change stays contained, and the error names the command to release it."""
    async with drill_environment(tmp_path) as here:
        exercise = await here.prepare_drill()
        await exercise.contain()
        await deploy(here.env, with_automatic_scaling, "scaling")
        await exercise.release()
        report = await exercise.close()
        assert not report.passed
        assert "somebody changed scaling" in report.problems[0]
        assert f"cloud-run-responder release {report.drill}" in report.problems[0]
        assert here.env.stored_objects(f"{CONTAINMENTS_FOLDER}/1/*-snapshot.json")
