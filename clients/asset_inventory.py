"""Cloud Asset Inventory client: the Cloud Run workloads of a project, folder or organization.

By HTTP and not by google-cloud-asset: one GET needs no further library in the function, which would
take four packages and 0.3 s to import.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping
from typing import Any

from google.api_core.exceptions import Forbidden

from clients.errors import google_call
from clients.settings import Settings
from incident.model import (
    CutList,
    Denied,
    GrantScope,
    Ingress,
    InventoryWorkload,
    Kind,
    ListedWorkload,
    Listing,
    Permission,
    Workload,
)

_HOST = "https://cloudasset.googleapis.com"
SEARCH = Permission(
    "cloudasset.assets.searchAllResources",
    GrantScope.INVENTORY,
    "finds the workloads of a project, folder or organization",
)
# One expression instead of a list of names: a name that the API does not support would make it
# refuse the whole request, and its list of asset types does not have instances yet.
_ASSET_TYPES = r"run\.googleapis\.com/(Service|Job|WorkerPool|Instance)"
_READ_MASK = "name,project,folders,parentFullResourceName,labels,versionedResources"
_PAGE_SIZE = 500
_MAX_PAGES = 40
_NAME = re.compile(r"//run\.googleapis\.com/(projects/[^/]+/locations/[^/]+/[^/]+/[^/]+)")
_FUNCTION_LABEL = "goog-managed-by"
_INGRESS = {
    "INGRESS_TRAFFIC_ALL": Ingress.ALL,
    "INGRESS_TRAFFIC_INTERNAL_ONLY": Ingress.INTERNAL,
    "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER": Ingress.INTERNAL_AND_LOAD_BALANCER,
    "INGRESS_TRAFFIC_NONE": Ingress.NONE,
    "all": Ingress.ALL,
    "internal": Ingress.INTERNAL,
    "internal-and-cloud-load-balancing": Ingress.INTERNAL_AND_LOAD_BALANCER,
    "none": Ingress.NONE,
}
# Google's message for a disabled API.
_DISABLED = "has not been used in project"


class InventoryDisabled(Denied):
    """The Cloud Asset API is disabled in the project that our calls count on."""


class AssetInventory:
    """Searches Cloud Asset Inventory.

    Args:
        settings: The process's settings.

    Attributes:
        scope: Where affected workloads are searched; empty for a finding's own project.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.scope = settings.inventory_scope

    async def workloads(self, scope: str) -> Listing[InventoryWorkload]:
        """The Cloud Run workloads in a scope; a cut list where there are more than 20,000.

        The inventory lags behind by minutes: what was created since may be missing, what was
        deleted may be there.

        Args:
            scope: ``projects/P``, ``folders/N`` or ``organizations/N``.

        Raises:
            Retry: A transient failure.
            InventoryDisabled: The API is disabled.
            Denied: ``cloudasset.assets.searchAllResources`` is missing.
            GiveUp: Any other permanent failure.
        """
        with google_call("search the inventory of", scope, SEARCH):
            try:
                pages = await asyncio.to_thread(self._read, scope)
            except Forbidden as error:
                if _DISABLED not in str(error):
                    raise
                text = (
                    f"cannot search the inventory of {scope}: the Cloud Asset API is disabled. Run:"
                    " gcloud services enable cloudasset.googleapis.com, in the responder's project"
                )
                raise InventoryDisabled(text) from error
        found = tuple(
            workload
            for page in pages[:_MAX_PAGES]
            for result in page.get("results", ())
            if (workload := inventory_workload_of(result))
        )
        if len(pages) <= _MAX_PAGES:
            return found
        return CutList(found, f"only the first {len(found)} workloads of {scope} were read")

    def _read(self, scope: str) -> list[Any]:
        from clients.rest import response_pages  # noqa: PLC0415 - not needed to start

        parameters = {
            "assetTypes": _ASSET_TYPES,
            "readMask": _READ_MASK,
            "pageSize": str(_PAGE_SIZE),
        }
        pages = []
        for page in response_pages(
            _HOST, f"/v1/{scope}:searchAllResources", self._settings, parameters
        ):
            pages.append(page)
            if len(pages) > _MAX_PAGES:
                break
        return pages


def inventory_workload_of(result: Mapping[str, Any]) -> InventoryWorkload | None:
    """A workload from one search result; None for what is no Cloud Run workload.

    The resource is read in the form of either API: v2, or v1, which is Knative's.
    """
    match = _NAME.fullmatch(str(result.get("name")))
    workload = Workload.from_resource_name(match[1]) if match else None
    if workload is None:
        return None
    workload = _located(workload, result)
    versions = [each for each in _list(result.get("versionedResources")) if isinstance(each, dict)]
    resource = _object(versions[-1].get("resource")) if versions else {}
    if not resource:
        listed = ListedWorkload(workload.resource_name)
        return InventoryWorkload(workload, listed, unread="the inventory does not describe it")
    read = _read_knative if "spec" in resource else _read_v2
    return read(workload, resource, _texts(result.get("labels")))


def _located(workload: Workload, result: Mapping[str, Any]) -> Workload:
    """The workload with id, number and folders of its project, as far as the result has them."""
    spellings = {
        workload.project,
        str(result.get("project", "")).rpartition("/")[2],
        str(result.get("parentFullResourceName", "")).rpartition("/")[2],
    } - {""}
    number = next((each for each in spellings if each.isdigit()), None)
    identifier = next((each for each in spellings if not each.isdigit()), None)
    folders = tuple(str(each).rpartition("/")[2] for each in _list(result.get("folders")))
    return Workload(workload.kind, workload.location, workload.name, identifier, number, folders)


def _read_v2(
    workload: Workload, resource: Mapping[str, Any], labels: Mapping[str, str]
) -> InventoryWorkload:
    template = _object(resource.get("template"))
    if workload.kind is Kind.JOB:
        template = _object(template.get("template"))
    described = template or resource  # an instance has no template
    regions = _list(_object(resource.get("multiRegionSettings")).get("regions"))
    return InventoryWorkload(
        workload=workload,
        listed=ListedWorkload(
            name=workload.resource_name,
            threat_detection_enabled=bool(resource.get("threatDetectionEnabled"))
            if workload.kind is Kind.SERVICE
            else None,
            is_function=bool(_object(resource.get("buildConfig")).get("functionTarget")),
            regions=tuple(map(str, regions)),
        ),
        images=_images(described),
        service_account=str(described.get("serviceAccount") or ""),
        labels=labels,
        ingress=_ingress(workload, resource.get("ingress") or "INGRESS_TRAFFIC_ALL"),
        invoker_check_off=resource.get("invokerIamDisabled") is True,
    )


def _read_knative(
    workload: Workload, resource: Mapping[str, Any], labels: Mapping[str, str]
) -> InventoryWorkload:
    spec = _object(resource.get("spec"))
    for _ in range(3):  # a job: its executions' template, their tasks' template, its spec
        inner = _object(_object(spec.get("template")).get("spec"))
        spec = inner or spec
    annotations = _texts(_object(resource.get("metadata")).get("annotations"))
    return InventoryWorkload(
        workload=workload,
        listed=ListedWorkload(
            name=workload.resource_name,
            is_function=labels.get(_FUNCTION_LABEL) == "cloudfunctions",
        ),
        images=_images(spec),
        service_account=str(spec.get("serviceAccountName") or ""),
        labels=labels,
        ingress=_ingress(workload, annotations.get("run.googleapis.com/ingress", "all")),
        invoker_check_off=annotations.get("run.googleapis.com/invoker-iam-disabled") == "true",
    )


def _ingress(workload: Workload, value: object) -> Ingress:
    if workload.kind in (Kind.JOB, Kind.WORKER_POOL):
        return Ingress.NONE
    return _INGRESS.get(str(value), Ingress.UNKNOWN)


def _images(template: Mapping[str, Any]) -> tuple[str, ...]:
    containers: Iterable[Mapping[str, Any]] = map(_object, _list(template.get("containers")))
    return tuple(str(each["image"]) for each in containers if each.get("image"))


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _texts(value: Any) -> dict[str, str]:
    return {str(key): str(text) for key, text in _object(value).items()}
