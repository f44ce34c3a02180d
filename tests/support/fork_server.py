"""A process that has imported everything and waits: what it is asked for runs in a fork of it.

Python needs more than a second for the imports of Google's clients; a fork has them at once. All
else is as in a process of its own: session, folder, environment, arguments, streams, exit status.
The module or script itself is run again each time. The other end is in ``forked_process.py``.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import io
import json
import os
import runpy
import select
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

# What a command and a function import, besides what is run: the entry points themselves.
_IMPORTED_MODULES = (
    "functions_framework",
    "gunicorn.app.base",
    "gunicorn.arbiter",
    "wiring",
    "commands",
)
_REQUEST_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class ForkRequest:
    """What is to be run.

    Attributes:
        command: As it would be given to a new process, the interpreter first.
        environment: The whole environment.
        cwd: The folder that it runs in.
    """

    command: Sequence[str]
    environment: Mapping[str, str]
    cwd: str


def serve(path: str) -> ForkRequest:
    """Listen until standard input ends; returns in each forked process what it has to run."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends this process by closing stdin
    signal.signal(signal.SIGCHLD, _reap)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(64)
    while True:
        ready, _, _ = select.select([listener, sys.stdin], [], [])
        if sys.stdin in ready:
            os._exit(0)
        connection, _ = listener.accept()
        _import_everything()
        if os.fork() == 0:
            listener.close()
            return _supervise(connection)
        connection.close()


def _reap(*_: object) -> None:
    """Wait for ended children, so that their time counts as this process's."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _import_everything() -> None:
    if _IMPORTED_MODULES[-1] not in sys.modules:
        for name in _IMPORTED_MODULES:
            importlib.import_module(name)
        gc.collect()
        gc.freeze()


def _supervise(connection: socket.socket) -> ForkRequest:
    """Start what is asked for and stay beside it: tells its id, and how it ended.

    Where the one who asked is gone, it is ended with everything that it started.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    data, streams, _, _ = socket.recv_fds(connection, _REQUEST_BYTES, 2)
    while not data.endswith(b"\n"):
        data += connection.recv(_REQUEST_BYTES)
    request = ForkRequest(**json.loads(data))
    child = os.fork()
    if child == 0:
        connection.close()
        return _become_new_process(request, streams)
    for stream in streams:
        os.close(stream)
    connection.sendall(f"{child}\n".encode())
    ended = os.pidfd_open(child)
    ready, _, _ = select.select([ended, connection.fileno()], [], [])
    if ended not in ready:
        os.killpg(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if ended in ready:
        connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def _become_new_process(request: ForkRequest, streams: Sequence[int]) -> ForkRequest:
    """Make this process as a new one would be."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, stream in enumerate((nothing, *streams)):
        os.dup2(stream, number)
        os.close(stream)
    os.environ.clear()
    os.environ.update(request.environment)
    os.chdir(request.cwd)
    unbuffered = bool(os.environ.get("PYTHONUNBUFFERED"))
    sys.stdin = io.TextIOWrapper(io.FileIO(0))
    sys.stdout = io.TextIOWrapper(
        io.BufferedWriter(io.FileIO(1, "w")), encoding="utf-8", write_through=unbuffered
    )
    sys.stderr = io.TextIOWrapper(
        io.BufferedWriter(io.FileIO(2, "w")),
        encoding="utf-8",
        errors="backslashreplace",
        line_buffering=True,
    )
    return request


def run_request(request: ForkRequest) -> None:
    """Run a module (`-m name`) or a script, as Python would."""
    _, *arguments = request.command
    if arguments[0] == "-m":
        _, name, *rest = arguments
        sys.path[0] = request.cwd
        sys.argv = [name, *rest]
        runpy.run_module(name, run_name="__main__", alter_sys=True)
    else:
        sys.path[0] = str(Path(arguments[0]).parent)
        sys.argv = arguments
        runpy.run_path(arguments[0], run_name="__main__")


if __name__ == "__main__":
    run_request(serve(sys.argv[1]))
