"""The steps about what is deployed again: changed files and the image. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from incident.model import Evidence, Finding, Kind, PlaybookTask, TaskPurpose, Workload
from incident.playbook.commands_and_links import gcloud, location_flags, workload_command
from incident.playbook.images import ImageReference, parse_image
from incident.playbook.links import image_page, workload_page

_DIGEST_FORMAT = "table(metadata.name,metadata.creationTimestamp,status.imageDigest)"
#: What the finding types of Cloud Run Threat Detection say of the image by their names.
_IMAGE_TRUST_TEXTS = {
    "Execution: Modified ": "The program was changed while it ran, so the image may be clean, and"
    " the hole in its code or in what it is built from",
    "Execution: Added ": "The program was brought in while it ran, so the image may be clean, and"
    " the hole in its code or in what it is built from",
    "Execution: Built in ": "The program came with the image: whoever built or pushed it put it"
    " there, so trust neither the image nor what it is built from",
}
#: What a release gives back, and so refuses to where a deployment has set it.
_DEPLOYMENT_WARNINGS = {
    Kind.SERVICE: ". Do not set scaling, traffic or ingress with that deployment",
    Kind.WORKER_POOL: ". Do not set the number of instances with that deployment",
    Kind.JOB: "",
}
_MOST_IMAGES = 5
_UNKNOWN_ORIGIN_TEXT = "It may be clean, and the hole in its code, or hold the hostile code itself"


def check_volumes(evidence: Evidence, workload: Workload) -> Iterator[PlaybookTask]:
    """What outlives the instances."""
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
    """Which image ran, what to make of it, and another one in its place."""
    images = _affected_images(evidence)
    if not all(image.digest for image in images):
        yield _find_digest(evidence, workload)
    for image in images:
        if image.name:
            yield _compare_image(image, evidence.finding)
    image = images[0]
    text = (
        "Build the image anew from its source, without the hole, and deploy that by its digest; an"
        f" image that others make, in a version without it{_DEPLOYMENT_WARNINGS[workload.kind]}"
    )
    new = f"{image.name}@sha256:NEW_DIGEST"
    deploy = workload_command("update", workload, image=new) if image.name else ""
    yield PlaybookTask(text, deploy, workload_page(workload) or "", TaskPurpose.REBUILD)


def _affected_images(evidence: Evidence) -> tuple[ImageReference, ...]:
    """The image as the finding names it, else as each template does that may have run."""
    container = next((each for each in evidence.finding.containers if each.image), None)
    if container:
        return (parse_image(container.image, container.digest),)
    listed = [
        each.containers[0].image for each in evidence.affected_revision.templates if each.containers
    ]
    return tuple(map(parse_image, list(dict.fromkeys(listed))[:_MOST_IMAGES] or [""]))


def _find_digest(evidence: Evidence, workload: Workload) -> PlaybookTask:
    """Cloud Run resolves a tag when it deploys, and keeps what it came to."""
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
        (text for key, text in _IMAGE_TRUST_TEXTS.items() if finding.category.startswith(key)),
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
