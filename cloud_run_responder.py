"""Command-line interface for operators: list, show, approve, contain, release, verify.

The commands are in ``commands``, which also lists the exit statuses.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import NoReturn

_PROGRAM = "cloud-run-responder"  # as [project.scripts] in pyproject.toml installs it
_INTERRUPTED = 130  # 128 + SIGINT


def _exit_early(*_: object) -> NoReturn:
    """Handle Ctrl-C while the commands are being imported and their arguments parsed."""
    os.write(2, b"\nInterrupted. This command changed no workload.\n")
    os._exit(_INTERRUPTED)


def main() -> None:
    """Run a command and exit without finalizing the interpreter.

    Native threads of the clients outlive the loop and sometimes abort the process during
    finalization; a command that succeeded must not end with a signal.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _exit_early)
    from commands import cli  # noqa: PLC0415 - takes a second, in which Ctrl-C must count

    try:
        cli(prog_name=_PROGRAM)
    except SystemExit as end:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(end.code if isinstance(end.code, int) else int(end.code is not None))


if __name__ == "__main__":
    main()
