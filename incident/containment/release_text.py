"""A release plan as text and JSON. Pure.

Names and values in it may be an attacker's: the caller escapes them.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Sequence
from datetime import datetime

from incident.actions.changes import redacted_json
from incident.actions.require_authentication import CALLER_BINDINGS_LABEL
from incident.containment.not_restored import NotRestored
from incident.containment.release_plan import ReleasePlan
from incident.containment.restored_values import RELEASE_ACTION, Difference
from incident.model import AuditEvent, Change, ChangeKind, Json, Workload
from incident.model.json_text import time_text
from incident.redaction.redactor import Redactor

_LONGEST_VALUE = 300
_IAM_METHOD = "SetIamPolicy"


def irreversible_text(change: Change, workload: Workload) -> str:
    """What cannot be undone, and what a person can do instead."""
    if change.kind is not ChangeKind.CANCELLATION:
        return f"{change.action} of {change.target} cannot be taken back"
    execution = change.target.rpartition("/")[2]
    return (
        f"the execution {execution} was cancelled and cannot be resumed. To start the job again,"
        f" from its beginning and with its own settings: {restart_command(workload)}"
    )


def not_restored_texts(
    plan: ReleasePlan, parts: Iterable[NotRestored], redactor: Redactor
) -> list[str]:
    """What a release does not restore: what cannot be undone, and what it left out."""
    irreversible = [irreversible_text(c, plan.workload) for c in plan.irreversible_changes]
    return [*irreversible, *(redactor.text(part.reason) for part in parts)]


def old_tokens_text(until: datetime) -> str:
    """What enabling a service account again does, with the time, as half a sentence."""
    return (
        "it enables the service account again, and access tokens that were issued before the"
        f" containment are accepted again until they expire, {until:%Y-%m-%d %H:%M:%S} UTC at the"
        " latest (a token of the metadata server lives an hour at most)"
    )


def restart_command(workload: Workload) -> str:
    """The command that starts a job."""
    words = ("gcloud", "run", "jobs", "execute", workload.name)
    options = (f"--region={workload.location}", f"--project={workload.project}")
    return shlex.join((*words, *options))


def release_refusal_text(plan: ReleasePlan, who: str, redactor: Redactor) -> str:
    """Why a plan is refused without force."""
    differences = "; ".join(_difference_text(each, redactor) for each in plan.differences)
    return (
        f"cannot release {plan.workload.resource_name}: somebody changed since it was contained"
        f" what a release would overwrite: {differences}. Changed by: {who}. Look at the"
        " difference;"
        " --force restores what was there before the containment all the same"
    )


def changed_by_text(plan: ReleasePlan, audit: Sequence[AuditEvent]) -> str:
    """Who changed what differs since our write, as far as is known.

    A write between our snapshot and our record of the write is taken for our own; its principal
    is named only if there is no other.
    """
    since = _own_write_window(plan)
    names = {difference.name for difference in plan.differences}
    relevant = [event for event in audit if event.principal and _may_have_changed(event, names)]
    own_principals = {e.principal for e in relevant if since[0] <= e.timestamp <= since[1]}
    later = [event for event in relevant if event.timestamp > since[1]]
    others = [e for e in later if e.principal not in own_principals] or later
    if others:
        lines = dict.fromkeys(
            _event_text(event) for event in sorted(others, key=lambda e: e.timestamp)
        )
        return ", ".join(lines)
    if names == {CALLER_BINDINGS_LABEL}:
        # The last modifier is that of the settings, and says nothing of the IAM policy.
        return "unknown: the audit log has no entry"
    return (
        f"last modifier {plan.configuration.last_modifier or 'unknown'}; the audit log has no entry"
    )


def snapshot_taken_at(plan: ReleasePlan) -> datetime | None:
    """When the snapshot was taken: later changes are not in it."""
    return plan.snapshot.recorded_at if plan.snapshot else None


def release_json(
    plan: ReleasePlan,
    redactor: Redactor,
    changes: Iterable[Change] | None = None,
    not_restored: Iterable[NotRestored] | None = None,
) -> dict[str, Json]:
    """The plan as JSON; with how far each write came, where it was carried out."""
    current = plan.containment
    changes_shown = plan.changes if changes is None else changes
    left_out = plan.not_restored if not_restored is None else not_restored
    return {
        "workload": plan.workload.resource_name,
        "containment": current.folder if current else None,
        "incidents": sorted(current.incidents) if current else [],
        "changes": [redacted_json(change, redactor) for change in changes_shown],
        "changed_since": [
            {
                "name": each.name,
                "left": redactor.json(each.as_written),
                "now": redactor.json(each.now),
            }
            for each in plan.differences
        ],
        "last_modifier": redactor.text(plan.configuration.last_modifier),
        "old_tokens_until": time_text(plan.old_tokens_until),
        "not_restored": [
            *(
                {
                    "action": change.action,
                    "target": change.target,
                    "reason": irreversible_text(change, plan.workload),
                }
                for change in plan.irreversible_changes
            ),
            *(
                {
                    "action": RELEASE_ACTION,
                    "target": redactor.text(part.name),
                    "reason": redactor.text(part.reason),
                }
                for part in left_out
            ),
        ],
    }


def _own_write_window(plan: ReleasePlan) -> tuple[datetime, datetime]:
    """When our own write was made, from and to."""
    snapshot = plan.snapshot
    assert snapshot is not None  # noqa: S101 - only what is held differs
    written = plan.containment.written_at if plan.containment else None
    return snapshot.recorded_at, max(snapshot.recorded_at, written or snapshot.recorded_at)


def _may_have_changed(event: AuditEvent, names: set[str]) -> bool:
    """Whether an event may have changed what differs: it succeeded, and is of its kind."""
    of_policy = event.method.rpartition(".")[2] == _IAM_METHOD
    wanted = (
        (CALLER_BINDINGS_LABEL in names) if of_policy else bool(names - {CALLER_BINDINGS_LABEL})
    )
    return wanted and not event.error


def _event_text(event: AuditEvent) -> str:
    at = event.timestamp.strftime("%Y-%m-%d %H:%M:%S UTC")
    what = ", ".join((event.method.rpartition(".")[2], *event.bindings))
    return f"{event.principal} ({what}, {at})"


def _difference_text(difference: Difference, redactor: Redactor) -> str:
    as_written, now = (
        _value_text(redactor.json(value)) for value in (difference.as_written, difference.now)
    )
    return f"{difference.name} (left as {as_written}, is now {now})"


def _value_text(value: Json) -> str:
    text = json.dumps(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"
