"""The store as one run sees it, which remembers what the run has created.

What was created is known by its digest before the store has it: whoever changes it there later,
even before anything was listed, is found out.
"""

from __future__ import annotations

import hashlib

from incident.case_file.journal import ObjectStore


class RecordingStore:
    """A store that remembers what was created through it. Satisfies ``ObjectStore``.

    Attributes:
        written: Paths of the objects that this run has created, with their SHA-256.
        manifest_digests: By case file, the digest of the newest manifest that this run has written.
        unlisted: By case file, why what was written there could not be listed.
    """

    def __init__(self, store: ObjectStore) -> None:
        """Watch what is created in a store from now on."""
        self._store = store
        self._attempted: dict[str, set[str]] = {}
        self.written: dict[str, str] = {}
        self.manifest_digests: dict[str, str] = {}
        self.unlisted: dict[str, str] = {}

    async def create(self, path: str, data: bytes) -> bool:
        """Put an object where none is; False when one is there already."""
        digest = hashlib.sha256(data).hexdigest()
        self._attempted.setdefault(path, set()).add(digest)
        created = await self._store.create(path, data)
        if created:
            self.written[path] = digest
        return created

    async def read(self, path: str) -> bytes | None:
        """An object's content, or None.

        Whoever is told that something is there already reads it, to see whether it is his own,
        put by a call whose answer was lost. So it is seen here, too.
        """
        data = await self._store.read(path)
        if data is not None and path in self._attempted and path not in self.written:
            digest = hashlib.sha256(data).hexdigest()
            if digest in self._attempted[path]:
                self.written[path] = digest
        return data

    async def list(self, prefix: str) -> tuple[str, ...]:
        """Paths of all objects below a prefix, in order."""
        return await self._store.list(prefix)


def as_recording_store(store: ObjectStore) -> RecordingStore:
    """The store as this run sees it; a run within a run is seen by the same witness."""
    return store if isinstance(store, RecordingStore) else RecordingStore(store)
