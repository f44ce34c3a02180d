"""Reading a case file as it lies in the store, to hold it against its manifests. Writes nothing.

Whatever lies there may be an attacker's: what cannot be read as we write it stops nothing.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterable, Iterator, Mapping

from incident.case_file.journal import InspectableStore, ObjectStore
from incident.case_file.manifest import is_plain_heartbeat, manifest_number
from incident.case_file.verification import (
    CaseFileVerification,
    ManifestLink,
    links_from_bodies,
    verify_objects,
)
from incident.model import GiveUp, Json
from incident.model.concurrency import gather_all

_PATH_SEGMENT = r"[A-Za-z0-9][A-Za-z0-9._:-]*"
_CONTAINMENT_PATH = re.compile(
    rf"containments/{_PATH_SEGMENT}/{_PATH_SEGMENT}/(?:service|job|worker-pool)/{_PATH_SEGMENT}/\d{{1,9}}"
)
_INCIDENT_ID = re.compile(r"\d{8}-[0-9a-f]{12}")
_MANIFEST_ROOTS = ("incidents", "drills")
_CASE_FILE_PATH = re.compile(r"([a-z-]+)/(\d{8}-[0-9a-f]{12})(?:-[0-9a-f]{8})?")
#: An event may have case files in all of them, which have the same id, and their lines in the log.
_ALL_ROOTS = ("incidents", "claims", "dry-runs", "drills")
#: So many incidents may refer to one containment before we stop following them.
_MAX_OTHER_INCIDENTS = 100

Bodies = Mapping[str, bytes]


async def verify_case_file(store: InspectableStore, folder: str) -> CaseFileVerification:
    """Hold a case file, and the containments that it refers to, against the manifests.

    Raises:
        Retry: The store does not answer.
        GiveUp: It has no manifest.
    """
    case_bodies = await _read_folder(store, folder)
    if not any(manifest_number(path.removeprefix(f"{folder}/")) for path in case_bodies):
        raise GiveUp(
            f"cannot verify {folder}: it has no manifest. Either the incident is not concluded"
            " yet, or somebody took the manifests away: look for them in the log, as README.md"
            ' tells under "Verify"'
        )
    containment_bodies: dict[str, bytes] = {}
    containments = sorted(set(_referenced_containments(folder, case_bodies)))
    for containment in containments:
        containment_bodies |= await _read_folder(store, containment)
    own_id = folder.rpartition("/")[2]
    referring = sorted({*_referring_incidents(containment_bodies.values())} - {own_id})[
        :_MAX_OTHER_INCIDENTS
    ]
    chains = await gather_all(*(_find_chain(store, incident) for incident in referring))
    others = {where: chain for where, chain in chains if chain}
    heartbeats = frozenset(
        p for p in case_bodies if is_plain_heartbeat(p.removeprefix(f"{folder}/"), case_bodies[p])
    )
    bodies = {**containment_bodies, **case_bodies}
    found = await asyncio.to_thread(
        verify_objects, folder, bodies, heartbeats, others, containments
    )
    return found.with_unreadable(await _unreadable_names(store, [folder, *containments]))


async def same_event_chains(
    store: ObjectStore, folder: str
) -> Mapping[str, tuple[ManifestLink, ...]]:
    """The chains of the other case files of the same event, by folder.

    A dry run and the incident that comes of it have the same id, and so have claims that nobody
    bears out, but for their ends.

    Raises:
        Retry: The store does not answer.
    """
    match = _CASE_FILE_PATH.fullmatch(folder)
    if match is None:
        return {}
    unconfirmed_folders = {"/".join(path.split("/")[:2]) for path in await store.list("claims/")}
    candidates = {f"{root}/{match[2]}" for root in _ALL_ROOTS}
    candidates |= {path for path in unconfirmed_folders if path.startswith(f"claims/{match[2]}-")}
    folders = sorted(candidates - {folder})
    chains = await gather_all(*(_read_links(store, name) for name in folders))
    return {name: chain for name, chain in zip(folders, chains, strict=True) if chain}


async def _read_folder(
    store: ObjectStore, folder: str, wanted: re.Pattern[str] | None = None
) -> Bodies:
    """The objects of a folder, by path in the store."""
    paths = await store.list(f"{folder}/")
    if wanted:
        paths = tuple(path for path in paths if wanted.search(path))
    bodies = await gather_all(*map(store.read, paths))
    return {path: body for path, body in zip(paths, bodies, strict=True) if body is not None}


async def _find_chain(store: ObjectStore, incident: str) -> tuple[str, tuple[ManifestLink, ...]]:
    """Where another incident, or a drill, lies, and its manifests; none where it has none."""
    for root in _MANIFEST_ROOTS:
        if links := await _read_links(store, f"{root}/{incident}"):
            return f"{root}/{incident}", links
    return "", ()


async def _read_links(store: ObjectStore, folder: str) -> tuple[ManifestLink, ...]:
    return links_from_bodies(
        folder, await _read_folder(store, folder, re.compile(r"/manifest[^/]*$"))
    )


def _referenced_containments(folder: str, case_bodies: Bodies) -> Iterator[str]:
    """The containments that the case file refers to, in its manifests and in its records."""
    for link in links_from_bodies(folder, case_bodies):
        listed = (*link.manifest.written, *link.manifest.found) if link.manifest else ()
        for path in listed:
            if match := _CONTAINMENT_PATH.match(path):
                yield match[0]
    for record in _parse_records(case_bodies.values()):
        outcome = record.get("outcome")
        for body in (record, outcome if isinstance(outcome, Mapping) else {}):
            if match := _CONTAINMENT_PATH.fullmatch(str(body.get("containment"))):
                yield match[0]


def _referring_incidents(bodies: Iterable[bytes]) -> Iterator[str]:
    for record in _parse_records(bodies):
        if match := _INCIDENT_ID.fullmatch(str(record.get("incident"))):
            yield match[0]


def _parse_records(bodies: Iterable[bytes]) -> Iterator[Mapping[str, Json]]:
    for data in bodies:
        try:
            value = json.loads(data) if data.startswith(b"{") else None
        except (ValueError, RecursionError):
            continue
        if isinstance(value, Mapping):
            yield value


async def _unreadable_names(store: InspectableStore, folders: Iterable[str]) -> dict[str, str]:
    """What lies in some folders under names that the responder cannot have given, and why not."""
    found = await gather_all(*(store.unreadable(f"{folder}/") for folder in folders))
    return {name: why for names in found for name, why in names.items()}
