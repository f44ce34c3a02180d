"""Pub/Sub Publisher API: publish. Every well-formed topic exists."""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import Any

from google import pubsub_v1

from emulator.api.errors import invalid_argument
from emulator.services.gate import Method, method
from emulator.world.state import World

_TOPIC = re.compile(r"projects/[^/]+/topics/[A-Za-z][-\w.~+%]{2,254}")
_FIRST_ID = 1001


class Publisher:
    """The publishing side of Pub/Sub."""

    def __init__(self, world: World) -> None:
        self._world = world

    def methods(self) -> list[Method]:
        """The methods of `google.pubsub.v1.Publisher` that are there."""
        name = "/google.pubsub.v1.Publisher/Publish"
        return [method(name, pubsub_v1.PublishRequest, self.publish)]

    async def publish(self, request: pubsub_v1.PublishRequest) -> pubsub_v1.PublishResponse:
        """Adds messages to what was published and answers with their ids."""
        if not _TOPIC.fullmatch(request.topic):
            raise invalid_argument(f"Invalid [topics] name: (name={request.topic})")
        if not request.messages:
            raise invalid_argument("The value for message_count is too small. You passed 0.")
        if any(not message.data and not message.attributes for message in request.messages):
            raise invalid_argument("Some messages contain neither data nor attributes.")
        ids = [self._add(request.topic, message) for message in request.messages]
        return pubsub_v1.PublishResponse(message_ids=ids)

    def _add(self, topic: str, message: pubsub_v1.PubsubMessage) -> str:
        message_id = str(_FIRST_ID + len(self._world.published))
        entry = {
            "topic": topic,
            "data": decoded_data(message.data),
            "attributes": dict(message.attributes),
            "messageId": message_id,
        }
        self._world.published.append(entry)
        return message_id


def decoded_data(data: bytes) -> Any:
    """Data as it appears in the world: decoded if it is JSON, in base64 if it is anything else."""
    try:
        return json.loads(data.decode("utf-8"), parse_constant=_reject_constant)
    except (ValueError, RecursionError, binascii.Error):
        return base64.b64encode(data).decode()


def _reject_constant(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")
