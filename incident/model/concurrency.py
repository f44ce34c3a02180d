"""Awaitables side by side, of which none goes on when one has failed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any


async def gather_all(*awaitables: Awaitable[Any]) -> list[Any]:
    """The results in order, or the first failure once all the others have ended.

    ``asyncio.gather`` would leave the others running behind an answer that is already out,
    and a task group would wrap the failure, whose type says what to do about it.
    """
    tasks = [asyncio.ensure_future(awaitable) for awaitable in awaitables]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
