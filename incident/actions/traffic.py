"""Which revision a finding is about, and which one the operator vouches for. Pure.

Nothing is chosen by us: an earlier revision usually has the same hole, so only one that the
operator has tagged ``known-good`` takes over.
"""

from __future__ import annotations

from datetime import datetime

from incident.actions.fields import (
    TRAFFIC_TO_LATEST,
    TRAFFIC_TO_REVISION,
    field_with_default,
    traffic_targets,
)
from incident.model import Finding, Json, Template, WorkloadConfiguration

KNOWN_GOOD_TAG = "known-good"


def find_affected_revision(
    configuration: WorkloadConfiguration, finding: Finding
) -> Template | str:
    """The revision that a finding is about, or why it cannot be isolated."""
    if not finding.revision:
        return "the finding does not name the affected revision"
    if configuration.revisions is None:
        return "the workload's revisions are not known"
    found = _find_revision(configuration.revisions, finding.revision)
    if found is None:
        return f"the affected revision {finding.revision} is not among the workload's revisions"
    if found.session_affinity or configuration.template.session_affinity:
        return "session affinity is on: clients would stay with the affected revision"
    return found


def find_known_good_revision(
    configuration: WorkloadConfiguration, affected: Template, finding: Finding
) -> Template | str:
    """The revision that takes over, or why there is none."""
    tagged = [
        _target_revision(target, configuration)
        for target in traffic_targets(field_with_default(configuration.fields, "traffic"))
        if target.get("tag") == KNOWN_GOOD_TAG
    ]
    if not tagged:
        return f"no revision is tagged {KNOWN_GOOD_TAG}"
    good = _find_revision(configuration.revisions or (), tagged[0])
    if good is None:
        return f"the revision {tagged[0]}, tagged {KNOWN_GOOD_TAG}, is not among those listed"
    unfit = _why_not_known_good(good, affected, finding)
    return f"the revision {good.revision}, tagged {KNOWN_GOOD_TAG}, {unfit}" if unfit else good


def shift_traffic(configuration: WorkloadConfiguration, affected: str, good: str) -> Json:
    """The traffic with the affected revision's share given to another one, its tags gone.

    What other revisions have stays, their tags included.
    """
    share = 0
    others: list[dict[str, Json]] = []
    for target in traffic_targets(field_with_default(configuration.fields, "traffic")):
        if _target_revision(target, configuration) == affected:
            share += int(str(target.get("percent", 0)))
        else:
            others.append(target)
    for at, target in enumerate(others):
        if share and target["type"] == TRAFFIC_TO_REVISION and target.get("revision") == good:
            others[at] = {**target, "percent": int(str(target.get("percent", 0))) + share}
            share = 0
    traffic: list[Json] = [*others]
    if share:
        traffic.append({"type": TRAFFIC_TO_REVISION, "revision": good, "percent": share})
    return traffic


def is_isolated(traffic: Json, configuration: WorkloadConfiguration, revision: str) -> bool:
    """Whether neither a share nor a tag of the traffic leads to a revision."""
    return all(
        _target_revision(target, configuration) != revision
        or not (target.get("percent") or target.get("tag"))
        for target in traffic_targets(traffic)
    )


def _why_not_known_good(good: Template, affected: Template, finding: Finding) -> str | None:
    """Why a revision that the operator vouches for is not to be trusted all the same."""
    if good.revision == affected.revision:
        return "is the affected one"
    if good.ready is not True:
        return "is not ready"
    if good.create_time is None or good.create_time >= _earliest_time(finding):
        return "is not older than the finding"
    same = _affected_images(affected, finding) & {container.image for container in good.containers}
    digests = [c.digest for c in finding.containers if c.digest]
    pinned = any(digest in c.image for c in good.containers for digest in digests)
    return "runs the image of the affected one" if same or pinned else None


def _earliest_time(finding: Finding) -> datetime:
    times = (finding.event_time, finding.create_time)
    return min(time for time in times if time is not None)


def _affected_images(affected: Template, finding: Finding) -> set[str]:
    """Images that may have been attacked: of the containers that the finding names, else all."""
    named = {container.name for container in finding.containers}
    affected_containers = [c for c in affected.containers if c.name in named] or affected.containers
    named_images = {container.image for container in finding.containers if container.image}
    return {container.image for container in affected_containers} | named_images


def _target_revision(target: dict[str, Json], configuration: WorkloadConfiguration) -> str:
    """The revision that a target leads to now."""
    if target["type"] == TRAFFIC_TO_LATEST:
        return configuration.latest_ready_revision
    return str(target.get("revision", ""))


def _find_revision(revisions: tuple[Template, ...], name: str) -> Template | None:
    return next((each for each in revisions if each.revision == name), None)
