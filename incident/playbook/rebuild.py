"""Playbook tasks for redeployment: mounted volumes, image digests, rebuild. Pure.

Image references follow Docker's grammar. Artifact Registry serves gcr.io since the shutdown of
Container Registry; ``gcloud artifacts`` takes both (seen in gcloud 528).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from incident.model import Evidence, Finding, Kind, PlaybookTask, TaskPurpose, Workload
from incident.playbook.commands_and_links import (
    container_command,
    gcloud,
    image_page,
    location_flags,
    shell_command,
    workload_command,
    workload_page,
)
from incident.playbook.source_deployment import deploy_source
from incident.playbook.workload_facts import has_several_containers, is_function, source_build

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

    @property
    def inspect_command(self) -> str:
        """Command that inspects the image without running it; empty for an invalid reference."""
        if not self.name:
            return ""
        if self.in_artifact_registry:
            return gcloud("artifacts docker images describe", self.pinned)
        return shell_command("docker", "buildx", "imagetools", "inspect", self.pinned)


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


_DIGEST_FORMAT = "table(metadata.name,metadata.creationTimestamp,status.imageDigest)"
#: What the category of a Cloud Run Threat Detection finding implies about the image.
_IMAGE_TRUST_TEXTS = {
    "Execution: Modified ": "The program was changed while it ran, so the image may be clean, and"
    " the hole in its code or in what it is built from",
    "Execution: Added ": "The program was brought in while it ran, so the image may be clean, and"
    " the hole in its code or in what it is built from",
    "Execution: Built in ": "The program came with the image, from its build or its push, so trust"
    " neither the image nor what it is built from",
}
#: A release restores these fields and refuses if a deployment changed them.
_DEPLOYMENT_WARNINGS = {
    Kind.SERVICE: ". Do not set scaling, traffic or ingress with that deployment",
    Kind.WORKER_POOL: ". Do not set the number of instances with that deployment",
    Kind.JOB: "",
}
_MOST_IMAGES = 5
_UNKNOWN_ORIGIN_TEXT = "It may be clean, and the hole in its code, or hold the hostile code itself"


def check_volumes(evidence: Evidence, workload: Workload) -> Iterator[PlaybookTask]:
    """Tasks that look for changed files on volumes, which outlive instances."""
    affected = evidence.affected_template
    if affected is None:
        text = (
            f"Find out what it mounts: that is {evidence.describe_gap('settings')}. On"
            " each bucket and"
            " file share that this shows, look for files that changed since before the event"
        )
        yield PlaybookTask(
            text,
            workload_command("describe", workload),
            workload_page(workload) or "",
            TaskPurpose.FILES,
        )
    for volume in affected.volumes if affected else ():
        if volume.persists:
            kind, _, what = volume.source.replace("://", " ", 1).partition(" ")
            named = {"gcs": f"gs://{what}", "nfs": f"the file share {what}"}
            listing = gcloud("storage ls", f"gs://{what}/**", long=True) if kind == "gcs" else ""
            on_it = named.get(kind, volume.source)
            text = f"Look for files that changed on {on_it} since before the event"
            if kind == "nfs":
                text += ": mount it read-only on a machine that runs nothing of it"
            yield PlaybookTask(text, listing, purpose=TaskPurpose.FILES)


def rebuild_and_redeploy(evidence: Evidence, workload: Workload) -> Iterator[PlaybookTask]:
    """Tasks that compare the affected image, rebuild and redeploy."""
    images = _affected_images(evidence)
    if not all(image.digest for image in images):
        yield _find_digest(evidence, workload)
    for image in images:
        if image.name:
            yield _compare_image(image, evidence.finding)
    if source_build(evidence) or is_function(evidence):
        yield from deploy_source(evidence, workload)
    else:
        yield from _deploy_images(evidence, workload, images)


def _deploy_images(
    evidence: Evidence, workload: Workload, images: tuple[ImageReference, ...]
) -> Iterator[PlaybookTask]:
    """A task for each affected container of several; else one for the workload."""
    page = workload_page(workload) or ""
    for container, image in _affected_containers(evidence, images):
        of_container = f" of container {container}" if container else ""
        text = (
            f"Rebuild the image{of_container} from its source with the fix, and deploy that by its"
            " digest; of a third party's image, deploy a fixed"
            f" version{_DEPLOYMENT_WARNINGS[workload.kind]}"
        )
        if evidence.configuration is None and evidence.affected_template is None:
            text += ". If it has several containers, add --container=NAME before --image"
        new = f"{image.name}@sha256:NEW_DIGEST"
        command = container_command(workload, container, image=new) if image.name else ""
        yield PlaybookTask(text, command, page, TaskPurpose.REBUILD)


def _affected_containers(
    evidence: Evidence, images: tuple[ImageReference, ...]
) -> list[tuple[str, ImageReference]]:
    """Container name and image to deploy; an empty name where the workload has one container.

    Of several containers it is the one that the finding names, else all of them.
    """
    if not has_several_containers(evidence):
        return [("", images[0])]
    configuration = evidence.configuration
    current = configuration.template if configuration else evidence.affected_template
    containers = current.containers if current else ()
    named = {each.name for each in evidence.finding.containers if each.name}
    paths = {parse_image(each.image).name for each in evidence.finding.containers if each.image}
    affected = [each for each in containers if each.name in named] or [
        each for each in containers if parse_image(each.image).name in paths
    ]
    return [(each.name, parse_image(each.image)) for each in affected or containers]


def _affected_images(evidence: Evidence) -> tuple[ImageReference, ...]:
    """The finding's image, else the image of each template that may have run."""
    container = next((each for each in evidence.finding.containers if each.image), None)
    if container:
        return (parse_image(container.image, container.digest),)
    listed = [
        each.containers[0].image for each in evidence.affected_revision.templates if each.containers
    ]
    return tuple(map(parse_image, list(dict.fromkeys(listed))[:_MOST_IMAGES] or [""]))


def _find_digest(evidence: Evidence, workload: Workload) -> PlaybookTask:
    """Cloud Run resolves a tag at deployment and keeps the digest."""
    where, revisions = location_flags(workload), "run revisions"
    ran = evidence.affected_revision.name or None
    if workload.kind is Kind.WORKER_POOL:
        revisions = "beta run worker-pools revisions"
    match workload.kind, ran:
        case Kind.JOB, str(name):
            command = gcloud("run jobs executions describe", name, **where)
        case Kind.JOB, None:
            command = workload_command("describe", workload)
        case _, str(name):
            only = "value(status.imageDigest)"
            command = gcloud(f"{revisions} describe", name, format=only, **where)
        case Kind.SERVICE, None:
            command = gcloud(
                f"{revisions} list", service=workload.name, format=_DIGEST_FORMAT, **where
            )
        case _:
            name = workload.name
            command = gcloud(f"{revisions} list", worker_pool=name, format=_DIGEST_FORMAT, **where)
    text = "Find the digest of the image that ran: a tag may name another image by now"
    return PlaybookTask(text, command, purpose=TaskPurpose.REBUILD)


def _compare_image(image: ImageReference, finding: Finding) -> PlaybookTask:
    trust_text = next(
        (text for key, text in _IMAGE_TRUST_TEXTS.items() if finding.categories[0].startswith(key)),
        _UNKNOWN_ORIGIN_TEXT,
    )
    served = (
        ""
        if image.in_artifact_registry
        else f", at {image.registry}, which is not Google's to show"
    )
    what = "the one that ran" if image.digest else "as the tag is now"
    text = (
        f"Look at the image {image.pinned} ({what}{served}), and compare its digest and its layers"
        f" with what your build recorded. {trust_text}"
    )
    return PlaybookTask(
        text, image.inspect_command, image_page(image.name) or "", TaskPurpose.REBUILD
    )
