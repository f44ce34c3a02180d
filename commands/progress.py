"""What a command is doing right now, live on a terminal, once it takes longer than a second.

On standard error only, and only where that is a terminal: whatever is piped is the same with
and without. The line is gone when the command ends, and wherever it writes or asks something.
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
    """A call to the outside: what it is, for people, and since when it is under way."""

    text: str
    since: float


class RunningCalls:
    """The calls that are under way, as one line for people. Used by several threads.

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
        """A call begins; what is to be called when it is over."""
        call = _Call(continuous_text(verb, target), self._clock())
        with self._lock:
            self._begun += 1
            number = self._begun
            self._running[number] = call
        return lambda: self._end(number)

    @property
    def line(self) -> str:
        """The call that is waited for longest; between calls, the one that ended last."""
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
    """A verb with its object as something that goes on: one short line, safe to show.

    Of what it is about the end is kept, where names differ.
    """
    verb, space, rest = escape_unprintable(phrase).partition(" ")
    shown_target = escape_unprintable(target)
    if len(shown_target) > _LONGEST:
        shown_target = f"…{shown_target[1 - _LONGEST :]}"
    continuous = _IRREGULAR.get(verb) or f"{verb.removesuffix('e')}ing"
    return f"{continuous}{space}{rest[:_LONGEST]} {shown_target}"


@contextlib.contextmanager
def progress_shown() -> Iterator[None]:
    """Show on a terminal which calls are under way in here."""
    console = Console(stderr=True, highlight=False)
    # Whatever the environment makes rich believe, a pipe is no terminal.
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
    """Show nothing in here: somebody is told or asked something."""
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
    """One line on a terminal that comes after a while, and goes without a trace."""

    def __init__(self, console: Console, calls: RunningCalls) -> None:
        self._console = console
        self._calls = calls
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self._live: Live | None = None
        self._spinner = Spinner("line" if console.options.ascii_only else "dots")

    def show(self) -> None:
        """Show it, from a second on."""
        with self._lock:
            self._timer = threading.Timer(_DELAY_S, self._start)
            self._timer.daemon = True
            self._timer.start()

    def hide(self) -> None:
        """Take it away, before anything else is written."""
        with self._lock:
            timer, self._timer = self._timer, None
            live, self._live = self._live, None
        if timer:
            timer.cancel()
        # A terminal that is gone must not become an error of the command.
        with contextlib.suppress(OSError, ValueError):
            if live:
                live.stop()

    def _start(self) -> None:
        with self._lock, contextlib.suppress(OSError, ValueError):
            if self._timer is not threading.current_thread():
                return  # hidden meanwhile
            # Standard output is none of its business, and may be a pipe.
            self._live = Live(
                console=self._console,
                transient=True,
                refresh_per_second=_PER_SECOND,
                redirect_stdout=False,
                redirect_stderr=False,
                get_renderable=self._line,
            )
            self._live.start()
            # Whoever ends us for good must not leave a terminal without a cursor.
            self._console.show_cursor()

    def _line(self) -> Table:
        line = Table.grid(padding=(0, 1))
        text = Text(self._calls.line, no_wrap=True, overflow="ellipsis")
        line.add_row(self._spinner, text)
        return line


_DISPLAY: ContextVar[_ProgressLine | None] = ContextVar("display", default=None)
