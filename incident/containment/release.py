"""Taking a containment back: what our writes overwrote, restored and read back.

Writes to a workload as ``enforce.py`` does, and for one reason only: a person asked for it. What
has to be written is worked out next door, in ``release_plan``.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from incident.actions.changes import redacted_json, with_state
from incident.case_file.containments import ContainmentRecords
from incident.containment.peers import WRITE_SETTLE_TIME
from incident.containment.release_plan import (
    ReleasePlan,
    not_restored_reason,
    plan_release,
    release_needs,
)
from incident.containment.release_text import irreversible_text
from incident.investigation.workload_reader import WorkloadReader, read_workload
from incident.model import (
    Change,
    ChangeKind,
    ChangeState,
    Conflict,
    GiveUp,
    IncidentError,
    Json,
    Retry,
    WorkloadDetail,
)
from incident.redaction.redactor import Redactor, redact_error

__all__ = [
    "ReleaseClient",
    "ReleaseIncomplete",
    "ReleaseOptions",
    "ReleasePlan",
    "ReleaseRefused",
    "carry_out_release",
    "plan_release",
]

#: Access comes last: nobody is let in before the rest is as it was.
_WRITE_ORDER = (ChangeKind.FIELDS, ChangeKind.IAM_POLICY)
_MAX_ATTEMPTS = 5
_BACKOFF_S = 0.2
_MAX_BACKOFF_S = 2.0
_KIND_TEXTS = {ChangeKind.FIELDS: "its settings", ChangeKind.IAM_POLICY: "its IAM policy"}
_OVERWRITE_WARNING = (
    "another change came between reading and writing: it may have been overwritten; the audit log"
    " has it"
)


class ReleaseRefused(GiveUp):
    """The containment is not released as things are; the message says why."""


class ReleaseIncomplete(ReleaseRefused):
    """A release that was begun and is not complete; nothing is recorded as released.

    Attributes:
        changes: The writes of its plan, each with how far it came.
    """

    def __init__(self, message: str, changes: tuple[Change, ...]) -> None:
        super().__init__(message)
        self.changes = changes


class ReleaseClient(WorkloadReader, Protocol):
    """What releasing needs of Cloud Run."""

    async def write(self, change: Change, *, validate_only: bool) -> int | None:
        """Send one change."""


@dataclass(frozen=True, slots=True)
class ReleaseOptions:
    """What a release is given besides its plan.

    Attributes:
        by: Who releases.
        verify_timeout: How long each write may take until it is seen in effect.
        redactor: Redacts what is recorded and told of it.
        on_step: Told what was just done, in order.
        only_incident: The incident that the containment must be of alone; None where whoever
            refers to
            it loses it too.
    """

    by: str
    verify_timeout: timedelta
    redactor: Redactor
    on_step: Callable[[str], None] = lambda _: None
    only_incident: str | None = None


async def carry_out_release(
    plan: ReleasePlan,
    containment_records: ContainmentRecords,
    cloud_run: ReleaseClient,
    options: ReleaseOptions,
) -> tuple[Change, ...]:
    """Restore what the plan says, prove it by reading back, and record it.

    The intent is recorded before anything is written, so that nobody contains the workload anew
    while it is being released. It is withdrawn where nothing was written after all: what still
    is contained must not stay without its guard. What the plan says that others changed is
    overwritten; whoever calls has asked.

    Args:
        plan: What a person agreed to.
        containment_records: The workload's containments.
        cloud_run: Cloud Run.
        options: Who releases, and how patiently.

    Returns:
        The writes that restored it, each verified; empty when all was as before already.

    Raises:
        ReleaseIncomplete: It is not released for certain; the message says what holds and what to
            do.
        Retry: The store does not answer; nothing was written.
    """
    if plan.containment is None:
        return ()
    body = _record_body(plan, options.by)
    intent = await containment_records.add_record(
        plan.history, plan.containment.last_number, "release-started", body
    )
    options.on_step("intended")
    work = _ReleaseRun(plan, containment_records, cloud_run, options)
    try:
        await work.restore()
        if not work.released_meanwhile:
            changes: list[Json] = [redacted_json(c, options.redactor) for c in work.changes]
            record = {**body, "changes": changes, "release_started": intent}
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
    return work.changes


def _record_body(plan: ReleasePlan, by: str) -> dict[str, Json]:
    """What intent and release say alike."""
    snapshot, current = plan.snapshot, plan.containment
    not_restored: list[Json] = [
        irreversible_text(change, plan.workload) for change in plan.irreversible_changes
    ]
    return {
        "by": by,
        "snapshot": snapshot.number if snapshot else None,
        "restores": snapshot.restores if snapshot else {},
        "overwrites": [difference.name for difference in plan.differences],
        "not_restored": not_restored,
        "incidents": sorted(current.incidents) if current else [],
    }


class _ReleaseRun:
    """One release being carried out: looks, writes what is missing, reads it back.

    Attributes:
        changes: The writes, each with how far it came.
        nothing_written: Whether certainly nothing was written.
        released_meanwhile: Whether somebody else has finished the same release.
    """

    def __init__(
        self,
        plan: ReleasePlan,
        containment_records: ContainmentRecords,
        cloud_run: ReleaseClient,
        options: ReleaseOptions,
    ) -> None:
        self._plan = plan
        self._containment_records = containment_records
        self._cloud_run = cloud_run
        self._options = options
        self._changes_by_kind = {change.kind: change for change in plan.changes}
        self.nothing_written = True
        self.released_meanwhile = False

    @property
    def changes(self) -> tuple[Change, ...]:
        return tuple(
            self._changes_by_kind[kind] for kind in _WRITE_ORDER if kind in self._changes_by_kind
        )

    async def restore(self) -> None:
        """Write what is missing, in order, and see all of it in effect at once in the end.

        Raises:
            RequestRefused: Somebody stands in the way, or it was not seen in effect in time.
            IncidentError: Google or the store refuses, or does not answer.
        """
        for kind in _WRITE_ORDER:
            if not await self._restore_kind(kind):
                return
        if await self._reread_plan():
            await self._read_back(_WRITE_ORDER)

    async def _restore_kind(self, kind: ChangeKind) -> bool:
        """One write until it is accepted and seen; False where there is nothing left to do.

        After a conflict or a lost answer everything is read again, and nothing is assumed.
        """
        error: Retry | None = None
        for attempt in range(_MAX_ATTEMPTS):
            if attempt:
                longest = min(_MAX_BACKOFF_S, _BACKOFF_S * 2**attempt)
                await asyncio.sleep(random.uniform(longest / 2, longest))  # noqa: S311 - jitter
            try:
                current_plan = await self._reread_plan()
                if current_plan is None:
                    return False
                change = current_plan.change(kind)
                if change:
                    await self._write(change, current_plan)
            except Retry as failed:
                error = failed
                continue
            if kind in self._changes_by_kind:
                await self._read_back((kind,))
            return True
        raise Retry(f"{_MAX_ATTEMPTS} attempts met other changes or no answer, last: {error}")

    async def _write(self, change: Change, current_plan: ReleasePlan) -> None:
        try:
            new_generation = await self._cloud_run.write(change, validate_only=False)
        except IncidentError as error:
            # Only what was refused has certainly had no effect.
            answer_lost = isinstance(error, Retry) and not isinstance(error, Conflict)
            self.nothing_written = self.nothing_written and not answer_lost
            self._changes_by_kind[change.kind] = with_state(change, ChangeState.FAILED, str(error))
            raise
        self.nothing_written = False
        exact = (
            new_generation is None or new_generation <= current_plan.configuration.generation + 1
        )
        self._changes_by_kind[change.kind] = with_state(
            change, ChangeState.APPLIED, None if exact else _OVERWRITE_WARNING
        )
        self._options.on_step(f"written {change.kind}")

    async def _read_back(self, kinds: Sequence[ChangeKind]) -> None:
        """Read until what was written is seen in effect.

        Raises:
            RequestRefused: It is not, in time.
        """
        why: str | None = "it was not read back in time"
        pause = _BACKOFF_S / 2
        try:
            async with asyncio.timeout(self._options.verify_timeout.total_seconds()):
                while why:
                    try:
                        configuration = await read_workload(
                            self._plan.workload, self._needs(kinds), self._cloud_run
                        )
                        why = not_restored_reason(self._plan, configuration, kinds)
                    except Retry as error:
                        why = str(error)
                    if why:
                        await asyncio.sleep(pause)
                        pause = min(pause * 1.5, _MAX_BACKOFF_S)
        except TimeoutError as error:
            self._set_state(kinds, ChangeState.UNVERIFIED, why)
            raise ReleaseRefused(f"it is not seen as it was before: {why}") from error
        self._set_state(kinds, ChangeState.VERIFIED, None)
        self._options.on_step(f"verified {' and '.join(kinds)}")

    def _needs(self, kinds: Sequence[ChangeKind]) -> frozenset[WorkloadDetail]:
        return release_needs(self._plan) if ChangeKind.IAM_POLICY in kinds else frozenset()

    def _set_state(self, kinds: Sequence[ChangeKind], state: ChangeState, why: str | None) -> None:
        for kind in kinds:
            if kind in self._changes_by_kind:
                change = self._changes_by_kind[kind]
                warning = change.error if change.state is ChangeState.APPLIED else None
                self._changes_by_kind[kind] = with_state(change, state, why or warning)

    async def _reread_plan(self) -> ReleasePlan | None:
        """The plan for settings and records read now; None when somebody else has released it.

        Raises:
            RequestRefused: It is not what the person agreed to any more.
        """
        agreed = self._plan
        current_plan = await plan_release(
            agreed.workload, self._containment_records, self._cloud_run
        )
        agreed_number = agreed.containment.number if agreed.containment else 0
        if any(
            each.released and each.number == agreed_number
            for each in current_plan.history.containments
        ):
            self.released_meanwhile = True
            return None
        if (
            current_plan.containment is None
            or current_plan.snapshot is None
            or agreed.snapshot is None
        ):
            raise ReleaseRefused("it was deleted and made anew meanwhile: nothing of ours holds it")
        others = current_plan.containment.incidents - {self._options.only_incident}
        if self._options.only_incident and others:
            raise ReleaseRefused(
                f"a finding refers to it as well by now: {', '.join(sorted(others))}"
            )
        pending = current_plan.containment.pending_snapshot
        if (
            pending
            and abs(self._containment_records.clock() - pending.recorded_at) < WRITE_SETTLE_TIME
        ):
            raise ReleaseRefused(
                "a finding is being responded to at this moment. Wait a minute, look at its"
                " incident, and release again"
            )
        if current_plan.snapshot.number != agreed.snapshot.number:
            raise ReleaseRefused("it was contained further meanwhile. Look at the difference again")
        if names := [
            each.name for each in current_plan.differences if each not in agreed.differences
        ]:
            changed = ", ".join(names)
            raise ReleaseRefused(
                f"somebody changed it meanwhile: {changed}. Look at the difference again"
            )
        return current_plan


def _incomplete_text(plan: ReleasePlan, work: _ReleaseRun, error: IncidentError) -> str:
    """What stopped a release, what holds of it all the same, and what to do."""
    name = plan.workload.resource_name
    done = [_KIND_TEXTS[c.kind] for c in work.changes if c.state is ChangeState.VERIFIED]
    left = [_KIND_TEXTS[c.kind] for c in work.changes if c.state is not ChangeState.VERIFIED]
    if work.nothing_written:
        more = "nothing more" if plan.containment and plan.containment.releasing else "nothing"
        return f"cannot release {name}, {more} was written: {error}"
    if not done or not left:
        return f"{name} is not released for certain: {error}. Look at it, and release it again"
    return (
        f"{name} is released in part only. Restored and read back: {done[0]}. Not restored:"
        f" {left[0]}: {error}. When that is mended, release it again; what is done is not done"
        " twice"
    )
