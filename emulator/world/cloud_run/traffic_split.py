"""Traffic targets of services and instance splits of worker pools.

Pure. What only services have, tags, is not here.
"""

from __future__ import annotations

import re
from typing import Any

from google.cloud import run_v2

from emulator.api.errors import FieldError

RevisionOwner = run_v2.Service | run_v2.WorkerPool

# The numbers of `TrafficTargetAllocationType` and of `InstanceSplitAllocationType`: the same.
TO_LATEST = int(run_v2.TrafficTargetAllocationType.TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST)
TO_REVISION = int(run_v2.TrafficTargetAllocationType.TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION)
_REVISION = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
FULL_PERCENT = 100


def split_of(owner: RevisionOwner) -> list[Any]:
    """The targets of a service's traffic or the splits of a pool's instances, as asked for."""
    if isinstance(owner, run_v2.Service):
        return list(owner.traffic)
    return list(owner.instance_splits)


def split_statuses(owner: RevisionOwner) -> list[Any]:
    """What an owner says of where its shares have arrived."""
    if isinstance(owner, run_v2.Service):
        return list(owner.traffic_statuses)
    return list(owner.instance_split_statuses)


def split_field(owner: RevisionOwner) -> str:
    """The name of the field that the shares of an owner are in."""
    return "traffic" if isinstance(owner, run_v2.Service) else "instance_splits"


def total_percent(owner: RevisionOwner) -> int:
    """The sum of the percents; no shares at all mean all of it to the latest revision."""
    return sum(share.percent for share in split_of(owner)) if split_of(owner) else FULL_PERCENT


def apply_default_types(owner: RevisionOwner) -> None:
    """A share with a revision and no type is one of that revision."""
    for share in split_of(owner):
        if share.revision and not share.type_:
            share.type_ = TO_REVISION


def check_split(owner: RevisionOwner, revisions: set[str]) -> None:
    """Refuses shares that go nowhere or do not add up.

    Args:
        owner: The service or worker pool as it would be.
        revisions: Short names of its revisions.
    """
    kind = type(owner).__name__
    for index, share in enumerate(split_of(owner)):
        path, reason = _problem(share, revisions)
        if reason:
            raise FieldError(kind, f"{split_field(owner)}[{index}].{path}", reason)
    if total_percent(owner) != FULL_PERCENT:
        raise FieldError(
            kind, split_field(owner), f"the percents should sum to 100, got {total_percent(owner)}"
        )


def _problem(share: Any, revisions: set[str]) -> tuple[str, str]:
    """The field of a share that is wrong, and why; both empty for a good share."""
    if not 0 <= share.percent <= FULL_PERCENT:
        return "percent", "must be from 0 to 100"
    if share.type_ == TO_LATEST:
        return ("revision", "must be empty for the latest revision") if share.revision else ("", "")
    if share.type_ != TO_REVISION:
        return "type", "is required"
    if not _REVISION.fullmatch(share.revision):
        return "revision", "must be the short name of a revision"
    if share.revision not in revisions:
        return "revision", f"Revision '{share.revision}' not found"
    return "", ""


def apply_split(owner: RevisionOwner) -> None:
    """Makes the statuses of an owner say what its shares say."""
    if isinstance(owner, run_v2.Service):
        latest = run_v2.TrafficTarget(type_=TO_LATEST, percent=FULL_PERCENT)
        owner.traffic_statuses = [
            run_v2.TrafficTargetStatus(
                type_=target.type_,
                revision=target.revision,
                percent=target.percent,
                tag=target.tag,
                uri=owner.uri.replace("https://", f"https://{target.tag}---") if target.tag else "",
            )
            for target in owner.traffic or [latest]
        ]
        return
    everything = run_v2.InstanceSplit(type_=TO_LATEST, percent=FULL_PERCENT)
    owner.instance_split_statuses = [
        run_v2.InstanceSplitStatus(
            type_=split.type_, revision=split.revision, percent=split.percent
        )
        for split in owner.instance_splits or [everything]
    ]
