"""From the message to the write there are few calls: a reader can follow them."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import subprocess
import sys
from pathlib import Path

from tests.support.constants import REPOSITORY
from tests.support.environment import responder_environment
from tests.support.findings import encode

MOST_FRAMES = 12
#: Calls main.respond as functions-framework does, and prints the calls that lead to the first
#: write of Cloud Run's client: those of the waiting request's thread, of the task that waits for
#: the run, and of the run itself.
SCRIPT = """
import asyncio, sys, threading, traceback
import functions_framework
from clients.cloud_run import CloudRun

CALLER = threading.get_ident()
REPOSITORY, BODY = sys.argv[1:]
printed = []
write = CloudRun.write

async def traced(self, change, *, validate_only):
    if not validate_only and not printed:
        printed.append(change)
        mine = traceback.extract_stack()[:-1]
        waiting = [
            frame
            for task in asyncio.all_tasks() - {asyncio.current_task()}
            for frame in traceback.StackSummary.extract(
                (each, each.f_lineno) for each in task.get_stack()
            )
            if frame.name == "receive"
        ]
        caller = traceback.extract_stack(sys._current_frames()[CALLER])
        for frame in (*caller, *waiting, *mine):
            path = frame.filename.removeprefix(REPOSITORY + "/")
            if not path.startswith(("/", "<", ".venv")):
                print("FRAME", path, frame.name)
        print("FRAME", "clients/cloud_run.py", "write")
    return await write(self, change, validate_only=validate_only)

CloudRun.write = traced
app = functions_framework.create_app("respond", REPOSITORY + "/main.py", "cloudevent")
app.test_client().post("/", data=BODY, content_type="application/json")
"""


async def test_from_the_message_to_the_write_there_are_few_frames(tmp_path: Path) -> None:
    """main.respond and the client's write included."""
    async with responder_environment(tmp_path) as env:
        settings = env.settings
        assert settings.emulator
        assert settings.now
        environment = {
            **{name: value for name, value in os.environ.items() if "RESPONDER" not in name},
            "RESPONDER_EMULATOR": env.emulator.environment,
            "RESPONDER_STORE": settings.store,
            "RESPONDER_POLICY": str(settings.policy),
            "RESPONDER_MODE": "enforce",
            "RESPONDER_NOW": settings.now.isoformat(),
        }
        data = base64.b64encode(encode(env.notification)).decode()
        body = json.dumps({"message": {"messageId": "1", "data": data}, "subscription": "s"})
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-c", SCRIPT, str(REPOSITORY), body],
            cwd=REPOSITORY,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert env.containment_writes, done.stderr
    frames = [
        line.removeprefix("FRAME ") for line in done.stdout.splitlines() if line.startswith("FRAME")
    ]
    names = [frame.split()[1] for frame in frames]
    assert names[0] == "respond", frames
    assert names[-1] == "write", frames
    assert len(frames) <= MOST_FRAMES, "\n".join(frames)
