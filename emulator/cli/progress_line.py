"""Progress line on a terminal; nothing where standard error is no terminal."""

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
from emulator.runner.run_request import ProgressText, ReportProgress

_REFRESHES_PER_SECOND = 8


def ignore_progress(phase: str, progress_text: ProgressText | None = None) -> None:
    """Shows a phase to nobody."""


@contextlib.contextmanager
def progress_display() -> Iterator[ReportProgress]:
    """Shows the phase that was said last, on one line that is gone afterwards."""
    console = Console(stderr=True, highlight=False)
    # Whatever the environment makes rich believe, a pipe is no terminal.
    if not (sys.stderr.isatty() and console.is_terminal) or console.is_dumb_terminal:
        yield ignore_progress
        return
    phase = _ProgressLine(ascii_only=console.options.ascii_only)
    live = Live(
        console=console,
        transient=True,
        refresh_per_second=_REFRESHES_PER_SECOND,
        # Standard output may be a pipe: leave it alone.
        redirect_stdout=False,
        redirect_stderr=False,
        get_renderable=phase.render,
    )
    with live:
        # A killed process must not leave a terminal without a cursor.
        console.show_cursor()
        yield phase.start_phase


class _ProgressLine:
    """The current phase, set by one thread and shown by another."""

    def __init__(self, *, ascii_only: bool) -> None:
        self._lock = threading.Lock()
        self._spinner = Spinner("line" if ascii_only else "dots")
        self.start_phase("starting")

    def start_phase(self, phase: str, progress_text: ProgressText | None = None) -> None:
        """As Say."""
        with self._lock:
            self._phase, self._progress_text, self._since = phase, progress_text, time.monotonic()

    def render(self) -> Table:
        """It, how long it takes by now, and how far it has got."""
        with self._lock:
            phase, progress_text, since = self._phase, self._progress_text, self._since
        seconds = int(time.monotonic() - since)
        elapsed = f" ({seconds} s)" if seconds else ""
        progress = f": {clean(progress_text())}" if progress_text else ""
        text = f"{phase}{elapsed}{progress}"
        line = Table.grid(padding=(0, 1))
        line.add_row(self._spinner, Text(text, no_wrap=True, overflow="ellipsis"))
        return line
