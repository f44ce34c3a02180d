"""A change as it may be told: in records, outcomes, reports and at a terminal. Pure.

What is sent to Google and what a before-image keeps is the change itself.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from incident.actions.annotation import ANNOTATION
from incident.actions.before_image import change_json
from incident.model import Change, ChangeKind, JsonObject
from incident.redaction.redactor import Redactor


def told(change: Change, hide: Redactor) -> Change:
    """The change without what is not ours to tell.

    Of a workload's annotations only our own: the others are written back untouched, belong to
    somebody else and may hold anything. Of an IAM policy, members and conditions without secrets.
    Scaling, traffic, ingress and the like hold nothing secret, and stay exact.
    """
    shown = _policy if change.kind is ChangeKind.IAM_POLICY else _ours
    return replace(
        change,
        before=shown(change.before, hide),
        after=shown(change.after, hide),
        error=None if change.error is None else hide.text(change.error),
    )


def told_json(change: Change, hide: Redactor) -> dict[str, Any]:
    """The same as JSON."""
    return change_json(told(change, hide))


def _policy(fields: JsonObject, hide: Redactor) -> JsonObject:
    return {name: hide.json(value) for name, value in fields.items()}


def _ours(fields: JsonObject, _: Redactor) -> JsonObject:
    written = fields.get("annotations")
    if not isinstance(written, dict):
        return fields
    return {**fields, "annotations": {k: v for k, v in written.items() if k == ANNOTATION}}
