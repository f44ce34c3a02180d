"""Stores that fail in the ways that tests need."""

from __future__ import annotations

from collections import Counter

from clients.store import Store
from tests.support.patrol import ProcessKilled


class StoreKilledAt(Store):
    """A store whose process is killed before or after it creates an object of some name."""

    def __init__(self, store: Store, name: str, when: str) -> None:
        super().__init__(store._store, store.url)  # noqa: SLF001 - the same store
        self._name, self._when = name, when

    async def create(self, path: str, data: bytes) -> bool:
        """Put an object, unless the process is killed before."""
        here = path.endswith(self._name)
        if here and self._when == "before":
            raise ProcessKilled
        created = await super().create(path, data)
        if here:
            raise ProcessKilled
        return created


class CountingStore(Store):
    """A store that counts the requests that it is asked for, by kind."""

    def __init__(self, store: Store) -> None:
        super().__init__(store._store, store.url)  # noqa: SLF001 - the same store
        self.requests: Counter[str] = Counter()

    async def create(self, path: str, data: bytes) -> bool:
        """Put an object."""
        self.requests["create"] += 1
        return await super().create(path, data)

    async def read(self, path: str) -> bytes | None:
        """An object's content."""
        self.requests["read"] += 1
        return await super().read(path)

    async def list(self, prefix: str) -> tuple[str, ...]:
        """The objects below a prefix."""
        self.requests["list"] += 1
        return await super().list(prefix)
