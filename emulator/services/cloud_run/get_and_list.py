"""The resources of one kind: getting one by its name, listing those below a parent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from emulator.api import list_pages
from emulator.api.errors import invalid, missing
from emulator.api.resource_names import collection_of, parent
from emulator.services.gate import Method, method
from emulator.world.state import World

R = TypeVar("R")

# What Cloud Run calls the resources of a collection in errors.
KINDS = {
    "services": "SERVICE",
    "revisions": "REVISION",
    "jobs": "JOB",
    "executions": "EXECUTION",
    "tasks": "TASK",
    "workerPools": "WORKER_POOL",
}
_PAGE = 100
_ANY = "-"


@dataclass(frozen=True, slots=True)
class Calls(Generic[R]):
    """How the two calls of a kind are spelled.

    Attributes:
        service: The gRPC service that they belong to.
        get: The request for one.
        listing: The request for those below a parent.
        answer: Makes a page and the token of the next into the answer of a list.
        parents: The collections that a parent may be in.
    """

    service: str
    get: type[Any]
    listing: type[Any]
    answer: Callable[[list[R], str], Any]
    parents: tuple[str, ...] = ("locations",)


class Shelf(Generic[R]):
    """The resources of one kind in a world.

    Attributes:
        kind: What Cloud Run calls the kind in errors, such as `SERVICE`.
        table: The resources by their keys.
    """

    def __init__(
        self,
        world: World,
        kind: str,
        table: dict[str, R],
        calls: Calls[R],
        order: Callable[[Sequence[R]], list[R]] = list,
    ) -> None:
        self._world = world
        self._calls = calls
        self._order = order
        self.kind = kind
        self.table = table

    def methods(self) -> list[Method]:
        """Get and list."""
        calls = self._calls
        names = (kind.__name__.removesuffix("Request") for kind in (calls.get, calls.listing))
        get, listing = (f"/{calls.service}/{name}" for name in names)
        return [method(get, calls.get, self._get), method(listing, calls.listing, self._list)]

    def one(self, name: str) -> R:
        """The resource of a name, in either spelling of its project."""
        found = self.table.get(self._world.canonical(name))
        if found is None:
            raise missing(self.kind, name)
        return found

    async def _get(self, request: Any) -> R:
        return self.one(request.name)

    async def _list(self, request: Any) -> Any:
        """One page of what is below a parent, in which `-` stands for any piece."""
        where = self._world.canonical(request.parent)
        self._check_parent(request.parent, where)
        found = self._order([r for key, r in self.table.items() if _matches(where, parent(key))])
        length = list_pages.size(request.page_size, default=_PAGE, maximum=_PAGE)
        page, token = list_pages.page(found, size=length, token=request.page_token, query=where)
        return self._calls.answer(page, token)

    def _check_parent(self, name: str, where: str) -> None:
        """Refuses a parent of a wrong kind, and one that does not exist. All locations do."""
        collection = collection_of(where)
        if collection not in self._calls.parents:
            raise invalid(f"parent {name!r} is not one of {', '.join(self._calls.parents)}")
        kind = KINDS.get(collection)
        if kind and _ANY not in where.split("/") and self._world.resource(where) is None:
            raise missing(kind, name)


def _matches(wanted: str, key: str) -> bool:
    pieces, found = wanted.split("/"), key.split("/")
    return len(pieces) == len(found) and all(
        piece in (_ANY, other) for piece, other in zip(pieces, found, strict=True)
    )
