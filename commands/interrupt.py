"""Ctrl-C in a command: the first one counts, and the message says what may be changed already."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, NoReturn, TypeVar

import click

from clients.cloud_run_writes import WRITE_VERBS
from commands.progress import progress_paused
from incident.report.terminal import escape_unprintable

T = TypeVar("T")

#: 128 + SIGINT, as a shell reports a process that SIGINT ended.
EXIT_STATUS = 130


class Interrupted(BaseException):
    """Ctrl-C was pressed. No ``Exception``: nothing may handle it as an error of the work."""


@dataclass
class WriteAttempt:
    """What a command may have changed so far.

    Attributes:
        finish: Command line that finishes the work.
        undo: Command line that takes it back, if there is one.
        written: The workloads that a write was sent to, in order.
        open_attempt: Describes an earlier attempt that is open; empty if there is none.
        result: Set once the work is complete.
    """

    finish: str = ""
    undo: str = ""
    written: dict[str, None] = field(default_factory=dict)
    open_attempt: str = ""
    result: str = ""

    def observe(self, verb: str, target: str) -> Callable[[], None]:
        """Note a call, from just before it is sent. A ``CallObserver``."""
        if verb in WRITE_VERBS:
            self.written.setdefault(target)
        return lambda: None

    @property
    def text(self) -> str:
        """The message after Ctrl-C, for standard error."""
        if self.result:
            return f"Interrupted after the work was done: {self.result}."
        if not self.written:
            wrote = "Interrupted. This command changed no workload."
            return f"{wrote} {self.open_attempt}" if self.open_attempt else wrote
        changed = f"Interrupted. {', '.join(self.written)} may be changed already."
        steps = (("To finish", self.finish), ("To undo", self.undo))
        return " ".join((changed, *(f"{label}: {line}." for label, line in steps if line)))


def run_interruptible(work: Coroutine[Any, Any, T], attempt: WriteAttempt) -> T:
    """Run the work on an event loop; Ctrl-C cancels it.

    Raises:
        Interrupted: Ctrl-C was pressed, at whatever point of the work.
    """
    run = _InterruptibleRun(attempt)
    before = _RUN.set(run)
    try:
        with run.handling_signal():
            return run.run(work)
    finally:
        _RUN.reset(before)


@contextlib.contextmanager
def blocking_call() -> Iterator[None]:
    """Let Ctrl-C end a call that blocks the event loop, such as a question."""
    run = _RUN.get()
    if run is None:
        yield
        return
    run.blocking = True
    try:
        yield
    finally:
        run.blocking = False


def confirm(question: str) -> None:
    """Ask a yes-or-no question on standard error.

    Raises:
        click.Abort: The answer is no.
    """
    with progress_paused(), blocking_call():
        click.confirm(question, abort=True, err=True)


def prompt(question: str) -> str:
    """Ask for a text on standard error."""
    with progress_paused(), blocking_call():
        return str(click.prompt(question, err=True))


class _InterruptibleRun:
    """One run of a command's work, which SIGINT cancels.

    Attributes:
        blocking: Whether the work blocks the loop in a call that Ctrl-C may end.
    """

    def __init__(self, attempt: WriteAttempt) -> None:
        self._attempt = attempt
        self._task: asyncio.Task[Any] | None = None
        self._interrupted = False
        self.blocking = False

    @contextlib.contextmanager
    def handling_signal(self) -> Iterator[None]:
        """Handle SIGINT here, unless it is ignored, as for a background job.

        In a command's process it stays so, for the result that is printed afterwards.
        """
        before = signal.getsignal(signal.SIGINT)
        main = threading.current_thread() is threading.main_thread()
        if not main or before is signal.SIG_IGN:
            yield
            return
        signal.signal(signal.SIGINT, self._on_signal)
        try:
            yield
        finally:
            in_process = before is signal.default_int_handler
            signal.signal(signal.SIGINT, before if in_process else self._exit)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            with asyncio.Runner() as runner:
                result = runner.run(self._cancellable(work))
        except BaseException as error:
            if self._interrupted:
                raise Interrupted from error
            raise
        if self._interrupted:
            raise Interrupted
        return result

    async def _cancellable(self, work: Coroutine[Any, Any, T]) -> T:
        self._task = asyncio.current_task()
        if self._interrupted:
            work.close()
            raise Interrupted
        return await work

    def _exit(self, *_: object) -> NoReturn:
        _exit_now(self._attempt.text)

    def _on_signal(self, _: int, __: FrameType | None) -> None:
        if self._interrupted:
            _exit_now(self._attempt.text)
        self._interrupted = True
        if self.blocking:
            raise Interrupted
        if self._task:
            self._task.cancel()
            # Wakes the loop, which waits for its sockets.
            self._task.get_loop().call_soon_threadsafe(lambda: None)


_RUN: ContextVar[_InterruptibleRun | None] = ContextVar("interruptible_run", default=None)


def _exit_now(text: str) -> NoReturn:
    """End the process at once, without cleaning up."""
    os.write(2, f"\n{escape_unprintable(text)}\n".encode())
    os._exit(EXIT_STATUS)
