"""Attempts that were begun, and of which no record says yet what became: who waits, how long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

from incident.case_file.containments import Containment, Custody
from incident.model import Retry, Settings

#: How long a write whose answer was lost may still come into effect.
FATE = timedelta(seconds=45)
#: A write takes longer than any other step: a peer may be silent so many times as long.
_WRITE_PATIENCE = 3
_POLL_S = 0.2


def await_fate(incident: str, current: Containment | None, clock: Callable[[], datetime]) -> None:
    """Nothing final may be said while a write of this incident may still come into effect.

    Raises:
        Retry: An attempt was begun, and no record says yet what became of it.
    """
    attempt = current.open_attempt if current else None
    if attempt is None or attempt.incident != incident:
        return
    if clock() - attempt.recorded_at < FATE:
        raise Retry(
            f"cannot close incident {incident}: a write to {attempt.changes[0].target} was begun"
            " and may still come into effect; a redelivery looks again"
        )


class Peers:
    """Other processes that were about to write to the workload; each is waited for once."""

    def __init__(self, custody: Custody, peer_wait: timedelta) -> None:
        """Wait in one run; ``peer_wait`` is how long a peer may be silent in any other step."""
        self._custody = custody
        self._patience = peer_wait * _WRITE_PATIENCE
        self._waited_for: set[int] = set()

    async def wait(self, current: Containment | None, settings: Settings) -> bool:
        """Whether another process was about to write, and has been waited for.

        A process that died is waited for once, and then its work is carried on.

        Raises:
            Retry: The store does not answer.
            GiveUp: A record cannot be read.
        """
        attempt = current.open_attempt if current else None
        if attempt is None or attempt.run == self._custody.run:
            return False
        age = max(self._custody.clock() - attempt.recorded_at, timedelta(0))
        left = (self._patience - age).total_seconds()
        if attempt.number in self._waited_for or left <= 0:
            return False
        self._waited_for.add(attempt.number)
        tick = asyncio.get_running_loop().time
        deadline = tick() + left
        while tick() < deadline:
            await asyncio.sleep(_POLL_S)
            history = (await self._custody.history()).of(settings)
            if history.current is None or history.current.open_attempt != attempt:
                break
        return True
