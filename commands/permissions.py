"""``permissions``: print the permissions to grant, by role and scope."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from clients import read_settings
from clients.store import PolicySource
from commands.interrupt import WriteAttempt, run_interruptible
from commands.permission_catalogue import (
    COMMAND_ROLES,
    Grant,
    Role,
    actions_of,
    every_action,
    permission_catalogue,
    role_of_function,
)
from commands.progress import progress_shown
from commands.shared import as_json_option, exit_on_error, print_json
from incident.policy.resolve import Policy, parse_policy
from incident.report.terminal import escape_unprintable

#: Roles that are shown as additions to another role.
_BASES = {Role.ACTOR: Role.READER, Role.APPROVER: Role.ACTOR}


@click.command()
@click.option(
    "--policy",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The policy; by default the one of RESPONDER_POLICY, and without one every action.",
)
@as_json_option
def permissions(*, file: Path | None, as_json: bool) -> None:
    """Print the least IAM permissions that the policy's actions need, by role and scope.

    Counts every action that the policy names, whatever the mode, so that a dry run can be
    prepared for enforcing. With RESPONDER_TOPIC, publishing is included.
    """
    source, policy = exit_on_error(lambda: _policy(file))
    actions = actions_of(policy) if policy else every_action()
    announces = bool(exit_on_error(read_settings).topic)
    roles = permission_catalogue(actions, announces=announces)
    function = role_of_function(policy) if policy else None
    if as_json:
        print_json(_catalogue_json(roles, source, function))
    else:
        _print_catalogue(roles, source, function)


def _policy(file: Path | None) -> tuple[str | None, Policy | None]:
    """Address and content of the policy; None if no policy is named.

    Raises:
        GiveUp: It cannot be read.
    """
    if file:
        return str(file), parse_policy(file.read_bytes(), source=str(file))
    reader = PolicySource(read_settings())
    if not reader.url:
        return None, None
    with progress_shown():
        content = run_interruptible(reader.read(), WriteAttempt())
    return reader.url, parse_policy(content, source=reader.url)


def _catalogue_json(
    roles: Mapping[Role, tuple[Grant, ...]], source: str | None, function: Role | None
) -> dict[str, Any]:
    return {
        "policy": source,
        "function": function.value if function else None,
        "roles": [
            {
                "role": role.value,
                "for": role.purpose,
                "commands": _commands(role),
                "permissions": [
                    {
                        "permission": grant.name,
                        "scope": grant.scope.value,
                        "grant_on": grant.scope.described,
                        "reasons": list(grant.reasons),
                    }
                    for grant in grants
                ],
            }
            for role, grants in roles.items()
        ],
    }


def _commands(role: Role) -> list[str]:
    return [name for name, whose in COMMAND_ROLES.items() if whose is role]


def _print_catalogue(
    roles: Mapping[Role, tuple[Grant, ...]], source: str | None, function: Role | None
) -> None:
    console = Console()
    about = f"the policy {source}" if source else "every action: no policy is named"
    console.print(Text(f"For {escape_unprintable(about)}."))
    if function:
        console.print(Text(f"Under this policy the function needs the role {function}."))
    for role, grants in roles.items():
        base = _BASES.get(role)
        shown = [grant for grant in grants if base is None or grant not in roles[base]]
        more = f"; all of {base} and" if base and shown else f"; the same as {base}" if base else ""
        console.print()
        console.print(Text.assemble((role.value, "bold"), f": {role.purpose}{more}"))
        if commands := _commands(role):
            console.print(Text(f"  runs {', '.join(commands)}", style="dim"))
        for scope, some in groupby(shown, key=lambda grant: grant.scope):
            console.print(Text(f"  on {scope.described}", style="dim"))
            for grant in some:
                reasons = "; ".join(grant.reasons)
                line = Text.assemble((grant.name, "cyan"), f"  {reasons}")
                console.print(Padding(line, (0, 0, 0, 4)))
