"""Verify a case file: compare its objects with the manifests, and the manifests with the log.

All objects come from the store, where an attacker may have put, changed or deleted any of them.
The digests from the log are the only input that the store cannot change.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from incident.case_file.journal import InspectableStore, ObjectStore
from incident.case_file.manifest import decode_manifest, sha256_hex
from incident.case_file.paths import (
    DONE_NUMBER,
    DRILLS,
    INCIDENTS,
    case_file_folder,
    is_incident_id,
    is_manifest,
    parse_containment_path,
    record_path,
)
from incident.model import GiveUp, Json, Malformed
from incident.model.concurrency import gather_all

#: Where the incidents and drills that a containment names have their case files.
_CONTAINING_ROOTS = (INCIDENTS, DRILLS)
#: More incidents than these that refer to one containment are not read.
_MAX_OTHER_INCIDENTS = 100


class ObjectState(StrEnum):
    """What a comparison says of an object, the worst first."""

    CHANGED = "changed"
    MISSING = "missing"
    NOT_LISTED = "not listed"
    INTACT = "intact"


_LOGGED_NAME = record_path("", DONE_NUMBER, "logged")
_NOT_LOGGED_YET = "written after the log line; the next delivery or patrol run does it again"
_SEVERITY = {state: rank for rank, state in enumerate(ObjectState)}


@dataclass(frozen=True, slots=True)
class KnownDigest:
    """A manifest's digest from outside the store.

    Attributes:
        sha256: The digest.
        folder: The case file or containment that the log line named; None where it named none.
    """

    sha256: str
    folder: str | None = None


@dataclass(frozen=True, slots=True)
class VerifiedObject:
    """One object of the store, with the reason of its state where that needs one."""

    path: str
    state: ObjectState
    note: str = ""


@dataclass(frozen=True, slots=True)
class StoredManifest:
    """One manifest.

    Attributes:
        path: Its path in the store.
        sha256: Its digest.
        objects: What it lists; None where it is not a manifest of the folder that it lies in.
        counts: Whether what it lists is listed: it is a manifest, and known where digests are.
    """

    path: str
    sha256: str
    objects: Mapping[str, str] | None
    counts: bool

    @property
    def folder(self) -> str:
        """The folder that it lies in."""
        return self.path.rpartition("/")[0]


@dataclass(frozen=True, slots=True)
class CaseFileVerification:
    """The result for one case file and its containments.

    Attributes:
        folder: The case file's path.
        objects: Every object that is stored or listed, the worst state first.
        manifests: The manifests that list them, those of other incidents on the workload as well.
        missing_manifests: Digests from the log of manifests that the store does not have.
        compared_with_log: Whether digests were given to compare with.
    """

    folder: str
    objects: tuple[VerifiedObject, ...]
    manifests: tuple[StoredManifest, ...]
    missing_manifests: tuple[str, ...]
    compared_with_log: bool

    @property
    def counts(self) -> dict[ObjectState, int]:
        """How many objects are in each state."""
        return {
            state: sum(1 for item in self.objects if item.state is state) for state in ObjectState
        }

    @property
    def intact(self) -> bool:
        """Whether every object is listed and intact, and no manifest is missing."""
        return not self.missing_manifests and self.counts[ObjectState.INTACT] == len(self.objects)


async def verify_case_file(
    store: InspectableStore, folder: str, known: Collection[KnownDigest] | None = None
) -> CaseFileVerification:
    """Compare a case file and the containments that it refers to with the manifests.

    Args:
        store: Where they are.
        folder: The case file's path.
        known: The manifests' digests from the log; None to take the store's word for them.

    Raises:
        Retry: The store does not answer.
        GiveUp: The store refuses.
    """
    bodies = await _read_folder(store, folder)
    containments = sorted(_containments_of(bodies))
    for containment in containments:
        bodies |= await _read_folder(store, containment)
    manifests = {path: data for path, data in bodies.items() if is_manifest(path)}
    manifests |= await _other_manifests(store, bodies, folder)
    digests = None if known is None else {digest.sha256 for digest in known}
    read = tuple(_read_manifest(path, manifests[path], digests) for path in sorted(manifests))
    scope = (f"{folder}/", *(f"{containment}/" for containment in containments))
    listed = _listed_objects(read, folder, containments)
    elsewhere = sorted(path for path in listed if not path.startswith(scope))
    found = await gather_all(*(_read_or_none(store, path) for path in elsewhere))
    bodies |= {path: data for path, data in zip(elsewhere, found, strict=True) if data is not None}
    objects = [*_compare(bodies, listed, read)]
    unreadable = await gather_all(*(store.unreadable(prefix) for prefix in scope))
    objects += [
        VerifiedObject(name, ObjectState.NOT_LISTED, why)
        for names in unreadable
        for name, why in names.items()
    ]
    return CaseFileVerification(
        folder,
        tuple(sorted(objects, key=lambda item: (_SEVERITY[item.state], item.path))),
        read,
        _missing_manifests(known or (), read, {folder, *containments}),
        compared_with_log=known is not None,
    )


def _compare(
    bodies: Mapping[str, bytes],
    listed: Mapping[str, set[str]],
    manifests: Iterable[StoredManifest],
) -> Iterator[VerifiedObject]:
    """The state of every object that is stored or listed, manifests included."""
    by_path = {manifest.path: manifest for manifest in manifests}
    for path in {*bodies, *listed}:
        data, digests = bodies.get(path), listed.get(path, set())
        if path in by_path and not digests:
            yield _manifest_state(by_path[path])
        elif not digests:
            yield VerifiedObject(path, ObjectState.NOT_LISTED, _listed_by_unknown(path, manifests))
        elif data is None:
            logged = path.endswith(_LOGGED_NAME)
            yield VerifiedObject(path, ObjectState.MISSING, _NOT_LOGGED_YET if logged else "")
        elif len(digests) > 1:
            # An object is created once, so that two digests of it are never both true.
            note = "listed with more than one digest"
            yield VerifiedObject(path, ObjectState.CHANGED, note)
        else:
            intact = sha256_hex(data) in digests
            yield VerifiedObject(path, ObjectState.INTACT if intact else ObjectState.CHANGED)


def _manifest_state(manifest: StoredManifest) -> VerifiedObject:
    """A manifest is listed by its digest in the log."""
    if manifest.counts:
        return VerifiedObject(manifest.path, ObjectState.INTACT)
    note = (
        "not a manifest of this folder"
        if manifest.objects is None
        else "its digest is not among those from the log"
    )
    return VerifiedObject(manifest.path, ObjectState.NOT_LISTED, note)


def _listed_by_unknown(path: str, manifests: Iterable[StoredManifest]) -> str:
    names = [m.path for m in manifests if not m.counts and path in (m.objects or ())]
    return f"only in {names[0]}, whose digest is not among those from the log" if names else ""


def _listed_objects(
    manifests: Iterable[StoredManifest], folder: str, containments: Sequence[str]
) -> dict[str, set[str]]:
    """The digests of every object that a manifest lists which may list it.

    A manifest of the case file lists all that its run created, slots as well. One of a
    containment may list its objects and the case file's: a patrol run or a release updates the
    incidents. One of another incident may list objects of the shared containments only.
    """
    shared = tuple(f"{containment}/" for containment in containments)
    listed: dict[str, set[str]] = {}
    for manifest in manifests:
        if not manifest.counts:
            continue
        allowed = (f"{folder}/", *shared) if manifest.folder in containments else shared
        for path, sha256 in (manifest.objects or {}).items():
            if manifest.folder == folder or path.startswith(allowed):
                listed.setdefault(path, set()).add(sha256)
    return listed


def _missing_manifests(
    known: Iterable[KnownDigest], manifests: Iterable[StoredManifest], folders: set[str]
) -> tuple[str, ...]:
    """Digests that the log has of these folders, or of the incident, and no manifest has."""
    names = {folder.rpartition("/")[2] for folder in folders}
    incidents = {case_file_folder(INCIDENTS, name) for name in names if is_incident_id(name)}
    present = {manifest.sha256 for manifest in manifests}
    missing = (
        digest.sha256
        for digest in known
        if digest.folder in {None, *folders, *incidents} and digest.sha256 not in present
    )
    return tuple(dict.fromkeys(missing))


def _read_manifest(path: str, data: bytes, digests: Collection[str] | None) -> StoredManifest:
    sha256 = sha256_hex(data)
    try:
        objects = decode_manifest(path, data)
    except Malformed:
        return StoredManifest(path, sha256, None, counts=False)
    return StoredManifest(path, sha256, objects, counts=digests is None or sha256 in digests)


async def _other_manifests(
    store: ObjectStore, bodies: Mapping[str, bytes], folder: str
) -> dict[str, bytes]:
    """Manifests of the other incidents that refer to the same containments."""
    records = (
        record
        for path, record in _parse_records(bodies)
        if parse_containment_path(path) is not None
    )
    named = {str(record.get("incident")) for record in records}
    others = sorted(name for name in named if is_incident_id(name))[:_MAX_OTHER_INCIDENTS]
    folders = [case_file_folder(root, name) for name in others for root in _CONTAINING_ROOTS]
    listed = await gather_all(*(store.list(f"{f}/") for f in folders if f != folder))
    return await _read_objects(store, [p for paths in listed for p in paths if is_manifest(p)])


def _containments_of(bodies: Mapping[str, bytes]) -> set[str]:
    """The containments that a case file refers to, in its manifests and in its records."""
    named: list[object] = []
    for path, record in _parse_records(bodies):
        outcome, objects = record.get("outcome"), record.get("objects")
        named += [record.get("containment")]
        named += [outcome.get("containment")] if isinstance(outcome, Mapping) else []
        named += objects if isinstance(objects, Mapping) and is_manifest(path) else []
    return {found.folder for path in named if (found := parse_containment_path(path))}


def _parse_records(bodies: Mapping[str, bytes]) -> Iterator[tuple[str, Mapping[str, Json]]]:
    """The content of every object that is a JSON object."""
    for path, data in bodies.items():
        try:
            value = json.loads(data) if data.startswith(b"{") else None
        except (ValueError, RecursionError):
            continue
        if isinstance(value, Mapping):
            yield path, value


async def _read_folder(store: ObjectStore, folder: str) -> dict[str, bytes]:
    """The objects of a folder, by path in the store."""
    return await _read_objects(store, await store.list(f"{folder}/"))


async def _read_or_none(store: ObjectStore, path: str) -> bytes | None:
    """An object that a manifest lists: of a forged one, the store may refuse the name."""
    try:
        return await store.read(path)
    except GiveUp:
        return None


async def _read_objects(store: ObjectStore, paths: Sequence[str]) -> dict[str, bytes]:
    bodies = await gather_all(*map(store.read, paths))
    return {path: data for path, data in zip(paths, bodies, strict=True) if data is not None}
