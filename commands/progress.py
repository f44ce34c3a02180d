"""Live progress line on a terminal: remote calls in progress, once they take over a second.

Only on standard error, and only if that is a terminal: piped output is the same without it. The
line is removed when the command ends, prints or asks something.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from clients.call_progress import observed_by
from incident.report.terminal import escape_unprintable

_DELAY_S = 1.0
_PER_SECOND = 8
_LONGEST = 44
_IRREGULAR = {"cancel": "cancelling"}


@dataclass(frozen=True, slots=True)
class _Call:
    """A remote call: its description and start time."""

    text: str
    since: float


class RunningCalls:
    """Remote calls in progress, as one line. Thread-safe.

    Args:
        clock: The time, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._begun = 0
        self._running: dict[int, _Call] = {}
        self._last = _Call("starting", clock())

    def begin(self, verb: str, target: str) -> Callable[[], None]:
        """Register a call; call the returned function when it ends."""
        call = _Call(continuous_text(verb, target), self._clock())
        with self._lock:
            self._begun += 1
            number = self._begun
            self._running[number] = call
        return lambda: self._end(number)

    @property
    def line(self) -> str:
        """The longest-running call; between calls, the one that ended last."""
        with self._lock:
            running, last = [*self._running.values()], self._last
        call = running[0] if running else last
        more = f", and {len(running) - 1} more" if len(running) > 1 else ""
        seconds = int(self._clock() - call.since)
        return f"{call.text}{f' ({seconds} s)' if seconds else ''}{more}"

    def _end(self, number: int) -> None:
        with self._lock:
            call = self._running.pop(number)
            self._last = _Call(f"after {call.text}", self._clock())


def continuous_text(phrase: str, target: str) -> str:
    """A phrase in the continuous form with its target, as one short, escaped line.

    A long target is cut at its start, since names differ at the end.
    """
    verb, space, rest = escape_unprintable(phrase).partition(" ")
    shown_target = escape_unprintable(target)
    if len(shown_target) > _LONGEST:
        shown_target = f"…{shown_target[1 - _LONGEST :]}"
    continuous = _IRREGULAR.get(verb) or f"{verb.removesuffix('e')}ing"
    return f"{continuous}{space}{rest[:_LONGEST]} {shown_target}"


@contextlib.contextmanager
def progress_shown() -> Iterator[None]:
    """Show remote calls in progress on a terminal while the block runs."""
    console = Console(stderr=True, highlight=False)
    # rich may be configured to treat a pipe as a terminal.
    if not (sys.stderr.isatty() and console.is_terminal) or console.is_dumb_terminal:
        yield
        return
    calls = RunningCalls()
    line = _ProgressLine(console, calls)
    before = _DISPLAY.set(line)
    try:
        with observed_by(calls.begin):
            line.show()
            yield
    finally:
        line.hide()
        _DISPLAY.reset(before)


@contextlib.contextmanager
def progress_paused() -> Iterator[None]:
    """Remove the progress line while the block prints or asks something."""
    line = _DISPLAY.get()
    if line is None:
        yield
        return
    line.hide()
    try:
        yield
    finally:
        line.show()


class _ProgressLine:
    """One line on a terminal that appears after a delay and is removed completely."""

    def __init__(self, console: Console, calls: RunningCalls) -> None:
        self._console = console
        self._calls = calls
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self._live: Live | None = None
        self._spinner = Spinner("line" if console.options.ascii_only else "dots")

    def show(self) -> None:
        """Show the line after a second."""
        with self._lock:
            self._timer = threading.Timer(_DELAY_S, self._start)
            self._timer.daemon = True
            self._timer.start()

    def hide(self) -> None:
        """Remove the line before anything else is written."""
        with self._lock:
            timer, self._timer = self._timer, None
            live, self._live = self._live, None
        if timer:
            timer.cancel()
        # A closed terminal must not become an error of the command.
        with contextlib.suppress(OSError, ValueError):
            if live:
                live.stop()

    def _start(self) -> None:
        with self._lock, contextlib.suppress(OSError, ValueError):
            if self._timer is not threading.current_thread():
                return  # hidden meanwhile
            # Standard output may be a pipe and is left alone.
            self._live = Live(
                console=self._console,
                transient=True,
                refresh_per_second=_PER_SECOND,
                redirect_stdout=False,
                redirect_stderr=False,
                get_renderable=self._line,
            )
            self._live.start()
            # A kill must not leave the terminal without a cursor.
            self._console.show_cursor()

    def _line(self) -> Table:
        line = Table.grid(padding=(0, 1))
        text = Text(self._calls.line, no_wrap=True, overflow="ellipsis")
        line.add_row(self._spinner, text)
        return line


_DISPLAY: ContextVar[_ProgressLine | None] = ContextVar("display", default=None)
