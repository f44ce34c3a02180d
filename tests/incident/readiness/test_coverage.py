"""Coverage: which workloads could not be contained, before a finding comes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from clients import Clients, connect
from commands.coverage_check import CoverageReport, CoverageRequest, check_coverage
from incident.model import InvalidPolicy, Notification, Verdict
from incident.notification.synthetic_finding import synthetic_finding
from incident.policy.resolve import DEFAULT_CATEGORY
from incident.readiness.coverage import CoverageStatus
from incident.readiness.request_pacer import RequestPacer
from responders import route
from tests.support.environment import JsonDict, ResponderEnvironment, responder_environment
from tests.support.findings import sample_notification
from tests.support.model import NOW, workload
from tests.support.worlds import service_of, world_around

PLACE = "projects/example-shop-prod/locations"
PROJECT = "projects/example-shop-prod"
INVENTORY_OFF = {"enabled": False}
SEARCH = "SearchAllResources"
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
    env: ResponderEnvironment, scope: str = PROJECT, regions: tuple[str, ...] = ()
) -> CoverageReport:
    """What a survey finds, in no time."""
    clients: Clients = await connect(env.settings, dry_run=True)
    pace = RequestPacer(interval_s=0, pauses_s=(0, 0))
    try:
        wanted = CoverageRequest((scope,), regions, DEFAULT_CATEGORY, "")
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
            "unread": 0,
        }
        assert "is protected by protect[0]" in failure_reasons(found, "vault")
        assert all(write.validate_only for write in env.emulator.writes)
        validated = {write.method.rpartition("/")[2] for write in env.emulator.writes}
        assert validated == {"UpdateService", "UpdateWorkerPool", "CancelExecution"}
        assert not env.stored_objects()


@pytest.mark.parametrize("enabled", [True, False])
async def test_an_instance_is_asked_about_too(tmp_path: Path, *, enabled: bool) -> None:
    """By the inventory and by the list of its region: its stop is only validated."""
    world = world_around(sample_notification("cloud-run-instance"), inventory={"enabled": enabled})
    rules = "contain: {instance: [stop-instance]}\n"
    async with responder_environment(tmp_path, world=world, policy_text=rules) as env:
        found = await run_survey(env)
        assert results_by_workload(found) == {"agent-alice": "enforceable"}
        (write,) = env.emulator.writes
        assert (write.method.rpartition("/")[2], write.validate_only) == ("StopInstance", True)


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


#: Project to the folders above it, nearest first: 1 has 2 and 3, 3 has 4, and 4 has 5.
PROJECT_FOLDERS = {
    "loose": (),
    "top": ("1",),
    "two-a": ("2", "1"),
    "two-b": ("2", "1"),
    "deep": ("5", "4", "3", "1"),
}


def world_of_projects(**changes: Any) -> JsonDict:
    """A world with a service in each of these projects."""
    world = world_around(sample_notification(), **changes)
    service = service_of(world)
    world["projects"] = [
        {"projectId": name, "projectNumber": str(900 + at), "folders": list(above)}
        for at, (name, above) in enumerate(PROJECT_FOLDERS.items())
    ]
    world["services"] = [
        {**service, "name": service["name"].replace("example-shop-prod", name)}
        for name in PROJECT_FOLDERS
    ]
    world["revisions"] = []
    del world["findings"]
    return world


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        ("organizations/123", {*PROJECT_FOLDERS}),
        ("folders/1", {*PROJECT_FOLDERS} - {"loose"}),
        ("folders/2", {"two-a", "two-b"}),
        ("folders/3", {"deep"}),
        ("projects/two-a", {"two-a"}),
    ],
)
async def test_one_paged_search_finds_what_is_below_any_scope(
    tmp_path: Path, scope: str, expected: set[str]
) -> None:
    """Each workload comes with its project's folders, which the policy may protect; no walking."""
    rules = f'{STEPS}protect: [{{folders: ["4"]}}]\n'
    world = world_of_projects(pages={"size": 2, "emptyFirst": True})
    async with responder_environment(tmp_path, world=world, policy_text=rules) as env:
        found = await run_survey(env, scope)
        assert (found.passed, found.without_inventory) == (True, ())
        assert {str(each.workload.project_id): each.status.value for each in found.workloads} == {
            name: "held" if "4" in PROJECT_FOLDERS[name] else "enforceable" for name in expected
        }
        assert {(w.workload.project_id, w.workload.folders) for w in found.workloads} == {
            (name, PROJECT_FOLDERS[name]) for name in expected
        }
        assert not [call for call in env.emulator.calls if "/List" in call.method]


@pytest.mark.parametrize("code", ["off", "PERMISSION_DENIED"])
async def test_without_the_inventory_the_regions_of_a_project_are_listed(
    tmp_path: Path, code: str
) -> None:
    """And that is said. What is then not known of the project counts as protected."""
    rules = f"{STEPS}protect: [{{labels: {{scc-responder: protected}}}}]\n"
    off = {"inventory": INVENTORY_OFF} if code == "off" else {"faults": [fault(SEARCH, code)]}
    async with responder_environment(
        tmp_path, world=world_of_every_kind(**off), policy_text=rules
    ) as env:
        found = await run_survey(env)
        assert (found.passed, len(found.workloads)) == (True, 7)
        ((place, reason),) = found.without_inventory
        expected = "gcloud services enable" if code == "off" else "cloudasset.assets.searchAll"
        assert place == PROJECT
        assert expected in reason
        env.write_policy(f'{STEPS}protect: [{{folders: ["7"]}}]\n')
        assert "counts as protected" in failure_reasons(await run_survey(env), "storefront")


@pytest.mark.parametrize("scope", ["folders/1", "organizations/9"])
async def test_a_folder_without_the_inventory_is_reported_as_unread(
    tmp_path: Path, scope: str
) -> None:
    """There is no substitute for it; nothing is good then."""
    async with responder_environment(
        tmp_path, world=world_of_projects(inventory=INVENTORY_OFF), policy_text=STEPS
    ) as env:
        found = await run_survey(env, scope)
        (unread,) = found.unread
        assert (found.passed, found.workloads, unread.place) == (False, (), scope)
        assert "the Cloud Asset API is disabled" in unread.reason


async def test_the_inventory_lags_behind(tmp_path: Path) -> None:
    """What was deleted since is no failure; what it lists is asked about as it is now."""
    world = world_of_every_kind()
    gone = {**service_of(world), "name": f"{PLACE}/europe-west1/services/gone"}
    world["inventory"] = {"notYetListed": [f"{PLACE}/asia-east1/services/hello"]}
    world["inventory"]["stillListed"] = [gone]
    async with responder_environment(tmp_path, world=world, policy_text=PROTECT) as env:
        found = await run_survey(env)
        assert found.passed
        assert {*results_by_workload(found)} == {
            *("storefront", "vault", "blind", "nightly", "never", "miner")
        }


async def test_a_quota_that_is_used_up_is_waited_for(tmp_path: Path) -> None:
    """And what is not known in the end counts as failing, in lists as well."""
    busy = [fault(name, "RESOURCE_EXHAUSTED", times=2) for name in ("UpdateService", SEARCH)]
    async with responder_environment(
        tmp_path, world=world_of_every_kind(faults=busy), policy_text=PROTECT
    ) as env:
        assert (await run_survey(env)).passed
    world = world_of_every_kind(faults=[fault("UpdateWorkerPool", "RESOURCE_EXHAUSTED")])
    async with responder_environment(tmp_path, world=world, policy_text=PROTECT) as env:
        found = await run_survey(env, regions=("us-east4",))
        assert not found.passed
        assert "a quota of its project is used up" in failure_reasons(found, "miner")
    for method in (SEARCH, "ListWorkerPools"):
        off = {} if method == SEARCH else {"inventory": INVENTORY_OFF}
        world = world_of_every_kind(faults=[fault(method, "RESOURCE_EXHAUSTED")], **off)
        async with responder_environment(tmp_path, world=world, policy_text=PROTECT) as env:
            found = await run_survey(env, regions=("us-east4",))
            (missed,) = found.unread
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
    faults = [fault("ListLocations", code)]
    world = world_of_every_kind(inventory=INVENTORY_OFF, faults=faults)
    async with responder_environment(tmp_path, world=world, policy_text=PROTECT) as env:
        found = await run_survey(env)
        (lost,) = found.unread
        assert (found.passed, found.workloads) == (False, ())
        assert (lost.place, lost.what) == (PROJECT, "its regions")
        assert expected in lost.reason
        assert results_by_workload(await run_survey(env, regions=("us-east4",))) == {
            "miner": "enforceable"
        }
        env.write_policy("mode: perhaps\n")
        with pytest.raises(InvalidPolicy):
            await run_survey(env)


@pytest.mark.parametrize(("project", "good"), [("example-shop-prod", True), ("777", False)])
async def test_where_cloud_run_is_off_there_is_nothing_to_ask_about(
    tmp_path: Path, project: str, *, good: bool
) -> None:
    """Unless it is off in another project, the one that our calls count on for instance."""
    reported_text = (
        f"Cloud Run Admin API has not been used in project {project} before or it is disabled."
    )
    faults = [fault("ListLocations", message=reported_text)]
    world = world_of_every_kind(inventory=INVENTORY_OFF, faults=faults)
    async with responder_environment(tmp_path, world=world, policy_text=PROTECT) as env:
        found = await run_survey(env)
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
