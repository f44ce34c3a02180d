"""The chain of a case file's manifests, as it lies in the store; and adding a link to it.

Whether the objects are as it lists them is not asked here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass

from incident.case_file.journal import ObjectStore
from incident.case_file.manifest import (
    Manifest,
    decode_manifest,
    encode_manifest,
    is_case_file_object,
    is_containment_object,
    is_heartbeat_name,
    is_record_name,
    manifest_name,
    manifest_number,
    sha256_hex,
    writer_run_id,
)
from incident.case_file.recording_store import RecordingStore, as_recording_store
from incident.model import Json, Malformed, Retry
from incident.model.concurrency import gather_all

_CONTAINMENTS_PREFIX = "containments/"
_ROOTS = ("incidents", "drills")
#: So many others may add a link at the same moment.
_MAX_ATTEMPTS = 50
#: Nobody waits longer for a link once the outcome is on record.
_TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True)
class ManifestChain:
    """The links that follow one another without a gap, and what they list.

    Attributes:
        links: Each with its digest, the oldest first; None in place of what is no manifest.
        last_sha256: Digest of the newest; None where there is none.
    """

    links: tuple[Manifest | None, ...] = ()
    last_sha256: str | None = None

    @property
    def written(self) -> dict[str, str]:
        """What was listed by those who wrote it; the first word counts."""
        return _merge_earliest_first(link.written for link in self.links if link)

    @property
    def written_pairs(self) -> frozenset[tuple[str, str]]:
        """What was listed by those who wrote it, with each digest that it was listed with."""
        return frozenset(pair for link in self.links if link for pair in link.written.items())

    @property
    def listed(self) -> dict[str, str]:
        """Everything that is listed."""
        return {**_merge_earliest_first(link.found for link in self.links if link), **self.written}


async def read_manifest_chain(
    store: ObjectStore, folder: str, paths: Iterable[str]
) -> ManifestChain:
    """The chain of a case file.

    Args:
        store: Where it is.
        folder: The case file's path.
        paths: Everything in it, as it was listed a moment ago.

    Raises:
        Retry: The store does not answer.
    """
    named = {path.removeprefix(f"{folder}/") for path in paths}
    names: list[str] = []
    while manifest_name(len(names) + 1) in named:
        names.append(manifest_name(len(names) + 1))
    bodies = await gather_all(*(store.read(f"{folder}/{name}") for name in names))
    read: list[tuple[str, bytes]] = []
    for name, data in zip(names, bodies, strict=True):
        if data is None:
            break
        read.append((name, data))
    links = tuple(_decode_link(folder, name, data) for name, data in read)
    return ManifestChain(links, sha256_hex(read[-1][1]) if read else None)


async def extend_manifest_chain(
    store: ObjectStore, folder: str, containment: Json = None
) -> str | None:
    """List what is new in a case file, and in its containment, in one more link.

    What the run that ``store`` is the witness of has written is listed as written; whatever
    else is there, in no link, and named as the responder names things, as found.

    Args:
        store: Where it is, as this run sees it.
        folder: The case file's path.
        containment: The path of the containment that the incident refers to, if any.

    Returns:
        Digest of the newest link that this run has written; None where it wrote none.

    Raises:
        Retry: The store does not answer.
        GiveUp: It refuses.
    """
    recording_store = as_recording_store(store)
    for _ in range(_MAX_ATTEMPTS):
        case_file_paths = await recording_store.list(f"{folder}/")
        chain = await read_manifest_chain(recording_store, folder, case_file_paths)
        # Whoever listed our object before us, with another digest, was not us.
        written_by_run, written_pairs = (
            _written_for_case(recording_store, folder),
            chain.written_pairs,
        )
        written = {
            path: sha for path, sha in written_by_run.items() if (path, sha) not in written_pairs
        }
        known = {**chain.listed, **written}.keys()
        paths = [
            path for path in case_file_paths if is_case_file_object(path.removeprefix(f"{folder}/"))
        ]
        found = await _read_digests(
            recording_store, [p for p in paths if p not in known and not _is_heartbeat(p)]
        )
        found |= await _unlisted_in_containment(
            recording_store, containment, known, case_file_paths
        )
        if not written and not found:
            return recording_store.manifest_digests.get(folder)
        data = encode_manifest(folder, chain.last_sha256, written, found)
        path = f"{folder}/{manifest_name(len(chain.links) + 1)}"
        if await recording_store.create(path, data) or await recording_store.read(path) == data:
            recording_store.manifest_digests[folder] = sha256_hex(data)
            return sha256_hex(data)
    raise Retry(f"cannot list what is new in {folder}: others add to it at this moment")


async def try_extend_manifest_chain(
    store: ObjectStore, folder: str, containment: Json = None
) -> tuple[str | None, str]:
    """List what is new, after the outcome is on record, which nothing here may turn any more.

    What could not be listed is for the next delivery or patrol.

    Returns:
        As :func:`extend_manifest_chain`, and why it could not be listed; empty where it was.
    """
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            return await extend_manifest_chain(store, folder, containment), ""
    except TimeoutError:
        reason = f"the store took longer than {_TIMEOUT_S:g} s"
    except Exception as error:  # noqa: BLE001 - whatever it is, the outcome stands and is told
        reason = str(error) or repr(error)
    recording_store = as_recording_store(store)
    recording_store.unlisted[folder] = f"the manifest could not be carried on: {reason}"
    return recording_store.manifest_digests.get(folder), recording_store.unlisted[folder]


async def list_containment_records(
    store: ObjectStore, incidents: Iterable[str], containment: str
) -> None:
    """List what a run has written for a containment, with all incidents that refer to it.

    Raises:
        Retry: The store does not answer.
    """
    for incident in incidents:
        for root in _ROOTS:
            if await store.list(f"{root}/{incident}/"):
                await try_extend_manifest_chain(store, f"{root}/{incident}", containment)
                break


def _written_for_case(recording_store: RecordingStore, folder: str) -> dict[str, str]:
    """What this run has written for a case: into its file, and into containments."""
    return {
        path: sha256
        for path, sha256 in recording_store.written.items()
        if path.startswith((f"{folder}/", _CONTAINMENTS_PREFIX))
        and manifest_number(path.removeprefix(f"{folder}/")) is None
        and not _is_heartbeat(path)
    }


async def _unlisted_in_containment(
    store: ObjectStore, containment: Json, known: Container[str], case_file_paths: Iterable[str]
) -> dict[str, str]:
    """What runs of this case have left in its containment, in no link.

    Other incidents may refer to it as well, whose runs list what they write there themselves.

    Args:
        store: Where it is.
        containment: Its path, if there is one.
        known: Paths of what is listed.
        case_file_paths: Paths of everything in the case file, whose records tell its runs.
    """
    if not isinstance(containment, str) or not containment.startswith(_CONTAINMENTS_PREFIX):
        return {}
    containment_paths = await store.list(f"{containment}/")
    paths = [
        p
        for p in containment_paths
        if is_containment_object(p.removeprefix(f"{containment}/")) and p not in known
    ]
    if not paths:
        return {}
    bodies = await _read_bodies(store, paths)
    runs = {
        writer_run_id(data)
        for data in (await _read_bodies(store, filter(is_record_name, case_file_paths))).values()
    }
    return {
        p: sha256_hex(data) for p, data in bodies.items() if writer_run_id(data) in runs - {None}
    }


def _is_heartbeat(path: str) -> bool:
    return is_heartbeat_name(path.rpartition("/")[2])


async def _read_digests(store: ObjectStore, paths: Iterable[str]) -> dict[str, str]:
    return {path: sha256_hex(data) for path, data in (await _read_bodies(store, paths)).items()}


async def _read_bodies(store: ObjectStore, paths: Iterable[str]) -> dict[str, bytes]:
    wanted = list(paths)
    bodies = await gather_all(*map(store.read, wanted))
    return {path: data for path, data in zip(wanted, bodies, strict=True) if data is not None}


def _decode_link(folder: str, name: str, data: bytes) -> Manifest | None:
    try:
        return decode_manifest(folder, name, data)
    except Malformed:
        return None


def _merge_earliest_first(many: Iterable[Mapping[str, str]]) -> dict[str, str]:
    merged: dict[str, str] = {}
    for one in many:
        merged = {**one, **merged}
    return merged
