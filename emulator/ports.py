"""Free ports on loopback, for processes that have to be told theirs."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl

LOOPBACK = "127.0.0.1"
#: For HTTP clients that speak to loopback only: to read the authorities that a machine trusts
#: takes longer than most conversations. A server that does speak TLS is not trusted.
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
_POLL_S = 0.05


def free_port() -> int:
    """A port that was free just now. Nothing keeps another process from taking it."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


async def accepts(host: str, port: int) -> bool:
    """Whether somebody listens there, asked after a short pause."""
    await asyncio.sleep(_POLL_S)
    with contextlib.suppress(OSError):
        _, writer = await asyncio.open_connection(host, port)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        return True
    return False
