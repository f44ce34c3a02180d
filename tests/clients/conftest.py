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
from emulator.world.state import parse


@dataclass(frozen=True, slots=True)
class Google:
    """An emulated world, and the product's clients of it."""

    emulator: Emulator
    clients: Clients
    settings: Settings


Connecting = Callable[..., AbstractAsyncContextManager[Google]]


@asynccontextmanager
async def connected(world: dict[str, Any], **given: Any) -> AsyncIterator[Google]:
    """The emulator of a world, and the product's clients of it."""
    async with Emulator(parse(world, source="test")) as emulator:
        addresses = json.loads(emulator.environment)
        settings = Settings.model_validate(
            {"store": "gs://case-files/responder", "emulator": addresses, **given}
        )
        yield Google(emulator, await connect(settings), settings)


@pytest.fixture
def google() -> Connecting:
    """Connects to the emulator of a world."""
    return connected
