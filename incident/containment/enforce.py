"""Enforcing: applies the changes of a decision to the workload, and sees them in effect.

Convergent without a lock: the wanted state is a constant, what it overwrites is stored first,
and any number of processes may do this at once and crash anywhere in between.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace

from incident.actions import plan
from incident.actions.changes import with_state
from incident.actions.snapshot import Snapshot
from incident.case_file.containments import Containment
from incident.containment.peers import WritePeers, retry_if_write_pending
from incident.containment.read_back import SentWrites, containment_result, read_back_writes
from incident.containment.types import ContainmentRequest, ContainmentResult, ContainmentTools
from incident.containment.validate import validate_change
from incident.containment.write import recheck_refused, send_changes
from incident.decision.guards import GuardBlock
from incident.model import (
    Change,
    ChangeState,
    Conflict,
    Decision,
    IncidentError,
    Json,
    Kind,
    Mode,
    Reason,
    Retry,
    Status,
    Verdict,
    WorkloadConfiguration,
)
from incident.model.concurrency import gather_all

_MAX_ATTEMPTS = 5
_BACKOFF_S = 0.2
_MAX_BACKOFF_S = 1.5


def already_in_effect(decision: Decision) -> ContainmentResult:
    """Nothing is to be written, and nothing of ours is there: somebody else saw to it.

    Where only access is restricted, what runs goes on running, whoever restricted it.
    """
    if decision.stops:
        return ContainmentResult(Status.ALREADY_CONTAINED, decision)
    if decision.unreached:
        text = "nothing was written: no action edits what still lets callers in"
        return ContainmentResult(
            Status.UNVERIFIED, decision, reasons=(Reason(text, "access"),), alarm=True
        )
    text = "access was restricted before, not by us; what runs was not stopped"
    return ContainmentResult(
        Status.RESTRICTED, decision, reasons=(Reason(text, "settings"),), alarm=True
    )


def _unsent_changes(snapshot: Snapshot, configuration: WorkloadConfiguration) -> tuple[Change, ...]:
    """What an attempt did not get to write, and nobody has done since: it is told, not hidden."""
    text = "it was not written: it was refused, or the attempt ended before it"
    return tuple(
        with_state(change, ChangeState.FAILED, text)
        for change in snapshot.unsent
        if not plan.in_effect(change, configuration)
    )


class Enforcement:
    """One containment being made: looks, keeps the image, writes, verifies; again if need be."""

    def __init__(self, request: ContainmentRequest, tools: ContainmentTools) -> None:
        """Begin with what was read and decided; it is read anew at each further attempt."""
        self._request = request
        self._tools = tools
        self._peers = WritePeers(tools.containment_records, tools.peer_wait)
        self._last_interruption: IncidentError | None = None

    async def enforce(self) -> ContainmentResult:
        """Attempt it until it is done, called off, or may not be tried any longer.

        Raises:
            Retry: Nothing was done yet, or an answer was lost: a redelivery looks again.
            GiveUp: The store or the workload cannot be used.
        """
        for attempt in range(_MAX_ATTEMPTS):
            if attempt:
                await self._reread(attempt)
            if not self._request.decision.enforces:
                return self._held_result(self._request.decision)
            result = await (
                self._attempt_write() if self._request.decision.changes else self._finish_existing()
            )
            if result:
                return result
        return await self._result_after_conflicts()

    async def _result_after_conflicts(self) -> ContainmentResult:
        """A conflict over one change, again and again, hides nothing of what the others did.

        Raises:
            Retry: Nothing was done yet, or an answer was lost: a redelivery looks again.
        """
        await self._reread(_MAX_ATTEMPTS)
        request, current = self._request, self._request.history.current
        snapshot = current.snapshot_in_effect(request.configuration) if current else None
        refers_to_it = current is not None and request.incident in current.incidents
        if (
            current is None
            or snapshot is None
            or not refers_to_it
            or not isinstance(self._last_interruption, Conflict)
        ):
            raise Retry(
                f"cannot contain {request.workload.resource_name}: {_MAX_ATTEMPTS}"
                " attempts met other"
                " changes or no answer, last:"
                f" {self._last_interruption or 'another process at work'}"
            ) from self._last_interruption
        failed = [
            with_state(c, ChangeState.FAILED, str(self._last_interruption))
            for c in request.decision.changes
        ]
        return await self._read_back(
            SentWrites(snapshot, tuple(failed), current.written_at, current.last_number)
        )

    async def _reread(self, attempt: int) -> None:
        """Everything that the write depends on is read anew; nothing is assumed."""
        if self._last_interruption:
            longest = min(_MAX_BACKOFF_S, _BACKOFF_S * 2**attempt)
            await asyncio.sleep(random.uniform(longest / 2, longest))  # noqa: S311 - jitter
        configuration, history = await self._tools.reread()
        decision = await self._tools.decide_again(configuration, history)
        self._request = replace(
            self._request, configuration=configuration, history=history, decision=decision
        )

    def _held_result(self, decision: Decision) -> ContainmentResult:
        """Policy, guards or settings have lowered the decision since it was first made."""
        self._retry_if_write_pending()
        text = "this was decided anew at the moment of writing; nothing was written then"
        lowered = replace(decision, verdict=Verdict.HOLD, changes=())
        return ContainmentResult(
            Status.HELD, lowered, reasons=(Reason(text, "policy"),), alarm=decision.alarm
        )

    async def _attempt_write(self) -> ContainmentResult | None:
        """One attempt; None when another is needed."""
        request, tools = self._request, self._tools
        current = request.history.current
        if await self._peers.wait_for_peer(current, request.configuration) or self._is_stale(
            current
        ):
            return None
        snapshot, block, decision = await gather_all(
            tools.containment_records.store_snapshot(
                request.history,
                request.decision.changes,
                request.configuration,
                request.incident,
                request.finding,
            ),
            tools.acquire_slot(),
            tools.decide_again(request.configuration, request.history),
        )
        if snapshot is None:
            return None
        await self._reread_history()
        if not self._release_not_begun(snapshot):
            await self._add_record(snapshot.number, "abandoned", snapshot)
            return None
        if block or not decision.enforces or decision.changes != request.decision.changes:
            await self._add_record(snapshot.number, "abandoned", snapshot)
            return await self._held_at_last_check(decision, block)
        return await self._send_changes(snapshot)

    async def _reread_history(self) -> None:
        """The records as they are now; of a release that has begun since, for one."""
        history = (await self._tools.containment_records.history()).for_workload(
            self._request.configuration
        )
        self._request = replace(self._request, history=history)

    def _release_not_begun(self, snapshot: Snapshot) -> bool:
        """Whether the image lies in a containment that nobody has begun to take back.

        A release records its intent and then looks for images; we keep an image and then look
        for a release: one of the two sees the other.
        """
        current = self._request.history.current
        if current is None or current.releasing:
            return False
        return any(
            (i.number, i.run_id) == (snapshot.number, snapshot.run_id) for i in current.snapshots
        )

    def _retry_if_write_pending(self) -> None:
        retry_if_write_pending(
            self._request.incident, self._request.history.current, self._tools.clock
        )

    def _is_stale(self, current: Containment | None) -> bool:
        """Whether another process has written since the settings were read."""
        written = current.written_generation if current else None
        return written is not None and self._request.configuration.generation < written

    async def _held_at_last_check(
        self, decision: Decision, block: GuardBlock | None
    ) -> ContainmentResult | None:
        """The last word before the write: the policy as it is now, and the hourly caps.

        Where the policy now wants other changes, or none besides those made, it is looked again.
        """
        if block is None and decision.enforces:
            return None
        await self._reread_history()
        if block is None or not decision.enforces:
            return self._held_result(decision)
        self._retry_if_write_pending()
        held_decision = replace(
            decision, verdict=Verdict.HOLD, reasons=(block.reason,), changes=(), alarm=True
        )
        return ContainmentResult(Status.HELD, held_decision, alarm=block.alarm)

    async def _send_changes(self, snapshot: Snapshot) -> ContainmentResult | None:
        """Write the changes of an attempt; None when another attempt is needed."""
        request, tools = self._request, self._tools
        sent = await send_changes(request.decision.changes, tools.cloud_run)
        sent = await recheck_refused(sent, snapshot, request.workload, tools.cloud_run)
        written_at, last_number = tools.clock(), snapshot.number
        self._last_interruption = sent.interrupted
        if sent.any_applied:
            details: dict[str, Json] = {"generation": sent.generation, "unsent": [*sent.unsent]}
            last_number = await self._add_record(last_number, "written", snapshot, **details)
        elif not sent.answer_lost:
            # A write whose answer was lost may have been accepted; looking again tells.
            await self._add_record(last_number, "abandoned", snapshot)
        if sent.interrupted:
            return None
        if not sent.any_applied:
            await self._reread_history()
            self._retry_if_write_pending()
            return await self._result_when_refused(sent.failed)
        exact = sent.generation is None or sent.generation <= snapshot.generation + 1
        sent_snapshot = snapshot.without_unsent(sent.unsent)
        return await self._read_back(
            SentWrites(sent_snapshot, sent.failed, written_at, last_number, exact=exact)
        )

    async def _result_when_refused(self, failed: tuple[Change, ...]) -> ContainmentResult:
        """Nothing more could be written: what an earlier attempt did stands all the same."""
        current = self._request.history.current
        snapshot = current.snapshot_in_effect(self._request.configuration) if current else None
        if current and snapshot:
            return await self._read_back(
                SentWrites(snapshot, failed, current.written_at, current.last_number)
            )
        return await self._read_back(SentWrites(None, failed, None, 0))

    async def _finish_existing(self) -> ContainmentResult | None:
        """Nothing to write: is it our containment, an unfinished one, or somebody else's?"""
        request = self._request
        current = request.history.current
        snapshot = current.snapshot_in_effect(request.configuration) if current else None
        if current is None or snapshot is None:
            return already_in_effect(request.decision)
        if await self._peers.wait_for_peer(current, request.configuration):
            return None
        last_number, recovered = current.last_number, snapshot == current.pending_snapshot
        if recovered:
            # The answer was lost, or the process died before it could write this down.
            last_number = await self._add_record(last_number, "written", snapshot, recovered=True)
        if request.incident not in current.incidents:
            last_number = await self._add_record(last_number, "joined", snapshot)
        written_at = snapshot.recorded_at if recovered else current.written_at
        sent_writes = SentWrites(
            snapshot, _unsent_changes(snapshot, request.configuration), written_at, last_number
        )
        all_in_effect = all(
            plan.why_not_in_effect(c, request.configuration) is None for c in snapshot.changes
        )
        annotated = current.annotated or request.workload.kind is Kind.JOB
        if current.verified and annotated and not recovered and all_in_effect:
            return containment_result(
                sent_writes, (None,) * len(snapshot.changes), request, self._tools
            )
        return await self._read_back(sent_writes)

    async def _read_back(self, sent_writes: SentWrites) -> ContainmentResult:
        return await read_back_writes(sent_writes, self._request, self._tools)

    async def _add_record(self, after: int, kind: str, snapshot: Snapshot, **details: Json) -> int:
        return await self._tools.add_record(self._request, after, kind, snapshot, **details)


async def contain_workload(
    request: ContainmentRequest, tools: ContainmentTools
) -> ContainmentResult:
    """Carry the decision out, as far as its mode goes.

    Raises:
        Retry: Time may heal it; whatever was written is on record, and a redelivery goes on.
        GiveUp: The store or the workload cannot be used.
    """
    decision = request.decision
    if decision.enforces:
        return await Enforcement(request, tools).enforce()
    retry_if_write_pending(request.incident, request.history.current, tools.clock)
    if decision.verdict is not Verdict.CONTAIN:
        return ContainmentResult(Status.HELD, decision, alarm=decision.alarm)
    if not decision.changes:
        return already_in_effect(decision)
    if decision.mode is Mode.APPROVE:
        return ContainmentResult(Status.AWAITING_APPROVAL, decision, decision.changes)
    validated = [
        await validate_change(change, request.workload, tools.cloud_run)
        for change in decision.changes
    ]
    return ContainmentResult(Status.PLANNED, decision, tuple(validated))
