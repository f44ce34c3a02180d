"""A change as it may be told: in records, outcomes, reports and at a terminal. Pure.

What is sent to Google and what a before-image keeps is the change itself.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from incident.actions.annotation import INCIDENT_ANNOTATION
from incident.actions.before_image import change_json
from incident.model import Change, ChangeKind, JsonObject
from incident.redaction.redactor import Redactor


def redact_change(change: Change, redactor: Redactor) -> Change:
    """The change without what is not ours to tell.

    Of a workload's annotations only our own: the others are written back untouched, belong to
    somebody else and may hold anything. Of an IAM policy, members and conditions without secrets.
    Scaling, traffic, ingress and the like hold nothing secret, and stay exact.
    """
    shown = _redact_iam_policy if change.kind is ChangeKind.IAM_POLICY else _own_annotation_only
    return replace(
        change,
        before=shown(change.before, redactor),
        after=shown(change.after, redactor),
        error=None if change.error is None else redactor.text(change.error),
    )


def redacted_json(change: Change, redactor: Redactor) -> dict[str, Any]:
    """The same as JSON."""
    return change_json(redact_change(change, redactor))


def _redact_iam_policy(fields: JsonObject, redactor: Redactor) -> JsonObject:
    return {name: redactor.json(value) for name, value in fields.items()}


def _own_annotation_only(fields: JsonObject, _: Redactor) -> JsonObject:
    written = fields.get("annotations")
    if not isinstance(written, dict):
        return fields
    return {**fields, "annotations": {k: v for k, v in written.items() if k == INCIDENT_ANNOTATION}}
