"""Secrets and variables that the affected revision could read, for their rotation. Pure.

A new version disables no old one, and a member with access may read every enabled version.
A variable gets its value when an instance starts, a mounted file at each read (documentation of
Cloud Run and Secret Manager).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from incident.model import Evidence, SecretUse, Workload
from incident.playbook.workload_facts import has_several_containers
from incident.redaction.secret_names import names_secret, suggests_secret

_MOST_NAMES = 20
_LATEST = "latest"
#: Characters without a meaning of their own in a flag of comma-separated pairs.
_FLAG_SAFE = re.compile(r"[A-Za-z0-9_./-]{1,300}")
_NAMED = re.compile(r"projects/(?P<project>[^/]+)/secrets/(?P<name>[^/]+)")


@dataclass(frozen=True, slots=True)
class SecretFacts:
    """A secret that it could read, and the version numbers that the settings name."""

    name: str
    project: str
    in_other_project: bool = False
    versions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SecretUpdate:
    """References to numbered versions, which keep the old value or fail once it is disabled.

    ``flag`` is the value of ``--update-secrets``; empty where gcloud would read it differently.
    """

    container: str
    names: tuple[str, ...]
    flag: str


@dataclass(frozen=True, slots=True)
class VariableFacts:
    """Names of environment variables: those that suggest a secret, and how many others."""

    likely_secrets: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


def secret_facts(evidence: Evidence, workload: Workload) -> tuple[SecretFacts, ...]:
    """The secrets of all templates that may have run."""
    template = evidence.affected_template
    found = []
    for full in template.secret_names[:_MOST_NAMES] if template else ():
        project, name, elsewhere = _parse_name(full, workload)
        uses = _uses(evidence, full)
        numbers = dict.fromkeys(use.version for use in uses if use.version.isdigit())
        found.append(SecretFacts(name, project, elsewhere, tuple(numbers)))
    return tuple(found)


def secret_updates(evidence: Evidence, workload: Workload) -> tuple[SecretUpdate, ...]:
    """The update of each container that names a version number."""
    template, several = evidence.affected_template, has_several_containers(evidence)
    names = template.secret_names[:_MOST_NAMES] if template else ()
    pinned = [use for name in names for use in _uses(evidence, name) if use.version != _LATEST]
    containers = dict.fromkeys(use.container if several else "" for use in pinned)
    return tuple(
        _update(container, [u for u in pinned if not several or u.container == container], workload)
        for container in containers
        if container or not several
    )


def variable_facts(evidence: Evidence) -> VariableFacts:
    """Plain variables, of which only the names are known here."""
    template = evidence.affected_template
    containers = template.containers if template else ()
    named = {name for container in containers for name in container.environment_names}
    named |= {name for process in evidence.finding.processes for name in process.environment_names}
    named -= {use.target for use in template.secret_uses} if template else set()
    likely = sorted(name for name in named if suggests_secret(name))
    others = sorted(named - {*likely})
    return VariableFacts(tuple(likely[:_MOST_NAMES]), tuple(others[:_MOST_NAMES]))


def _uses(evidence: Evidence, full_name: str) -> list[SecretUse]:
    template = evidence.affected_template
    return [use for use in template.secret_uses if use.secret == full_name] if template else []


def _parse_name(full: str, workload: Workload) -> tuple[str, str, bool]:
    """Project and short name of a secret, and whether it is known to be another project's."""
    match = _NAMED.fullmatch(full)
    project, name = (match["project"], match["name"]) if match else (workload.project, full)
    # A project number and a project id cannot be compared.
    known = workload.project_number if project.isdigit() else workload.project_id
    own_projects = (workload.project_id, workload.project_number)
    return project, name, bool(known) and project not in own_projects


def _update(container: str, uses: list[SecretUse], workload: Workload) -> SecretUpdate:
    names = tuple(dict.fromkeys(_parse_name(use.secret, workload)[1] for use in uses))
    pairs = [_flag_value(use, workload) for use in uses]
    return SecretUpdate(container, names, ",".join(pairs) if all(pairs) else "")


def _flag_value(use: SecretUse, workload: Workload) -> str:
    """A pair of the ``--update-secrets`` flag; empty where the flag would read it differently.

    gcloud takes full secret names by project number only (seen in gcloud 528). The full name also
    keeps redaction from hiding what follows ``DB_PASSWORD=``.
    """
    project, name, elsewhere = _parse_name(use.secret, workload)
    number = project if project.isdigit() else workload.project_number
    if elsewhere and not project.isdigit():
        name = ""
    if number and name:
        name = f"projects/{number}/secrets/{name}"
    elif names_secret(use.target):
        return ""
    plain_pair = _FLAG_SAFE.fullmatch(name) and _FLAG_SAFE.fullmatch(use.target)
    return f"{use.target}={name}:{_LATEST}" if plain_pair else ""
