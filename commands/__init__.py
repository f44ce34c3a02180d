"""CLI commands, one module each. They only wire and call, as ``main.py`` does.

Exit status: 0 done, 1 refused or failed, 2 wrong use or no store, 130 interrupted.
"""

from __future__ import annotations

import click

from commands.approve import approve
from commands.contain import contain
from commands.coverage import coverage
from commands.drill import drill
from commands.list_and_show import list_, show
from commands.patrol import patrol
from commands.permissions import permissions
from commands.policy import policy
from commands.policy_backtest import policy_backtest
from commands.policy_test import policy_test
from commands.release import release
from commands.replay import replay
from commands.responders import responders
from commands.verify import verify


@click.group()
def cli() -> None:
    """Look at what the responder did, let it act, and take it back.

    Reads the same environment as the function: RESPONDER_STORE above all. Exit status: 0 done,
    1 refused or failed, 2 wrong use or no store, 130 interrupted by Ctrl-C.
    """


for _command in (
    list_,
    show,
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
