"""Pub/Sub publisher of outcomes."""

from __future__ import annotations

from collections.abc import Mapping

from google.pubsub_v1 import PublisherAsyncClient
from google.pubsub_v1.types import PublishRequest, PubsubMessage

from clients.errors import google_call
from clients.retries import PROMPT
from incident.model import GrantScope, Permission, TopicFormat

PUBLISH = Permission(
    "pubsub.topics.publish", GrantScope.TOPIC, "publishes the outcome of an incident"
)


class Topic:
    """One topic. Uses the generated client only: the batching one starts threads."""

    def __init__(
        self,
        client: PublisherAsyncClient,
        name: str,
        message_format: TopicFormat = TopicFormat.OUTCOME,
    ) -> None:
        self._client = client
        self.name = name
        self.format = message_format

    async def publish(self, data: bytes, attributes: Mapping[str, str]) -> None:
        """Publish one message.

        Raises:
            Retry: A transient failure.
            GiveUp: A permanent failure: no such topic, no permission.
        """
        message = PubsubMessage(data=data, attributes=dict(attributes))
        with google_call("publish the outcome to", self.name, PUBLISH):
            request = PublishRequest(topic=self.name, messages=[message])
            await self._client.publish(request, **PROMPT.options())
