"""Release a containment: restore from the snapshot, read back, record."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from incident.actions.changes import redacted_json, with_state
from incident.case_file.containments import ContainmentRecords
from incident.containment.release_plan import (
    ReleasePlan,
    not_restored_reason,
    plan_release,
    release_needs,
)
from incident.containment.release_text import irreversible_text
from incident.containment.request_and_result import WorkloadClient
from incident.containment.writes_in_flight import WRITE_SETTLE_TIME
from incident.investigation.workload_reader import read_workload
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
from incident.model.retrying import Backoff
from incident.redaction.redactor import Redactor, redact_error

__all__ = [
    "ReleaseIncomplete",
    "ReleaseOptions",
    "ReleasePlan",
    "ReleaseRefused",
    "carry_out_release",
    "plan_release",
]

#: Access comes last: nobody gets access before the rest is restored.
_WRITE_ORDER = (ChangeKind.FIELDS, ChangeKind.IAM_POLICY)
_BACKOFF = Backoff(first_s=0.4, longest_s=2.0, attempts=5)
_POLL = Backoff(first_s=0.1, longest_s=2.0, factor=1.5)
_KIND_TEXTS = {ChangeKind.FIELDS: "its settings", ChangeKind.IAM_POLICY: "its IAM policy"}
_OVERWRITE_WARNING = (
    "another change came between reading and writing: it may have been overwritten; the audit log"
    " has it"
)


class ReleaseRefused(GiveUp):
    """The containment is not released; the message says why."""


class ReleaseIncomplete(ReleaseRefused):
    """A release that was begun and not completed; nothing is recorded as released.

    Attributes:
        changes: The writes of its plan, each with its state.
    """

    def __init__(self, message: str, changes: tuple[Change, ...]) -> None:
        super().__init__(message)
        self.changes = changes


@dataclass(frozen=True, slots=True)
class ReleaseOptions:
    """Options of a release.

    Attributes:
        by: Who releases.
        verify_timeout: How long each write may take until it is read back in effect.
        redactor: Redacts what is recorded and reported.
        on_step: Called after each step with its name.
        only_incident: The only incident that may refer to the containment; None if the others
            are released with it.
    """

    by: str
    verify_timeout: timedelta
    redactor: Redactor
    on_step: Callable[[str], None] = lambda _: None
    only_incident: str | None = None


async def carry_out_release(
    plan: ReleasePlan,
    containment_records: ContainmentRecords,
    cloud_run: WorkloadClient,
    options: ReleaseOptions,
) -> tuple[Change, ...]:
    """Restore what the plan says, read it back, and record it.

    The start is recorded before anything is written, so that nobody contains the workload again
    meanwhile. It is cancelled if nothing was written after all: otherwise the patrol would stop
    checking a containment that is still in effect. What others changed is overwritten: the
    caller has asked the person.

    Args:
        plan: What a person agreed to.
        containment_records: The workload's containments.
        cloud_run: Cloud Run.
        options: Who releases, and the time limits.

    Returns:
        The writes that restored it, each verified; empty when all was as before already.

    Raises:
        ReleaseIncomplete: It is not certain that it is released; the message says what is and
            what to do.
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
    """The body of the records of start and end."""
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
    """One release: reads, writes what is missing, reads it back.

    Attributes:
        changes: The writes, each with how far it came.
        nothing_written: Whether certainly nothing was written.
        released_meanwhile: Whether somebody else has finished the same release.
    """

    def __init__(
        self,
        plan: ReleasePlan,
        containment_records: ContainmentRecords,
        cloud_run: WorkloadClient,
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
        """Write what is missing, in order; in the end read back all of it at once.

        Raises:
            RequestRefused: Somebody changed it meanwhile, or it was not read back in time.
            IncidentError: Google or the store refuses, or does not answer.
        """
        for kind in _WRITE_ORDER:
            if not await self._restore_kind(kind):
                return
        if await self._reread_plan():
            await self._read_back(_WRITE_ORDER)

    async def _restore_kind(self, kind: ChangeKind) -> bool:
        """Write one kind until it is accepted and read back; False if nothing is left to do.

        After a conflict or a lost answer everything is read again, and nothing is assumed.
        """
        error: Retry | None = None
        for attempt in range(_BACKOFF.attempts):
            if attempt:
                await _BACKOFF.pause(attempt)
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
        raise Retry(f"{_BACKOFF.attempts} attempts met other changes or no answer, last: {error}")

    async def _write(self, change: Change, current_plan: ReleasePlan) -> None:
        try:
            new_generation = await self._cloud_run.write(change, validate_only=False)
        except IncidentError as error:
            # Only a refused write has certainly no effect.
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
        """Read until what was written is in effect.

        Raises:
            RequestRefused: It is not, in time.
        """
        why: str | None = "it was not read back in time"

        async def restored() -> bool:
            nonlocal why
            try:
                configuration = await read_workload(
                    self._plan.workload, self._needs(kinds), self._cloud_run
                )
                why = not_restored_reason(self._plan, configuration, kinds)
            except Retry as error:
                why = str(error)
            return why is None

        if not await _POLL.poll(restored, self._options.verify_timeout.total_seconds()):
            self._set_state(kinds, ChangeState.UNVERIFIED, why)
            raise ReleaseRefused(f"it does not read back as it was before: {why}")
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
        """Plan again from settings and records read now; None if somebody else released it.

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
            raise ReleaseRefused(
                "it was deleted and recreated meanwhile: the responder does not contain it"
            )
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
    """Why a release stopped, what of it is done, and what to do."""
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
        f" {left[0]}: {error}. When that is fixed, release it again; what is done is not done"
        " twice"
    )
