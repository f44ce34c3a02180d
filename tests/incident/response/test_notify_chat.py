"""Chat notification: sent once; a failure blocks nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from tests.support.chat_webhook import SECRET_PATH, chat_room
from tests.support.constants import TOPIC
from tests.support.environment import (
    ResponderEnvironment,
    deliver_and_log,
    policy_yaml,
    responder_environment,
)
from tests.support.findings import sample_notification
from tests.support.worlds import world_around


@pytest.fixture(autouse=True)
def _short_timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clients.webhook._PAUSE_S", 0.01)


def chat_records(env: ResponderEnvironment) -> list[str]:
    """Records of chat notifications in the case file."""
    kinds = ("notified", "not-notified")
    return [path for path in env.stored_objects() if path.removesuffix(".json").endswith(kinds)]


@pytest.mark.parametrize(
    ("mode", "status"),
    [("enforce", "contained"), ("dry-run", "planned"), ("approve", "awaiting-approval")],
)
async def test_each_published_outcome_is_sent_once(tmp_path: Path, mode: str, status: str) -> None:
    """Also of a dry run, since then nobody else does anything; never of a duplicate."""
    async with (
        chat_room() as room,
        responder_environment(
            tmp_path, policy_text=policy_yaml(mode), webhook=SecretStr(room.url)
        ) as env,
    ):
        assert [await env.status(), await env.status()] == [status, "duplicate"]
    (text,) = room.texts
    assert text.startswith(
        f"SIMULATED {status.upper()}: Execution: Modified Malicious Binary Executed"
    )
    assert "storefront (service, example-shop-prod, europe-west1)" in text
    assert ("before 2026-10-02 20:14:12 UTC" in text) is (status == "awaiting-approval")
    assert "case-files" in text or "/incidents/" in text or "/dry-runs/" in text


async def test_slack_gets_blocks_and_google_chat_cards(tmp_path: Path) -> None:
    """As the setting says, where the host does not; a plan that waits has its command to copy."""
    for message_format in ("slack", "google-chat"):
        folder = tmp_path / message_format
        folder.mkdir()
        async with (
            chat_room() as room,
            responder_environment(
                folder,
                policy_text=policy_yaml("approve"),
                webhook=SecretStr(room.url),
                webhook_format=message_format,
                runbooks="https://git.example/runbooks",
            ) as env,
        ):
            assert await env.status() == "awaiting-approval"
        (body,) = room.bodies
        assert ("blocks" in body, "cardsV2" in body) == (
            message_format == "slack",
            message_format == "google-chat",
        )
        text = str(body)
        assert "cloud-run-responder approve 20261002-6255b37a8bf0" in text
        assert "https://git.example/runbooks/awaiting-approval.md" in text


async def test_an_ignored_finding_is_not_sent(tmp_path: Path) -> None:
    """It is not for the responder."""
    async with (
        chat_room() as room,
        responder_environment(tmp_path, webhook=SecretStr(room.url)) as env,
    ):
        assert await env.status(sample_notification("muted")) == "ignored"
    assert room.texts == []


@pytest.mark.parametrize("answer", [500, 404, None])
async def test_a_failing_chat_webhook_changes_nothing(
    tmp_path: Path, answer: int | None, unused_port: int
) -> None:
    """One delivery, one containment, a gap and a warning that name the host and no more."""
    async with chat_room(answer or 500) as room:
        url = room.url if answer else f"http://127.0.0.1:{unused_port}{SECRET_PATH}"
        async with responder_environment(tmp_path, webhook=SecretStr(url), topic=TOPIC) as env:
            delivered, printed = await deliver_and_log(env)
            assert delivered
            outcome: Any = delivered.outcome.to_json()
            assert (outcome["status"], delivered.alarm) == ("contained", False)
            (gap,) = (gap for gap in outcome["gaps"] if gap["collector"] == "webhook")
            assert "webhook at 127.0.0.1" in gap["reason"]
            assert '"severity": "WARNING"' in printed
            assert [path[-17:] for path in chat_records(env)] == ["not-notified.json"]
            posts = len(room.texts)
            assert await env.status() == "duplicate"
            assert (len(room.texts), len(env.containment_writes)) == (posts, 1)
            everything = (
                printed + str(env.stored_objects()) + str(env.emulator.world.dump()["published"])
            )
            assert "planted" not in everything.lower()


async def test_a_failing_chat_webhook_in_a_dry_run_is_a_warning(tmp_path: Path) -> None:
    """Though a plan by itself is no more than information."""
    async with (
        chat_room(404) as room,
        responder_environment(
            tmp_path, policy_text=policy_yaml("dry-run"), webhook=SecretStr(room.url)
        ) as env,
    ):
        _, printed = await deliver_and_log(env)
    assert '"severity": "WARNING"' in printed


async def test_a_redelivery_sends_what_was_not_sent_and_nothing_twice(tmp_path: Path) -> None:
    """The chat message is sent once even while the topic does not answer."""
    fault = {"method": "Publish", "code": "INTERNAL", "times": 1}
    world = {**world_around(sample_notification()), "faults": [fault]}
    async with (
        chat_room() as room,
        responder_environment(
            tmp_path, world=world, webhook=SecretStr(room.url), topic=TOPIC
        ) as env,
    ):
        assert [await env.status(), await env.status()] == ["retry", "contained"]
    assert len(room.texts) == 1


async def test_a_failure_is_not_tried_again_by_a_redelivery(tmp_path: Path) -> None:
    """A failed message is not retried without end, and the outcome has its gap."""
    fault = {"method": "Publish", "code": "INTERNAL", "times": 1}
    world = {**world_around(sample_notification()), "faults": [fault]}
    async with (
        chat_room(400, 200) as room,
        responder_environment(
            tmp_path, world=world, webhook=SecretStr(room.url), topic=TOPIC
        ) as env,
    ):
        assert await env.status() == "retry"
        outcome: Any = (await env.deliver()).outcome.to_json()
    assert outcome["status"] == "contained"
    assert [gap["collector"] for gap in outcome["gaps"]].count("webhook") == 1
    assert len(room.texts) == 1


async def test_hostile_text_of_a_finding_is_harmless_in_the_room(tmp_path: Path) -> None:
    """From the finding to the wire."""
    hostile = sample_notification()
    path = "/srv/<!channel>*`\n<https://evil.example|x>\u202e"
    hostile["finding"]["processes"][0]["binary"]["path"] = path
    async with chat_room() as room:
        url = SecretStr(room.url)
        async with responder_environment(tmp_path, notification=hostile, webhook=url) as env:
            assert await env.status() == "contained"
    (text,) = room.texts
    assert "Detected: /srv/‹!channel›∗ʼ ‹https[:]//evil[.]example¦x›�" in text  # noqa: RUF001
