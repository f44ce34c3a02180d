"""Walk the whole store in pages, resumed where the last patrol round stopped."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol

from incident.case_file.journal import ObjectStore, decode_record, encode_json
from incident.case_file.paths import (
    CONTAINMENTS,
    DRY_RUNS,
    INCIDENTS,
    cursor_path,
    cursors_folder,
    folder_in_section,
)
from incident.model import GiveUp, Json
from incident.model.json_text import SCHEMA_VERSION

#: The parts of the store that are walked, in this order.
_SECTIONS = (CONTAINMENTS, INCIDENTS, DRY_RUNS)
# Sorts after any text that follows a folder in a record's path.
_AFTER_ALL_PATHS = "~"


class PathPage(Protocol):
    """Some of the paths below a prefix, in order."""

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths."""

    @property
    def next_after(self) -> str:
        """The path after which the next page starts; empty at the end."""

    @property
    def unreadable(self) -> Mapping[str, str]:
        """By name, why other objects below the prefix cannot be read."""


class PagedStore(ObjectStore, Protocol):
    """A store that can be listed in pages."""

    async def page(self, prefix: str, after: str, limit: int) -> PathPage:
        """The first paths below a prefix behind another."""


@dataclass(frozen=True, slots=True)
class WalkedFolder:
    """One folder of the walk: a workload's containments, or an incident's case file.

    Attributes:
        section: In which part of the store.
        folder: Its path, with a slash at its end.
        paths: Everything in it.
    """

    section: str
    folder: str
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WalkedPage:
    """A page of the walk, whatever is on it.

    Attributes:
        resume_after: Behind it begins all that is still to be met; a round may begin there.
        open_folder: The folder that the page ended in, of which more may come; or empty.
        fault: Why the way ends here, in this part of the store; empty where it goes on.
        unreadable: By name, why objects on this page cannot be read.
    """

    resume_after: str
    open_folder: str = ""
    fault: str = ""
    unreadable: Mapping[str, str] = field(default_factory=dict)


async def walk_store(
    store: PagedStore, cursor: str, size: int
) -> AsyncIterator[WalkedFolder | WalkedPage]:
    """Every folder once, starting after the cursor and ending with it; and each page.

    What is added meanwhile may or may not be met. No more than a page of paths, and the paths
    of one stop, are held at a time.

    Args:
        store: Where.
        cursor: The last folder of an earlier round, or a path that it passed; empty to
            begin at the beginning.
        size: How many paths make a page.

    Raises:
        Retry: The store does not answer.
    """
    first = cursor.partition("/")[0]
    at = _SECTIONS.index(first) if first in _SECTIONS else 0
    last = cursor if first in _SECTIONS else ""
    async for item in _walk_section(store, _SECTIONS[at], last, size):
        yield item
    for section in (*_SECTIONS[at + 1 :], *_SECTIONS[:at]):
        async for item in _walk_section(store, section, "", size):
            yield item
    if last:
        async for item in _walk_section(store, _SECTIONS[at], "", size):
            if (item.folder if isinstance(item, WalkedFolder) else item.resume_after) > last:
                return
            yield item


async def _walk_section(
    store: PagedStore, section: str, start_after: str, size: int
) -> AsyncIterator[WalkedFolder | WalkedPage]:
    folder, paths = "", list[str]()
    # All before it was met: a folder that is done, or else a path that is in none.
    resume_after = start_after or section
    after = start_after + _AFTER_ALL_PATHS if start_after.endswith("/") else start_after
    while (page := await store.page(f"{section}/", after, size)).next_after:
        for path in page.paths:
            path_folder = folder_in_section(section, path)
            if folder and path_folder != folder:
                yield WalkedFolder(section, folder, tuple(paths))
                resume_after, paths = folder, []
            folder, resume_after = path_folder, resume_after if path_folder else path
            paths += [path] if path_folder else []
        if page.next_after <= after:
            fault = f"listing stopped after {after!r}; the rest was not checked"
            yield WalkedPage(resume_after, folder, fault)
            break
        after = page.next_after
        resume_after = resume_after if folder else after
        yield WalkedPage(resume_after, folder, unreadable=page.unreadable)
    if folder:
        yield WalkedFolder(section, folder, tuple(paths))


@dataclass(frozen=True, slots=True)
class WalkCursors:
    """Cursors of incomplete rounds: one object each, never changed.

    Attributes:
        store: Where they are.
        run_id: Names this round.
        clock: The time.
    """

    store: ObjectStore
    run_id: str
    clock: Callable[[], datetime]

    async def newest(self) -> str:
        """The folder where the last incomplete round of today or yesterday stopped; or empty.

        Whatever it is, a round goes all around: only the order depends on it, and so nothing
        is lost when two patrols go at once or a cursor is missing.

        Raises:
            Retry: The store does not answer.
        """
        today = self.clock().astimezone(UTC)
        for day in (today, today - timedelta(days=1)):
            for path in reversed(await self.store.list(f"{cursors_folder(day)}/")):
                if position := _cursor_position(path, await self.store.read(path)):
                    return position
        return ""

    async def save(self, folder: str) -> None:
        """Store where this round stopped.

        Raises:
            Retry: The store does not answer.
        """
        moment = self.clock().astimezone(UTC)
        body: dict[str, Json] = {
            "schema_version": SCHEMA_VERSION,
            "run": self.run_id,
            "stopped_at": folder,
        }
        await self.store.create(cursor_path(moment, self.run_id), encode_json(body))


def _cursor_position(path: str, data: bytes | None) -> str:
    """Parse a cursor; an object that somebody else put there counts for nothing."""
    try:
        position = decode_record(path, data).get("stopped_at") if data else None
    except GiveUp:
        return ""
    return position if isinstance(position, str) else ""
