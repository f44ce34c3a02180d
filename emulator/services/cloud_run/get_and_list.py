"""Get and list the Cloud Run resources of one kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from emulator.api import list_pages
from emulator.api.errors import invalid_argument, resource_not_found
from emulator.api.resource_names import collection_of, parent_name
from emulator.services.gate import Method, method
from emulator.world.state import World

R = TypeVar("R")

# What Cloud Run calls the resources of a collection in errors.
ERROR_KINDS = {
    "services": "SERVICE",
    "revisions": "REVISION",
    "jobs": "JOB",
    "executions": "EXECUTION",
    "tasks": "TASK",
    "workerPools": "WORKER_POOL",
    "instances": "INSTANCE",
}
_PAGE_SIZE = 100
_WILDCARD = "-"


@dataclass(frozen=True, slots=True)
class ResourceApi(Generic[R]):
    """How the two calls of a kind are spelled.

    Attributes:
        service: The gRPC service that they belong to.
        get_request: The request for one.
        list_request: The request for those below a parent.
        list_response: Makes a page and the token of the next into the answer of a list.
        parent_collections: The collections that a parent may be in.
    """

    service: str
    get_request: type[Any]
    list_request: type[Any]
    list_response: Callable[[list[R], str], Any]
    parent_collections: tuple[str, ...] = ("locations",)


class ResourceTable(Generic[R]):
    """The resources of one kind in a world.

    Attributes:
        error_kind: What Cloud Run calls the kind in errors, such as `GRPC_SERVICE`.
        resources: The resources by their keys.
    """

    def __init__(
        self,
        world: World,
        error_kind: str,
        resources: dict[str, R],
        api: ResourceApi[R],
        sort: Callable[[Sequence[R]], list[R]] = list,
    ) -> None:
        self._world = world
        self._api = api
        self._sort = sort
        self.error_kind = error_kind
        self.resources = resources

    def methods(self) -> list[Method]:
        """Get and list."""
        api = self._api
        names = (
            kind.__name__.removesuffix("Request") for kind in (api.get_request, api.list_request)
        )
        get, listing = (f"/{api.service}/{name}" for name in names)
        return [
            method(get, api.get_request, self._get),
            method(listing, api.list_request, self._list),
        ]

    def get(self, name: str) -> R:
        """The resource of a name, in either spelling of its project."""
        found = self.resources.get(self._world.canonical(name))
        if found is None:
            raise resource_not_found(self.error_kind, name)
        return found

    async def _get(self, request: Any) -> R:
        return self.get(request.name)

    async def _list(self, request: Any) -> Any:
        """One page of what is below a parent, in which `-` stands for any piece."""
        where = self._world.canonical(request.parent)
        self._check_parent(request.parent, where)
        found = self._sort(
            [r for key, r in self.resources.items() if _matches(where, parent_name(key))]
        )
        length = list_pages.clamp_page_size(
            request.page_size, default=_PAGE_SIZE, maximum=_PAGE_SIZE
        )
        page, token = list_pages.paginate(
            found,
            size=length,
            token=request.page_token,
            query=where,
            rules=self._world.pages,
            key=lambda resource: str(getattr(resource, "name", "")),
        )
        return self._api.list_response(page, token)

    def _check_parent(self, name: str, where: str) -> None:
        """Refuses a parent of a wrong kind, and one that does not exist. All locations do."""
        collection = collection_of(where)
        if collection not in self._api.parent_collections:
            raise invalid_argument(
                f"parent {name!r} is not one of {', '.join(self._api.parent_collections)}"
            )
        kind = ERROR_KINDS.get(collection)
        if kind and _WILDCARD not in where.split("/") and self._world.resource(where) is None:
            raise resource_not_found(kind, name)


def _matches(wanted: str, key: str) -> bool:
    pieces, found = wanted.split("/"), key.split("/")
    return len(pieces) == len(found) and all(
        piece in (_WILDCARD, other) for piece, other in zip(pieces, found, strict=True)
    )
