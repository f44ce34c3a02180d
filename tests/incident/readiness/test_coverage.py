"""Coverage: which workloads could not be contained, before a finding comes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from clients import Clients, connect
from commands.coverage_search import CoverageReport, CoverageRequest, check_coverage
from incident.model import InvalidPolicy, Notification, Verdict
from incident.notification.synthetic_finding import synthetic_finding
from incident.policy.resolve import DEFAULT_CATEGORY
from incident.readiness.coverage import CoverageStatus
from incident.readiness.workload_search import ProjectRef, RequestPacer
from responders import route
from tests.support.environment import JsonDict, ResponderEnvironment, responder_environment
from tests.support.findings import sample_notification
from tests.support.model import NOW, workload
from tests.support.worlds import world_around

PLACE = "projects/example-shop-prod/locations"
PROJECT = ProjectRef("example-shop-prod")
STEPS = """
contain:
  service: [scale-to-zero, require-authentication]
  worker-pool: [scale-to-zero]
  job: [cancel-executions, require-authentication]
"""


def world_of_every_kind(**changes: Any) -> JsonDict:
    """A world with services in two regions, a job that runs, one that does not, and a pool."""
    world = world_around(sample_notification(), **changes)
    (service,) = world["services"]
    containers = {"containers": [{"image": "registry.example/x:1"}]}
    for name, more in (
        ("europe-west1/services/vault", {"labels": {"scc-responder": "protected"}}),
        ("asia-east1/services/hello", {"buildConfig": {"functionTarget": "hello"}}),
        ("asia-east1/services/blind", {"threatDetectionEnabled": False}),
    ):
        world["services"].append({**service, "name": f"{PLACE}/{name}", **more})
    jobs = [f"{PLACE}/europe-west1/jobs/{name}" for name in ("nightly", "never")]
    world["jobs"] = [{"name": job, "template": {"template": containers}} for job in jobs]
    world["executions"] = [{"name": f"{jobs[0]}/executions/e", "taskCount": 1}]
    pool = {"name": f"{PLACE}/us-east4/workerPools/miner", "scaling": {"manualInstanceCount": 3}}
    world["workerPools"] = [pool]
    return world


def fault(method: str, code: str = "PERMISSION_DENIED", **more: Any) -> JsonDict:
    """A method that fails."""
    return {"method": method, "code": code, **more}


async def run_survey(
    env: ResponderEnvironment, project: ProjectRef = PROJECT, regions: tuple[str, ...] = ()
) -> CoverageReport:
    """What a survey finds, in no time."""
    clients: Clients = await connect(env.settings, dry_run=True)
    pace = RequestPacer(interval_s=0, pauses_s=(0, 0))
    try:
        wanted = CoverageRequest((project,), regions, DEFAULT_CATEGORY, "")
        return await check_coverage(wanted, env.settings, clients, pace)
    finally:
        await clients.close()


def results_by_workload(found: CoverageReport) -> dict[str, str]:
    """The result that enforcing would have, by short name."""
    return {each.workload.name: each.status.value for each in found.workloads}


def failure_reasons(found: CoverageReport, name: str) -> str:
    """Why it would fail or be held."""
    return "; ".join(next(c for c in found.workloads if c.workload.name == name).reasons)


PROTECT = f"{STEPS}protect: [{{labels: {{scc-responder: protected}}}}]\n"


async def test_every_workload_of_every_region_is_asked_about(tmp_path: Path) -> None:
    """Of each kind; what the policy protects is no failure, and nothing at all is written."""
    async with responder_environment(
        tmp_path, world=world_of_every_kind(), policy_text=PROTECT
    ) as env:
        found = await run_survey(env)
        assert found.passed
        names = ("storefront", "hello", "blind", "nightly", "never", "miner")
        assert results_by_workload(found) == {
            "vault": "held",
            **dict.fromkeys(names, "enforceable"),
        }
        assert found.summary == {
            "projects": 1,
            "workloads": 7,
            "enforceable": 6,
            "held": 1,
            "would-fail": 0,
            "unlisted": 0,
            "unread": 0,
        }
        assert "is protected by protect[0]" in failure_reasons(found, "vault")
        assert all(write.validate_only for write in env.emulator.writes)
        validated = {write.method.rpartition("/")[2] for write in env.emulator.writes}
        assert validated == {"UpdateService", "UpdateWorkerPool", "CancelExecution"}
        assert not env.stored_objects()


async def test_limits_are_reported_beside_the_result(tmp_path: Path) -> None:
    """Functions, and what no finding will ever be about."""
    async with responder_environment(
        tmp_path, world=world_of_every_kind(), policy_text=PROTECT
    ) as env:
        found = await run_survey(env)
        limits = {each.workload.name: " ".join(each.limits) for each in found.workloads}
        assert "a Cloud Function: deploying it again" in limits["hello"]
        assert "Cloud Run Threat Detection is off" in limits["blind"]
        assert not limits["storefront"]


DENIED = {
    "UpdateService": ("storefront", "lacks run.services.update on the service"),
    "SetIamPolicy": ("never", "lacks run.jobs.setIamPolicy on the job"),
    "CancelExecution": ("never", "lacks run.executions.cancel on the job"),
    "UpdateWorkerPool": ("miner", "lacks run.workerpools.update on the worker-pool"),
    "GetJob": ("nightly", "permission run.jobs.get is missing"),
    "ListExecutions": ("nightly", "permission run.executions.list is missing"),
}


@pytest.mark.parametrize(("method", "expected"), DENIED.items(), ids=DENIED)
async def test_the_missing_permission_is_named(
    tmp_path: Path, method: str, expected: tuple[str, str]
) -> None:
    """Also where nothing would have to be written at the moment; all the others are as before."""
    world = world_of_every_kind(faults=[fault(method)])
    async with responder_environment(tmp_path, world=world, policy_text=PROTECT) as env:
        found = await run_survey(env)
        name, text = expected
        assert not found.passed
        assert results_by_workload(found)[name] == "would-fail"
        assert text in failure_reasons(found, name)
        assert CoverageStatus.ENFORCEABLE in {each.status for each in found.workloads}


async def test_unsuitable_and_missing_actions_are_distinguished(tmp_path: Path) -> None:
    """An action that does not fit would fail; a kind without one is held by the policy."""
    rules = "contain: {service: [isolate-revision]}\n"
    traffic = [{"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST", "percent": 100}]
    world = world_of_every_kind()
    for service in world["services"]:
        service["traffic"] = traffic
    async with responder_environment(tmp_path, world=world, policy_text=rules) as env:
        found = await run_survey(env)
        assert results_by_workload(found)["storefront"] == "would-fail"
        assert "no revision is tagged known-good" in failure_reasons(found, "storefront")
        assert results_by_workload(found)["miner"] == "held"
        assert "no action is named for a worker-pool" in failure_reasons(found, "miner")


async def test_an_unknown_project_property_counts_as_protected(tmp_path: Path) -> None:
    """Cloud Run's answers lack folders and project numbers; the caller supplies them."""
    rules = f'{STEPS}protect: [{{folders: ["7"]}}, {{projects: ["210987654321"]}}]\n'
    async with responder_environment(
        tmp_path, world=world_around(sample_notification()), policy_text=rules
    ) as env:
        assert "counts as protected" in failure_reasons(await run_survey(env), "storefront")
        for number, folder, cover in (
            ("1", "8", "enforceable"),
            ("1", "7", "held"),
            ("210987654321", "8", "held"),
        ):
            found = await run_survey(env, ProjectRef("example-shop-prod", number, (folder,)))
            assert results_by_workload(found) == {"storefront": cover}


async def test_a_quota_that_is_used_up_is_waited_for(tmp_path: Path) -> None:
    """And what is not known in the end counts as failing, in lists as well."""
    busy = [fault(name, "RESOURCE_EXHAUSTED", times=2) for name in ("UpdateService", "ListJobs")]
    async with responder_environment(
        tmp_path, world=world_of_every_kind(faults=busy), policy_text=PROTECT
    ) as env:
        assert (await run_survey(env)).passed
    for method, name in (("UpdateWorkerPool", "miner"), ("ListWorkerPools", None)):
        world = world_of_every_kind(faults=[fault(method, "RESOURCE_EXHAUSTED")])
        async with responder_environment(tmp_path, world=world, policy_text=PROTECT) as env:
            found = await run_survey(env, regions=("us-east4",))
            assert not found.passed
            if name:
                assert "a quota of its project is used up" in failure_reasons(found, name)
            else:
                (missed,) = found.unlisted
                assert "a quota of its project is used up" in missed.reason


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("PERMISSION_DENIED", "permission run.locations.list is missing"),
        ("UNAVAILABLE", "Google does not answer as it should"),
    ],
)
async def test_a_project_with_unreadable_regions_is_reported_as_unread(
    tmp_path: Path, code: str, expected: str
) -> None:
    """Nothing is good then. Naming the regions does without asking for them."""
    world = world_of_every_kind(faults=[fault("ListLocations", code)])
    async with responder_environment(tmp_path, world=world, policy_text=PROTECT) as env:
        found = await run_survey(env)
        (lost,) = found.unread
        assert (found.passed, found.workloads) == (False, ())
        assert (lost.resource, lost.what) == ("projects/example-shop-prod", "its regions")
        assert expected in lost.reason
        assert results_by_workload(await run_survey(env, regions=("us-east4",))) == {
            "miner": "enforceable"
        }
        env.write_policy("mode: perhaps\n")
        with pytest.raises(InvalidPolicy):
            await run_survey(env)


@pytest.mark.parametrize(
    ("project", "good"), [("42", True), ("example-shop-prod", True), ("777", False)]
)
async def test_where_cloud_run_is_off_there_is_nothing_to_ask_about(
    tmp_path: Path, project: str, *, good: bool
) -> None:
    """Unless it is off in another project, the one that our calls count on for instance."""
    reported_text = (
        f"Cloud Run Admin API has not been used in project {project} before or it is disabled."
    )
    world = world_of_every_kind(faults=[fault("ListLocations", message=reported_text)])
    async with responder_environment(tmp_path, world=world, policy_text=PROTECT) as env:
        found = await run_survey(env, ProjectRef("example-shop-prod", "42"))
        assert (found.passed, found.workloads, not found.unread) == (good, (), good)


async def test_what_google_refuses_to_validate_would_fail(tmp_path: Path) -> None:
    """An organization's policy, for one: the permissions are there, and it is refused."""
    refused = fault(
        "UpdateService", "FAILED_PRECONDITION", message="constraints/run.allowedIngress"
    )
    async with responder_environment(
        tmp_path, world=world_of_every_kind(faults=[refused]), policy_text=PROTECT
    ) as env:
        found = await run_survey(env)
        assert results_by_workload(found)["storefront"] == "would-fail"
        assert "constraints/run.allowedIngress" in failure_reasons(found, "storefront")


async def test_writes_of_one_project_and_region_are_kept_apart() -> None:
    """So that a containment that comes meanwhile finds quota left."""
    pace, tick = RequestPacer(interval_s=0.02), asyncio.get_running_loop().time
    began = tick()
    await pace.wait_turn(workload())
    await pace.wait_turn(workload(location="us-east4"))
    assert tick() - began < 0.02
    await pace.wait_turn(workload())
    await pace.wait_turn(workload())
    assert tick() - began >= 0.04


def test_a_made_up_finding_is_one_that_a_responder_would_answer() -> None:
    """Routing has nothing against it; and it is never confirmed, which is another matter."""
    finding = synthetic_finding(workload(), "coverage", DEFAULT_CATEGORY, NOW, sources=("42",))
    reported_text = route(Notification(finding, deleted=False))
    assert reported_text.verdict is Verdict.CONTAIN
    assert (finding.source_id, finding.workload) == ("42", workload())
