"""Wait for writes of other processes that are in flight."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from incident.case_file.containments import Containment, ContainmentRecords
from incident.model import Retry, WorkloadConfiguration
from incident.model.retrying import Backoff

#: How long a write whose answer was lost may still take effect.
WRITE_SETTLE_TIME = timedelta(seconds=45)
#: A write takes longer than any other step: a peer may take this many times as long.
_WRITE_WAIT_FACTOR = 3
_POLL = Backoff(first_s=0.2, longest_s=0.3, factor=1.1)


def retry_if_write_pending(
    incident: str, current: Containment | None, clock: Callable[[], datetime]
) -> None:
    """Raise while a write of this incident may still take effect.

    Raises:
        Retry: An attempt has begun, and there is no record of its result yet.
    """
    pending = current.pending_snapshot if current else None
    if pending is None or pending.incident != incident:
        return
    if clock() - pending.recorded_at < WRITE_SETTLE_TIME:
        raise Retry(
            f"cannot close incident {incident}: a write to {pending.changes[0].target} was begun"
            " and may still come into effect; a redelivery looks again"
        )


class WritePeers:
    """Waits, once each, for other processes that are about to write to the workload."""

    def __init__(self, containment_records: ContainmentRecords, peer_wait: timedelta) -> None:
        """Wait in one run; ``peer_wait`` is how long a peer may take for any other step."""
        self._containment_records = containment_records
        self._peer_timeout = peer_wait * _WRITE_WAIT_FACTOR
        self._waited_for: set[int] = set()

    async def wait_for_peer(
        self, current: Containment | None, configuration: WorkloadConfiguration
    ) -> bool:
        """Whether another process was about to write; if so, waits for it first.

        A process that died is waited for once; then this run continues its work.

        Raises:
            Retry: The store does not answer.
            GiveUp: A record cannot be read.
        """
        pending = current.pending_snapshot if current else None
        if pending is None or pending.run_id == self._containment_records.run_id:
            return False
        age = max(self._containment_records.clock() - pending.recorded_at, timedelta(0))
        remaining_s = (self._peer_timeout - age).total_seconds()
        if pending.number in self._waited_for or remaining_s <= 0:
            return False
        self._waited_for.add(pending.number)

        async def recorded() -> bool:
            history = (await self._containment_records.history()).for_workload(configuration)
            return history.current is None or history.current.pending_snapshot != pending

        await _POLL.poll(recorded, remaining_s)
        return True
