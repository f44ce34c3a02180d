"""How many calls one after another an incident waits for: what is independent goes side by side."""

from __future__ import annotations

import time
from pathlib import Path

from incident.playbook.plan import compile_playbook
from incident.playbook.schema import shipped_playbook
from tests.support.constants import UPDATE_SERVICE
from tests.support.environment import responder_environment
from tests.support.findings import sample_notification
from tests.support.worlds import world_around

#: How long each call of Google takes: so long that the processor's time beside it counts little.
CALL_S = 1.0
#: After how many such calls the containing write may arrive, and after how many the last write.
CONTAINED_AFTER, LAST_WRITE_AFTER = 1.7, 4.3
OTHER_WRITES = ("UpdateSecurityMarks", "UpdateExternalSystem")


async def test_the_writes_wait_for_few_calls(tmp_path: Path) -> None:
    """The containing write for one round of reads; the others for its read-back."""
    compile_playbook(shipped_playbook())  # as a process does before its first event
    latency = {"default": f"{CALL_S * 1000:.0f}ms", "reconcile": "0ms"}
    world = world_around(sample_notification(), latency=latency)
    async with responder_environment(tmp_path, world=world) as env:
        await env.start_process()
        began = time.monotonic()
        assert await env.status() == "contained"
        rounds = [
            (call.method, (call.at - began) / CALL_S)
            for call in env.emulator.calls
            if call.method == UPDATE_SERVICE or call.method.endswith(OTHER_WRITES)
        ]
    (_, contained), (annotated, _), *_ = rounds
    assert annotated == UPDATE_SERVICE, rounds
    assert contained <= CONTAINED_AFTER, rounds
    assert len(rounds) == 4, rounds
    assert max(after for _, after in rounds) <= LAST_WRITE_AFTER, rounds
