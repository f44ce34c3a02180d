"""A change as JSON, exact or redacted; and the change that annotates a contained workload. Pure.

Google is sent the change itself, and a snapshot keeps it exactly. Outcomes, reports, the log and
the terminal get it redacted.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from incident.model import (
    Change,
    ChangeKind,
    ChangeState,
    Json,
    JsonObject,
    Kind,
    WorkloadConfiguration,
)
from incident.model.json_codec import from_json, to_json
from incident.redaction.redactor import Redactor


def redact_change(change: Change, redactor: Redactor) -> Change:
    """The change without foreign annotations and without secrets.

    Of the annotations only the responder's own is kept: the others are written back unchanged,
    and may hold anything. Members and conditions of an IAM policy are redacted. Scaling, traffic,
    ingress and the like hold no secret and stay exact.
    """
    shown = _redact_iam_policy if change.kind is ChangeKind.IAM_POLICY else _own_annotation_only
    return replace(
        change,
        before=shown(change.before, redactor),
        after=shown(change.after, redactor),
        error=None if change.error is None else redactor.text(change.error),
    )


def redacted_json(change: Change, redactor: Redactor) -> dict[str, Any]:
    """The redacted change as JSON."""
    return change_json(redact_change(change, redactor))


def _redact_iam_policy(fields: JsonObject, redactor: Redactor) -> JsonObject:
    return {name: redactor.json(value) for name, value in fields.items()}


def _own_annotation_only(fields: JsonObject, _: Redactor) -> JsonObject:
    written = fields.get("annotations")
    if not isinstance(written, dict):
        return fields
    return {**fields, "annotations": {k: v for k, v in written.items() if k == INCIDENT_ANNOTATION}}


def change_json(change: Change) -> dict[str, Any]:
    """A change as JSON, unredacted; :func:`parse_change` reads it back.

    It holds no environment value, and must be exact.
    """
    return dict(to_json(change))


def parse_change(value: Json) -> Change:
    """The change that :func:`change_json` wrote; other keys are ignored.

    Raises:
        ValueError: A key is missing or of a wrong type.
    """
    unreadable: list[str] = []
    change = from_json(Change, value, unreadable)
    if unreadable:
        raise ValueError(", ".join(unreadable))
    return change


def with_state(change: Change, state: ChangeState, error: str | None = None) -> Change:
    """The change in another state."""
    return replace(change, state=state, error=error)


#: A job can only be replaced as a whole, and an instance not be changed at all.
NOT_ANNOTATED = frozenset({Kind.JOB, Kind.INSTANCE})

#: The annotation's key; its value is the id of the incident that the workload was contained for.
INCIDENT_ANNOTATION = "scc-responder-incident"


def annotation_change(configuration: WorkloadConfiguration, incident_id: str) -> Change:
    """The write that names the incident on the workload; other annotations stay."""
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
