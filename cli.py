"""The operator's commands: look at case files, check a policy, take a containment back.

What each of them does is next door, in ``commands``. Exit status: 0 done, 1 refused or failed,
2 wrong use.
"""

from __future__ import annotations

import os
import sys

from commands import cli


def _main() -> None:
    """Run a command and end without Python's own farewell.

    The native threads of the clients outlive the loop, and now and then abort the process when
    they find the interpreter gone: a command that succeeded must not exit with a signal.
    """
    try:
        cli()
    except SystemExit as end:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(end.code if isinstance(end.code, int) else int(end.code is not None))


if __name__ == "__main__":
    _main()
