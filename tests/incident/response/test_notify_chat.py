"""Chat: a room is told once, and a room that cannot be told changes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from tests.support.chat_webhook import SECRET_PATH, receiving
from tests.support.environment import Road, policy, printed_by, road, sample, world_around

TOPIC = "projects/example-shop-prod/topics/outcomes"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clients.webhook._PAUSE_S", 0.01)


def told(way: Road) -> list[str]:
    """What the case file tells of the room."""
    kinds = ("notified", "not-notified")
    return [path for path in way.stored() if path.removesuffix(".json").endswith(kinds)]


@pytest.mark.parametrize(
    ("mode", "status"),
    [("enforce", "contained"), ("dry-run", "planned"), ("approve", "awaiting-approval")],
)
async def test_whatever_is_announced_is_sent_once(tmp_path: Path, mode: str, status: str) -> None:
    """Also of a dry run, since then nobody else does anything; never of a duplicate."""
    async with (
        receiving() as room,
        road(tmp_path, rules=policy(mode), webhook=SecretStr(room.url)) as way,
    ):
        assert [await way.status(), await way.status()] == [status, "duplicate"]
    (text,) = room.texts
    assert text.startswith(f"{status.upper()}: Execution: Modified Malicious Binary Executed")
    assert "service storefront in project example-shop-prod, europe-west1" in text
    assert ("before 2026-10-02 20:14:12 UTC" in text) is (status == "awaiting-approval")
    assert "case-files" in text or "/incidents/" in text or "/dry-runs/" in text


async def test_what_is_ignored_is_not_sent(tmp_path: Path) -> None:
    """It is none of our business."""
    async with receiving() as room, road(tmp_path, webhook=SecretStr(room.url)) as way:
        assert await way.status(sample("muted")) == "ignored"
    assert room.texts == []


@pytest.mark.parametrize("answer", [500, 404, None])
async def test_a_room_that_cannot_be_told_changes_nothing(
    tmp_path: Path, answer: int | None, nobody: int
) -> None:
    """One delivery, one containment, a gap and a warning that name the host and no more."""
    async with receiving(answer or 500) as room:
        url = room.url if answer else f"http://127.0.0.1:{nobody}{SECRET_PATH}"
        async with road(tmp_path, webhook=SecretStr(url), topic=TOPIC) as way:
            delivered, printed = await printed_by(way)
            assert delivered
            outcome: Any = delivered.outcome
            assert (outcome["status"], delivered.alarm) == ("contained", False)
            (gap,) = (gap for gap in outcome["gaps"] if gap["collector"] == "webhook")
            assert "webhook at 127.0.0.1" in gap["reason"]
            assert '"severity": "WARNING"' in printed
            assert [path[-17:] for path in told(way)] == ["not-notified.json"]
            posts = len(room.texts)
            assert await way.status() == "duplicate"
            assert (len(room.texts), len(way.containing)) == (posts, 1)
            everything = printed + str(way.stored()) + str(way.emulator.world.dump()["published"])
            assert "planted" not in everything.lower()


async def test_a_dry_run_that_cannot_be_told_is_a_warning_too(tmp_path: Path) -> None:
    """Though a plan by itself is no more than information."""
    async with (
        receiving(404) as room,
        road(tmp_path, rules=policy("dry-run"), webhook=SecretStr(room.url)) as way,
    ):
        _, printed = await printed_by(way)
    assert '"severity": "WARNING"' in printed


async def test_a_redelivery_sends_what_was_not_sent_and_nothing_twice(tmp_path: Path) -> None:
    """While the topic is away people are told already, and once."""
    fault = {"method": "Publish", "code": "INTERNAL", "times": 1}
    world = {**world_around(sample()), "faults": [fault]}
    async with (
        receiving() as room,
        road(tmp_path, world=world, webhook=SecretStr(room.url), topic=TOPIC) as way,
    ):
        assert [await way.status(), await way.status()] == ["retry", "contained"]
    assert len(room.texts) == 1


async def test_a_failure_is_not_tried_again_by_a_redelivery(tmp_path: Path) -> None:
    """It was tried as often as is good for the room, and its gap is told in the end."""
    fault = {"method": "Publish", "code": "INTERNAL", "times": 1}
    world = {**world_around(sample()), "faults": [fault]}
    async with (
        receiving(400, 200) as room,
        road(tmp_path, world=world, webhook=SecretStr(room.url), topic=TOPIC) as way,
    ):
        assert await way.status() == "retry"
        outcome: Any = (await way.deliver()).outcome
    assert outcome["status"] == "contained"
    assert [gap["collector"] for gap in outcome["gaps"]].count("webhook") == 1
    assert len(room.texts) == 1


async def test_hostile_text_of_a_finding_is_harmless_in_the_room(tmp_path: Path) -> None:
    """From the finding to the wire."""
    hostile = sample()
    path = "/srv/<!channel>*`\n<https://evil.example|x>\u202e"
    hostile["finding"]["processes"][0]["binary"]["path"] = path
    async with receiving() as room:
        url = SecretStr(room.url)
        async with road(tmp_path, notification=hostile, webhook=url) as way:
            assert await way.status() == "contained"
    (text,) = room.texts
    assert "Detected: /srv/‹!channel›∗ʼ ‹https[:]//evil[.]example¦x›�" in text  # noqa: RUF001
