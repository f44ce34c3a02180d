"""The steps about what is deployed again: changed files and the image. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from incident.model import Evidence, Finding, Kind, Part, Step, Workload
from incident.playbook.gcloud import gcloud, on, place
from incident.playbook.images import Image, image_of
from incident.playbook.links import image_page, workload_page

_DIGESTS = "table(metadata.name,metadata.creationTimestamp,status.imageDigest)"
#: What the finding types of Cloud Run Threat Detection say of the image by their names.
_SAYS = {
    "Execution: Modified ": "The program was changed while it ran, so the image may be clean, and"
    " the hole in its code or in what it is built from",
    "Execution: Added ": "The program was brought in while it ran, so the image may be clean, and"
    " the hole in its code or in what it is built from",
    "Execution: Built in ": "The program came with the image: whoever built or pushed it put it"
    " there, so trust neither the image nor what it is built from",
}
#: What a release gives back, and so refuses to where a deployment has set it.
_LEAVE = {
    Kind.SERVICE: ". Do not set scaling, traffic or ingress with that deployment",
    Kind.WORKER_POOL: ". Do not set the number of instances with that deployment",
    Kind.JOB: "",
}
_MOST_IMAGES = 5
_MAY_BE = "It may be clean, and the hole in its code, or hold the hostile code itself"


def look_at_files(evidence: Evidence, workload: Workload) -> Iterator[Step]:
    """What outlives the instances."""
    affected = evidence.affected
    if affected is None:
        text = (
            f"Find out what it mounts: that is {evidence.unknown('settings')}. On each bucket and"
            " file share that this shows, look for files that changed since before the event"
        )
        yield Step(text, on("describe", workload), workload_page(workload) or "", Part.FILES)
    for volume in affected.volumes if affected else ():
        if volume.persists:
            kind, _, what = volume.source.replace("://", " ", 1).partition(" ")
            named = {"gcs": f"gs://{what}", "nfs": f"the file share {what}"}
            listing = gcloud("storage ls", f"gs://{what}/**", long=True) if kind == "gcs" else ""
            on_it = named.get(kind, volume.source)
            text = f"Look for files that changed on {on_it} since before the event"
            if kind == "nfs":
                text += ": mount it read-only on a machine that runs nothing of it"
            yield Step(text, listing, part=Part.FILES)


def rebuild(evidence: Evidence, workload: Workload) -> Iterator[Step]:
    """Which image ran, what to make of it, and another one in its place."""
    images = _ran(evidence)
    if not all(image.digest for image in images):
        yield _find_digest(evidence, workload)
    for image in images:
        if image.name:
            yield _compare(image, evidence.finding)
    image = images[0]
    text = (
        "Build the image anew from its source, without the hole, and deploy that by its digest; an"
        f" image that others make, in a version without it{_LEAVE[workload.kind]}"
    )
    new = f"{image.name}@sha256:NEW_DIGEST"
    deploy = on("update", workload, image=new) if image.name else ""
    yield Step(text, deploy, workload_page(workload) or "", Part.REBUILD)


def _ran(evidence: Evidence) -> tuple[Image, ...]:
    """The image as the finding names it, else as each template does that may have run."""
    container = next((each for each in evidence.finding.containers if each.image), None)
    if container:
        return (image_of(container.image, container.digest),)
    listed = [each.containers[0].image for each in evidence.ran.templates if each.containers]
    return tuple(map(image_of, list(dict.fromkeys(listed))[:_MOST_IMAGES] or [""]))


def _find_digest(evidence: Evidence, workload: Workload) -> Step:
    """Cloud Run resolves a tag when it deploys, and keeps what it came to."""
    where, revisions = place(workload), "run revisions"
    ran = evidence.ran.name or None
    if workload.kind is Kind.WORKER_POOL:
        revisions = "beta run worker-pools revisions"
    match workload.kind, ran:
        case Kind.JOB, str(name):
            command = gcloud("run jobs executions describe", name, **where)
        case Kind.JOB, None:
            command = on("describe", workload)
        case _, str(name):
            only = "value(status.imageDigest)"
            command = gcloud(f"{revisions} describe", name, format=only, **where)
        case Kind.SERVICE, None:
            command = gcloud(f"{revisions} list", service=workload.name, format=_DIGESTS, **where)
        case _:
            name = workload.name
            command = gcloud(f"{revisions} list", worker_pool=name, format=_DIGESTS, **where)
    text = "Find the digest of the image that ran: a tag may name another image by now"
    return Step(text, command, part=Part.REBUILD)


def _compare(image: Image, finding: Finding) -> Step:
    says = next((text for key, text in _SAYS.items() if finding.category.startswith(key)), _MAY_BE)
    served = "" if image.googles else f", at {image.registry}, which is not Google's to show"
    what = "the one that ran" if image.digest else "as the tag is now"
    text = (
        f"Look at the image {image.pinned} ({what}{served}), and compare its digest and its layers"
        f" with what your build recorded. {says}"
    )
    return Step(text, image.look, image_page(image.name) or "", Part.REBUILD)
