"""The steps about secrets: what was in reach is known to the attacker now. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from incident.links import secret_page, workload_page
from incident.model import Part, Step, Template, Workload
from incident.steps.gcloud import gcloud

_MOST_NAMES = 20


def rotate(affected: Template | None, workload: Workload) -> Iterator[Step]:
    """Rotating what was in reach."""
    for secret in affected.secret_names[:_MOST_NAMES] if affected else ():
        project, name = _secret(secret, workload)
        text = (
            f"Rotate the secret {name}. Issue a new value where it is used, add it, and disable"
            " the version that was in reach"
        )
        command = gcloud("secrets versions list", name, project=project)
        yield Step(text, command, secret_page(project, name), Part.ROTATE)
    names = {n for c in affected.containers for n in c.environment_names} if affected else set()
    if names:
        listed = ", ".join(sorted(names)[:_MOST_NAMES])
        text = f"Rotate what is secret among the environment variables it had: {listed}"
        yield Step(text, "", workload_page(workload) or "", Part.ROTATE)


def _secret(secret: str, workload: Workload) -> tuple[str, str]:
    """Project and name of a secret, which may be named in full or within its project."""
    parts = secret.split("/")
    if len(parts) >= 4 and parts[0] == "projects" and parts[2] == "secrets":  # noqa: PLR2004 - projects/P/secrets/S
        return parts[1], parts[3]
    return workload.project, secret
