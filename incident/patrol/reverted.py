"""Who undid a containment, or deleted what it held: asked of the audit log, and put on record."""

from __future__ import annotations

from datetime import timedelta

from incident.investigation.attribution import Blame, blame, blamed
from incident.model import AuditEvent, ChangeKind, IncidentError, Json, JsonObject
from incident.patrol.context import Beat
from incident.patrol.drift import Undone, ours_until
from incident.patrol.held import Held
from incident.redaction.compare import reads_as

#: Audit entries lag, and are stamped by another clock.
_SKEW = timedelta(minutes=5)
_AUDIT_EVENTS = 50


async def record_reversion(held: Held, beat: Beat) -> Blame:
    """Record a reversion: once, and once more if only later the audit log tells whose it is.

    Raises:
        Retry: The store does not answer.
    """
    before = held.watched.reverted
    raw: list[Json] = [_line(one) for one in held.undone]
    same = before is not None and reads_as(before.body.get("differs"), raw)
    known = blamed(before.body.get("by")) if before and same else None
    if known and known.certain:
        return known
    events, gap = await _audit(held, beat)
    kinds = {one.change.kind for one in held.undone}
    by = blame(kinds, events, ours_until(held.records, held.image), held.settings)
    if known and not by.certain:
        return known
    body: dict[str, Json] = {
        "image": held.image.number,
        "differs": [_line(one.told(held.hide)) for one in held.undone],
        "by": by.json,
        "gap": gap,
    }
    await held.note("reverted", body)
    return by


async def record_loss(held: Held, beat: Beat) -> Blame:
    """Record that the workload is no more, and whether another one has its name.

    Raises:
        Retry: The store does not answer.
    """
    events, gap = await _audit(held, beat)
    by = blame((), events, ours_until(held.records, held.image), None)
    body: dict[str, Json] = {"by": by.json, "gap": gap, "namesake": held.namesake}
    await held.note("gone", body)
    return by


async def _audit(held: Held, beat: Beat) -> tuple[tuple[AuditEvent, ...], str | None]:
    """What the audit log says since our last write, or why it does not say."""
    since = ours_until(held.records, held.image)
    until = beat.books.clock() + _SKEW
    try:
        log = beat.outside.logging
        return await log.audit(held.workload, since, until, limit=_AUDIT_EVENTS), None
    except IncidentError as error:
        return (), beat.harmless(error)


def _line(one: Undone) -> JsonObject:
    """What the record of a reversion says of one thing that was undone."""
    change = one.change
    kind = ChangeKind(change.kind).value
    return {
        "action": change.action,
        "kind": kind,
        "target": change.target,
        "field": one.field,
        "ours": one.ours,
        "now": one.now,
    }
