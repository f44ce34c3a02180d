"""``isolate-revision``: move a service's traffic off the affected revision. Pure.

Fits: a service whose revisions could be read, if the finding names the affected revision,
    neither has session affinity, and a revision to take over is tagged ``known-good``: ready,
    older than the finding, and of another image. The responder never chooses that revision
    itself, since an earlier one usually has the same hole.
Writes: ``traffic``: the affected revision's share to the known-good one, its tags gone.
Goal: nothing leads to the affected revision, so that it scales to zero.
Undo: a release writes the traffic back from the snapshot.
"""

from __future__ import annotations

from datetime import datetime

from incident.actions.action import Action, DesiredState, NotApplicable
from incident.actions.fields import (
    TRAFFIC_TO_LATEST,
    TRAFFIC_TO_REVISION,
    field_with_default,
    traffic_targets,
)
from incident.model import (
    DEPLOY_PERMISSIONS,
    Change,
    ChangeKind,
    CutList,
    Finding,
    GrantScope,
    Json,
    Kind,
    Permission,
    Template,
    WorkloadConfiguration,
    WorkloadDetail,
    cut_reason,
    found_in,
)

KNOWN_GOOD_TAG = "known-good"


def desired_state(
    configuration: WorkloadConfiguration, finding: Finding
) -> DesiredState | NotApplicable:
    """The traffic without the affected revision, so that it scales to zero."""
    affected = find_affected_revision(configuration, finding)
    if isinstance(affected, str):
        return NotApplicable(affected)
    traffic = field_with_default(configuration.fields, "traffic")
    if not is_isolated(traffic, configuration, affected.revision):
        good = find_known_good_revision(configuration, affected, finding)
        if isinstance(good, str):
            return NotApplicable(good)
        traffic = shift_traffic(configuration, affected.revision, good.revision)
    return DesiredState({"traffic": traffic}, affected_revision=affected.revision)


def in_effect(change: Change, configuration: WorkloadConfiguration) -> bool:
    """Whether neither a share nor a tag of the traffic leads to the affected revision.

    How the rest is split does not matter.
    """
    if "traffic" not in change.after:
        return True
    traffic = field_with_default(configuration.fields, "traffic")
    return is_isolated(traffic, configuration, change.affected_revision)


def still_served(change: Change, configuration: WorkloadConfiguration) -> str | None:
    """The affected revision, if the serving state still leads to it."""
    if change.affected_revision not in configuration.live_revisions:
        return None
    return f"the revision {change.affected_revision} is still served"


def why_unmet(configuration: WorkloadConfiguration, finding: Finding) -> str | None:
    """What still leads to the revision that the finding names, by settings and serving state."""
    affected = finding.revision or ""
    if not is_isolated(
        field_with_default(configuration.fields, "traffic"), configuration, affected
    ):
        return f"traffic or a tag leads to the revision {affected}"
    if affected in configuration.live_revisions:
        return f"the revision {affected} is still served"
    return None


def find_affected_revision(
    configuration: WorkloadConfiguration, finding: Finding
) -> Template | str:
    """The revision that a finding is about, or why it cannot be isolated."""
    if not finding.revision:
        return "the finding does not name the affected revision"
    if configuration.revisions is None:
        return "the workload's revisions are not known"
    found = _find_revision(found_in(configuration.revisions), finding.revision)
    if found is None and isinstance(configuration.revisions, CutList):
        return (
            f"the affected revision {finding.revision} was not found, and"
            f" {configuration.revisions.reason}"
        )
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
    good = _find_revision(found_in(configuration.revisions), tagged[0])
    if good is None:
        text = f"the revision {tagged[0]}, tagged {KNOWN_GOOD_TAG}, is not among those listed"
        reason = cut_reason(configuration.revisions)
        return f"{text}; {reason}" if reason else text
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
    """Whether no share and no tag of the traffic leads to a revision."""
    return all(
        _target_revision(target, configuration) != revision
        or not (target.get("percent") or target.get("tag"))
        for target in traffic_targets(traffic)
    )


def _why_not_known_good(good: Template, affected: Template, finding: Finding) -> str | None:
    """Why a revision that is tagged known-good cannot take over; None where it can."""
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
    """The images of the containers that the finding names, else of all."""
    named = {container.name for container in finding.containers}
    affected_containers = [c for c in affected.containers if c.name in named] or affected.containers
    named_images = {container.image for container in finding.containers if container.image}
    return {container.image for container in affected_containers} | named_images


def _target_revision(target: dict[str, Json], configuration: WorkloadConfiguration) -> str:
    """The revision that a traffic target leads to now."""
    if target["type"] == TRAFFIC_TO_LATEST:
        return configuration.latest_ready_revision
    return str(target.get("revision", ""))


def _find_revision(revisions: tuple[Template, ...], name: str) -> Template | None:
    return next((each for each in revisions if each.revision == name), None)


ACTION = Action(
    name="isolate-revision",
    goal="neither traffic nor a tag leads to the affected revision",
    undo="A release writes the traffic back as it was.",
    stops=True,
    reversible=True,
    desired_state={Kind.SERVICE: desired_state},
    writes={
        Kind.SERVICE: "traffic and tags of the affected revision go; the one tagged"
        f" `{KNOWN_GOOD_TAG}` takes over"
    },
    change_kinds={Kind.SERVICE: (ChangeKind.FIELDS,)},
    permissions={
        Kind.SERVICE: (
            Permission(
                "run.services.get",
                GrantScope.WORKLOAD,
                "reads the traffic before and after the write",
            ),
            Permission("run.services.update", GrantScope.WORKLOAD, "writes the traffic"),
            *DEPLOY_PERMISSIONS,
        )
    },
    in_effect=in_effect,
    still_served=still_served,
    why_unmet=why_unmet,
    details=frozenset({WorkloadDetail.REVISIONS}),
    judged_by_change=True,
    permissions_to_plan=(
        Permission(
            "run.revisions.list",
            GrantScope.WORKLOAD,
            "finds the affected revision and the known-good one",
        ),
        Permission(
            "run.revisions.get",
            GrantScope.WORKLOAD,
            "reads a revision by name where the list was cut",
        ),
    ),
)
