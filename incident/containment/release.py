"""Release a containment: restore from the snapshot, read back, record."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from datetime import datetime

from incident.actions.changes import redacted_json
from incident.case_file.containments import ContainmentRecords
from incident.containment.not_restored import NotRestored, merged_parts, refused_parts
from incident.containment.release_plan import ReleasePlan, plan_release
from incident.containment.release_text import not_restored_texts, old_tokens_text
from incident.containment.restore import (
    MAX_REFUSALS,
    ReleaseOptions,
    ReleaseRefused,
    Restoration,
)
from incident.model import (
    Change,
    ChangeKind,
    ChangeState,
    Denied,
    GiveUp,
    IncidentError,
    Json,
    Retry,
)
from incident.model.json_text import time_text
from incident.model.ports import CloudRunPort
from incident.redaction.redactor import redact_error

__all__ = [
    "NotRestored",
    "ReleaseIncomplete",
    "ReleaseOptions",
    "ReleasePlan",
    "ReleaseRefused",
    "ReleaseResult",
    "ReleasedInPart",
    "carry_out_release",
    "plan_release",
    "refuse_while_tokens_live",
    "validated_plan",
]

_KIND_TEXTS = {
    ChangeKind.FIELDS: "its settings",
    ChangeKind.IAM_POLICY: "its IAM policy",
    ChangeKind.SERVICE_ACCOUNT: "its service account",
}


class ReleaseIncomplete(ReleaseRefused):
    """A release that was begun and not completed; nothing is recorded as released.

    Attributes:
        changes: The writes of its plan, each with its state.
    """

    def __init__(self, message: str, changes: tuple[Change, ...]) -> None:
        super().__init__(message)
        self.changes = changes


class ReleasedInPart(GiveUp):
    """It is released, but for what the message names."""


@dataclass(frozen=True, slots=True)
class ReleaseResult:
    """What a release did.

    Attributes:
        changes: The writes that restored the workload, each verified; empty when all was as
            before already.
        not_restored: What was left out: it does not exist any more, or Google refuses it.
    """

    changes: tuple[Change, ...] = ()
    not_restored: tuple[NotRestored, ...] = ()


async def validated_plan(
    plan: ReleasePlan, containment_records: ContainmentRecords, cloud_run: CloudRunPort
) -> ReleasePlan:
    """The plan without what Google refuses to validate. Writes nothing.

    Only fields can be validated. A refusal that names no part of the write is kept as it is.
    """
    for _ in range(MAX_REFUSALS):
        change = plan.change(ChangeKind.FIELDS)
        if change is None:
            break
        try:
            await cloud_run.write(change, validate_only=True)
        except GiveUp as error:
            parts = refused_parts(change, error, plan.configuration.kind)
            if not parts:
                return replace(plan, refusal=str(error))
            known = merged_parts(plan.not_restored, parts)
            plan = await plan_release(plan.workload, containment_records, cloud_run, known)
        except Retry:
            break
        else:
            break
    return plan


async def carry_out_release(
    plan: ReleasePlan,
    containment_records: ContainmentRecords,
    cloud_run: CloudRunPort,
    options: ReleaseOptions,
) -> ReleaseResult:
    """Restore what the plan says, read it back, and record it.

    The start is recorded before anything is written, so that nobody contains the workload again
    meanwhile. It is cancelled if nothing was written after all: otherwise the patrol would stop
    checking a containment that is still in effect. What others changed is overwritten: the
    caller has asked the person. What does not exist any more is left out, and named.

    Args:
        plan: What a person agreed to.
        containment_records: The workload's containments.
        cloud_run: Cloud Run.
        options: Who releases, and the time limits.

    Raises:
        ReleaseRefused: Old tokens of the service account may be unexpired; nothing was written.
        ReleaseIncomplete: It is not certain that it is released; the message says what is and
            what to do.
        Retry: The store does not answer; nothing was written.
    """
    if plan.containment is None:
        return ReleaseResult()
    if not options.enable_now:
        refuse_while_tokens_live(plan, containment_records.clock())
    body, began_at = _record_body(plan, options), time_text(containment_records.clock())
    intent = await containment_records.add_record(
        plan.history, plan.containment.last_number, "release-started", body
    )
    options.on_step("intended")
    work = Restoration(plan, containment_records, cloud_run, options)
    try:
        await work.restore()
        if not work.released_meanwhile:
            changes: list[Json] = [redacted_json(c, options.redactor) for c in work.changes]
            record = {
                **body,
                "began_at": began_at,
                "changes": changes,
                "release_started": intent,
                "not_restored": not_restored_texts(plan, work.not_restored, options.redactor),
            }
            await containment_records.add_record(plan.history, intent, "released", record)
    except IncidentError as error:
        redact_error(error, options.redactor)
        if work.nothing_written:
            cancelled: dict[str, Json] = {
                "by": options.by,
                "release_started": intent,
                "reason": str(error),
            }
            with contextlib.suppress(IncidentError):
                await containment_records.add_record(
                    plan.history, intent, "release-cancelled", cancelled
                )
        raise ReleaseIncomplete(_incomplete_text(plan, work, error), work.changes) from error
    options.on_step("released")
    return ReleaseResult(work.changes, work.not_restored)


def refuse_while_tokens_live(plan: ReleasePlan, now: datetime) -> None:
    """Refuse to enable a service account whose stolen tokens would be accepted again.

    Raises:
        ReleaseRefused: They may be unexpired.
    """
    until = plan.old_tokens_until
    if until is None or now >= until:
        return
    raise ReleaseRefused(
        f"cannot release {plan.workload.resource_name} yet: {old_tokens_text(until)}. Release it"
        " after that time, or now with --now if no token can have been stolen. Nothing was written"
    )


def _record_body(plan: ReleasePlan, options: ReleaseOptions) -> dict[str, Json]:
    """The body of the records of start and end."""
    snapshot, current = plan.snapshot, plan.containment
    return {
        "by": options.by,
        "snapshot": snapshot.number if snapshot else None,
        "restores": snapshot.restores if snapshot else {},
        "overwrites": [difference.name for difference in plan.differences],
        "not_restored": not_restored_texts(plan, plan.not_restored, options.redactor),
        "incidents": sorted(current.incidents) if current else [],
    }


def _incomplete_text(plan: ReleasePlan, work: Restoration, error: IncidentError) -> str:
    """Why a release stopped, what of it is done, and what to do."""
    name = plan.workload.resource_name
    done = [_KIND_TEXTS[c.kind] for c in work.changes if c.state is ChangeState.VERIFIED]
    left = [_KIND_TEXTS[c.kind] for c in work.changes if c.state is not ChangeState.VERIFIED]
    if work.nothing_written:
        more = "nothing more" if plan.containment and plan.containment.releasing else "nothing"
        return f"cannot release {name}, {more} was written: {error}{_advice(plan, error)}"
    if not done or not left:
        return (
            f"{name} is not released for certain: {error}. Look at it, and release it again"
            f"{_advice(plan, error)}"
        )
    return (
        f"{name} is released in part only. Restored and read back: {done[0]}. Not restored:"
        f" {left[0]}: {error}. When that is fixed, release it again; what is done is not done"
        f" twice{_advice(plan, error)}"
    )


def _advice(plan: ReleasePlan, error: IncidentError) -> str:
    """What to do about a refusal; empty where nothing is known."""
    account = plan.configuration.template.service_account
    if isinstance(error, Denied) and account and account in str(error):
        return (
            f" If {account} was deleted: undelete it (gcloud iam service-accounts undelete, within"
            " 30 days), or deploy the workload with another one. Then release it again"
        )
    if isinstance(error, GiveUp) and not isinstance(error, Denied | ReleaseRefused):
        return ". To leave out what Google refuses: release it with --force"
    return ""
