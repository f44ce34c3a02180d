"""Container image references: name, tag, digest, registry. Pure.

References follow Docker's grammar. Artifact Registry serves gcr.io since the shutdown of Container
Registry; ``gcloud artifacts`` takes both (seen in gcloud 528).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_NAME = re.compile(r"[a-z0-9][a-z0-9._:-]*(?:/[a-z0-9][a-z0-9._-]*)+")
_DOCKER_HUB = "docker.io"
_ARTIFACT_REGISTRY = re.compile(r"[a-z0-9-]+-docker\.pkg\.dev|(?:(?:us|eu|asia)\.)?gcr\.io")


@dataclass(frozen=True, slots=True)
class ImageReference:
    """A parsed container image reference.

    Attributes:
        name: Registry and path, without tag and digest; empty for an invalid reference.
        tag: Its tag; empty where it has none.
        digest: Its digest; empty where unknown.
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


def parse_image(reference: str, digest: str | None = None) -> ImageReference:
    """Parse the image reference of a finding or template.

    Args:
        reference: With a tag, a digest, or neither.
        digest: The digest that ran, from another source; None where unknown.
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
