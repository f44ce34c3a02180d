"""Pub/Sub: one message published, or why not; and clients that are made without a word."""

from __future__ import annotations

from typing import Any

import pytest

from clients import connect
from clients.retries import RetryPolicy
from clients.settings import Settings
from incident.model import Denied, GiveUp, Missing, Retry
from tests.clients.conftest import ConnectClients, ConnectedClients

TOPIC = "projects/security-tools/topics/outcomes"


def published(cloud: ConnectedClients) -> list[dict[str, Any]]:
    """What has arrived so far."""
    messages: Any = cloud.emulator.world.dump()["published"]
    return list(messages)


async def publish(cloud: ConnectedClients) -> None:
    """Announce something."""
    assert cloud.clients.topic
    await cloud.clients.topic.publish(b'{"status": "contained"}', {"status": "contained"})


async def test_a_message_arrives_as_it_was(connect_clients: ConnectClients) -> None:
    """Data and attributes, on the topic that is configured."""
    async with connect_clients({}, topic=TOPIC) as cloud:
        await publish(cloud)
        (message,) = published(cloud)
    assert message["topic"] == TOPIC
    assert message["data"] == {"status": "contained"}
    assert message["attributes"] == {"status": "contained"}


async def test_without_a_topic_there_is_nothing_to_publish_on(
    connect_clients: ConnectClients,
) -> None:
    """It is optional."""
    async with connect_clients({}) as cloud:
        assert cloud.clients.topic is None


@pytest.mark.parametrize(
    ("code", "error", "text"),
    [
        ("PERMISSION_DENIED", Denied, "permission pubsub.topics.publish is missing"),
        ("NOT_FOUND", Missing, "it does not exist"),
        ("INVALID_ARGUMENT", GiveUp, "Google refuses"),
        ("INTERNAL", Retry, "does not answer"),
    ],
)
async def test_a_message_that_cannot_be_published_says_why(
    connect_clients: ConnectClients, code: str, error: type[Exception], text: str
) -> None:
    """The message names the topic and what to grant."""
    world: dict[str, Any] = {"faults": [{"method": "Publish", "code": code}]}
    async with connect_clients(world, topic=TOPIC) as cloud:
        with pytest.raises(error, match=f"publish the outcome to {TOPIC}: .*{text}"):
            await publish(cloud)


async def test_a_short_outage_is_retried(connect_clients: ConnectClients) -> None:
    """The message is there in the end."""
    fault = {"method": "Publish", "code": "UNAVAILABLE", "times": 1}
    async with connect_clients({"faults": [fault]}, topic=TOPIC) as cloud:
        await publish(cloud)
        assert len(published(cloud)) == 1


async def test_connecting_makes_no_call(connect_clients: ConnectClients) -> None:
    """Clients are made without a call; the first is the first question."""
    async with connect_clients({}, topic=TOPIC) as cloud:
        again = await connect(cloud.settings)
        assert again.store.url == "gs://case-files/responder"
        assert cloud.emulator.calls == []


async def test_with_the_emulator_no_client_speaks_to_google(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every client has the loopback address, even one where nobody listens."""
    monkeypatch.setattr("clients.pubsub.PROMPT", RetryPolicy(attempt_s=2, total_s=0))
    settings = Settings.model_validate(
        {"emulator": {"grpc": "127.0.0.1:9", "http": "127.0.0.1:9"}, "topic": TOPIC}
    )
    clients = await connect(settings)
    assert clients.topic
    with pytest.raises(Retry, match=TOPIC):
        await clients.topic.publish(b"", {})
