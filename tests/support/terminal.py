"""A terminal to print on, and what a person sees there in the end."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import struct
import termios
import threading
import time
from collections.abc import Iterator
from typing import TextIO

WIDTH, HEIGHT = 100, 30
_LONGEST_WAIT_S = 20.0
_PIECE = re.compile(
    r"\x1b\[(?P<numbers>[0-9;?]*)(?P<command>[A-Za-z])|(?P<text>[^\x1b])", re.DOTALL
)


class Terminal:
    """One side of a pseudo-terminal, and all that was printed on the other.

    Attributes:
        stream: Where to print.
    """

    def __init__(self, leader: int, stream: TextIO) -> None:
        self._leader = leader
        self._printed = bytearray()
        self.stream = stream

    @property
    def printed(self) -> str:
        """All of it so far, with what controls the terminal."""
        return self._printed.decode(errors="replace")

    @property
    def screen(self) -> list[str]:
        """The lines that a person sees now, without trailing space and empty lines."""
        return [line for line in _render_screen(self.printed) if line]

    @property
    def hides_cursor(self) -> bool:
        """Whether the cursor is hidden now."""
        return self.printed.rfind("\x1b[?25l") > self.printed.rfind("\x1b[?25h")

    def wait_for(self, text: str) -> None:
        """Wait until a text was printed."""
        until = time.monotonic() + _LONGEST_WAIT_S
        while text not in self.printed:
            assert time.monotonic() < until, f"{text!r} is not in {self.printed!r}"
            time.sleep(0.01)

    def type(self, text: str) -> None:
        """Type a text."""
        os.write(self._leader, text.encode())

    def read_output(self) -> None:
        """Keep what is printed, until nobody can print any more."""
        # At the end Linux answers with an error of input and output.
        with contextlib.suppress(OSError):
            while piece := os.read(self._leader, 65536):
                self._printed += piece


@contextlib.contextmanager
def open_terminal() -> Iterator[Terminal]:
    """A terminal of 100 columns; when it is left, all that was printed has arrived."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", HEIGHT, WIDTH, 0, 0))
    with os.fdopen(follower, "w", encoding="utf-8") as stream:
        one = Terminal(leader, stream)
        listener = threading.Thread(target=one.read_output)
        listener.start()
        try:
            yield one
        finally:
            stream.close()
            listener.join(_LONGEST_WAIT_S)
            os.close(leader)


def _render_screen(printed: str) -> list[str]:
    """The screen after all of it was printed, for the few commands that are in use."""
    lines, row, column = [""], 0, 0
    for piece in _PIECE.finditer(printed):
        text, command = piece["text"], piece["command"]
        number = int(piece["numbers"] or 1) if command and piece["numbers"].isdigit() else 1
        if text == "\r":
            column = 0
        elif text == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif text:
            line = lines[row].ljust(column)
            lines[row] = line[:column] + text + line[column + 1 :]
            column += 1
        elif command == "A":
            row = max(0, row - number)
        elif command == "K":
            lines[row] = ""
        else:
            assert command in "mhl", f"unknown command {piece[0]!r}"
    return [line.rstrip() for line in lines]
