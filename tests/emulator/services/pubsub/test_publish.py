"""Publishing messages."""

from __future__ import annotations

import pytest
from google import pubsub_v1
from google.api_core import exceptions

from emulator.world.state import parse_world
from tests.support.constants import PROJECT_ID
from tests.support.google_clients import GoogleClients

TOPIC = f"projects/{PROJECT_ID}/topics/incidents"


async def test_what_was_published_shows_in_the_world(google: GoogleClients) -> None:
    """JSON appears decoded, anything else in base64, each with the id that was answered."""
    messages = [
        pubsub_v1.PubsubMessage(data=b'{"status": "contained"}', attributes={"a": "b"}),
        pubsub_v1.PubsubMessage(data=b"\xff\x00"),
        pubsub_v1.PubsubMessage(attributes={"only": "attributes"}),
        pubsub_v1.PubsubMessage(data=b"NaN"),
    ]
    answer = await google.publisher.publish(topic=TOPIC, messages=messages)
    first, second, third, fourth = google.emulator.world.published
    assert first == {
        "topic": TOPIC,
        "data": {"status": "contained"},
        "attributes": {"a": "b"},
        "messageId": answer.message_ids[0],
    }
    assert second["data"] == "/wA="
    assert third["data"] == ""
    assert fourth["data"] == "TmFO"
    assert len(set(answer.message_ids)) == 4


async def test_what_was_published_is_kept_by_a_reloaded_world(google: GoogleClients) -> None:
    """A printed world continues where it ended, with new ids."""
    message = pubsub_v1.PubsubMessage(data=b"1")
    await google.publisher.publish(topic=TOPIC, messages=[message])
    again = parse_world(google.emulator.world.dump(), source="dump")
    assert again.published == google.emulator.world.published


async def test_publishing_is_a_call_but_no_write(google: GoogleClients) -> None:
    """Announcements are not changes of anything; they are seen in the world."""
    message = pubsub_v1.PubsubMessage(data=b"1")
    await google.publisher.publish(topic=TOPIC, messages=[message])
    assert [call.method for call in google.emulator.calls] == [
        "/google.pubsub.v1.Publisher/Publish"
    ]
    assert not google.emulator.writes


@pytest.mark.parametrize(
    ("topic", "messages"),
    [
        ("incidents", [pubsub_v1.PubsubMessage(data=b"1")]),
        (f"projects/{PROJECT_ID}/topics/ab", [pubsub_v1.PubsubMessage(data=b"1")]),
        (TOPIC, []),
        (TOPIC, [pubsub_v1.PubsubMessage()]),
    ],
)
async def test_what_cannot_be_published_is_refused(
    topic: str, messages: list[pubsub_v1.PubsubMessage], google: GoogleClients
) -> None:
    """A name that is no topic, no messages, an empty message."""
    with pytest.raises(exceptions.InvalidArgument):
        await google.publisher.publish(topic=topic, messages=messages)
    assert not google.emulator.world.published
