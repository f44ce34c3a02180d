"""A child process group that is always ended with all that it started."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from asyncio.subprocess import PIPE, Process
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

GRACE_S = 5.0
LINE_BYTES = 64 * 1024 * 1024
_TAIL_LINES = 30


class ProcessGroup:
    """An async context manager around a child process and its descendants.

    Args:
        command: The program and its arguments.
        environment: The whole environment; nothing is inherited.
        cwd: The folder that it runs in.
        each_line: Called with every line of its standard output, as it comes.
        grace_s: How long it may take to end by itself, in seconds.

    Attributes:
        tail: The last lines of its standard error.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        cwd: Path,
        each_line: Callable[[bytes], None] = lambda _: None,
        *,
        grace_s: float = GRACE_S,
    ) -> None:
        self._command = command
        self._environment = environment
        self._cwd = cwd
        self._each_line = each_line
        self._grace_s = grace_s
        self._process: Process | None = None
        self._readers: list[asyncio.Task[None]] = []
        self.tail: deque[str] = deque(maxlen=_TAIL_LINES)

    @property
    def pid(self) -> int | None:
        """The process's id; None while it does not run."""
        return self._process.pid if self._process else None

    @property
    def exit_code(self) -> int | None:
        """The exit code; None while it runs."""
        return self._process.returncode if self._process else None

    async def __aenter__(self) -> Self:
        self._process = await self._start()
        streams = ((self._process.stdout, self._each_line), (self._process.stderr, self._remember))
        self._readers = [
            asyncio.create_task(_read(stream, each)) for stream, each in streams if stream
        ]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.end()

    async def _start(self) -> Process:
        """Starts the process, in a session of its own."""
        return await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=PIPE,
            stderr=PIPE,
            limit=LINE_BYTES,
            env=dict(self._environment),
            cwd=self._cwd,
            start_new_session=True,
        )

    async def end(self) -> None:
        """Ends the whole group, first politely; returns when all its output was read."""
        if self._process is None:
            return
        self._signal(signal.SIGTERM)
        try:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), self._grace_s)
        finally:
            # Processes that are left, also when waiting was interrupted by a second Ctrl-C.
            self._signal(signal.SIGKILL)
        await self._process.wait()
        await asyncio.gather(*self._readers)
        self._process = None

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)

    def _remember(self, line: bytes) -> None:
        self.tail.append(line.decode(errors="replace").rstrip())


async def _read(stream: asyncio.StreamReader, each_line: Callable[[bytes], None]) -> None:
    while line := await stream.readline():
        each_line(line)
