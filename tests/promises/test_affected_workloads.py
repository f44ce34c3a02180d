"""Affected workloads of a finding: exactly those, and never at the cost of the containment."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from tests.support.environment import JsonDict, responder_environment
from tests.support.findings import FindingSpec, sample_notification
from tests.support.worlds import service_of, world_around

PROJECTS = ("example-shop-prod", "example-shop-test", "example-pay-prod", "example-data")
DIGEST = sample_notification()["finding"]["containers"][0]["imageId"]
#: What shares the digest: a service, a job and a worker pool, each in another project.
SHARING = (
    f"projects/{PROJECTS[1]}/locations/us-east4/services/shop-copy",
    f"projects/{PROJECTS[2]}/locations/europe-west1/jobs/night-copy",
    f"projects/{PROJECTS[3]}/locations/europe-west1/workerPools/dig-copy",
)
SLOW_S = 2


def template(number: int, image: str = "") -> JsonDict:
    """What no other workload has: an image and an account of its own."""
    own = f"europe-west1-docker.pkg.dev/p/r/image-{number}@sha256:{number:064x}"
    return {
        "containers": [{"image": image or own}],
        "serviceAccount": f"account-{number}@example.iam.gserviceaccount.com",
    }


def estate(**changes: Any) -> JsonDict:
    """Two hundred workloads in four projects, three of which share the digest."""
    world = world_around(sample_notification(), **changes)
    (own,) = world["projects"]
    more = [
        {"projectId": name, "projectNumber": str(900 + at), "folders": own["folders"]}
        for at, name in enumerate(PROJECTS[1:])
    ]
    world["projects"] = [own, *more]
    world["jobs"], world["workerPools"] = [], []
    for number in range(196):
        project = PROJECTS[number % 4]
        place = f"projects/{project}/locations/europe-west1"
        if number % 3:
            name = f"{place}/services/service-{number}"
            world["services"].append({"name": name, "template": template(number)})
        else:
            name = f"{place}/jobs/job-{number}"
            world["jobs"].append({"name": name, "template": {"template": template(number)}})
    image = f"europe-west1-docker.pkg.dev/p/copies/copy@{DIGEST}"
    service, job, pool = SHARING
    world["services"].append({"name": service, "template": template(300, image)})
    world["jobs"].append({"name": job, "template": {"template": template(301, image)}})
    world["workerPools"].append({"name": pool, "template": template(302, image)})
    world["revisions"] = [r for r in world["revisions"] if "/storefront/" in r["name"]]
    return world


def with_finding_on_copy(world: JsonDict) -> JsonDict:
    """The same world with a finding on the service that shares the digest."""
    spec = FindingSpec(
        finding_id="f" * 32,
        workload="shop-copy",
        region="us-east4",
        project_id=PROJECTS[1],
        project_number="900",
    )
    other = copy.deepcopy(spec.notification())
    world["findings"].append({"finding": other["finding"], "resource": other["resource"]})
    return world


async def test_of_two_hundred_workloads_exactly_those_that_share_the_digest_are_named(
    tmp_path: Path,
) -> None:
    """In the outcome and in the case file; with the findings on them."""
    world = with_finding_on_copy(estate(pages={"size": 50}))
    async with responder_environment(
        tmp_path, world=world, inventory_scope="organizations/1"
    ) as env:
        outcome: Any = (await env.deliver()).outcome.to_json()
        affected = outcome["detected"]["affected"]
        assert outcome["status"] == "contained", outcome["decision"]
        assert [gap for gap in outcome["gaps"] if gap["collector"] == "affected"] == []
        assert (affected["scope"], affected["complete"]) == ("organizations/1", True)
        assert {each["resource_name"] for each in affected["workloads"]} == {*SHARING}
        assert affected["found"] == 3
        assert all(each["shares"] == ["digest"] for each in affected["workloads"])
        by_name = {each["name"]: each for each in affected["workloads"]}
        assert (by_name["shop-copy"]["project"], by_name["shop-copy"]["location"]) == (
            *(PROJECTS[1], "us-east4"),
        )
        assert by_name["shop-copy"]["exposure"].startswith("internet")
        assert by_name["night-copy"]["exposure"] == "no URL"
        (found,) = by_name["shop-copy"]["findings"]
        assert found["category"] == outcome["finding"]["category"]
        assert by_name["night-copy"]["findings"] == by_name["dig-copy"]["findings"] == []
        (stored,) = (
            path
            for path in env.stored_objects()
            if "evidence/affected" in path and "revision" not in path
        )
        assert len(env.read_record(stored)["workloads"]) == 3


async def test_the_default_scope_is_the_findings_own_project(tmp_path: Path) -> None:
    """What shares the digest elsewhere is not in it."""
    async with responder_environment(tmp_path, world=estate()) as env:
        outcome: Any = (await env.deliver()).outcome.to_json()
        affected = outcome["detected"]["affected"]
        assert (affected["scope"], affected["found"]) == ("projects/example-shop-prod", 0)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"inventory": {"enabled": False}}, "the Cloud Asset API is disabled"),
        (
            {"faults": [{"method": "SearchAllResources", "code": "PERMISSION_DENIED"}]},
            "cloudasset.assets.searchAllResources is missing",
        ),
        ({"latency": {"SearchAllResources": f"{SLOW_S}s", "reconcile": "1ms"}}, "no answer"),
    ],
)
async def test_without_the_inventory_it_is_contained_all_the_same(
    tmp_path: Path, changes: JsonDict, reason: str
) -> None:
    """A gap says why; the write does not wait for the inventory."""
    policy = "mode: enforce\ncontain: {service: [scale-to-zero]}\nevidence: {deadline: 1s}\n"
    async with responder_environment(
        tmp_path, world=estate(**changes), policy_text=policy, inventory_scope="organizations/1"
    ) as env:
        outcome: Any = (await env.deliver()).outcome.to_json()
        assert outcome["status"] == "contained", outcome["decision"]
        assert service_of(env.emulator.world.dump())["scaling"]["scalingMode"] == "MANUAL"
        (gap,) = (gap for gap in outcome["gaps"] if gap["collector"] == "affected")
        assert reason in gap["reason"]
        assert outcome["detected"]["affected"]["complete"] is False
        (write,) = env.containment_writes
        (first, *_) = env.emulator.calls
        assert write.at - first.at < SLOW_S
