"""Playbook tasks that rotate secrets and environment variables. Pure.

A new version disables no old one, and whoever may access a secret may read every enabled version.
A variable gets its value when an instance starts, a mounted file at each read (documentation of
Cloud Run and Secret Manager).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from incident.model import Evidence, Kind, PlaybookTask, SecretUse, TaskPurpose, Workload
from incident.playbook.commands_and_links import (
    container_command,
    gcloud,
    is_printable,
    secret_page,
    workload_command,
    workload_page,
)
from incident.playbook.workload_facts import has_several_containers, is_function
from incident.redaction.secret_names import names_secret, suggests_secret

_MOST_NAMES = 20
_LATEST = "latest"
#: Characters without a meaning of their own in a flag of comma-separated pairs.
_FLAG_SAFE = re.compile(r"[A-Za-z0-9_./-]{1,300}")
_NAMED = re.compile(r"projects/(?P<project>[^/]+)/secrets/(?P<name>[^/]+)")


@dataclass(frozen=True, slots=True)
class _AffectedSecret:
    """A secret with its uses; no uses where they are unknown."""

    configured_name: str
    project: str
    name: str
    in_other_project: bool
    uses: tuple[SecretUse, ...]

    @property
    def resource(self) -> str:
        """Its resource name."""
        return f"projects/{self.project}/secrets/{self.name}"

    @property
    def pinned(self) -> tuple[SecretUse, ...]:
        """The uses that name a version number."""
        return tuple(use for use in self.uses if use.version != _LATEST)


def rotate_secrets(evidence: Evidence, workload: Workload) -> Iterator[PlaybookTask]:
    """Tasks that add versions, update references and disable old versions."""
    if evidence.affected_template is None:
        text = (
            "Find out which secrets it could read: that is"
            f" {evidence.describe_gap('settings')}. This"
            " shows them, as variables and as mounted files: rotate each, and disable its old"
            " versions"
        )
        yield PlaybookTask(
            text,
            workload_command("describe", workload),
            workload_page(workload) or "",
            TaskPurpose.ROTATE,
        )
    secrets = _affected_secrets(evidence, workload)
    for secret in secrets:
        yield from _add_version(secret)
    yield from _update_all_references(secrets, evidence, workload)
    for secret in secrets:
        yield from _disable_old_versions(secret)
    yield from _rotate_variables(evidence, workload)


def _affected_secrets(evidence: Evidence, workload: Workload) -> tuple[_AffectedSecret, ...]:
    affected = evidence.affected_template
    found = []
    for full in affected.secret_names[:_MOST_NAMES] if affected else ():
        uses = tuple(use for use in affected.secret_uses if use.secret == full) if affected else ()
        match = _NAMED.fullmatch(full)
        project, name = (match["project"], match["name"]) if match else (workload.project, full)
        own_projects = (workload.project_id, workload.project_number)
        # A project number and a project id cannot be compared.
        known = workload.project_number if project.isdigit() else workload.project_id
        found.append(
            _AffectedSecret(full, project, name, bool(known) and project not in own_projects, uses)
        )
    return tuple(found)


def _add_version(secret: _AffectedSecret) -> Iterator[PlaybookTask]:
    """Tasks that add a version, and list who else may access the secret."""
    whose = (
        f", which is in project {secret.project}: ask its owner" if secret.in_other_project else ""
    )
    text = (
        f"Rotate the secret {secret.name}{whose}. {_usage_text(secret)}Get a new value"
        " from whatever"
        f" it opens, write it to a file that only you may read{_file_hint(secret)}, add that, and"
        " delete the file. This prints the new version's number"
    )
    command = gcloud("secrets versions add", secret.name, data_file="FILE", project=secret.project)
    page = secret_page(secret.project, secret.name)
    yield PlaybookTask(text, command, page, TaskPurpose.ROTATE)
    text = f"See who else may read {secret.name}, and have them read the new version"
    command = gcloud("secrets get-iam-policy", secret.name, project=secret.project)
    yield PlaybookTask(text, command, "", TaskPurpose.ROTATE)


def _file_hint(secret: _AffectedSecret) -> str:
    """How to write a value to a file without a newline and without shell history."""
    if secret.uses and all(use.mounted for use in secret.uses):
        return " exactly as it is to be mounted"
    return ', without an end of line (in bash: read -rs V; printf %s "$V" > FILE)'


def _usage_text(secret: _AffectedSecret) -> str:
    """Where the template used it, if known."""
    if not secret.uses:
        return ""
    mentions = [
        f"{'the file' if use.mounted else 'the variable'} {use.target} (version {use.version})"
        for use in secret.uses[:_MOST_NAMES]
    ]
    return f"It was in {', '.join(mentions)}. "


def _update_all_references(
    secrets: tuple[_AffectedSecret, ...], evidence: Evidence, workload: Workload
) -> Iterator[PlaybookTask]:
    """A task for each container that names a version number."""
    pinned = [(secret, use) for secret in secrets for use in secret.pinned]
    several = has_several_containers(evidence)
    containers = dict.fromkeys(use.container if several else "" for _, use in pinned)
    for container in containers:
        here = [(s, use) for s, use in pinned if not several or use.container == container]
        yield _update_references(here, container, evidence, workload)
    if any(use.version == _LATEST and not use.mounted for s in secrets for use in s.uses):
        text = (
            "What takes the latest version in a variable needs no other settings: it has the new"
            " value from its next start, and whatever runs keeps the old one until then"
        )
        yield PlaybookTask(text, purpose=TaskPurpose.ROTATE)


def _update_references(
    pinned: list[tuple[_AffectedSecret, SecretUse]],
    container: str,
    evidence: Evidence,
    workload: Workload,
) -> PlaybookTask:
    """A reference to a version number keeps the old value, or fails once it is disabled.

    Args:
        pinned: The secrets with their uses in one container.
        container: The container's name; empty for a workload with one container.
        evidence: The evidence.
        workload: The workload.
    """
    names = ", ".join(dict.fromkeys(secret.name for secret, _ in pinned))
    where = f" in container {container}" if container else ""
    text = (
        f"Point the settings{where} to the new version of {names}, since they name an old one,"
        " which is disabled next. "
    )
    pairs = [_secret_flag_value(secret, use, workload) for secret, use in pinned]
    flag = ",".join(pairs) if all(pairs) else ""
    page = workload_page(workload) or ""
    if is_function(evidence):
        added = f": add --update-secrets={flag} to its command" if flag else ""
        text += f"Leave that to the deployment of the function's fixed source{added}"
        return PlaybookTask(text, "", page, TaskPurpose.ROTATE)
    made = "" if workload.kind is Kind.JOB else ": this makes a revision of the same image"
    text += f"Or leave that to the deployment of the clean version{made}"
    unnamed = has_several_containers(evidence) and not container
    command = ""
    if flag and not unnamed:
        command = container_command(workload, container, update_secrets=flag)
    return PlaybookTask(text, command, page, TaskPurpose.ROTATE)


def _secret_flag_value(secret: _AffectedSecret, use: SecretUse, workload: Workload) -> str:
    """Value of the ``--update-secrets`` flag; empty where the flag would read it differently.

    gcloud takes full secret names by project number only (seen in gcloud 528). The full name also
    keeps redaction from hiding what follows ``DB_PASSWORD=``.
    """
    number = secret.project if secret.project.isdigit() else workload.project_number
    name = "" if secret.in_other_project and not secret.project.isdigit() else secret.name
    if number and name:
        name = f"projects/{number}/secrets/{name}"
    elif names_secret(use.target):
        return ""
    plain_pair = _FLAG_SAFE.fullmatch(name) and _FLAG_SAFE.fullmatch(use.target)
    return f"{use.target}={name}:{_LATEST}" if plain_pair else ""


def _disable_old_versions(secret: _AffectedSecret) -> Iterator[PlaybookTask]:
    """Tasks that disable old versions, which the account may still read."""
    numbers = dict.fromkeys(use.version for use in secret.pinned if use.version.isdigit())
    for number in [*numbers, "OLD_VERSION"]:
        which = f"version {number}" if number.isdigit() else "each other old version"
        text = f"Disable {which} of {secret.name} once nothing fails with the new one"
        command = ""
        if is_printable(secret.project) and is_printable(secret.name):
            command = gcloud("secrets versions disable", f"{secret.resource}/versions/{number}")
        yield PlaybookTask(text, command, purpose=TaskPurpose.ROTATE)


def _rotate_variables(evidence: Evidence, workload: Workload) -> Iterator[PlaybookTask]:
    """Tasks for plain variables, of which only the names are known here."""
    affected = evidence.affected_template
    containers = affected.containers if affected else ()
    named = {name for container in containers for name in container.environment_names}
    named |= {name for process in evidence.finding.processes for name in process.environment_names}
    named -= {use.target for use in affected.secret_uses} if affected else set()
    likely_secrets = sorted(name for name in named if suggests_secret(name))
    rest = sorted(named - {*likely_secrets})
    page = workload_page(workload) or ""
    if likely_secrets:
        text = (
            "Rotate what these variables held, secrets by their names:"
            f" {_listed(likely_secrets)}. Get new"
            " values where each is used, end the old ones there, and put the new ones into Secret"
            " Manager, not back into the settings"
        )
        yield PlaybookTask(text, workload_command("describe", workload), page, TaskPurpose.ROTATE)
    if rest:
        text = (
            f"Look through its other variables, {_listed(rest)}: an address may hold a password, to"
            " be rotated like these"
        )
        yield PlaybookTask(
            text,
            "" if likely_secrets else workload_command("describe", workload),
            page,
            TaskPurpose.ROTATE,
        )


def _listed(names: list[str]) -> str:
    more = len(names) - _MOST_NAMES
    shown = ", ".join(names[:_MOST_NAMES])
    return f"{shown} and {more} more" if more > 0 else shown
