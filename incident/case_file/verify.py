"""Reading a case file as it lies in the store, to hold it against its manifests. Writes nothing.

Whatever lies there may be an attacker's: what cannot be read as we write it stops nothing.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterable, Iterator, Mapping

from incident.case_file.journal import Named, Store
from incident.case_file.manifest import number, says_nothing
from incident.case_file.verification import Examination, Link, examined, links_of
from incident.model import GiveUp, Json
from incident.model.concurrency import together

_PART = r"[A-Za-z0-9][A-Za-z0-9._:-]*"
_CONTAINMENT = re.compile(
    rf"containments/{_PART}/{_PART}/(?:service|job|worker-pool)/{_PART}/\d{{1,9}}"
)
_INCIDENT = re.compile(r"\d{8}-[0-9a-f]{12}")
_ROOTS = ("incidents", "drills")
_EVENT = re.compile(r"([a-z-]+)/(\d{8}-[0-9a-f]{12})(?:-[0-9a-f]{8})?")
#: An event may have case files in all of them, which have the same id, and their lines in the log.
_ALL_ROOTS = ("incidents", "claims", "dry-runs", "drills")
#: So many incidents may refer to one containment before we stop following them.
_MOST_OTHERS = 100

Bodies = Mapping[str, bytes]


async def examine(store: Named, folder: str) -> Examination:
    """Hold a case file, and the containments that it refers to, against the manifests.

    Raises:
        Retry: The store does not answer.
        GiveUp: It has no manifest.
    """
    case = await _read(store, folder)
    if not any(number(path.removeprefix(f"{folder}/")) for path in case):
        raise GiveUp(
            f"cannot verify {folder}: it has no manifest. Either the incident is not concluded"
            " yet, or somebody took the manifests away: look for them in the log, as README.md"
            ' tells under "Verify"'
        )
    held: dict[str, bytes] = {}
    containments = sorted(set(_containments(folder, case)))
    for containment in containments:
        held |= await _read(store, containment)
    mine = folder.rpartition("/")[2]
    referring = sorted({*_incidents(held.values())} - {mine})[:_MOST_OTHERS]
    chains = await together(*(_chain_of(store, incident) for incident in referring))
    others = {where: chain for where, chain in chains if chain}
    alive = frozenset(p for p in case if says_nothing(p.removeprefix(f"{folder}/"), case[p]))
    bodies = {**held, **case}
    found = await asyncio.to_thread(examined, folder, bodies, alive, others, containments)
    return found.with_planted(await _planted(store, [folder, *containments]))


async def namesakes(store: Store, folder: str) -> Mapping[str, tuple[Link, ...]]:
    """The chains of the other case files of the same event, by folder.

    A dry run and the incident that comes of it have the same id, and so have claims that nobody
    bears out, but for their ends.

    Raises:
        Retry: The store does not answer.
    """
    match = _EVENT.fullmatch(folder)
    if match is None:
        return {}
    claims = {"/".join(path.split("/")[:2]) for path in await store.list("claims/")}
    same = {f"{root}/{match[2]}" for root in _ALL_ROOTS}
    same |= {path for path in claims if path.startswith(f"claims/{match[2]}-")}
    folders = sorted(same - {folder})
    chains = await together(*(_links_in(store, name) for name in folders))
    return {name: chain for name, chain in zip(folders, chains, strict=True) if chain}


async def _read(store: Store, folder: str, wanted: re.Pattern[str] | None = None) -> Bodies:
    """The objects of a folder, by path in the store."""
    paths = await store.list(f"{folder}/")
    if wanted:
        paths = tuple(path for path in paths if wanted.search(path))
    bodies = await together(*map(store.read, paths))
    return {path: body for path, body in zip(paths, bodies, strict=True) if body is not None}


async def _chain_of(store: Store, incident: str) -> tuple[str, tuple[Link, ...]]:
    """Where another incident, or a drill, lies, and its manifests; none where it has none."""
    for root in _ROOTS:
        if links := await _links_in(store, f"{root}/{incident}"):
            return f"{root}/{incident}", links
    return "", ()


async def _links_in(store: Store, folder: str) -> tuple[Link, ...]:
    return links_of(folder, await _read(store, folder, re.compile(r"/manifest[^/]*$")))


def _containments(folder: str, case: Bodies) -> Iterator[str]:
    """The containments that the case file refers to, in its manifests and in its records."""
    for link in links_of(folder, case):
        listed = (*link.manifest.written, *link.manifest.found) if link.manifest else ()
        for path in listed:
            if match := _CONTAINMENT.match(path):
                yield match[0]
    for record in _records(case.values()):
        outcome = record.get("outcome")
        for told in (record, outcome if isinstance(outcome, Mapping) else {}):
            if match := _CONTAINMENT.fullmatch(str(told.get("containment"))):
                yield match[0]


def _incidents(bodies: Iterable[bytes]) -> Iterator[str]:
    for record in _records(bodies):
        if match := _INCIDENT.fullmatch(str(record.get("incident"))):
            yield match[0]


def _records(bodies: Iterable[bytes]) -> Iterator[Mapping[str, Json]]:
    for data in bodies:
        try:
            value = json.loads(data) if data.startswith(b"{") else None
        except (ValueError, RecursionError):
            continue
        if isinstance(value, Mapping):
            yield value


async def _planted(store: Named, folders: Iterable[str]) -> dict[str, str]:
    """What lies in some folders under names that the responder cannot have given, and why not."""
    found = await together(*(store.unreadable(f"{folder}/") for folder in folders))
    return {name: why for names in found for name, why in names.items()}
