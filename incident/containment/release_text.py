"""A release in words and as JSON: what differs and by whom, what stays lost and what to do. Pure.

Names and values in it may be an attacker's: whoever shows them makes them harmless.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Sequence
from datetime import datetime

from incident.actions.invokers import NAME
from incident.actions.redacted import told_json
from incident.containment.release_plan import Difference, ReleasePlan
from incident.model import AuditEvent, Change, ChangeKind, Json, Workload
from incident.redaction.redactor import Redactor

_LONGEST_VALUE = 300
_IAM_METHOD = "SetIamPolicy"


def irreparable(change: Change, workload: Workload) -> str:
    """What cannot be taken back, and what a person can do about it."""
    if change.kind is not ChangeKind.CANCELLATION:
        return f"{change.action} of {change.target} cannot be taken back"
    execution = change.target.rpartition("/")[2]
    return (
        f"the execution {execution} was cancelled and cannot be resumed. To start the job again,"
        f" from its beginning and with its own settings: {start_again(workload)}"
    )


def start_again(workload: Workload) -> str:
    """The command that starts a job."""
    words = ("gcloud", "run", "jobs", "execute", workload.name)
    options = (f"--region={workload.location}", f"--project={workload.project}")
    return shlex.join((*words, *options))


def explain(plan: ReleasePlan, who: str, hide: Redactor) -> str:
    """Why a plan is refused without force."""
    said = "; ".join(_differs(each, hide) for each in plan.differs)
    return (
        f"cannot release {plan.workload.resource_name}: somebody changed since it was contained"
        f" what a release would overwrite: {said}. Changed by: {who}. Look at the difference;"
        " --force restores what was there before the containment all the same"
    )


def blame(plan: ReleasePlan, audit: Sequence[AuditEvent]) -> str:
    """Who changed what differs since our write, as far as anything tells.

    Whoever wrote between our before-image and our record of the write is, as far as the audit
    log tells, ourselves, and is named only where nobody else is.
    """
    since = _since(plan)
    names = {difference.name for difference in plan.differs}
    relevant = [event for event in audit if event.principal and _about(event, names)]
    ours = {e.principal for e in relevant if since[0] <= e.timestamp <= since[1]}
    later = [event for event in relevant if event.timestamp > since[1]]
    told = [e for e in later if e.principal not in ours] or later
    if told:
        lines = dict.fromkeys(_event(event) for event in sorted(told, key=lambda e: e.timestamp))
        return ", ".join(lines)
    if names == {NAME}:
        # The last modifier is that of the settings, and says nothing of the IAM policy.
        return "unknown, the audit log does not tell"
    return f"last modifier {plan.settings.last_modifier or 'unknown'}; the audit log does not tell"


def contained_at(plan: ReleasePlan) -> datetime | None:
    """Since when changes are not ours: before that the before-image was taken."""
    return plan.image.recorded_at if plan.image else None


def told(
    plan: ReleasePlan, hide: Redactor, changes: Iterable[Change] | None = None
) -> dict[str, Json]:
    """The plan as JSON; with how far each write came, where it was carried out."""
    current = plan.containment
    shown = plan.changes if changes is None else changes
    return {
        "workload": plan.workload.resource_name,
        "containment": current.folder if current else None,
        "incidents": sorted(current.incidents) if current else [],
        "changes": [told_json(change, hide) for change in shown],
        "changed_since": [
            {"name": each.name, "left": hide.json(each.left), "now": hide.json(each.now)}
            for each in plan.differs
        ],
        "last_modifier": hide.text(plan.settings.last_modifier),
        "not_restored": [
            {
                "action": change.action,
                "target": change.target,
                "reason": irreparable(change, plan.workload),
            }
            for change in plan.lost
        ],
    }


def _since(plan: ReleasePlan) -> tuple[datetime, datetime]:
    """When our own write was made, from and to."""
    image = plan.image
    assert image is not None  # noqa: S101 - only what is held differs
    written = plan.containment.written_at if plan.containment else None
    return image.recorded_at, max(image.recorded_at, written or image.recorded_at)


def _about(event: AuditEvent, names: set[str]) -> bool:
    """Whether an event may have changed what differs: it succeeded, and is of its kind."""
    of_policy = event.method.rpartition(".")[2] == _IAM_METHOD
    wanted = (NAME in names) if of_policy else bool(names - {NAME})
    return wanted and not event.error


def _event(event: AuditEvent) -> str:
    at = event.timestamp.strftime("%Y-%m-%d %H:%M:%S UTC")
    what = ", ".join((event.method.rpartition(".")[2], *event.bindings))
    return f"{event.principal} ({what}, {at})"


def _differs(difference: Difference, hide: Redactor) -> str:
    left, now = (_value(hide.json(value)) for value in (difference.left, difference.now))
    return f"{difference.name} (left as {left}, is now {now})"


def _value(value: Json) -> str:
    text = json.dumps(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"
