"""The last steps: what is deleted when nothing needs it any more, and the finding. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from incident.links import finding_page
from incident.model import Evidence, Finding, Kind, Part, Step
from incident.steps.gcloud import gcloud, place
from incident.steps.situation import Position


def delete_what_ran(evidence: Evidence, position: Position) -> Iterator[Step]:
    """Deleting the revision that ran."""
    affected, workload = evidence.affected, position.workload
    if affected and affected.revision and workload.kind is Kind.SERVICE:
        command = gcloud("run revisions delete", affected.revision, **place(workload))
        text = f"When nothing needs it any more, delete revision {affected.revision}"
        yield Step(text, command, part=Part.DELETE)


def close_finding(finding: Finding) -> Iterator[Step]:
    """Closing the finding."""
    close = gcloud("scc findings update", finding.canonical_name, state="INACTIVE")
    yield Step("Close the finding", close, finding_page(finding), Part.CLOSE)
