"""Which revision a finding is about, and which one the operator vouches for. Pure.

Nothing is chosen by us: an earlier revision usually has the same hole, so only one that the
operator has tagged ``known-good`` takes over.
"""

from __future__ import annotations

from datetime import datetime

from incident.actions.fields import LATEST, REVISION, in_full, targets
from incident.model import Finding, Json, Settings, Template

KNOWN_GOOD = "known-good"


def affected_by(settings: Settings, finding: Finding) -> Template | str:
    """The revision that a finding is about, or why it cannot be isolated."""
    if not finding.revision:
        return "the finding does not name the affected revision"
    if settings.revisions is None:
        return "the workload's revisions are not known"
    found = _find(settings.revisions, finding.revision)
    if found is None:
        return f"the affected revision {finding.revision} is not among the workload's revisions"
    if found.session_affinity or settings.template.session_affinity:
        return "session affinity is on: clients would stay with the affected revision"
    return found


def known_good(settings: Settings, affected: Template, finding: Finding) -> Template | str:
    """The revision that takes over, or why there is none."""
    tagged = [
        _resolved(target, settings)
        for target in targets(in_full(settings.fields, "traffic"))
        if target.get("tag") == KNOWN_GOOD
    ]
    if not tagged:
        return f"no revision is tagged {KNOWN_GOOD}"
    good = _find(settings.revisions or (), tagged[0])
    if good is None:
        return f"the revision {tagged[0]}, tagged {KNOWN_GOOD}, is not among those listed"
    unfit = _unfit(good, affected, finding)
    return f"the revision {good.revision}, tagged {KNOWN_GOOD}, {unfit}" if unfit else good


def moved(settings: Settings, affected: str, good: str) -> Json:
    """The traffic with the affected revision's share given to another one, its tags gone.

    What other revisions have stays, their tags included.
    """
    share = 0
    kept: list[dict[str, Json]] = []
    for target in targets(in_full(settings.fields, "traffic")):
        if _resolved(target, settings) == affected:
            share += int(str(target.get("percent", 0)))
        else:
            kept.append(target)
    for at, target in enumerate(kept):
        if share and target["type"] == REVISION and target.get("revision") == good:
            kept[at] = {**target, "percent": int(str(target.get("percent", 0))) + share}
            share = 0
    pinned: list[Json] = [*kept]
    if share:
        pinned.append({"type": REVISION, "revision": good, "percent": share})
    return pinned


def isolated(traffic: Json, settings: Settings, revision: str) -> bool:
    """Whether neither a share nor a tag of the traffic leads to a revision."""
    return all(
        _resolved(target, settings) != revision or not (target.get("percent") or target.get("tag"))
        for target in targets(traffic)
    )


def _unfit(good: Template, affected: Template, finding: Finding) -> str | None:
    """Why a revision that the operator vouches for is not to be trusted all the same."""
    if good.revision == affected.revision:
        return "is the affected one"
    if good.ready is not True:
        return "is not ready"
    if good.create_time is None or good.create_time >= _first_seen(finding):
        return "is not older than the finding"
    same = _images(affected, finding) & {container.image for container in good.containers}
    digests = [c.digest for c in finding.containers if c.digest]
    pinned = any(digest in c.image for c in good.containers for digest in digests)
    return "runs the image of the affected one" if same or pinned else None


def _first_seen(finding: Finding) -> datetime:
    times = (finding.event_time, finding.create_time)
    return min(time for time in times if time is not None)


def _images(affected: Template, finding: Finding) -> set[str]:
    """Images that may have been attacked: of the containers that the finding names, else all."""
    named = {container.name for container in finding.containers}
    meant = [c for c in affected.containers if c.name in named] or affected.containers
    said = {container.image for container in finding.containers if container.image}
    return {container.image for container in meant} | said


def _resolved(target: dict[str, Json], settings: Settings) -> str:
    """The revision that a target leads to now."""
    if target["type"] == LATEST:
        return settings.latest_ready_revision
    return str(target.get("revision", ""))


def _find(revisions: tuple[Template, ...], name: str) -> Template | None:
    return next((each for each in revisions if each.revision == name), None)
