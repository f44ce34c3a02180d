"""Every project below a folder or an organization, found level by level."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from incident.model import IncidentError
from incident.model.concurrency import together
from incident.readiness.coverage import Pace, Project, Unread

T = TypeVar("T")


class Tree(Protocol):
    """Folders and projects, one level at a time."""

    async def projects(self, parent: str) -> tuple[tuple[str, str], ...]:
        """Id and number of each project right below ``folders/N`` or ``organizations/N``."""

    async def folders(self, parent: str) -> tuple[str, ...]:
        """The number of each folder right below."""

    async def above(self, folder: str) -> str:
        """What a folder lies in: ``folders/N`` or ``organizations/N``."""


@dataclass(frozen=True, slots=True)
class Below:
    """What lies below.

    Attributes:
        projects: Every project that could be found, with its number and its folders.
        unread: What could not be read, so that projects may be lacking.
    """

    projects: tuple[Project, ...] = ()
    unread: tuple[Unread, ...] = ()


@dataclass(frozen=True, slots=True)
class Walk:
    """One walk through folders.

    Attributes:
        tree: Where they are read from.
        pace: How fast.
        say: Told where we are.
    """

    tree: Tree
    pace: Pace
    say: Callable[[str], object] = lambda _: None

    async def below(self, top: str, told: tuple[str, ...] | None = None) -> Below:
        """Everything below, however deep.

        Args:
            top: ``organizations/N`` or ``folders/N``.
            told: Numbers of the folders above ``top``, nearest first, where somebody knows them:
                a person may be allowed to read a folder and not what is above it.
        """
        kind, _, number = top.partition("/")
        if kind == "organizations":
            return await self._level(top, ())
        if told is not None:
            return await self._level(top, (number, *told))
        above, unread = await self._above(number)
        found = await self._level(top, above)
        return Below(found.projects, (*unread, *found.unread))

    async def _above(self, number: str) -> tuple[tuple[str, ...] | None, tuple[Unread, ...]]:
        """A folder and those above it, nearest first; None where these cannot be told."""
        found = [number]
        while True:
            place = f"folders/{found[-1]}"
            answer = await self._ask("what is above it", place, self.tree.above, found[-1])
            if isinstance(answer, Unread):
                return None, (answer,)
            kind, _, last = answer.partition("/")
            if kind != "folders":
                return tuple(found), ()
            found.append(last)

    async def _level(self, place: str, folders: tuple[str, ...] | None) -> Below:
        self.say(f"looking for projects in {place}")
        projects, below = await together(
            self._ask("its projects", place, self.tree.projects, place),
            self._ask("its folders", place, self.tree.folders, place),
        )
        unread = tuple(each for each in (projects, below) if isinstance(each, Unread))
        here = () if isinstance(projects, Unread) else projects
        deeper = await together(
            *(
                self._level(f"folders/{each}", None if folders is None else (each, *folders))
                for each in (() if isinstance(below, Unread) else below)
            )
        )
        found = tuple(Project(name, number, folders) for name, number in here)
        return Below(
            (*found, *(project for each in deeper for project in each.projects)),
            (*unread, *(missed for each in deeper for missed in each.unread)),
        )

    async def _ask(
        self, what: str, place: str, ask: Callable[[str], Awaitable[T]], about: str
    ) -> T | Unread:
        async with self.pace.places:
            try:
                return await self.pace.patiently(lambda: ask(about))
            except IncidentError as error:
                return Unread(place, what, str(error))
