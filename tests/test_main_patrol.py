"""The second entry point, as it is deployed: the real process, called by a schedule."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx

from emulator.services.loopback import NO_TLS
from emulator.services.pubsub.push import push_of
from tests.support.environment import road
from tests.support.function_process import THEN, ListenedFunction
from tests.support.patrol import automatic, deploy


async def called(
    function: ListenedFunction, push: Any, count: int, method: str = "POST"
) -> tuple[int, list[Any]]:
    """How a push of the schedule's is answered, and the lines that are logged about it."""
    before = len(function.lines)
    async with httpx.AsyncClient(timeout=30, trust_env=False, verify=NO_TLS) as client:
        answer = await client.request(method, function.url, json=push)
    for _ in range(100):
        if len(function.lines) >= before + count:
            break
        await asyncio.sleep(0.02)
    return answer.status_code, function.entries[before:]


async def test_the_patrol_goes_its_round_and_says_what_it_found(tmp_path: Path) -> None:
    """Whatever the message says; acknowledged when it went, and not when the store is away."""
    async with road(tmp_path) as way:
        await way.deliver()
        await deploy(way, automatic)
        assert way.settings.emulator
        environment = {
            "RESPONDER_EMULATOR": way.settings.emulator.model_dump_json(),
            "RESPONDER_POLICY": way.settings.policy,
            "RESPONDER_STORE": way.settings.store,
        }
        async with ListenedFunction(environment, target="patrol") as function:
            bare: Any = push_of(b"", THEN)
            del bare["message"]["data"]
            # What the first round notes of the reversion, it lists; the second notes nothing.
            news = ["containment reverted", "case file sealed", "patrol ended"]
            for push, wanted in ((push_of(b"whatever", THEN), news), (bare, news[::2])):
                status, lines = await called(function, push, len(wanted))
                assert status // 100 == 2
                assert [line["message"] for line in lines] == wanted
            assert await called(function, None, 0, method="GET") == (405, [])
            (tmp_path / "store").rename(tmp_path / "away")
            (tmp_path / "store").touch()
            status, lines = await called(function, push, 1)
            assert status == 503
            assert [line["severity"] for line in lines] == ["ERROR"]
