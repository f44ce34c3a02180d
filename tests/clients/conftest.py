"""The product's clients, connected to an emulator of a test's world."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from clients import Clients, Settings, connect
from emulator.server.emulator import Emulator
from emulator.world.state import parse_world


@dataclass(frozen=True, slots=True)
class ConnectedClients:
    """An emulated world, and the product's clients of it."""

    emulator: Emulator
    clients: Clients
    settings: Settings


ConnectClients = Callable[..., AbstractAsyncContextManager[ConnectedClients]]


@asynccontextmanager
async def connected_clients(world: dict[str, Any], **given: Any) -> AsyncIterator[ConnectedClients]:
    """The emulator of a world, and the product's clients of it."""
    async with Emulator(parse_world(world, source="test")) as emulator:
        addresses = json.loads(emulator.environment)
        settings = Settings.model_validate(
            {"store": "gs://case-files/responder", "emulator": addresses, **given}
        )
        yield ConnectedClients(emulator, await connect(settings), settings)


@pytest.fixture
def connect_clients() -> ConnectClients:
    """Connects to the emulator of a world."""
    return connected_clients
