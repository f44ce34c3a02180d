"""Walking the store in rounds: page by page, from where the last round stopped, once around.

What is done at each stop does not belong here.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol

from incident.case_file.journal import SCHEMA_VERSION, Store, decode, encode
from incident.model import GiveUp, Json

#: What is walked through, in this order.
CONTAINMENTS, INCIDENTS, DRY_RUNS = "containments", "incidents", "dry-runs"
_SECTIONS = {
    CONTAINMENTS: re.compile(r"containments(?:/[^/]+){4}/"),
    INCIDENTS: re.compile(r"incidents/[^/]+/"),
    DRY_RUNS: re.compile(r"dry-runs/[^/]+/"),
}
_ORDER = tuple(_SECTIONS)
# Sorts behind everything that a record's path goes on with.
_BEHIND = "~"


class Page(Protocol):
    """Some of the paths below a prefix, in order."""

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths."""

    @property
    def behind(self) -> str:
        """Behind what the next page begins; empty at the end."""

    @property
    def unreadable(self) -> Mapping[str, str]:
        """By name, why other objects below the prefix cannot be read."""


class Pages(Store, Protocol):
    """A store that can be listed in pages."""

    async def page(self, prefix: str, after: str, limit: int) -> Page:
        """The first paths below a prefix behind another."""


@dataclass(frozen=True, slots=True)
class Stop:
    """One folder on the way: a workload's containments, or an incident's case file.

    Attributes:
        section: In which part of the store.
        folder: Its path, with a slash at its end.
        paths: Everything in it.
    """

    section: str
    folder: str
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Passed:
    """A page of the way, whether or not anything on it was worth a stop.

    Attributes:
        place: Behind it begins all that is still to be met; a round may begin there.
        within: The folder that the page ended in, of which more may come; or empty.
        fault: Why the way ends here, in this part of the store; empty where it goes on.
        unreadable: By name, why objects on this page cannot be read.
    """

    place: str
    within: str = ""
    fault: str = ""
    unreadable: Mapping[str, str] = field(default_factory=dict)


async def ring(store: Pages, cursor: str, size: int) -> AsyncIterator[Stop | Passed]:
    """Every stop once, beginning behind the cursor and ending with it; and each page.

    What is added meanwhile may or may not be met. No more than a page of paths, and the paths
    of one stop, are held at a time.

    Args:
        store: Where.
        cursor: Folder of the last stop of an earlier round, or a place that it passed; empty to
            begin at the beginning.
        size: How many paths make a page.

    Raises:
        Retry: The store does not answer.
    """
    first = cursor.partition("/")[0]
    at = _ORDER.index(first) if first in _SECTIONS else 0
    last = cursor if first in _SECTIONS else ""
    async for met in _stops(store, _ORDER[at], last, size):
        yield met
    for section in (*_ORDER[at + 1 :], *_ORDER[:at]):
        async for met in _stops(store, section, "", size):
            yield met
    if last:
        async for met in _stops(store, _ORDER[at], "", size):
            if (met.folder if isinstance(met, Stop) else met.place) > last:
                return
            yield met


async def _stops(
    store: Pages, section: str, behind: str, size: int
) -> AsyncIterator[Stop | Passed]:
    folder, paths = "", list[str]()
    # All before it was met: a folder that is done, or else a path that is in none.
    place = behind or section
    after = behind + _BEHIND if behind.endswith("/") else behind
    while (page := await store.page(f"{section}/", after, size)).behind:
        for path in page.paths:
            match = _SECTIONS[section].match(path)
            there = match[0] if match else ""
            if folder and there != folder:
                yield Stop(section, folder, tuple(paths))
                place, paths = folder, []
            folder, place = there, place if there else path
            paths += [path] if there else []
        if page.behind <= after:
            fault = f"the list does not go on behind {after!r}, and its rest is unseen"
            yield Passed(place, folder, fault)
            break
        after = page.behind
        place = place if folder else after
        yield Passed(place, folder, unreadable=page.unreadable)
    if folder:
        yield Stop(section, folder, tuple(paths))


@dataclass(frozen=True, slots=True)
class Cursors:
    """Where rounds stopped that did not get all around: one object each, never changed.

    Attributes:
        store: Where they are.
        run: Names this round.
        clock: Tells the time.
    """

    store: Store
    run: str
    clock: Callable[[], datetime]

    async def newest(self) -> str:
        """The folder that the last such round stopped at, of today or yesterday; or empty.

        Whatever it is, a round goes all around: only the order depends on it, and so nothing
        is lost when two patrols go at once or a cursor is missing.

        Raises:
            Retry: The store does not answer.
        """
        today = self.clock().astimezone(UTC)
        for day in (today, today - timedelta(days=1)):
            for path in reversed(await self.store.list(f"{_folder(day)}/")):
                if stopped := _stopped_at(path, await self.store.read(path)):
                    return stopped
        return ""

    async def leave(self, folder: str) -> None:
        """Say where this round stopped.

        Raises:
            Retry: The store does not answer.
        """
        moment = self.clock().astimezone(UTC)
        body: dict[str, Json] = {
            "schema_version": SCHEMA_VERSION,
            "run": self.run,
            "stopped_at": folder,
        }
        path = f"{_folder(moment)}/{moment:%H%M%S.%f}-{self.run}.json"
        await self.store.create(path, encode(body))


def _stopped_at(path: str, data: bytes | None) -> str:
    """What a cursor says; what somebody else put there says nothing, and stops no round."""
    try:
        stopped = decode(path, data).get("stopped_at") if data else None
    except GiveUp:
        return ""
    return stopped if isinstance(stopped, str) else ""


def _folder(day: datetime) -> str:
    return f"patrols/{day:%Y-%m-%d}"
