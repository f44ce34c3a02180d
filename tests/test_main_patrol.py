"""The second entry point, as it is deployed: the real process, called by a schedule."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx

from emulator.services.loopback import NO_TLS
from emulator.services.pubsub.push import push_body
from tests.support.constants import EVENT_TIME
from tests.support.environment import responder_environment
from tests.support.function_process import FunctionWithOutput
from tests.support.patrol import deploy, with_automatic_scaling


async def push_schedule(
    function: FunctionWithOutput, push: Any, count: int, method: str = "POST"
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


async def test_the_patrol_function_runs_once_and_logs_its_findings(tmp_path: Path) -> None:
    """Whatever the message says; acknowledged when it went, and not when the store is away."""
    async with responder_environment(tmp_path) as env:
        await env.deliver()
        await deploy(env, with_automatic_scaling)
        assert env.settings.emulator
        environment = {
            "RESPONDER_EMULATOR": env.settings.emulator.model_dump_json(),
            "RESPONDER_POLICY": env.settings.policy,
            "RESPONDER_STORE": env.settings.store,
        }
        async with FunctionWithOutput(environment, target="patrol") as function:
            bare: Any = push_body(b"", EVENT_TIME)
            del bare["message"]["data"]
            news = ["Containment reverted", "Patrol finished"]
            for push, wanted in ((push_body(b"whatever", EVENT_TIME), news), (bare, news)):
                status, lines = await push_schedule(function, push, len(wanted))
                assert status // 100 == 2
                assert [line["message"] for line in lines] == wanted
            assert await push_schedule(function, None, 0, method="GET") == (405, [])
            (tmp_path / "store").rename(tmp_path / "away")
            (tmp_path / "store").touch()
            status, lines = await push_schedule(function, push, 1)
            assert status == 503
            assert [line["severity"] for line in lines] == ["ERROR"]
