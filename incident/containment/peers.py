"""Attempts that were begun, and of which no record says yet what became: who waits, how long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

from incident.case_file.containments import Containment, ContainmentRecords
from incident.model import Retry, WorkloadConfiguration

#: How long a write whose answer was lost may still come into effect.
WRITE_SETTLE_TIME = timedelta(seconds=45)
#: A write takes longer than any other step: a peer may be silent so many times as long.
_WRITE_WAIT_FACTOR = 3
_POLL_S = 0.2


def retry_if_write_pending(
    incident: str, current: Containment | None, clock: Callable[[], datetime]
) -> None:
    """Nothing final may be said while a write of this incident may still come into effect.

    Raises:
        Retry: An attempt was begun, and no record says yet what became of it.
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
    """Other processes that were about to write to the workload; each is waited for once."""

    def __init__(self, containment_records: ContainmentRecords, peer_wait: timedelta) -> None:
        """Wait in one run; ``peer_wait`` is how long a peer may be silent in any other step."""
        self._containment_records = containment_records
        self._peer_timeout = peer_wait * _WRITE_WAIT_FACTOR
        self._waited_for: set[int] = set()

    async def wait_for_peer(
        self, current: Containment | None, configuration: WorkloadConfiguration
    ) -> bool:
        """Whether another process was about to write, and has been waited for.

        A process that died is waited for once, and then its work is carried on.

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
        loop_time = asyncio.get_running_loop().time
        deadline = loop_time() + remaining_s
        while loop_time() < deadline:
            await asyncio.sleep(_POLL_S)
            history = (await self._containment_records.history()).for_workload(configuration)
            if history.current is None or history.current.pending_snapshot != pending:
                break
        return True
