"""Command-line interface for operators: list, show, approve, contain, release, verify.

The commands are in ``commands``, which also lists the exit statuses.
"""

from __future__ import annotations

import os
import sys

from commands import cli


def _main() -> None:
    """Run a command and exit without finalizing the interpreter.

    Native threads of the clients outlive the loop and sometimes abort the process during
    finalization; a command that succeeded must not end with a signal.
    """
    try:
        cli()
    except SystemExit as end:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(end.code if isinstance(end.code, int) else int(end.code is not None))


if __name__ == "__main__":
    _main()
