"""Build a synthetic finding for `coverage` and drills. Pure.

The policy and the actions are asked about it. It is never delivered, and Security Command Center
is not asked about it.
"""

from __future__ import annotations

from datetime import datetime

from incident.model import Finding, Workload
from incident.model.finding_types import documented_detector

#: Prefix of the id of a drill's finding. Google's ids are letters and digits only.
DRILL_ID_PREFIX = "drill-"
_NO_SOURCE = "0"


def synthetic_finding(
    workload: Workload,
    finding_id: str,
    category: str,
    now: datetime,
    *,
    sources: tuple[str, ...] = (),
) -> Finding:
    """A finding of its category's detector on a workload, at this moment.

    Args:
        workload: What it would be about.
        finding_id: A unique id.
        category: The finding type.
        now: When it would have been detected.
        sources: The sources that the policy pins; it would come from one of them.
    """
    source = sources[0] if sources else _NO_SOURCE
    name = f"projects/{workload.project}/sources/{source}/locations/global/findings/{finding_id}"
    return Finding(
        name=name,
        canonical_name=name,
        source_id=source,
        finding_id=finding_id,
        category=category,
        detector=documented_detector(category),
        module="",
        severity="",
        state="ACTIVE",
        mute="",
        event_time=now,
        create_time=None,
        resource_name=f"//run.googleapis.com/{workload.resource_name}",
        host="run.googleapis.com",
        workload=workload,
        revision=None,
        execution=None,
        ancestors=frozenset(),
        contradictions=(),
        processes=(),
        containers=(),
        techniques=(),
        virustotal_url=None,
        contacts=(),
        description="",
        secrets=(),
        raw={},
    )
