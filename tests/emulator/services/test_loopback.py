"""A port is kept until its server listens."""

from __future__ import annotations

import contextlib
import socket
import sys

import pytest

from emulator.services.loopback import LOOPBACK, ReservedPort, is_listening

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux can keep a port")


async def test_a_reserved_port_accepts_no_connection() -> None:
    """A connection may come from any port that is free, also from the one that it goes to."""
    with ReservedPort() as port:
        with socket.socket() as asking, pytest.raises(OSError, match="in use"):
            asking.bind((LOOPBACK, port))
        assert not await is_listening(LOOPBACK, port)


async def test_a_server_that_reuses_addresses_is_let_in() -> None:
    """As gunicorn does."""
    with ReservedPort() as port, contextlib.closing(socket.create_server((LOOPBACK, port))):
        assert await is_listening(LOOPBACK, port)
    assert not await is_listening(LOOPBACK, port)


def test_every_reservation_has_a_port_of_its_own() -> None:
    """Also beside servers that reuse addresses and are given any port."""
    with contextlib.ExitStack() as stack:
        kept = [stack.enter_context(ReservedPort()) for _ in range(200)]
        servers = [stack.enter_context(socket.create_server((LOOPBACK, 0))) for _ in range(200)]
        assert len({*kept, *(server.getsockname()[1] for server in servers)}) == 400
