"""Run the function under functions-framework in a child process."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from emulator.runner.child_process import ProcessGroup
from emulator.services.loopback import LOOPBACK, ReservedPort, is_listening

REPOSITORY = Path(__file__).resolve().parents[2]
_START_TIMEOUT_S = 60.0
_LOG_LAG_S = 2.0
# What a Python process needs of the environment, and how many workers and threads to run.
_INHERITED = (
    "PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "VIRTUAL_ENV", "PYTHONPATH",
    "PYTHONDONTWRITEBYTECODE", "WORKERS", "THREADS",
)  # fmt: skip
_SETTINGS_PREFIX = "RESPONDER_"


class FunctionFailed(Exception):  # noqa: N818 - named for what happened
    """The function did not start. The text has the reason, where its output gives one."""


@dataclass(frozen=True, slots=True)
class LoggedOutcome:
    """What the function logged when it was done with one delivery.

    Attributes:
        outcome: What became of the incident; None where the answer was a retry.
        message: What the line says to people.
    """

    outcome: dict[str, Any] | None
    message: str


class FunctionProcess:
    """An async context manager: the function runs inside of it, and is ended after it.

    Args:
        settings: Environment variables, besides the few that are inherited.
        source: The file that holds the entry point.
        target: The entry point's name.
        python: The interpreter, of an environment that has what the source needs.

    Attributes:
        process_group_type: How its process is started.
        logged_outcomes: One entry per delivery that it was done with, in order.
        url: Where deliveries go.
    """

    process_group_type: type[ProcessGroup] = ProcessGroup

    def __init__(
        self,
        settings: Mapping[str, str],
        source: Path = REPOSITORY / "main.py",
        target: str = "respond",
        python: Path | str = sys.executable,
    ) -> None:
        self._reserved = ReservedPort()
        self._port = self._reserved.number
        self.url = f"http://{LOOPBACK}:{self._port}/"
        self.logged_outcomes: list[LoggedOutcome] = []
        command = (
            str(python), "-m", "functions_framework", "--target", target,
            "--source", str(source), "--signature-type", "cloudevent",
            "--host", LOOPBACK, "--port", str(self._port),
        )  # fmt: skip
        self._group = self.process_group_type(
            command, _environment(settings), source.parent, self._read_log_line
        )

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._group.exit_code is None

    @property
    def errors(self) -> tuple[str, ...]:
        """The last lines of its standard error: the web server's words, and tracebacks."""
        return tuple(self._group.tail)

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        try:
            problem = await self._start_problem()
        except BaseException:
            await self._end()
            raise
        if problem:
            await self._end()
            text = f"cannot start the function: {problem}; its last words:"
            raise FunctionFailed("\n".join((text, *self.errors)))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._end()

    async def _end(self) -> None:
        await self._group.end()
        self._reserved.release()

    async def wait_for_outcomes(self, count: int) -> None:
        """Waits a moment until it has spoken about so many deliveries: lines may lag answers."""
        for _ in range(int(_LOG_LAG_S / 0.02)):
            if len(self.logged_outcomes) >= count or not self.alive:
                return
            await asyncio.sleep(0.02)

    def _read_log_line(self, line: bytes) -> None:
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            return
        if isinstance(entry, dict) and "outcome" in entry:
            outcome = entry["outcome"] if isinstance(entry["outcome"], dict) else None
            self.logged_outcomes.append(LoggedOutcome(outcome, _log_message(entry)))

    async def _responds(self) -> bool:
        """Whether a worker is there: the web server listens before one has read its settings.

        The framework answers for `robots.txt` itself, without the function.
        """
        try:
            return bool(await _first_response_byte(self._port))
        except OSError:
            return False

    async def _start_problem(self) -> str:
        """Waits until it listens; empty then, otherwise why it does not."""
        try:
            async with asyncio.timeout(_START_TIMEOUT_S):
                while not (await is_listening(LOOPBACK, self._port) and await self._responds()):
                    if not self.alive:
                        return f"it ended at once with status {self._group.exit_code}"
        except TimeoutError:
            return f"it did not listen within {_START_TIMEOUT_S:g} s"
        return ""


async def _first_response_byte(port: int) -> bytes:
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    try:
        writer.write(b"GET /robots.txt HTTP/1.0\r\n\r\n")
        return await reader.read(1)
    finally:
        writer.close()


def _log_message(entry: Mapping[str, Any]) -> str:
    """What a log line says to people: its message, with the reason and the error if it has any."""
    error = str(entry.get("exc_info") or "").strip().rpartition("\n")[2]
    parts = (entry.get("message"), entry.get("reason"), error)
    return ": ".join(str(part) for part in parts if part)


def _environment(settings: Mapping[str, str]) -> dict[str, str]:
    """The function's whole environment: no credentials, no proxies, no settings of a cloud.

    The product's own settings are inherited, so that optional ones can be tried; what the run
    decides itself wins.
    """
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name in _INHERITED or name.startswith(_SETTINGS_PREFIX)
    }
    return inherited | {"PYTHONUNBUFFERED": "1"} | dict(settings)
