"""The word on a workload for whoever finds it down. Information only: nothing is decided by it."""

from __future__ import annotations

from incident.model import Change, WorkloadConfiguration

#: The annotation's key; its value is the id of the incident that the workload was contained for.
INCIDENT_ANNOTATION = "scc-responder-incident"


def annotation_change(configuration: WorkloadConfiguration, incident_id: str) -> Change:
    """The write that names the incident on the workload, beside what others wrote there."""
    before = dict(configuration.annotations)
    return Change(
        action="annotate",
        target=configuration.name,
        mask=("annotations",),
        before={"annotations": before},
        after={"annotations": {**before, INCIDENT_ANNOTATION: incident_id}},
        stops=False,
        reversible=True,
    )
