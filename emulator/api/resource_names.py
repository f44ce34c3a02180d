"""Parse resource names, and map project ids to numbers and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class ProjectEntry:
    """One project of the world.

    Attributes:
        project_id: What people call it, such as `example-shop-prod`.
        number: What Google calls it, decimal digits.
        folders: Numbers of the folders above it, nearest first.
    """

    project_id: str
    number: str
    folders: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        """The entry of `projects` that describes this project."""
        return {
            "projectId": self.project_id,
            "projectNumber": self.number,
            "folders": list(self.folders),
        }


class Projects:
    """The known projects. Google's APIs take either spelling of a project in a name."""

    def __init__(self, projects: tuple[ProjectEntry, ...] = ()) -> None:
        self.all = projects
        self._by_spelling = {p.number: p for p in projects} | {p.project_id: p for p in projects}

    def find(self, spelling: str) -> ProjectEntry | None:
        """The project of an id or a number, `None` when the world does not list it."""
        return self._by_spelling.get(spelling)

    def canonical(self, name: str) -> str:
        """A resource name with its project spelled as id wherever the world knows the id."""
        head, *rest = name.split("/")
        if head != "projects" or not rest:
            return name
        project = self.find(rest[0])
        return "/".join((head, project.project_id if project else rest[0], *rest[1:]))

    def number(self, spelling: str) -> str:
        """The number of a project; an unknown project is taken as it is spelled."""
        project = self.find(spelling)
        return project.number if project else spelling


def segment_after(name: str, collection: str) -> str:
    """What follows a collection in a resource name: `part(".../services/s", "services")` is `s`.

    Empty when the collection is not in the name.
    """
    pieces = name.split("/")
    pairs = dict(zip(pieces[::2], pieces[1::2], strict=False))
    return pairs.get(collection, "")


def last_segment(name: str) -> str:
    """The short name at the end of a resource name."""
    return name.rsplit("/", 1)[-1]


def collection_of(name: str) -> str:
    """The collection that a resource is in: `services` for `.../services/s`; empty for none."""
    return "".join(name.split("/")[-2:-1])


def parent_name(name: str) -> str:
    """The resource that a resource belongs to: its name without the last two pieces."""
    return "/".join(name.split("/")[:-2])


def children_of(key: str, table: dict[str, R]) -> dict[str, R]:
    """The resources of a table whose parent lies under a key, in the order of the table."""
    return {name: resource for name, resource in table.items() if parent_name(name) == key}
