"""What ``--help`` shows besides the options: examples, and the environment's variables."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from enum import StrEnum
from typing import Any

import click

from clients.settings import Settings, environment_variable

PROGRAM = "cloud-run-responder"
_INCIDENT = "20261002-6255b37a8bf0"
_SERVICE = "projects/my-sandbox/locations/europe-west1/services/guinea-pig"

#: Command lines without the program's name, by command.
EXAMPLES: dict[str, tuple[str, ...]] = {
    "": (
        "list --since 24h",
        f"show {_INCIDENT}",
        f"release {_INCIDENT}",
    ),
    "list": (
        "list --status held --severity CRITICAL --since 2h",
        'list --category "Reverse Shell" --project my-project --limit 20',
        "list --quarantined",
        "list --since 7d --format=json",
    ),
    "show": (
        f"show {_INCIDENT}",
        "show 20261002-62 --plan",
        f"show {_INCIDENT} --evidence",
        f"show {_INCIDENT} --format=ocsf",
    ),
    "report": (
        f"report {_INCIDENT} --open",
        "report --index --output index.html",
    ),
    "verify": (
        f"verify {_INCIDENT}",
        f"verify {_INCIDENT} --log entries.json",
    ),
    "approve": (
        f"approve {_INCIDENT}",
        f"approve {_INCIDENT} --yes --format=json",
    ),
    "contain": (
        f"contain {_INCIDENT}",
        f"contain {_INCIDENT} --action scale-to-zero",
    ),
    "release": (
        f"release {_INCIDENT}",
        f"release {_INCIDENT} --force",
    ),
    "patrol": ("patrol", "patrol --format=json"),
    "replay": (
        "replay finding.json --policy policy.yaml",
        "replay findings.json --finding-id 1a9b7055",
    ),
    "coverage": (
        "coverage --project my-project --as respond@my-project.iam.gserviceaccount.com",
        "coverage --folder 345678901234",
    ),
    "drill": (
        f"drill {_SERVICE}",
        "drill guinea-pig --project my-sandbox --region europe-west1",
    ),
    "policy check": (
        "policy check policy.yaml",
        "policy check policy.yaml --finding finding.json",
    ),
    "policy test": (
        "policy test policy_test.yaml",
        "policy test deploy/policies/*_test.yaml",
    ),
    "policy backtest": (
        "policy backtest --store gs://my-bucket/case-files --policy new.yaml --since 90d",
    ),
    "permissions": ("permissions --policy policy.yaml",),
    "responders": ("responders",),
}
_COMPLETION = (
    ("bash", f'eval "$(_CLOUD_RUN_RESPONDER_COMPLETE=bash_source {PROGRAM})"'),
    ("zsh", f'eval "$(_CLOUD_RUN_RESPONDER_COMPLETE=zsh_source {PROGRAM})"'),
    ("fish", f"_CLOUD_RUN_RESPONDER_COMPLETE=fish_source {PROGRAM} | source"),
)


class HelpfulGroup(click.Group):
    """The group of all commands: its help has examples, the environment and shell completion."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what follows the list of commands."""
        del ctx
        with formatter.section("Examples"):
            formatter.write("".join(f"  {PROGRAM} {line}\n" for line in EXAMPLES[""]))
        with formatter.section("Environment"):
            formatter.write_dl([(name, meaning) for name, meaning, _ in environment_rows()])
        with formatter.section("Shell completion, in the shell's own start file"):
            formatter.write("".join(f"  {line}\n" for _, line in _COMPLETION))


def add_examples(command: click.Command, path: str = "") -> None:
    """Give a command's help its examples; those of a group's commands as well."""
    if isinstance(command, click.Group):
        for name, each in command.commands.items():
            add_examples(each, f"{path} {name}".strip())
    elif lines := EXAMPLES.get(path):
        listed = "".join(f"  {PROGRAM} {line}\n" for line in lines)
        command.epilog = f"\b\nExamples:\n{listed}"


def environment_rows() -> Iterator[tuple[str, str, str]]:
    """Name, meaning and default of every variable that commands and function read."""
    for name, field in Settings.model_fields.items():
        yield environment_variable(name, field), str(field.description), _default(field.default)


def _default(value: Any) -> str:
    if isinstance(value, timedelta):
        return f"{value.total_seconds():g}s"
    if isinstance(value, StrEnum):
        return value.value
    return str(value) if value else "none"
