"""Roles that let a member call a service or start a job: the one table of them. Pure.

Source: Google's page of Cloud Run IAM roles. ``run.routes.invoke`` calls a service,
``run.jobs.run`` starts a job. Custom roles, and roles that are not in the table, may allow it too:
nothing is known of those.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from incident.model.workload import Kind

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
