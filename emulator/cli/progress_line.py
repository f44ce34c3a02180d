"""What a run is doing right now, live on a terminal; nothing where standard error is none."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Iterator

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from emulator.cli.terminal_text import clean
from emulator.runner.run_request import Say, Seen

_PER_SECOND = 8


def unseen(phase: str, seen: Seen | None = None) -> None:
    """Shows a phase to nobody."""


@contextlib.contextmanager
def shown() -> Iterator[Say]:
    """Shows the phase that was said last, on one line that is gone afterwards."""
    console = Console(stderr=True, highlight=False)
    # Whatever the environment makes rich believe, a pipe is no terminal.
    if not (sys.stderr.isatty() and console.is_terminal) or console.is_dumb_terminal:
        yield unseen
        return
    phase = _Phase(ascii_only=console.options.ascii_only)
    live = Live(
        console=console,
        transient=True,
        refresh_per_second=_PER_SECOND,
        # Standard output is none of its business, and may be a pipe.
        redirect_stdout=False,
        redirect_stderr=False,
        get_renderable=phase.line,
    )
    with live:
        # Whoever ends us for good must not leave a terminal without a cursor.
        console.show_cursor()
        yield phase.say


class _Phase:
    """What goes on now; said by one thread and shown by another."""

    def __init__(self, *, ascii_only: bool) -> None:
        self._lock = threading.Lock()
        self._spinner = Spinner("line" if ascii_only else "dots")
        self.say("starting")

    def say(self, phase: str, seen: Seen | None = None) -> None:
        """As Say."""
        with self._lock:
            self._phase, self._seen, self._since = phase, seen, time.monotonic()

    def line(self) -> Table:
        """It, how long it takes by now, and how far it has got."""
        with self._lock:
            phase, seen, since = self._phase, self._seen, self._since
        seconds = int(time.monotonic() - since)
        text = (
            f"{phase}{f' ({seconds} s)' if seconds else ''}{f': {clean(seen())}' if seen else ''}"
        )
        line = Table.grid(padding=(0, 1))
        line.add_row(self._spinner, Text(text, no_wrap=True, overflow="ellipsis"))
        return line
