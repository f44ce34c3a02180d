"""CLI commands, one module each. They only wire and call, as ``main.py`` does.

Exit status: 0 done, 1 refused or failed, 2 wrong use or no store, 130 interrupted.
"""

from __future__ import annotations

from importlib import metadata

import click

from commands.approve import approve
from commands.contain import contain
from commands.coverage import coverage
from commands.drill import drill
from commands.help_text import PROGRAM, HelpfulGroup, add_examples
from commands.list_cases import list_
from commands.patrol import patrol
from commands.permissions import permissions
from commands.policy import policy
from commands.policy_backtest import policy_backtest
from commands.policy_test import policy_test
from commands.release import release
from commands.replay import replay
from commands.report import report
from commands.responders import responders
from commands.show import show
from commands.verify import verify


def _version() -> str:
    """The version of the installed package; a checkout that is not installed has none."""
    try:
        return metadata.version(PROGRAM)
    except metadata.PackageNotFoundError:
        return "not installed"


@click.group(cls=HelpfulGroup)
@click.version_option(_version(), prog_name=PROGRAM)
def cli() -> None:
    """Look at what the responder did, let it act, and take it back.

    Reads the same environment as the function: RESPONDER_STORE above all. An INCIDENT may be
    given by the beginning of its id, as long as that is unique. Exit status: 0 done, 1 refused or
    failed, 2 wrong use or no store, 130 interrupted by Ctrl-C.
    """


for _command in (
    list_,
    show,
    report,
    verify,
    approve,
    contain,
    release,
    patrol,
    replay,
    coverage,
    drill,
    policy,
    permissions,
    responders,
):
    cli.add_command(_command)
policy.add_command(policy_test)
policy.add_command(policy_backtest)
add_examples(cli)
