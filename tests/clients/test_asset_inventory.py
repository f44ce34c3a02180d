"""The inventory's workloads: from either form of the resource, with project and folders."""

from __future__ import annotations

from typing import Any

import pytest

from clients.asset_inventory import InventoryDisabled, inventory_workload_of
from incident.model import CutList, Denied, Ingress, Kind, Retry
from tests.clients.conftest import ConnectClients

IMAGE = "europe-west1-docker.pkg.dev/p/web/app@sha256:" + "a" * 64
ACCOUNT = "web@p.iam.gserviceaccount.com"
PLACE = "projects/p/locations/europe-west1"
SPEC = {"containers": [{"image": IMAGE}], "serviceAccountName": ACCOUNT}
TEMPLATE = {"containers": [{"image": IMAGE}], "serviceAccount": ACCOUNT}


def result(name: str, resource: Any, **more: Any) -> dict[str, Any]:
    """One search result."""
    versions = [{"version": "v1", "resource": resource}]
    return {
        "name": f"//run.googleapis.com/{PLACE}/{name}",
        "project": "projects/42",
        "folders": ["folders/2", "folders/1"],
        "versionedResources": versions,
        **more,
    }


KNATIVE_META = {
    "annotations": {
        "run.googleapis.com/ingress": "internal-and-cloud-load-balancing",
        "run.googleapis.com/invoker-iam-disabled": "true",
    }
}
JOB_V1 = {"spec": {"template": {"spec": {"template": {"spec": SPEC}}}}}
CASES: dict[str, tuple[str, Any, Kind, Ingress]] = {
    "service v2": (
        "services/web",
        {"template": TEMPLATE, "ingress": "INGRESS_TRAFFIC_INTERNAL_ONLY"},
        Kind.SERVICE,
        Ingress.INTERNAL,
    ),
    "service v1": (
        "services/web",
        {"metadata": KNATIVE_META, "spec": {"template": {"spec": SPEC}}},
        Kind.SERVICE,
        Ingress.INTERNAL_AND_LOAD_BALANCER,
    ),
    "job v2": ("jobs/web", {"template": {"template": TEMPLATE}}, Kind.JOB, Ingress.NONE),
    "job v1": ("jobs/web", JOB_V1, Kind.JOB, Ingress.NONE),
    "pool": ("workerPools/web", {"template": TEMPLATE}, Kind.WORKER_POOL, Ingress.NONE),
}


@pytest.mark.parametrize("case", CASES)
def test_either_form_of_a_resource_is_read(case: str) -> None:
    """Images, account and ingress; the project by id and number, with its folders."""
    name, resource, kind, ingress = CASES[case]
    found = inventory_workload_of(result(name, resource, labels={"env": "prod"}))
    assert found is not None
    assert (found.workload.kind, found.images, found.service_account) == (kind, (IMAGE,), ACCOUNT)
    workload = found.workload
    assert (workload.project_id, workload.project_number) == ("p", "42")
    assert workload.folders == ("2", "1")
    assert (found.ingress, dict(found.labels), found.unread) == (ingress, {"env": "prod"}, "")


@pytest.mark.parametrize("resource", [None, {}, [], "x", {"template": 3}, {"spec": [1]}])
def test_what_cannot_be_read_is_still_a_workload(resource: Any) -> None:
    """Nothing that the inventory says of it makes the search fail."""
    found = inventory_workload_of(result("services/web", resource))
    assert found is not None
    assert found.images == ()


@pytest.mark.parametrize("name", ["domainmappings/x", "services/web/revisions/r", "services"])
def test_other_assets_are_left_out(name: str) -> None:
    """The name decides, not the asset type."""
    assert inventory_workload_of(result(name, {})) is None


def project_of(count: int, **more: Any) -> dict[str, Any]:
    """A world with so many services."""
    services = [
        {"name": f"{PLACE}/services/s{at}", "template": {"containers": [{"image": IMAGE}]}}
        for at in range(count)
    ]
    return {"projects": [{"projectId": "p", "projectNumber": "42"}], "services": services, **more}


async def test_every_page_is_read_or_the_list_is_cut(
    connect_clients: ConnectClients, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cut list says that it is one."""
    async with connect_clients(project_of(5, pages={"size": 2, "emptyFirst": True})) as cloud:
        inventory = cloud.clients.inventory
        found = await inventory.workloads("projects/p")
        assert isinstance(found, tuple)
        assert len(found) == 5
        monkeypatch.setattr("clients.asset_inventory._MAX_PAGES", 2)
        cut = await inventory.workloads("projects/p")
        assert isinstance(cut, CutList)
        assert len(cut.found) == 2
        assert "only the first 2 workloads of projects/p" in cut.reason


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"inventory": {"enabled": False}}, InventoryDisabled, "gcloud services enable"),
        ({"faults": ["PERMISSION_DENIED"]}, Denied, "cloudasset.assets.searchAllResources is"),
        ({"faults": ["UNAVAILABLE"]}, Retry, "cannot search the inventory of projects/p"),
    ],
)
async def test_errors_say_what_to_do(
    connect_clients: ConnectClients, changes: dict[str, Any], error: type[Exception], text: str
) -> None:
    """Off, denied, and what time heals are told apart."""
    if "faults" in changes:
        changes = {"faults": [{"method": "SearchAllResources", "code": changes["faults"][0]}]}
    async with connect_clients(project_of(1, **changes)) as cloud:
        with pytest.raises(error, match=text):
            await cloud.clients.inventory.workloads("projects/p")
