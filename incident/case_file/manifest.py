"""Manifests: every run lists the objects that it created, each with its SHA-256.

A manifest is an object of the store itself. Its own digest stands in the log line of the run,
which nobody changes by writing to the store (:mod:`incident.case_file.verification` compares).
Nothing else depends on whether an object is listed.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from incident.case_file.journal import ObjectStore, create_numbered, encode_json
from incident.case_file.paths import is_manifest, object_stem
from incident.model import Malformed
from incident.model.json_text import SCHEMA_VERSION

_SHA256 = re.compile(r"[0-9a-f]{64}")
#: No run waits longer for its manifest once its outcome is on record.
_TIMEOUT_S = 20.0
#: Objects of this size are kept until the run ends, for the page; log entries may be megabytes.
_MOST_KEPT_BYTES = 65_536


class RecordingStore:
    """A store that remembers what was created through it. Satisfies ``ObjectStore``.

    Each run has one of its own. An object's digest is taken before the store has the object, so
    that a change which somebody makes right after that is detected as well. What the run has
    created is not requested again, unless it is long.

    Attributes:
        created: Paths of the objects that the run created, with their SHA-256.
    """

    def __init__(self, store: ObjectStore) -> None:
        """Remember what is created from now on."""
        self._store = store
        self._attempted: dict[str, set[str]] = {}
        self._unconfirmed: set[str] = set()
        self._kept: dict[str, bytes] = {}
        self.created: dict[str, str] = {}

    async def create(self, path: str, data: bytes) -> bool:
        """Put an object where none is; False when one is there already."""
        digest = sha256_hex(data)
        self._attempted.setdefault(path, set()).add(digest)
        self._unconfirmed.add(path)
        created = await self._store.create(path, data)
        self._unconfirmed.discard(path)
        if created:
            self.created[path] = digest
            if len(data) <= _MOST_KEPT_BYTES:
                self._kept[path] = data
        return created

    async def read(self, path: str) -> bytes | None:
        """An object's content, or None.

        A caller that is refused because the object exists reads it, to see whether an earlier
        attempt of its own, whose answer was lost, created it. That counts as created by the run.
        """
        if path in self._kept:
            return self._kept[path]
        data = await self._store.read(path)
        if data is not None and path not in self.created:
            digest = sha256_hex(data)
            if digest in self._attempted.get(path, ()):
                self.created[path] = digest
        return data

    async def list(self, prefix: str) -> tuple[str, ...]:
        """Paths of all objects below a prefix, in order."""
        return await self._store.list(prefix)

    async def confirm_created(self) -> None:
        """Look for objects whose creation was interrupted or not answered.

        Raises:
            Retry: The store does not answer.
        """
        for path in sorted(self._unconfirmed):
            await self.read(path)
            self._unconfirmed.discard(path)


async def write_manifest(
    store: RecordingStore, folder: str, planned: Mapping[str, bytes] | None = None
) -> str | None:
    """List what a run has created, in one more manifest of a case file or containment.

    Args:
        store: The store of the run.
        folder: Path of the case file, or of the containment that the run worked on.
        planned: Objects, by path, that the run will create after its log line.

    Returns:
        The manifest's digest; None where there is nothing to list.

    Raises:
        Retry: The store does not answer.
        GiveUp: It refuses.
    """
    await store.confirm_created()
    digests = {path: sha256_hex(data) for path, data in (planned or {}).items()}
    objects = {**store.created, **digests}
    if not objects:
        return None
    data = encode_manifest(folder, objects)
    await create_numbered(store, object_stem(folder, "manifest"), "json", data)
    return sha256_hex(data)


async def try_write_manifest(
    store: RecordingStore, folder: str, planned: Mapping[str, bytes] | None = None
) -> tuple[str | None, str]:
    """As :func:`write_manifest`, for an outcome that is on record and stays as it is.

    Returns:
        The digest, and why the manifest could not be written; empty where it was.
    """
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            return await write_manifest(store, folder, planned), ""
    except TimeoutError:
        reason = f"the store took longer than {_TIMEOUT_S:g} s"
    except Exception as error:  # noqa: BLE001 - whatever it is, the outcome must be logged
        reason = str(error) or repr(error)
    return None, f"cannot write the manifest of {folder}: {reason}"


def sha256_hex(data: bytes) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(data).hexdigest()


def is_sha256(text: str) -> bool:
    """Whether a text is a SHA-256 in hex."""
    return _SHA256.fullmatch(text) is not None


def encode_manifest(folder: str, objects: Mapping[str, str]) -> bytes:
    """A manifest: the same bytes for the same objects in the same folder."""
    listed = dict(sorted(objects.items()))
    return encode_json({"schema_version": SCHEMA_VERSION, "folder": folder, "objects": listed})


def decode_manifest(path: str, data: bytes) -> dict[str, str]:
    """The objects that a manifest lists, by path, with their SHA-256.

    Raises:
        Malformed: It is not a manifest of the folder that it lies in.
    """
    try:
        document: Any = json.loads(data)
        objects = {str(name): str(sha256) for name, sha256 in document["objects"].items()}
        valid = document["folder"] == path.rpartition("/")[0] and is_manifest(path)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Malformed(f"cannot read {path}: it is not a manifest") from error
    if not valid or not all(map(is_sha256, objects.values())):
        raise Malformed(f"cannot read {path}: it is not a manifest of the folder that it lies in")
    return objects
