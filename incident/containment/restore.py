"""Restore a workload from its snapshot: write what is missing, leave out what Google refuses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from incident.actions.changes import with_state
from incident.actions.fields import RUNNING
from incident.case_file.containments import ContainmentRecords
from incident.containment.not_restored import (
    NotRestored,
    PartKind,
    fields_apart,
    merged_parts,
    refused_parts,
    refused_whole,
)
from incident.containment.release_plan import (
    STILL_AT_WORK,
    ReleasePlan,
    has_failed,
    is_behind,
    not_restored_reason,
    plan_release,
    release_names,
    release_needs,
)
from incident.containment.restored_values import account_parts
from incident.containment.writes_in_flight import WRITE_SETTLE_TIME
from incident.investigation.workload_reader import read_workload
from incident.model import (
    Change,
    ChangeKind,
    ChangeState,
    Conflict,
    Denied,
    GiveUp,
    IncidentError,
    Retry,
    WorkloadConfiguration,
    WorkloadDetail,
)
from incident.model.ports import CloudRunPort
from incident.model.retrying import Backoff
from incident.redaction.redactor import Redactor

#: Access comes last: nobody gets access before the rest is restored, the service account's old
#: tokens after everybody else.
WRITE_ORDER = (ChangeKind.FIELDS, ChangeKind.IAM_POLICY, ChangeKind.SERVICE_ACCOUNT)
#: A refusal names one reference or a few: so often a write is repeated without them.
MAX_REFUSALS = 50
_BACKOFF = Backoff(first_s=0.4, longest_s=2.0, attempts=5)
_POLL = Backoff(first_s=0.1, longest_s=2.0, factor=1.5)
_OVERWRITE_WARNING = (
    "another change came between reading and writing: it may have been overwritten; the audit log"
    " has it"
)
#: The fields that start a workload again: without them nothing is released.
_STARTING_FIELDS = frozenset({"scaling", RUNNING})


class ReleaseRefused(GiveUp):
    """The containment is not released; the message says why."""


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
        force: Whether a field is left out that Google refuses for a reason other than a
            reference that does not exist any more.
        enable_now: Whether a service account is enabled although its old tokens may be unexpired.
    """

    by: str
    verify_timeout: timedelta
    redactor: Redactor
    on_step: Callable[[str], None] = lambda _: None
    only_incident: str | None = None
    force: bool = False
    enable_now: bool = False


class Restoration:
    """One release: reads, writes what is missing, reads it back.

    Attributes:
        changes: The writes, each with how far it came.
        nothing_written: Whether certainly nothing was written.
        released_meanwhile: Whether somebody else has finished the same release.
        not_restored: What was left out so far.
    """

    def __init__(
        self,
        plan: ReleasePlan,
        containment_records: ContainmentRecords,
        cloud_run: CloudRunPort,
        options: ReleaseOptions,
    ) -> None:
        self._plan = plan
        self._containment_records = containment_records
        self._cloud_run = cloud_run
        self._options = options
        self._changes_by_kind = {change.kind: change for change in plan.changes}
        self.nothing_written = True
        self.released_meanwhile = False
        self.not_restored = plan.not_restored
        self._apart = False

    @property
    def changes(self) -> tuple[Change, ...]:
        """The writes, in their order."""
        return tuple(
            self._changes_by_kind[kind] for kind in WRITE_ORDER if kind in self._changes_by_kind
        )

    async def restore(self) -> None:
        """Write what is missing, in order; in the end read back all of it at once.

        Raises:
            RequestRefused: Somebody changed it meanwhile, or it was not read back in time.
            IncidentError: Google or the store refuses, or does not answer.
        """
        account = bool(account_parts(self._plan.snapshot))
        order = WRITE_ORDER if account else WRITE_ORDER[:-1]
        for kind in order:
            if not await self._restore_kind(kind):
                return
        if await self._reread_plan():
            await self._read_back(order)

    async def _restore_kind(self, kind: ChangeKind) -> bool:
        """Write one kind until it is accepted and read back; False if nothing is left to do.

        After a conflict, a lost answer or a refusal everything is read again, and nothing is
        assumed.
        """
        error: Retry | None = None
        self._apart, refusals, attempt = False, 0, 0
        while attempt < _BACKOFF.attempts and refusals <= MAX_REFUSALS:
            if attempt:
                await _BACKOFF.pause(attempt)
            try:
                current_plan = await self._reread_plan()
                if current_plan is None:
                    return False
                change = current_plan.change(kind)
                if change and not await self._write(change, current_plan):
                    refusals += 1
                    continue
            except Retry as failed:
                error = failed
                attempt += 1
                continue
            if kind in self._changes_by_kind:
                await self._read_back((kind,))
            return True
        raise Retry(
            f"{attempt} attempts met other changes or no answer, and {refusals} were refused,"
            f" last: {error or self.not_restored[-1].reason}"
        )

    async def _write(self, change: Change, current_plan: ReleasePlan) -> bool:
        """Write what is missing of one kind; False if it is to be planned again for the rest."""
        change = fields_apart(change)[0] if self._apart else change
        try:
            new_generation = await self._cloud_run.write(change, validate_only=False)
        except IncidentError as error:
            # Only a refused write has certainly no effect.
            answer_lost = isinstance(error, Retry) and not isinstance(error, Conflict)
            self.nothing_written = self.nothing_written and not answer_lost
            if isinstance(error, GiveUp) and self._can_leave_out(change, error):
                return False
            self._changes_by_kind[change.kind] = with_state(change, ChangeState.FAILED, str(error))
            raise
        self.nothing_written = False
        exact = (
            new_generation is None or new_generation <= current_plan.configuration.generation + 1
        )
        written = with_state(change, ChangeState.APPLIED, None if exact else _OVERWRITE_WARNING)
        before = self._changes_by_kind.get(change.kind)
        if self._apart and before and before.state is ChangeState.APPLIED:
            written = _joined(before, written)
        self._changes_by_kind[change.kind] = written
        self._options.on_step(f"written {change.kind}")
        return not self._apart

    def _can_leave_out(self, change: Change, refusal: GiveUp) -> bool:
        """Note what of a refused write can be left out; False if it cannot be."""
        parts = refused_parts(change, refusal, self._plan.configuration.kind)
        if not parts and self._options.force and not isinstance(refusal, Denied):
            if change.kind is ChangeKind.FIELDS and len(change.after) > 1:
                self._apart = True
                return True
            if not _STARTING_FIELDS & change.after.keys():
                parts = (refused_whole(change, refusal),)
        noted = self._changes_by_kind.get(change.kind)
        if noted and noted.state is not ChangeState.APPLIED:
            del self._changes_by_kind[change.kind]
        self.not_restored = merged_parts(self.not_restored, parts)
        return bool(parts)

    async def _read_back(self, kinds: Sequence[ChangeKind]) -> None:
        """Read until what was written is in effect.

        Raises:
            RequestRefused: It is not, in time.
        """
        why: str | None = "it was not read back in time"
        configuration: WorkloadConfiguration | None = None

        async def restored() -> bool:
            nonlocal why, configuration
            try:
                configuration = await read_workload(
                    self._plan.workload,
                    self._needs(kinds),
                    self._cloud_run,
                    release_names(self._plan),
                )
                plan = replace(self._plan, not_restored=self.not_restored)
                why = not_restored_reason(plan, configuration, kinds)
            except Retry as error:
                why = str(error)
            return why is None

        done = await _POLL.poll(restored, self._options.verify_timeout.total_seconds())
        if not done and not (self._options.force and why == STILL_AT_WORK):
            self._set_state(kinds, ChangeState.UNVERIFIED, why)
            raise ReleaseRefused(f"it does not read back as it was before: {why}")
        if configuration and ChangeKind.FIELDS in kinds and self._is_not_served(configuration):
            self.not_restored = merged_parts(self.not_restored, [_not_served(configuration)])
        self._set_state(kinds, ChangeState.VERIFIED, None)
        self._options.on_step(f"verified {' and '.join(kinds)}")

    def _is_not_served(self, configuration: WorkloadConfiguration) -> bool:
        """Whether Cloud Run does not serve the fields that were restored."""
        fields = self._plan.snapshot.restores if self._plan.snapshot else {}
        waited = has_failed(configuration) or self._options.force
        return bool(fields) and is_behind(configuration) and waited

    def _needs(self, kinds: Sequence[ChangeKind]) -> frozenset[WorkloadDetail]:
        return release_needs(self._plan) if set(kinds) - {ChangeKind.FIELDS} else frozenset()

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
            agreed.workload, self._containment_records, self._cloud_run, self.not_restored
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
        self.not_restored = current_plan.not_restored
        return current_plan


def _joined(one: Change, other: Change) -> Change:
    """Two writes of fields as one change."""
    return replace(
        other,
        mask=(*one.mask, *other.mask),
        before={**one.before, **other.before},
        after={**one.after, **other.after},
        error=other.error or one.error,
    )


def _not_served(configuration: WorkloadConfiguration) -> NotRestored:
    """The settings are as before, and Cloud Run does not serve them."""
    what = "could not bring it up" if has_failed(configuration) else "is still bringing it up"
    words = f": {configuration.condition_message}" if configuration.condition_message else ""
    return NotRestored(
        PartKind.STATE,
        "state",
        f"the settings are written, but Cloud Run {what} with them{words}. Look at the service",
    )
