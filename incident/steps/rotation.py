"""The steps about secrets: what was in reach is known to the attacker now. Pure.

Adding a version disables none, and who may read a secret may read each enabled version of it. A
variable gets its value when an instance starts, a mounted file at each access (Google's
documentation of Cloud Run and of Secret Manager).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from incident.announced_values import suggests_secret
from incident.links import secret_page, workload_page
from incident.model import Evidence, Kind, Part, SecretUse, Step, Workload
from incident.steps.gcloud import gcloud, on

_MOST_NAMES = 20
_LATEST = "latest"
#: What may stand in a flag of pairs without meaning something else there.
_TARGET = re.compile(r"[A-Za-z0-9_./-]{1,300}")
_NAMED = re.compile(r"projects/(?P<project>[^/]+)/secrets/(?P<name>[^/]+)")


@dataclass(frozen=True, slots=True)
class _Secret:
    """A secret with its uses, none where it is not known how it is used."""

    full: str
    project: str
    name: str
    elsewhere: bool
    uses: tuple[SecretUse, ...]

    @property
    def pinned(self) -> tuple[SecretUse, ...]:
        """The uses that name a version, and so go on with the old one."""
        return tuple(use for use in self.uses if use.version != _LATEST)


def rotate(evidence: Evidence, workload: Workload) -> Iterator[Step]:
    """A new version of each, what uses it moved to that, and the old one disabled."""
    secrets = _secrets(evidence, workload)
    for secret in secrets:
        yield from _add(secret)
    yield from _move(secrets, workload)
    for secret in secrets:
        yield from _disable(secret)
    yield from _variables(evidence, workload)


def _secrets(evidence: Evidence, workload: Workload) -> tuple[_Secret, ...]:
    affected = evidence.affected
    found = []
    for full in affected.secret_names[:_MOST_NAMES] if affected else ():
        uses = tuple(use for use in affected.secret_uses if use.secret == full) if affected else ()
        match = _NAMED.fullmatch(full)
        project, name = (match["project"], match["name"]) if match else (workload.project, full)
        ours = (workload.project_id, workload.project_number)
        # An id cannot be told from a number's project, nor a number from an id's.
        known = workload.project_number if project.isdigit() else workload.project_id
        found.append(_Secret(full, project, name, bool(known) and project not in ours, uses))
    return tuple(found)


def _add(secret: _Secret) -> Iterator[Step]:
    """The new value, and whoever else reads the old one."""
    whose = f", which is in project {secret.project}: ask its owner" if secret.elsewhere else ""
    text = (
        f"Rotate the secret {secret.name}{whose}. {_used(secret)}Have a new value made by whatever"
        " it opens, and add it: type it, then Ctrl-D. This prints the new version's number"
    )
    command = gcloud("secrets versions add", secret.name, data_file="-", project=secret.project)
    page = secret_page(secret.project, secret.name)
    yield Step(text, command, page, Part.ROTATE)
    text = f"See who else may read {secret.name}, and have them read the new version"
    command = gcloud("secrets get-iam-policy", secret.name, project=secret.project)
    yield Step(text, command, "", Part.ROTATE)


def _used(secret: _Secret) -> str:
    """How it was used, as far as that is known."""
    if not secret.uses:
        return ""
    told = [
        f"{'the file' if use.mounted else 'the variable'} {use.target} (version {use.version})"
        for use in secret.uses[:_MOST_NAMES]
    ]
    return f"It was in {', '.join(told)}. "


def _move(secrets: tuple[_Secret, ...], workload: Workload) -> Iterator[Step]:
    """What names an old version by its number goes on with that, or fails once it is disabled."""
    pinned = [(secret, use) for secret in secrets for use in secret.pinned]
    if pinned:
        names = ", ".join(dict.fromkeys(secret.name for secret, _ in pinned))
        made = "" if workload.kind is Kind.JOB else ", which makes a revision of the same image"
        text = (
            f"Have the settings name the new version of {names} before the old one is disabled:"
            f" they name the old one. Or let the rebuilt one do so, instead of this{made}"
        )
        plain = all(_pairs(secret.full) and _pairs(use.target) for secret, use in pinned)
        pairs = ",".join(f"{use.target}={secret.full}:{_LATEST}" for secret, use in pinned)
        command = on("update", workload, update_secrets=pairs) if plain else ""
        yield Step(text, command, workload_page(workload) or "", Part.ROTATE)
    if any(use.version == _LATEST and not use.mounted for s in secrets for use in s.uses):
        text = (
            "Variables that take the latest version need no change of settings: each instance or"
            " task that starts from now on has the new value, one that runs keeps the old"
        )
        yield Step(text, part=Part.ROTATE)


def _pairs(text: str) -> bool:
    """Whether a text may stand in a flag of pairs."""
    return _TARGET.fullmatch(text) is not None


def _disable(secret: _Secret) -> Iterator[Step]:
    """The old versions, since whoever has the identity may read every enabled one."""
    numbers = dict.fromkeys(use.version for use in secret.pinned if use.version.isdigit())
    for number in [*numbers, "OLD_VERSION"]:
        which = f"version {number}" if number.isdigit() else "every other version that is enabled"
        text = f"Disable {which} of {secret.name} once nothing fails with the new one"
        command = gcloud(
            "secrets versions disable", number, secret=secret.name, project=secret.project
        )
        yield Step(text, command, part=Part.ROTATE)


def _variables(evidence: Evidence, workload: Workload) -> Iterator[Step]:
    """Values in the settings themselves: their names are all that is kept of them here."""
    affected = evidence.affected
    containers = affected.containers if affected else ()
    named = {name for container in containers for name in container.environment_names}
    named |= {name for process in evidence.finding.processes for name in process.environment_names}
    named -= {use.target for use in affected.secret_uses} if affected else set()
    telling = sorted(name for name in named if suggests_secret(name))
    rest = sorted(named - {*telling})
    page = workload_page(workload) or ""
    if telling:
        text = (
            "Rotate what these environment variables held, secrets by their names:"
            f" {_listed(telling)}. Have new values made where each is used, end the old ones there,"
            " and put the new ones into Secret Manager, not back into the settings"
        )
        yield Step(text, on("describe", workload), page, Part.ROTATE)
    if rest:
        text = (
            "Rotate what is secret among its other variables, such as an address with a password:"
            f" {_listed(rest)}"
        )
        yield Step(text, "" if telling else on("describe", workload), page, Part.ROTATE)


def _listed(names: list[str]) -> str:
    more = len(names) - _MOST_NAMES
    shown = ", ".join(names[:_MOST_NAMES])
    return f"{shown} and {more} more" if more > 0 else shown
