"""Enforce: snapshot, write, read back; optimistic concurrency with bounded retries.

It converges without a lock: the desired state is a constant, what a write overwrites is stored
first, and any number of processes may run this at once and crash at any point.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from incident.actions import masked_changes
from incident.actions.changes import NOT_ANNOTATED, with_state
from incident.actions.goal import Goal
from incident.actions.snapshot import Snapshot
from incident.case_file.containments import Containment
from incident.containment.attempt import Attempt
from incident.containment.containment_result import ContainmentResult
from incident.containment.read_back import (
    Reading,
    SentWrites,
    existing_writes,
    read_until_settled,
    unsent_changes,
)
from incident.containment.result import (
    conclude_writes,
    containment_result,
    record_after_write,
    with_problems,
)
from incident.containment.write import AttemptResult, recheck_refused, send_changes
from incident.containment.writes_in_flight import WritePeers, retry_if_write_pending
from incident.decision.assess import decide_again
from incident.decision.guards import GuardBlock
from incident.decision.limits import acquire_slot
from incident.model import (
    Change,
    ChangeState,
    Conflict,
    Decision,
    GiveUp,
    IncidentError,
    Json,
    Reason,
    Retry,
    Status,
    Verdict,
)
from incident.model.concurrency import gather_all
from incident.model.json_text import time_text
from incident.model.retrying import Backoff

_BACKOFF = Backoff(first_s=0.4, longest_s=1.5, attempts=5)
#: How often we write again what somebody undid, or started, while we read back.
_MAX_REWRITES = 3


def already_in_effect(decision: Decision) -> ContainmentResult:
    """The result where nothing is to be written and the responder holds nothing.

    Where access is only restricted, the running code goes on running.
    """
    if decision.stops:
        return ContainmentResult(Status.ALREADY_CONTAINED, decision)
    if decision.unreached:
        text = "nothing was written: no action edits what still lets callers in"
        return ContainmentResult(
            Status.UNVERIFIED, decision, reasons=(Reason(text, "access"),), alarm=True
        )
    text = "access was restricted before, not by the responder; what runs was not stopped"
    return ContainmentResult(
        Status.RESTRICTED, decision, reasons=(Reason(text, "settings"),), alarm=True
    )


class Enforcement:
    """One run that enforces a decision, in bounded attempts."""

    def __init__(self, attempt: Attempt) -> None:
        """Start from what was read and decided; each further attempt reads it again."""
        self._attempt = attempt
        self._peers = WritePeers(attempt.records, attempt.process.peer_wait)
        self._last_interruption: IncidentError | None = None
        #: The newest writes of this run that have taken effect, or may have.
        self._sent: SentWrites | None = None
        self._problems: tuple[Reason, ...] = ()
        self._rewrites = 0
        self._read_back_deadline: float | None = None

    async def enforce(self) -> ContainmentResult:
        """Attempt it until it is done, held, or may not be tried again.

        Whatever fails once a write was sent, the workload itself is asked what became of it.

        Raises:
            Retry: Nothing was written yet, or an answer was lost: a redelivery looks again.
            GiveUp: The store or the workload cannot be used, and nothing was written.
        """
        result: ContainmentResult | None = None
        count, first = 0, True
        try:
            while result is None and count < _BACKOFF.attempts:
                if not first:
                    await self._reread(count)
                first, rewrites = False, self._rewrites
                if not self._attempt.decision.enforces:
                    result = await self._held_or_written(self._attempt.decision)
                elif not self._attempt.decision.changes:
                    result = await self._finish_existing()
                else:
                    ready = await self._prepare_write()
                    result = (
                        await self._send_changes(ready) if isinstance(ready, Snapshot) else ready
                    )
                count += rewrites == self._rewrites
            return with_problems(result or await self._result_after_conflicts(), self._problems)
        except GiveUp as error:
            if self._sent is None:
                raise
            reason = Reason(f"this failed after the write was sent: {error}", "outside")
            result = await self._last_read_back(self._sent)
            return with_problems(result, (*self._problems, reason))

    async def _result_after_conflicts(self) -> ContainmentResult:
        """The result when one change met a conflict at every attempt; others may be in effect.

        Raises:
            Retry: Nothing was written yet, or an answer was lost: a redelivery looks again.
        """
        await self._reread(_BACKOFF.attempts)
        attempt, current = self._attempt, self._attempt.history.current
        snapshot = current.snapshot_in_effect(attempt.configuration) if current else None
        refers_to_it = current is not None and attempt.incident in current.incidents
        if (
            current is None
            or snapshot is None
            or not refers_to_it
            or not isinstance(self._last_interruption, Conflict)
        ):
            raise Retry(
                f"cannot contain {attempt.workload.resource_name}: {_BACKOFF.attempts} attempts"
                " met other changes or no answer, last:"
                f" {self._last_interruption or 'another process at work'}"
            ) from self._last_interruption
        failed = [
            with_state(c, ChangeState.FAILED, str(self._last_interruption))
            for c in attempt.decision.changes
        ]
        return await self._last_read_back(existing_writes(snapshot, tuple(failed), current))

    async def _reread(self, count: int) -> None:
        """Read again everything that the write depends on; after an interruption, wait first."""
        if self._last_interruption:
            await _BACKOFF.pause(max(count, 1))
        self._attempt = await self._attempt.again()

    async def _held_or_written(self, decision: Decision) -> ContainmentResult:
        """Policy, guards or settings have lowered the decision; what was written stays."""
        if self._sent and self._rewrites:
            return await self._last_read_back(self._sent)
        return self._held_result(decision)

    def _held_result(self, decision: Decision) -> ContainmentResult:
        """Policy, guards or settings have lowered the decision, and nothing was written."""
        self._retry_if_write_pending()
        text = "decided again right before the write; nothing was written"
        lowered = replace(decision, verdict=Verdict.HOLD, changes=())
        return ContainmentResult(
            Status.HELD, lowered, reasons=(Reason(text, "policy"),), alarm=decision.alarm
        )

    async def _prepare_write(self) -> Snapshot | ContainmentResult | None:
        """Store the snapshot, take a slot and decide once more, side by side.

        Returns:
            The snapshot if the write may be sent, the result if it may not, or None when another
            attempt is needed.
        """
        attempt = self._attempt
        current = attempt.history.current
        if await self._peers.wait_for_peer(current, attempt.configuration) or self._is_stale(
            current
        ):
            return None
        snapshot, block, decision = await gather_all(
            attempt.records.store_snapshot(
                attempt.history,
                attempt.decision.changes,
                attempt.configuration,
                attempt.incident,
                attempt.finding,
                actions=self._goal().actions,
            ),
            acquire_slot(attempt.process, attempt.inputs),
            decide_again(attempt.process, attempt.inputs, attempt.decision),
        )
        if snapshot is None:
            return None
        await self._reread_history()
        if not self._release_not_begun(snapshot):
            await self._add_record(snapshot.number, "abandoned", snapshot)
            return None
        if block or not decision.enforces or decision.changes != attempt.decision.changes:
            await self._add_record(snapshot.number, "abandoned", snapshot)
            return await self._held_at_last_check(decision, block)
        return snapshot

    async def _reread_history(self) -> None:
        """Read the containment's records again: a release may have begun meanwhile."""
        self._attempt = await self._attempt.with_history()

    def _release_not_begun(self, snapshot: Snapshot) -> bool:
        """Whether the snapshot is in a containment that nobody has begun to release.

        A release records its start and then reads the snapshots; we store a snapshot and then
        look for a release: one of the two sees the other.
        """
        current = self._attempt.history.current
        if current is None or current.releasing:
            return False
        return any(
            (i.number, i.run_id) == (snapshot.number, snapshot.run_id) for i in current.snapshots
        )

    def _retry_if_write_pending(self) -> None:
        retry_if_write_pending(
            self._attempt.incident, self._attempt.history.current, self._attempt.process.clock
        )

    def _is_stale(self, current: Containment | None) -> bool:
        """Whether another process has written since the settings were read."""
        written = current.written_generation if current else None
        return written is not None and self._attempt.configuration.generation < written

    async def _held_at_last_check(
        self, decision: Decision, block: GuardBlock | None
    ) -> ContainmentResult | None:
        """The last check before the write: the policy as it is now, and the hourly caps.

        Where the policy now wants other changes, or no more, another attempt follows.
        """
        if block is None and decision.enforces:
            return None
        await self._reread_history()
        if block is None or not decision.enforces:
            return await self._held_or_written(decision)
        if self._sent and self._rewrites:
            self._problems += (block.reason,)
            return await self._last_read_back(self._sent)
        self._retry_if_write_pending()
        held_decision = replace(
            decision, verdict=Verdict.HOLD, reasons=(block.reason,), changes=(), alarm=True
        )
        return ContainmentResult(Status.HELD, held_decision, alarm=block.alarm)

    async def _send_changes(self, snapshot: Snapshot) -> ContainmentResult | None:
        """Write the changes of an attempt; None when another attempt is needed."""
        attempt, cloud_run = self._attempt, self._attempt.process.cloud_run
        began_at = time_text(attempt.process.clock())
        sent = await send_changes(attempt.decision.changes, cloud_run)
        sent = await recheck_refused(sent, snapshot, attempt.workload, cloud_run)
        self._last_interruption = sent.interrupted
        writes = self._sent_writes(snapshot, sent)
        if sent.any_applied or sent.answer_lost:
            self._sent = writes
        if sent.any_applied:
            details: dict[str, Json] = {
                "generation": sent.generation,
                "unsent": [*sent.unsent],
                "began_at": began_at,
            }
            number, problems = await record_after_write(
                attempt, snapshot.number, "written", snapshot, **details
            )
            self._problems += problems
            self._sent = writes = replace(writes, last_number=number)
        elif not sent.answer_lost:
            # A write whose answer was lost may have been accepted; the next reading shows it.
            await self._add_record(snapshot.number, "abandoned", snapshot)
        if sent.interrupted:
            return None
        if not sent.any_applied:
            await self._reread_history()
            self._retry_if_write_pending()
            return await self._result_when_refused(sent.failed)
        return await self._read_back(writes)

    def _sent_writes(self, snapshot: Snapshot, sent: AttemptResult) -> SentWrites:
        """What an attempt has written, or may have."""
        return SentWrites(
            snapshot=snapshot.without_unsent(sent.unsent) if sent.any_applied else snapshot,
            failed=sent.failed,
            written_at=self._attempt.process.clock(),
            last_number=snapshot.number,
            exact=sent.generation is None or sent.generation <= snapshot.generation + 1,
            generation=sent.generation,
        )

    async def _result_when_refused(self, failed: tuple[Change, ...]) -> ContainmentResult:
        """The result when every write was refused; an earlier attempt may be in effect."""
        current = self._attempt.history.current
        snapshot = current.snapshot_in_effect(self._attempt.configuration) if current else None
        if current and snapshot:
            return await self._last_read_back(existing_writes(snapshot, failed, current))
        return await self._last_read_back(SentWrites(None, failed, None, 0))

    async def _finish_existing(self) -> ContainmentResult | None:
        """Nothing to write: join our containment, finish it, or find that others did it."""
        attempt = self._attempt
        current = attempt.history.current
        snapshot = current.snapshot_in_effect(attempt.configuration) if current else None
        if current is None or snapshot is None:
            return await self._nothing_to_write()
        if await self._peers.wait_for_peer(current, attempt.configuration):
            return None
        last_number, recovered = current.last_number, snapshot == current.pending_snapshot
        self._sent = sent = existing_writes(
            snapshot, unsent_changes(snapshot, attempt.configuration), current
        )
        if recovered:
            # The answer was lost, or the process died before it could record it.
            last_number = await self._add_record(last_number, "written", snapshot, recovered=True)
        if attempt.incident not in current.incidents:
            last_number = await self._add_record(last_number, "joined", snapshot)
        self._sent = sent = replace(sent, last_number=last_number)
        if recovered:
            self._sent = sent = replace(sent, written_at=snapshot.recorded_at)
        annotated = current.annotated or attempt.workload.kind in NOT_ANNOTATED
        reading = self._reading_at_start(sent)
        if current.verified and annotated and not recovered and reading:
            return containment_result(sent, reading, self._goal(sent), attempt)
        return await self._read_back(sent)

    def _reading_at_start(self, sent: SentWrites) -> Reading | None:
        """The settings as they were read, if all is in effect there: read once is enough."""
        configuration = self._attempt.configuration
        unmet = any(masked_changes.why_not_in_effect(c, configuration) for c in sent.changes)
        if unmet or self._goal(sent).unmet(configuration):
            return None
        return Reading(configuration, (None,) * len(sent.changes))

    async def _nothing_to_write(self) -> ContainmentResult | None:
        """Others contained it, if the workload still shows that when it is read again."""
        if self._sent and self._rewrites:
            return await self._last_read_back(self._sent)
        attempt, nothing = self._attempt, SentWrites(None, (), None, 0)
        goal = self._goal()
        reading = await read_until_settled(nothing, goal, attempt, self._remaining_s())
        if reading.undone and self._may_write_again():
            return None
        if not reading.unmet_goals:
            return already_in_effect(attempt.decision)
        reasons = tuple(Reason(each.text, "settings") for each in reading.unmet_goals)
        return ContainmentResult(Status.UNVERIFIED, attempt.decision, reasons=reasons, alarm=True)

    def _goal(self, sent: SentWrites | None = None) -> Goal:
        """The goal of the decision, and of the containment that was written before it."""
        attempt, current = self._attempt, self._attempt.history.current
        snapshot = sent.snapshot if sent else current.effective_snapshot if current else None
        names = [
            *attempt.decision.actions,
            *(snapshot.actions if snapshot else ()),
            *(name for c in (snapshot.changes if snapshot else ()) for name in c.action.split("+")),
        ]
        return Goal.of(names, attempt.finding)

    async def _read_back(self, sent: SentWrites, *, last: bool = False) -> ContainmentResult | None:
        """Read back and conclude; None when it was undone meanwhile and is written again."""
        goal = self._goal(sent)
        reading = await read_until_settled(sent, goal, self._attempt, self._remaining_s())
        if reading.undone and not last and self._may_write_again():
            return None
        return await conclude_writes(sent, reading, goal, self._attempt)

    async def _last_read_back(self, sent: SentWrites) -> ContainmentResult:
        """Read back and conclude, whatever was found: nothing more is written."""
        result = await self._read_back(sent, last=True)
        assert result is not None  # noqa: S101 - the last reading decides
        return result

    def _may_write_again(self) -> bool:
        """Take one of the rewrites, if there is one left."""
        if self._rewrites == _MAX_REWRITES:
            return False
        self._rewrites += 1
        self._last_interruption = None
        return True

    def _remaining_s(self) -> float:
        """How long is left for reading back: one limit for all writes of this run."""
        now = asyncio.get_running_loop().time()
        if self._read_back_deadline is None:
            self._read_back_deadline = now + self._attempt.process.verify_timeout.total_seconds()
        return max(self._read_back_deadline - now, 0.0)

    async def _add_record(self, after: int, kind: str, snapshot: Snapshot, **details: Json) -> int:
        return await self._attempt.add_record(after, kind, snapshot, **details)
