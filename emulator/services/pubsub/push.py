"""Push a message over HTTP as Pub/Sub does."""

from __future__ import annotations

import asyncio
import base64
import datetime as dt
from dataclasses import dataclass

import httpx

from emulator.services.loopback import NO_TLS

SUBSCRIPTION = "projects/emulator/subscriptions/findings"
# Above the 240 s that the function takes at most for one incident.
PUSH_TIMEOUT_S = 300.0
_MESSAGE_ID = "1"
_RETRY = 503
_SUCCESS = range(200, 300)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One push and how it was answered.

    Attributes:
        http_status: The status; None where no answer came.
    """

    http_status: int | None

    @property
    def acknowledged(self) -> bool:
        """Whether Pub/Sub takes the answer as an acknowledgement."""
        return self.http_status in _SUCCESS

    @property
    def asks_retry(self) -> bool:
        """Whether the function asked to have the message again, as it promises to."""
        return self.http_status == _RETRY

    @property
    def is_ack_or_retry(self) -> bool:
        """Whether the answer is one of the two that the function may give."""
        return self.acknowledged or self.asks_retry


def push_body(
    data: bytes, published: dt.datetime, message_id: str = _MESSAGE_ID
) -> dict[str, object]:
    """The body of a raw push of a message.

    Args:
        data: The message's data, verbatim.
        published: When it was published.
        message_id: The id that Pub/Sub gave it.
    """
    time = published.astimezone(dt.UTC).isoformat(timespec="milliseconds")
    message = {
        "data": base64.b64encode(data).decode(),
        "messageId": message_id,
        "publishTime": time.replace("+00:00", "Z"),
        "attributes": {},
    }
    return {"message": message, "subscription": SUBSCRIPTION}


async def push_message(url: str, body: dict[str, object], times: int) -> tuple[Delivery, ...]:
    """Pushes one message so many times at once.

    Returns:
        The deliveries in the order in which they were answered.
    """
    answered: list[Delivery] = []
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(
        timeout=PUSH_TIMEOUT_S, limits=limits, trust_env=False, verify=NO_TLS
    ) as client:

        async def one() -> None:
            try:
                answer = await client.post(url, json=body)
            except httpx.HTTPError:
                answered.append(Delivery(None))
            else:
                answered.append(Delivery(answer.status_code))

        async with asyncio.TaskGroup() as group:
            for _ in range(times):
                group.create_task(one())
    return tuple(answered)
