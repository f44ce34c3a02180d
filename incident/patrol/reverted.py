"""Record a reverted containment or a deleted workload, attributed by the audit log."""

from __future__ import annotations

from datetime import timedelta

from incident.model import (
    AuditEvent,
    ChangeKind,
    IncidentError,
    Json,
    JsonObject,
    cut_reason,
    found_in,
)
from incident.patrol.attribution import Attribution, attribute_drift, attribution_from_json
from incident.patrol.checked_containment import CheckedContainment
from incident.patrol.context import PatrolContext
from incident.patrol.drift import Drift, last_own_write
from incident.redaction.compare import matches_recorded

#: Audit entries arrive late, and have the time of another clock.
_CLOCK_SKEW = timedelta(minutes=5)
_MAX_AUDIT_EVENTS = 50


async def record_reversion(checked: CheckedContainment, context: PatrolContext) -> Attribution:
    """Record a reversion: once, and once more if the audit log names the principal later.

    Raises:
        Retry: The store does not answer.
    """
    before = checked.recorded_state.reversion
    raw: list[Json] = [_drift_json(one) for one in checked.drift]
    same = before is not None and matches_recorded(before.body.get("drift"), raw)
    recorded_attribution = attribution_from_json(before.body.get("by")) if before and same else None
    if recorded_attribution and recorded_attribution.from_audit_log:
        return recorded_attribution
    events, gap = await _read_audit_log(checked, context)
    kinds = {one.change.kind for one in checked.drift}
    attribution = attribute_drift(
        kinds, events, last_own_write(checked.records, checked.snapshot), checked.configuration
    )
    if recorded_attribution and not attribution.from_audit_log:
        return recorded_attribution
    body: dict[str, Json] = {
        "snapshot": checked.snapshot.number,
        "drift": [_drift_json(one.redacted(checked.redactor)) for one in checked.drift],
        "by": attribution.json,
        "gap": gap,
    }
    await checked.add_record("reverted", body)
    return attribution


async def record_deletion(checked: CheckedContainment, context: PatrolContext) -> Attribution:
    """Record that the workload was deleted, and whether another one has its name.

    Raises:
        Retry: The store does not answer.
    """
    events, gap = await _read_audit_log(checked, context)
    attribution = attribute_drift(
        (), events, last_own_write(checked.records, checked.snapshot), None
    )
    body: dict[str, Json] = {
        "by": attribution.json,
        "gap": gap,
        "replacement_uid": checked.replacement_uid,
    }
    await checked.add_record("workload-deleted", body)
    return attribution


async def _read_audit_log(
    checked: CheckedContainment, context: PatrolContext
) -> tuple[tuple[AuditEvent, ...], str | None]:
    """The audit log since our last write, or why it cannot be read."""
    since = last_own_write(checked.records, checked.snapshot)
    until = context.process.clock() + _CLOCK_SKEW
    try:
        log = context.process.logging
        listed = await log.audit(checked.workload, since, until, limit=_MAX_AUDIT_EVENTS)
        return found_in(listed), cut_reason(listed) or None
    except IncidentError as error:
        return (), context.redact(error)


def _drift_json(drift: Drift) -> JsonObject:
    """One drift as the record of a reversion has it."""
    change = drift.change
    kind = ChangeKind(change.kind).value
    return {
        "action": change.action,
        "kind": kind,
        "target": change.target,
        "field": drift.field,
        "as_written": drift.as_written,
        "now": drift.now,
    }
