"""Processes that start warm: forks of one that has imported everything, see ``fork_server.py``.

Where there is no such process, they start as any other.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
from asyncio.subprocess import Process
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, cast

from emulator.runner.child_process import LINE_BYTES, ProcessGroup

_SERVER_FILE = Path(__file__).parent / "fork_server.py"
_ADDRESS_VARIABLE = "TESTS_WARM"
"""Names the variable of the environment in which test processes find the warm one's address."""


@contextmanager
def fork_server() -> Iterator[None]:
    """Keep a warm process, which imports nothing before it is needed. Only where Linux is."""
    if sys.platform != "linux":
        yield
        return
    with tempfile.TemporaryDirectory() as folder:
        os.environ[_ADDRESS_VARIABLE] = str(Path(folder) / "warm")
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("RESPONDER_")
        }
        with subprocess.Popen(
            [sys.executable, str(_SERVER_FILE), os.environ[_ADDRESS_VARIABLE]],
            cwd=_SERVER_FILE.parents[2],
            env=environment | {"PYTHONPATH": str(_SERVER_FILE.parents[2])},
            stdin=subprocess.PIPE,
        ) as server:
            try:
                yield
            finally:
                assert server.stdin
                server.stdin.close()
                del os.environ[_ADDRESS_VARIABLE]


class ForkedProcessGroup(ProcessGroup):
    """A child process as any other, but that its imports are there already."""

    async def _start(self) -> Process:
        return await start_process(self._command, self._environment, self._cwd)


async def run_process(
    command: Sequence[str], environment: Mapping[str, str], cwd: Path
) -> tuple[int, str, str]:
    """Run a command to its end; its exit status, output and errors."""
    process = await start_process(command, environment, cwd)
    assert process.stdout
    assert process.stderr
    out, err = await asyncio.gather(process.stdout.read(), process.stderr.read())
    return await process.wait(), out.decode(), err.decode()


async def start_process(
    command: Sequence[str], environment: Mapping[str, str], cwd: Path
) -> Process:
    """Start a command; its output and errors are pipes."""
    address = os.environ.get(_ADDRESS_VARIABLE)
    if address is None:
        return await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=LINE_BYTES,
            env=dict(environment),
            cwd=cwd,
            start_new_session=True,
        )
    request = {"command": [*command], "environment": dict(environment), "cwd": str(cwd)}
    return cast("Process", await _ForkedProcess.start(request, address))


@dataclass(slots=True)
class _ForkedProcess:
    """A fork, as asyncio shows processes.

    Attributes:
        pid: Its process id.
        stdout: What it prints.
        stderr: Its errors.
        returncode: How it ended; None while it runs.
    """

    pid: int
    stdout: asyncio.StreamReader
    stderr: asyncio.StreamReader
    returncode: int | None = None
    _ended: asyncio.Task[None] | None = None

    @classmethod
    async def start(cls, request: Mapping[str, Any], address: str) -> Self:
        """Have a command run in a fork."""
        (out, child_out), (err, child_err) = os.pipe(), os.pipe()
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(address)
        data = f"{json.dumps(request)}\n".encode()
        socket.send_fds(connection, [data[:1]], [child_out, child_err])
        connection.sendall(data[1:])
        os.close(child_out)
        os.close(child_err)
        exit_reader, exit_writer = await asyncio.open_unix_connection(sock=connection)
        started = cls(int(await exit_reader.readline()), await _reader(out), await _reader(err))
        started._ended = asyncio.create_task(started._wait_for_exit(exit_reader, exit_writer))
        return started

    async def wait(self) -> int:
        """Wait until it has ended; returns how."""
        assert self._ended
        await asyncio.shield(self._ended)
        assert self.returncode is not None
        return self.returncode

    async def _wait_for_exit(
        self, keeper: asyncio.StreamReader, keeping: asyncio.StreamWriter
    ) -> None:
        try:
            self.returncode = int(await keeper.readline())
        finally:
            keeping.close()


async def _reader(descriptor: int) -> asyncio.StreamReader:
    reader = asyncio.StreamReader(limit=LINE_BYTES)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb")
    )
    return reader
