"""A chat room's webhook: one post, a bounded number of attempts, and a secret address."""

from __future__ import annotations

import time

import pytest
from pydantic import SecretStr

from clients import webhook
from clients.webhook import Webhook
from incident.model import ChatFormat, ChatStyle, GiveUp, IncidentError, Retry
from tests.support.chat_webhook import NO_ANSWER, SECRET_PATH, ChatRoom, chat_room


def hook(room: ChatRoom) -> Webhook:
    """The client of a room."""
    return Webhook(SecretStr(room.url))


@pytest.fixture(autouse=True)
def _short_timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "_PAUSE_S", 0.01)


async def test_a_text_is_posted_as_both_rooms_take_it() -> None:
    """One key, as JSON: Google Chat refuses any that it does not know."""
    async with chat_room() as room:
        await hook(room).send({"text": "two\nlines, and ä"})
    assert room.bodies == [{"text": "two\nlines, and ä"}]
    assert room.requests == [f"POST {SECRET_PATH} HTTP/1.1"]


@pytest.mark.parametrize(
    ("host", "message_format"),
    [
        ("hooks.slack.com", ChatFormat.SLACK),
        ("hooks.slack-gov.com", ChatFormat.SLACK),
        ("chat.googleapis.com", ChatFormat.GOOGLE_CHAT),
        ("hooks.slack.com.evil.example", ChatFormat.TEXT),
        ("mattermost.example", ChatFormat.TEXT),
    ],
)
def test_the_host_tells_the_format_unless_a_setting_does(
    host: str, message_format: ChatFormat
) -> None:
    """A room whose service is not known gets plain text."""
    url = SecretStr(f"https://{host}/x")
    assert Webhook(url).style == ChatStyle(message_format)
    assert Webhook(url, ChatFormat.TEXT, "https://r").style == ChatStyle(
        ChatFormat.TEXT, "https://r"
    )


@pytest.mark.parametrize("passing", [429, 500, 503])
async def test_a_failing_host_is_retried(passing: int) -> None:
    """The second attempt is taken."""
    async with chat_room(passing, 200) as room:
        await hook(room).send({"text": "x"})
    assert room.texts == ["x", "x"]


@pytest.mark.parametrize(
    ("answer", "error", "attempts"),
    [(500, Retry, 3), (429, Retry, 3), (302, GiveUp, 1), (400, GiveUp, 1), (404, GiveUp, 1)],
)
async def test_a_refusal_names_the_host_only(
    answer: int, error: type[IncidentError], attempts: int
) -> None:
    """Never more than three attempts, no other host, and nothing of the address."""
    async with chat_room(answer) as room:
        with pytest.raises(error, match=rf"webhook at 127\.0\.0\.1: .*HTTP {answer}") as raised:
            await hook(room).send({"text": "x"})
    assert len(room.texts) == attempts
    assert_silent(raised.value)


async def test_an_unreachable_host_is_reported(
    monkeypatch: pytest.MonkeyPatch, unused_port: int
) -> None:
    """The library's own text contains the address and is never shown."""
    monkeypatch.setattr(webhook, "_ATTEMPTS", 2)
    room = ChatRoom((200,), url=f"http://127.0.0.1:{unused_port}{SECRET_PATH}")
    with pytest.raises(Retry, match="ConnectionError") as raised:
        await hook(room).send({"text": "x"})
    assert_silent(raised.value)


async def test_a_hanging_host_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long it would take."""
    monkeypatch.setattr(webhook, "_ANSWER_S", 0.1)
    monkeypatch.setattr(webhook, "_TOTAL_S", 0.15)
    began = time.monotonic()
    async with chat_room(NO_ANSWER) as room:
        with pytest.raises(Retry, match="it took longer than") as raised:
            await hook(room).send({"text": "x"})
    assert time.monotonic() - began < 2
    assert_silent(raised.value)


async def test_no_proxy_and_no_credentials_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The address is the whole of it."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9/")
    async with chat_room() as room:
        await hook(room).send({"text": "x"})
    assert room.texts == ["x"]


def assert_silent(error: BaseException | None) -> None:
    """No error in the chain has any of the address's secret part."""
    while error:
        assert "planted" not in f"{error} {error!r}".lower()
        error = error.__cause__ or error.__context__
