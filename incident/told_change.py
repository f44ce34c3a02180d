"""A change as it may be told: in records, outcomes, reports and at a terminal. Pure.

What is sent to Google and what a before-image keeps is the change itself.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from incident.annotation import ANNOTATION
from incident.images import change_json
from incident.model import Change, JsonObject
from incident.redaction import Redactor


def told(change: Change, hide: Redactor) -> Change:
    """The change without what is not ours to tell.

    Of a workload's annotations only our own: the others are written back untouched, belong to
    somebody else and may hold anything. Scaling, traffic, ingress and the like hold nothing
    secret, and stay exact.
    """
    return replace(
        change,
        before=_ours(change.before),
        after=_ours(change.after),
        error=None if change.error is None else hide.text(change.error),
    )


def told_json(change: Change, hide: Redactor) -> dict[str, Any]:
    """The same as JSON."""
    return change_json(told(change, hide))


def _ours(fields: JsonObject) -> JsonObject:
    written = fields.get("annotations")
    if not isinstance(written, dict):
        return fields
    return {**fields, "annotations": {k: v for k, v in written.items() if k == ANNOTATION}}
