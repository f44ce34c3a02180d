"""Check that the emulator accepts connections, before a command waits for its answers."""

from __future__ import annotations

import asyncio

from clients.settings import Settings
from incident.model import Retry

_TIMEOUT_S = 3


async def require_emulator(settings: Settings) -> None:
    """Check that the emulator accepts connections, if one is set. Takes at most 3 s.

    Raises:
        Retry: It does not; names the address.
    """
    if settings.emulator is None:
        return
    for address in (settings.emulator.grpc, settings.emulator.http):
        host, _, port = address.rpartition(":")
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
        except (OSError, TimeoutError, OverflowError) as error:
            raise Retry(
                f"cannot connect to {address} (emulator): {error or 'no answer'}. Start it with"
                " `python -m emulator serve`, or correct RESPONDER_EMULATOR"
            ) from error
        writer.close()
