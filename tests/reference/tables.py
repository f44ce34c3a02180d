"""Write the reference tables of README and docs from the code.

``python -m tests.reference.tables`` writes them between the markers in the documents; with
``--check`` it says which are not what the code says, and changes nothing.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import click
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from commands import cli
from commands.help_text import environment_rows
from commands.permission_catalogue import (
    COMMAND_ROLES,
    Role,
    every_action,
    permission_catalogue,
)
from incident.actions.catalogue import ACTIONS
from incident.model import Kind, Status
from incident.model.outcome import Outcome
from incident.playbook.facts import GAPS, QUERIES, Facts
from incident.playbook.incident_facts import IncidentFacts
from incident.policy.schema import Policy
from incident.report.status_texts import STATUS_TEXTS
from tests.support.constants import REPOSITORY

_MARKED = re.compile(r"(<!-- generated: (?P<name>[a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
_FIRST_KINDS = (Kind.SERVICE, Kind.WORKER_POOL, Kind.JOB)
_KEYS = {"queries": QUERIES, "gaps": GAPS}
_DOCUMENTS = ("README.md", "docs/*.md")


def settings() -> Iterator[str]:
    """Environment variables."""
    rows = (
        (f"`{name}`", meaning, f"`{default}`" if default != "none" else "none")
        for name, meaning, default in environment_rows()
    )
    yield from _table(("variable", "meaning", "default"), rows)


def actions() -> Iterator[str]:
    """Containment actions, by kind of workload."""
    used = {kind for action in ACTIONS.values() for kind in action.writes}
    kinds = [*_FIRST_KINDS, *(kind for kind in Kind if kind in used - set(_FIRST_KINDS))]
    header = ("action", *(kind.value.replace("-", " ") for kind in kinds), "stops", "reversible")
    rows = (
        (
            f"`{name}`",
            *(action.writes.get(kind, "") for kind in kinds),
            "yes" if action.stops else "no",
            "yes" if action.reversible else "**no**",
        )
        for name, action in ACTIONS.items()
    )
    yield from _table(header, rows)


def statuses() -> Iterator[str]:
    """What may become of an incident."""
    yield from _table(
        ("status", "meaning"),
        ((f"`{status.value}`", STATUS_TEXTS[status].sentence) for status in Status),
    )


def outcome_keys() -> Iterator[str]:
    """The keys of the outcome."""
    meanings = _attributes(Outcome)
    rows = []
    for field in dataclasses.fields(Outcome):
        if not field.metadata.get("stored", True):
            continue
        optional = " Left out where there is none." if field.metadata.get("optional") else ""
        key = field.metadata.get("key", field.name)
        rows.append((f"`{key}`", f"{meanings[field.name]}{optional}"))
    yield from _table(("key", "meaning"), rows)


def policy_keys() -> Iterator[str]:
    """The keys of the policy file."""
    yield from _table(("key", "meaning", "default"), _policy_rows(Policy, ""))


def _policy_rows(section: type[BaseModel], prefix: str) -> Iterator[tuple[str, str, str]]:
    for name, field in section.model_fields.items():
        key = f"{prefix}{field.alias or name}"
        inner = _section_of(field.annotation)
        if inner is None or field.description:
            default = "needed" if field.is_required() else _default(field.default)
            yield f"`{key}`", str(field.description or ""), default
        if inner is not None:
            many = "[]" if "tuple" in str(field.annotation) else ""
            yield from _policy_rows(inner, f"{key}{many}.")


def _section_of(annotation: Any) -> type[BaseModel] | None:
    """The section that a key holds, or a list of; None for a plain value."""
    candidates = [annotation, *get_args(annotation)]
    found = [each for each in candidates if isinstance(each, type) and issubclass(each, BaseModel)]
    return found[0] if found else None


def _default(value: Any) -> str:
    if isinstance(value, BaseModel) or value is PydanticUndefined or value in (None, ()):
        return ""
    if isinstance(value, timedelta):
        seconds = int(value.total_seconds())
        size, unit = next(
            (size, unit) for size, unit in ((3600, "h"), (60, "m"), (1, "s")) if not seconds % size
        )
        return f"`{seconds // size}{unit}`"
    if isinstance(value, StrEnum):
        return f"`{value.value}`"
    return ", ".join(f"`{each}`" for each in (value if isinstance(value, tuple) else (value,)))


def roles() -> Iterator[str]:
    """Who needs which role."""
    rows = (
        (
            f"`{role.value}`",
            role.purpose,
            ", ".join(f"`{name}`" for name, whose in COMMAND_ROLES.items() if whose is role),
        )
        for role in Role
    )
    yield from _table(("role", "for", "commands"), rows)


def permissions() -> Iterator[str]:
    """The permissions of each role, for a policy that names every action."""
    catalogue = permission_catalogue(every_action(), announces=True)
    grants = {(grant.name, grant.scope) for each in catalogue.values() for grant in each}
    held = {role: {(grant.name, grant.scope) for grant in each} for role, each in catalogue.items()}
    rows = (
        (
            f"`{name}`",
            scope.described,
            ", ".join(role.value for role in Role if (name, scope) in held.get(role, set())),
        )
        for name, scope in sorted(grants)
    )
    yield from _table(("permission", "granted on", "roles"), rows)


def commands() -> Iterator[str]:
    """The operator's commands."""
    yield from _table(("command", "what it does"), _command_rows(cli, ""))


def _command_rows(group: click.Group, prefix: str) -> Iterator[tuple[str, str]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from _command_rows(command, f"{prefix}{name} ")
            continue
        help_text = inspect.cleandoc(command.help or "").split("\n\n", maxsplit=1)[0]
        yield f"`{prefix}{name}`", " ".join(help_text.split())


def playbook_facts() -> Iterator[str]:
    """What a playbook's templates may name, with the members of each."""
    hints = {"incident": IncidentFacts, **get_type_hints(Facts)}
    rows = []
    for name, hint in hints.items():
        kind = next((each for each in get_args(hint) if dataclasses.is_dataclass(each)), hint)
        is_list = "list: " if get_origin(hint) is tuple else ""
        if not dataclasses.is_dataclass(kind):
            rows.append((f"`{name}`", "by name", ", ".join(f"`{key}`" for key in _KEYS[name])))
            continue
        meaning = " ".join((inspect.getdoc(kind) or "").replace("``", "`").split())
        members = ", ".join(f"`{field.name}`" for field in dataclasses.fields(kind))
        rows.append((f"`{name}`", f"{is_list}{meaning}", members))
    yield from _table(("fact", "meaning", "members"), rows)


TABLES: dict[str, Callable[[], Iterator[str]]] = {
    "settings": settings,
    "actions": actions,
    "statuses": statuses,
    "outcome-keys": outcome_keys,
    "policy-keys": policy_keys,
    "roles": roles,
    "permissions": permissions,
    "commands": commands,
    "playbook-facts": playbook_facts,
}


def documents() -> list[Path]:
    """The documents that may have tables."""
    return [path for pattern in _DOCUMENTS for path in sorted(REPOSITORY.glob(pattern))]


def in_sync(text: str) -> str:
    """A document with its tables as they should be."""
    return _MARKED.sub(_filled, text)


def _filled(found: re.Match[str]) -> str:
    body = "\n".join(TABLES[found["name"]]())
    return f"{found[1]}{body}\n{found[3]}"


def _attributes(described: type) -> dict[str, str]:
    """The texts of the docstring's attributes, each in one line."""
    _, _, listed = (inspect.getdoc(described) or "").partition("Attributes:\n")
    found: dict[str, str] = {}
    name = ""
    for line in listed.splitlines():
        if match := re.fullmatch(r" {4}(\w+): (.*)", line):
            name = match[1]
            found[name] = match[2]
        elif name:
            found[name] += f" {line.strip()}"
    return {key: text.strip() for key, text in found.items()}


def _table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    titles = tuple(header)
    yield _row(titles)
    yield _row("---" for _ in titles)
    yield from map(_row, rows)


def _row(cells: Iterable[str]) -> str:
    texts = (" ".join(cell.split()).replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(texts)} |"


def main() -> int:
    """Write the tables, or check them."""
    wrong = [path for path in documents() if in_sync(path.read_text()) != path.read_text()]
    if "--check" in sys.argv[1:]:
        for path in wrong:
            name = path.relative_to(REPOSITORY)
            sys.stderr.write(f"{name}: a table is not what the code says; run: make generate\n")
        return 1 if wrong else 0
    for path in wrong:
        path.write_text(in_sync(path.read_text()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
