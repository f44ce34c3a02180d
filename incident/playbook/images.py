"""References of container images: the registry, and what can look into it. Pure.

The forms are those of Docker's references, and of Artifact Registry, which serves gcr.io since
Container Registry was shut down (``gcloud artifacts`` takes names of both, read in gcloud 528).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from incident.playbook.commands_and_links import gcloud, shell_command

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_NAME = re.compile(r"[a-z0-9][a-z0-9._:-]*(?:/[a-z0-9][a-z0-9._-]*)+")
_DOCKER_HUB = "docker.io"
_ARTIFACT_REGISTRY = re.compile(r"[a-z0-9-]+-docker\.pkg\.dev|(?:(?:us|eu|asia)\.)?gcr\.io")


@dataclass(frozen=True, slots=True)
class ImageReference:
    """An image by its reference.

    Attributes:
        name: Registry and path, without tag and digest; empty for what is no reference.
        tag: Its tag; empty where the reference has none.
        digest: Its digest; empty where it is not known.
        registry: The registry's host.
    """

    name: str
    tag: str
    digest: str
    registry: str

    @property
    def in_artifact_registry(self) -> bool:
        """Whether Artifact Registry serves it."""
        return _ARTIFACT_REGISTRY.fullmatch(self.registry) is not None

    @property
    def pinned(self) -> str:
        """The reference by digest, else by tag."""
        if self.digest:
            return f"{self.name}@{self.digest}"
        return f"{self.name}:{self.tag}" if self.tag else self.name

    @property
    def inspect_command(self) -> str:
        """The command that looks at it without running it; empty for what is no reference."""
        if not self.name:
            return ""
        if self.in_artifact_registry:
            return gcloud("artifacts docker images describe", self.pinned)
        return shell_command("docker", "buildx", "imagetools", "inspect", self.pinned)


def parse_image(reference: str, digest: str | None = None) -> ImageReference:
    """An image by the reference that a finding or a template has for it.

    Args:
        reference: As it is configured, perhaps with a tag, a digest, or neither.
        digest: The digest that ran, where somebody else tells it.
    """
    named, _, pinned = reference.partition("@")
    before, colon, tag = named.rpartition(":")
    if not colon or "/" in tag:
        before, tag = named, ""
    first, slash, _ = before.partition("/")
    if not slash:
        before = f"{_DOCKER_HUB}/library/{before}" if before else ""
    elif not {".", ":"} & {*first} and first != "localhost":
        before = f"{_DOCKER_HUB}/{before}"
    if not _NAME.fullmatch(before) or (tag and not re.fullmatch(r"\w[\w.-]{0,127}", tag)):
        return ImageReference("", "", "", "")
    known = (each for each in (digest or "", pinned) if DIGEST.fullmatch(each))
    return ImageReference(before, tag, next(known, ""), before.partition("/")[0])
