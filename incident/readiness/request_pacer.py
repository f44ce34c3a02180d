"""Pace the requests of a preflight, to leave quota for deployments and containments."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from incident.model import Retry, Workload

T = TypeVar("T")


class RequestPacer:
    """Limits the rate of requests to Google.

    Cloud Run's quota is 60 writes per minute for each project and region, validate-only writes
    included. Half of it is left for deployments and containments.
    """

    def __init__(
        self,
        interval_s: float = 2.0,
        pauses_s: tuple[float, ...] = (2.0, 15.0, 45.0),
        at_once: int = 8,
    ) -> None:
        """Set the rate.

        Args:
            interval_s: Seconds between two writes in one project and region.
            pauses_s: Pauses before each retry, in seconds. Together they exceed the minute after
                which a quota is available again.
            at_once: How many workloads are checked concurrently.
        """
        self._interval_s = interval_s
        self._pauses_s = pauses_s
        self._next: dict[tuple[str, str], float] = {}
        self.concurrency = asyncio.Semaphore(at_once)

    async def wait_turn(self, workload: Workload) -> None:
        """Wait until the next write to the workload's project and region is allowed."""
        key = (workload.project, workload.location)
        now = asyncio.get_running_loop().time()
        at = max(now, self._next.get(key, now))
        self._next[key] = at + self._interval_s
        if at > now:
            await asyncio.sleep(at - now)

    async def with_retries(self, call: Callable[[], Awaitable[T]]) -> T:
        """Make a call, and retry transient faults after pauses.

        Raises:
            Retry: The fault persists.
            GiveUp: The fault is permanent.
        """
        for pause in self._pauses_s:
            try:
                return await call()
            except Retry:
                await asyncio.sleep(pause)
        return await call()
