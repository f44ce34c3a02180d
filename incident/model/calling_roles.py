"""Roles that let a member call a service or start a job: the one table of them. Pure.

Source: Google's page of Cloud Run IAM roles. ``run.routes.invoke`` calls a service,
``run.jobs.run`` starts a job. Custom roles, and roles that are not in the table, may allow it too:
nothing is known of those.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from incident.model.workload import Json, JsonObject, Kind

INVOKER_ROLE = "roles/run.invoker"
#: Everybody, and everybody with a Google account.
PUBLIC_MEMBERS = frozenset({"allUsers", "allAuthenticatedUsers"})


@dataclass(frozen=True, slots=True)
class CallingRole:
    """A role that lets its members call a service or start a job.

    Attributes:
        name: As IAM spells it.
        kinds: What it lets them call or start.
        broader: Whether it allows much else. A containment reports such a role, and never
            edits its bindings: it may be what an operator works with.
    """

    name: str
    kinds: Collection[Kind]
    broader: bool = False


CALLING_ROLES = (
    CallingRole(INVOKER_ROLE, (Kind.SERVICE, Kind.JOB)),
    CallingRole("roles/run.servicesInvoker", (Kind.SERVICE,)),
    CallingRole("roles/run.jobsExecutor", (Kind.JOB,)),
    CallingRole("roles/run.jobsExecutorWithOverrides", (Kind.JOB,)),
    CallingRole("roles/run.admin", (Kind.SERVICE, Kind.JOB), broader=True),
    CallingRole("roles/run.developer", (Kind.JOB,), broader=True),
)


def calling_roles(kind: Kind) -> frozenset[str]:
    """All roles of the table for a kind; none for a worker pool, which nobody can call."""
    return frozenset(role.name for role in CALLING_ROLES if kind in role.kinds)


def broader_roles(kind: Kind) -> frozenset[str]:
    """Those that allow much else: reported, never edited."""
    return frozenset(role.name for role in CALLING_ROLES if kind in role.kinds and role.broader)


def editable_roles(kind: Kind) -> frozenset[str]:
    """Those that only allow calling or starting: the roles that a containment edits."""
    return calling_roles(kind) - broader_roles(kind)


#: Names in a condition that may differ between two requests: all but the two constants.
_VARIABLE = re.compile(r"\b(?!true\b|false\b)[A-Za-z_]")
_LITERAL = re.compile(r"""'(?:[^'\\]|\\(?s:.))*+(?:'|\\?\Z)|"(?:[^"\\]|\\(?s:.))*+(?:"|\\?\Z)""")
#: Longer and deeper expressions are not looked at; IAM takes 12 logical operators.
_MAX_EXPRESSION, _MAX_NESTING = 4_000, 20
#: A bound in time that was passed before this was written, or that nobody will live to see.
_PAST = r"request\.time\s*>=?\s*timestamp\(\s*['\"](19\d\d|20[01]\d|202[0-5])-"
_FAR_FUTURE = r"request\.time\s*<=?\s*timestamp\(\s*['\"](2[1-9]\d\d|[3-9]\d\d\d)-"
_ENDLESS = re.compile(rf"({_PAST}|{_FAR_FUTURE})[^)]*\)")


def always_holds(condition: Json) -> bool:
    """Whether the condition of a binding holds for every request, so that it restricts nobody.

    Shown only for conditions that refer to nothing of a request, and for bounds in time that are
    none. Others are not evaluated: they may hold or not.

    Args:
        condition: The condition in proto JSON; None and an empty one always hold.
    """
    if not isinstance(condition, Mapping):
        return True
    expression = str(condition.get("expression") or "true")
    if len(expression) > _MAX_EXPRESSION:
        return False
    return _holds(_LITERAL.sub("''", _ENDLESS.sub("true", expression)), _MAX_NESTING)


def _holds(expression: str, depth: int) -> bool:
    """Whether an expression without literals and endless bounds always holds."""
    whole = expression.strip()
    if not depth:
        return False
    for operator, combine in (("||", any), ("&&", all)):
        parts = _split(whole, operator)
        if len(parts) > 1:
            return combine(_holds(part, depth - 1) for part in parts)
    if whole.startswith("(") and whole.endswith(")"):
        return _holds(whole[1:-1], depth - 1)
    return not _VARIABLE.search(whole) and whole.replace(" ", "") not in ("false", "!true")


def _split(expression: str, operator: str) -> list[str]:
    """The parts of an expression between an operator outside of brackets."""
    parts, depth, start, at = [], 0, 0, 0
    while at < len(expression):
        depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(expression[at], 0)
        if depth == 0 and expression.startswith(operator, at):
            parts.append(expression[start:at])
            at = start = at + len(operator)
            continue
        at += 1
    return [*parts, expression[start:]]


def is_restricted(binding: JsonObject) -> bool:
    """Whether a condition may keep the members of a binding out."""
    return not always_holds(binding.get("condition"))
