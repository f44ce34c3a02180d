"""A ready cloud for tests that need nothing special in it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.support.constants import SERVICE
from tests.support.google_clients import GoogleClients, google_clients, world_with_services


@pytest_asyncio.fixture
async def google() -> AsyncIterator[GoogleClients]:
    """A cloud with one service, of which only the name is given."""
    async with google_clients(world_with_services({"name": SERVICE})) as ready:
        yield ready
