"""Notifications of findings that were updated.

Security Command Center publishes every update of a finding, so that a client which writes to a
finding is notified of its own write. Event time and state of the finding stay.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import itertools
import json
from collections.abc import Callable
from types import TracebackType
from typing import Self

import httpx

from emulator.services.loopback import NO_TLS
from emulator.services.pubsub.push import PUSH_TIMEOUT_S, push_body
from emulator.world.document.world_parts import FindingEntry

_CONFIG_NAME = "notificationConfigs/emulator"
_GLOBAL = "global"
_SUCCESS = range(200, 300)
_ATTEMPTS = 20
_BACKOFF_S = 1.0


class Notifications:
    """The messages so far, in order, and who hears of each as it comes.

    Attributes:
        messages: Each as Pub/Sub would carry it.
        listeners: Called with every message, on the emulator's loop, before the write that
            caused it is answered.
    """

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.listeners: list[Callable[[bytes], None]] = []

    def add(self, entry: FindingEntry) -> None:
        """Notifies of a finding as it is now."""
        message = _message_data(entry)
        self.messages.append(message)
        for listen in self.listeners:
            listen(message)


class Subscription:
    """An async context manager that pushes notifications to an endpoint, as Pub/Sub does.

    What is not acknowledged is pushed again a second later, twenty times at most.

    Args:
        notifications: What is pushed.
        endpoint: Where to.
        backoff_s: How long to wait before a message is pushed again, in seconds.
    """

    def __init__(
        self, notifications: Notifications, endpoint: str, *, backoff_s: float = _BACKOFF_S
    ) -> None:
        self._notifications = notifications
        self._endpoint = endpoint
        self._backoff_s = backoff_s
        self._pushing: set[asyncio.Task[None]] = set()
        self._ids = itertools.count(1)

    async def __aenter__(self) -> Self:
        self._client = httpx.AsyncClient(timeout=PUSH_TIMEOUT_S, trust_env=False, verify=NO_TLS)
        self._notifications.listeners.append(self._begin)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._notifications.listeners.remove(self._begin)
        for task in self._pushing:
            task.cancel()
        await asyncio.gather(*self._pushing, return_exceptions=True)
        await self._client.aclose()

    def _begin(self, message: bytes) -> None:
        task = asyncio.get_running_loop().create_task(self._push(message))
        self._pushing.add(task)
        task.add_done_callback(self._pushing.discard)

    async def _push(self, message: bytes) -> None:
        identity = f"renotification-{next(self._ids)}"
        body = push_body(message, dt.datetime.now(dt.UTC), identity)
        for _ in range(_ATTEMPTS):
            try:
                answer = await self._client.post(self._endpoint, json=body)
            except httpx.HTTPError:
                pass
            else:
                if answer.status_code in _SUCCESS:
                    return
            await asyncio.sleep(self._backoff_s)


def _message_data(entry: FindingEntry) -> bytes:
    finding = entry.data["finding"]
    scope, _, rest = finding["name"].partition("/sources/")
    location = rest.partition("/locations/")[2].partition("/")[0] or _GLOBAL
    message = {
        "notificationConfigName": f"{scope}/locations/{location}/{_CONFIG_NAME}",
        "finding": finding,
        "resource": entry.data.get("resource", {}),
    }
    return json.dumps(message).encode()
