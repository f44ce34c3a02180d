"""Cloud Asset Inventory API v1: SearchAllResources, over gRPC and over HTTP.

The types of the library are imported when the first gRPC request arrives: it takes 0.3 s.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import grpc
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from emulator.api import list_pages, proto_json
from emulator.api.errors import ApiError, invalid_argument
from emulator.api.list_filters import (
    SECURITY_CENTER_DIALECT,
    Comparison,
    FilterSyntaxError,
    compile_filter,
)
from emulator.api.resource_names import collection_of, last_segment, segment_after
from emulator.services.gate import Gate, Method
from emulator.services.json_errors import gate_json_request
from emulator.world.state import World

SEARCH = "/google.cloud.asset.v1.AssetService/SearchAllResources"
#: What the topmost folders lie in, and projects without folders. A world does not name it: every
#: organization is asked about as this one.
_ORGANIZATION = "organizations/1"
_ASSET_TYPES = {
    "services": "run.googleapis.com/Service",
    "jobs": "run.googleapis.com/Job",
    "workerPools": "run.googleapis.com/WorkerPool",
    "instances": "run.googleapis.com/Instance",
}
_MAX_PAGE_SIZE, _DEFAULT_PAGE_SIZE = 500, 100
_SORTABLE = ("name", "assetType", "project", "displayName", "location", "createTime", "updateTime")
_FIELDS = (
    *("name", "assetType", "project", "folders", "organization", "displayName", "location"),
    *("labels", "createTime", "updateTime", "parentFullResourceName", "versionedResources"),
    *("description", "networkTags", "kmsKey", "kmsKeys", "state", "additionalAttributes"),
    *("attachedResources", "relationships", "tagKeys", "tagValues", "tagValueIds", "tags"),
    *("effectiveTags", "enrichments", "parentAssetType", "sccSecurityMarks"),
)
#: Returned only where the mask names them (reference of SearchAllResourcesRequest.read_mask).
_ONLY_BY_MASK = ("versionedResources", "attachedResources", "effectiveTags", "enrichments")
_SEARCHABLE = ("name", "displayName", "location", "project", "folders", "organization")

_Resource = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Search:
    """A request, in either protocol."""

    scope: str
    query: str
    asset_types: tuple[str, ...]
    page_size: int
    page_token: str
    order_by: str
    read_mask: tuple[str, ...]

    @property
    def identity(self) -> tuple[object, ...]:
        """What a page token is good for."""
        return (self.scope, self.query, self.asset_types, self.order_by, self.read_mask)


class AssetInventory:
    """The workloads of every project of the world, as the inventory has them."""

    def __init__(self, world: World) -> None:
        self._world = world

    def methods(self) -> list[Method]:
        """SearchAllResources over gRPC."""
        return [Method(SEARCH, _parse, self._answer_grpc)]

    def routes(self, gate: Gate) -> list[Route]:
        """`GET /v1/SCOPE:searchAllResources`."""

        async def answer(request: Request) -> Response:
            async def handle() -> Response:
                return JSONResponse(self._answer(_search_of_url(request)))

            return await gate_json_request(gate, SEARCH, handle)

        path = "/v1/{kind}/{id}:searchAllResources"
        return [Route(path, answer, methods=["GET"])]

    async def _answer_grpc(self, request: Any) -> Any:
        from google.cloud import asset_v1  # noqa: PLC0415 - see the module's first lines

        mask = [_camel_case(path) for path in proto_json.unwrap(request).read_mask.paths]
        search = _Search(
            scope=request.scope,
            query=request.query,
            asset_types=tuple(request.asset_types),
            page_size=request.page_size,
            page_token=request.page_token,
            order_by=request.order_by,
            read_mask=tuple(mask),
        )
        return proto_json.from_json(asset_v1.SearchAllResourcesResponse, self._answer(search))

    def _answer(self, search: _Search) -> _Resource:
        if not self._world.inventory.enabled:
            raise _disabled(segment_after(search.scope, "projects") or "the quota project")
        wanted = _asset_types(search.asset_types)
        inside = self._scope(search.scope)
        matches = _query(search.query)
        fields = _masked_fields(search.read_mask)
        found = [
            resource
            for resource in self._resources(wanted)
            if inside(resource) and matches(resource)
        ]
        _sort(found, search.order_by)
        size = min(search.page_size, _MAX_PAGE_SIZE) if search.page_size > 0 else _DEFAULT_PAGE_SIZE
        page, token = list_pages.paginate(
            found,
            size=size,
            token=search.page_token,
            query=search.identity,
            rules=self._world.pages,
            key=lambda resource: str(resource["name"]),
        )
        results = [{name: each[name] for name in fields if name in each} for each in page]
        return {"results": results, **({"nextPageToken": token} if token else {})}

    def _resources(self, wanted: Iterable[str]) -> Iterable[_Resource]:
        inventory, tables = self._world.inventory, self._world.tables()
        for collection in wanted:
            known = {
                key: proto_json.to_json(resource)
                for key, resource in tables[collection].items()
                if key not in inventory.not_yet_listed
            }
            known |= {
                key: resource
                for key, resource in inventory.still_listed.items()
                if collection_of(key) == collection
            }
            yield from (self._result(key, resource) for key, resource in known.items())

    def _result(self, key: str, resource: _Resource) -> _Resource:
        spelling = segment_after(key, "projects")
        project = self._world.projects.find(spelling)
        times = ("createTime", "updateTime")
        return {
            "name": f"//run.googleapis.com/{key}",
            "assetType": _ASSET_TYPES[collection_of(key)],
            "project": f"projects/{self._world.projects.number(spelling)}",
            "folders": [f"folders/{each}" for each in (project.folders if project else ())],
            "organization": _ORGANIZATION,
            "displayName": last_segment(key),
            "location": segment_after(key, "locations"),
            "labels": resource.get("labels", {}),
            **{name: resource[name] for name in times if name in resource},
            "parentFullResourceName": f"//cloudresourcemanager.googleapis.com/projects/{spelling}",
            "versionedResources": [{"version": "v2", "resource": resource}],
        }

    def _scope(self, scope: str) -> Callable[[_Resource], bool]:
        """Whether a resource is inside a scope.

        Raises:
            ApiError: INVALID_ARGUMENT for no scope at all, PERMISSION_DENIED for a folder that no
                project lies in: Google does not tell whether it exists.
        """
        kind, _, identifier = scope.partition("/")
        if kind not in ("projects", "folders", "organizations") or not identifier:
            raise invalid_argument(f"Invalid scope: {scope!r}.")
        if kind == "organizations":
            return lambda _: True
        if kind == "projects":
            number = f"projects/{self._world.projects.number(identifier)}"
            return lambda resource: bool(resource["project"] == number)
        if not any(identifier in project.folders for project in self._world.projects.all):
            message = f"Permission denied on resource {scope} (or it may not exist)."
            raise ApiError(grpc.StatusCode.PERMISSION_DENIED, message)
        return lambda resource: scope in resource["folders"]


def _parse(data: bytes) -> Any:
    from google.cloud import asset_v1  # noqa: PLC0415 - see the module's first lines

    return proto_json.parser(asset_v1.SearchAllResourcesRequest)(data)


def _search_of_url(request: Request) -> _Search:
    given = request.query_params
    size = given.get("pageSize", "0")
    if not re.fullmatch(r"-?\d{1,9}", size):
        raise invalid_argument(f"Invalid value at 'page_size': {size!r}.")
    return _Search(
        scope=f"{request.path_params['kind']}/{request.path_params['id']}",
        query=given.get("query", ""),
        asset_types=tuple(given.getlist("assetTypes")),
        page_size=int(size),
        page_token=given.get("pageToken", ""),
        order_by=given.get("orderBy", ""),
        read_mask=tuple(filter(None, given.get("readMask", "").split(","))),
    )


def _disabled(project: str) -> ApiError:
    """The error for a disabled API, in Google's words."""
    message = (
        f"Cloud Asset API has not been used in project {project} before or it is disabled. Enable"
        " it by visiting https://console.developers.google.com/apis/api/cloudasset.googleapis.com"
        f"/overview?project={project} then retry."
    )
    return ApiError(grpc.StatusCode.PERMISSION_DENIED, message)


def _asset_types(asked: tuple[str, ...]) -> list[str]:
    """The collections of the asset types that are asked for: all, names, or expressions."""
    if not asked:
        return list(_ASSET_TYPES)
    found: dict[str, None] = {}
    for text in asked:
        try:
            matching = [key for key, name in _ASSET_TYPES.items() if re.fullmatch(text, name)]
        except re.error as error:
            raise invalid_argument(f"Invalid asset type {text!r}: {error}.") from error
        if not matching:
            raise invalid_argument(f"No supported asset type matches {text!r}.")
        found |= dict.fromkeys(matching)
    return list(found)


def _masked_fields(mask: tuple[str, ...]) -> tuple[str, ...]:
    if not mask:
        return tuple(name for name in _FIELDS if name not in _ONLY_BY_MASK)
    if mask == ("*",):
        return _FIELDS
    unknown = [path for path in mask if path.partition(".")[0] not in _FIELDS]
    if unknown:
        raise invalid_argument(f"Invalid read_mask: {unknown[0]!r} is not a field.")
    return mask


def _sort(resources: list[_Resource], order_by: str) -> None:
    for part in reversed([each.split() for each in order_by.split(",") if each.strip()]):
        name, descending = part[0], part[1:] == ["DESC"]
        if name not in _SORTABLE or (part[1:] and not descending):
            raise invalid_argument(f"Invalid order_by: {' '.join(part)!r}.")
        resources.sort(key=lambda each: str(each.get(name, "")), reverse=descending)


def _query(text: str) -> Callable[[_Resource], bool]:
    """The query in a text: comparisons of fields, joined by AND, OR, NOT; no bare words."""
    try:
        return compile_filter(text, SECURITY_CENTER_DIALECT, _check, _compare)
    except FilterSyntaxError as error:
        raise invalid_argument(f"Invalid query: {error}.") from error


def _check(comparison: Comparison) -> None:
    field, *rest = comparison.path
    known = field == "labels" if rest else field in _SEARCHABLE
    if not known or comparison.operator not in ("=", ":"):
        what = ".".join(comparison.path) + comparison.operator
        raise FilterSyntaxError(f"{what} is not a comparison of this emulator")


def _compare(comparison: Comparison, resource: _Resource) -> bool:
    """`=` compares the whole text, `:` words of it, with `*` for any end of a word."""
    value: Any = resource
    for name in comparison.path:
        value = value.get(name, "") if isinstance(value, dict) else ""
    texts = [str(each).lower() for each in (value if isinstance(value, list) else [value])]
    wanted = comparison.value.text.lower()
    if comparison.operator == "=":
        return wanted in texts
    words = {word for text in texts for word in re.findall(r"\w+", text)}
    return all(
        any(word.startswith(part[:-1]) if part.endswith("*") else word == part for word in words)
        for part in re.findall(r"\w+\*?|\*", wanted)
    )


def _camel_case(path: str) -> str:
    return re.sub(r"_([a-z])", lambda match: match[1].upper(), path)
