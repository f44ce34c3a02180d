"""The word on a workload for whoever finds it down. Information only: nothing is decided by it."""

from __future__ import annotations

from incident.model import Change, Settings

#: The annotation's key; its value is the id of the incident that the workload was contained for.
ANNOTATION = "scc-responder-incident"


def annotated(settings: Settings, incident: str) -> Change:
    """The write that names the incident on the workload, beside what others wrote there."""
    before = dict(settings.annotations)
    return Change(
        action="annotate",
        target=settings.name,
        mask=("annotations",),
        before={"annotations": before},
        after={"annotations": {**before, ANNOTATION: incident}},
        stops=False,
        reversible=True,
    )
