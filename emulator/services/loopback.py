"""Reserve free ports on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import sys
from types import TracebackType

LOOPBACK = "127.0.0.1"
#: For HTTP clients that speak to loopback only: to read the authorities that a machine trusts
#: takes longer than most conversations. A server that does speak TLS is not trusted.
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
_POLL_S = 0.05


class ReservedPort:
    """A free port, kept for a server that this process starts; a context manager.

    On Linux the reservation is a bound socket that does not listen. Nobody else is given its
    port, and connections to it are refused until the server listens, which has to allow the
    reuse of addresses, as gunicorn and Java do. A port that is merely free may be chosen for any
    connection, even for one that asks whether the server is there: that one reaches itself.
    Elsewhere a second socket is not let in, and the port is one that was free just now.

    Attributes:
        number: The port.
    """

    def __init__(self) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind((LOOPBACK, 0))
        self.number = int(self._socket.getsockname()[1])
        if sys.platform != "linux":
            self.release()

    def release(self) -> None:
        """Let others have it."""
        self._socket.close()

    def __del__(self) -> None:
        """A port that nobody asks for any more is not kept."""
        self.release()

    def __enter__(self) -> int:
        return self.number

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


async def is_listening(host: str, port: int) -> bool:
    """Whether somebody listens there, asked after a short pause."""
    await asyncio.sleep(_POLL_S)
    with contextlib.suppress(OSError):
        _, writer = await asyncio.open_connection(host, port)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        return True
    return False
