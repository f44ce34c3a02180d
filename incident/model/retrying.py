"""Back-off between attempts and polling until something holds, with jitter. One for all."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

#: All pauses are multiplied by it: tests wait less, and as often.
SCALE = 1.0


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pauses that grow from attempt to attempt.

    Attributes:
        first_s: The longest first pause, in seconds.
        longest_s: No pause is longer.
        factor: How much longer each may be than the one before it.
        attempts: How often something is tried at most, where attempts are what bounds it.
    """

    first_s: float
    longest_s: float
    factor: float = 2.0
    attempts: int = 5

    async def pause(self, attempt: int) -> None:
        """Wait before an attempt, the first repetition being number 1.

        Jitter keeps processes that failed together from trying again together.
        """
        limit = min(self.longest_s, self.first_s * self.factor ** (attempt - 1))
        await asyncio.sleep(SCALE * random.uniform(limit / 2, limit))  # noqa: S311 - jitter

    async def retry(self, work: Callable[[], Awaitable[T]], on: type[Exception]) -> T:
        """Do work until it succeeds; the last of the attempts raises what it raises.

        Args:
            work: Starts the work, once per attempt.
            on: What is tried again; anything else is raised at once.
        """
        for attempt in range(1, self.attempts):
            try:
                return await work()
            except on:
                await self.pause(attempt)
        return await work()

    async def poll(self, check: Callable[[], Awaitable[bool]], limit_s: float) -> bool:
        """Ask until the answer is yes; False when time is up, also in the middle of asking."""
        attempt = 0
        try:
            async with asyncio.timeout(limit_s):
                while not await check():
                    attempt += 1
                    await self.pause(attempt)
        except TimeoutError:
            return False
        return True
