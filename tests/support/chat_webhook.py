"""A chat room's webhook on loopback, which keeps what it is sent and answers as a test wants."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

#: An answer that never comes.
NO_ANSWER = 0
SECRET_PATH = "/services/T0PLANTED/B0PLANTED/planted0planted0planted"


@dataclass
class ChatRoom:
    """What was posted.

    Attributes:
        answers: The statuses to answer with, in order; the last one is repeated.
        url: Where to post, with a secret in its path.
        texts: The text of every post.
        bodies: Every post as JSON.
        requests: The first line of every request.
        connections: Every connection.
    """

    answers: Sequence[int]
    url: str = ""
    texts: list[str] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    connections: list[asyncio.StreamWriter] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take one post."""
        self.connections.append(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            headers = dict(line.lower().split(": ") for line in head.splitlines()[1:] if line)
            body = json.loads(await reader.readexactly(int(headers["content-length"])))
            self.requests.append(head.splitlines()[0])
            self.bodies.append(body)
            self.texts.append(str(body.get("text", "")))
            status = self.answers[min(len(self.bodies), len(self.answers)) - 1]
            if status == NO_ANSWER:
                await reader.read()
            else:
                location = "Location: http://127.0.0.1:9/elsewhere\r\n" if status == 302 else ""
                answer = f"HTTP/1.1 {status} X\r\n{location}Content-Length: 2\r\n\r\nok"
                writer.write(answer.encode())
                await writer.drain()
        writer.close()


@asynccontextmanager
async def chat_room(*answers: int) -> AsyncIterator[ChatRoom]:
    """A room that listens while the context lasts."""
    room = ChatRoom(answers or (200,))
    server = await asyncio.start_server(room.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    room.url = f"http://127.0.0.1:{port}{SECRET_PATH}"
    try:
        yield room
    finally:
        server.close()
        for writer in room.connections:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
