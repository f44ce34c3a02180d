"""Annotate a contained workload with the incident, for people. Nothing is decided by it."""

from __future__ import annotations

from incident.actions.changes import INCIDENT_ANNOTATION, annotation_change
from incident.containment.containment_result import PendingAnnotation
from incident.containment.result import RECORD_BACKOFF
from incident.decision.inputs import Inputs
from incident.decision.process import Process
from incident.model import GiveUp, IncidentError, Json, Kind
from incident.model.json_text import time_text


async def annotate(
    process: Process, inputs: Inputs, annotation: PendingAnnotation | None
) -> str | None:
    """Name the incident on the workload; a release removes our own key again.

    Args:
        process: What holds for this process.
        inputs: What was read.
        annotation: What to write, and for which containment; None for nothing.

    Returns:
        Why the annotation or its record is missing; None where neither is.

    Raises:
        Retry: The store does not answer.
    """
    if annotation is None:
        return None
    incident = inputs.request.incident
    began_at = time_text(process.clock())
    change = annotation_change(annotation.configuration, incident)
    try:
        await process.cloud_run.write(change, validate_only=False)
    except IncidentError as error:
        return f"the workload does not name the incident: {error}"
    body: dict[str, Json] = {
        "incident": incident,
        "finding": inputs.evidence.finding.finding_id,
        "snapshot": annotation.snapshot,
        "annotation": INCIDENT_ANNOTATION,
        "began_at": began_at,
    }
    records = process.containments(inputs.workload)
    history, last = annotation.history, annotation.last_number
    try:
        await RECORD_BACKOFF.retry(
            lambda: records.add_record(history, last, "annotated", body), on=GiveUp
        )
    except GiveUp as error:
        return f"the record 'annotated' could not be stored: {error}"
    return None


def missing_annotation(inputs: Inputs) -> PendingAnnotation | None:
    """The annotation that an earlier run of the incident did not come to write."""
    state = inputs.workload_state
    current, configuration = state.history.current, state.configuration
    if current is None or configuration is None or configuration.kind is Kind.JOB:
        return None
    snapshot = current.snapshot_in_effect(configuration)
    if (
        snapshot is None
        or snapshot.incident != inputs.request.incident
        or not current.verified
        or current.annotated
        or INCIDENT_ANNOTATION in configuration.annotations
    ):
        return None
    return PendingAnnotation(configuration, state.history, snapshot.number, current.last_number)
