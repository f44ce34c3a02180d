"""A ready cloud for tests that need nothing special in it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.support.google_clients import SERVICE, Cloud, cloud, world_with


@pytest_asyncio.fixture
async def google() -> AsyncIterator[Cloud]:
    """A cloud with one service, of which only the name is said."""
    async with cloud(world_with({"name": SERVICE})) as ready:
        yield ready
