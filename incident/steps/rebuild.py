"""The steps about what is deployed again: changed files and the image. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from incident.links import workload_page
from incident.model import Evidence, Part, Step, Template, Workload
from incident.steps.gcloud import gcloud


def look_at_files(affected: Template | None) -> Iterator[Step]:
    """What outlives the instances."""
    for volume in affected.volumes if affected else ():
        if volume.persists:
            kind, _, bucket = volume.source.replace("://", " ", 1).partition(" ")
            listing = gcloud("storage ls", f"gs://{bucket}/**", long=True) if kind == "gcs" else ""
            text = f"Look for changed files on {volume.source}: they come back with each instance"
            yield Step(text, listing, part=Part.FILES)


def rebuild(evidence: Evidence, workload: Workload) -> Iterator[Step]:
    """Another image in the place of the one that ran."""
    container = next(iter(evidence.finding.containers), None)
    image = container.image if container else ""
    if not image and evidence.affected and evidence.affected.containers:
        image = evidence.affected.containers[0].image
    digest = container.digest if container else None
    pinned = f"{image.partition('@')[0].rpartition(':')[0] or image}@{digest}" if digest else image
    text = (
        "Rebuild the image from its source, look into what goes into it, and deploy that: the way"
        " in is in the image, or the hostile code itself"
    )
    command = gcloud("artifacts docker images describe", pinned) if pinned else ""
    yield Step(text, command, workload_page(workload) or "", Part.REBUILD)
