"""A demonstration: a world, a store, and eight incidents that the real function answered."""

from __future__ import annotations

import contextlib
import datetime as dt
import shlex
import shutil
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import grpc

from emulator.api.faults import Fault, Faults
from emulator.runner.demo_incidents import INCIDENTS, NOT_A_NOTIFICATION, POLICY, demo_world
from emulator.runner.function_process import REPOSITORY, FunctionFailed, FunctionProcess
from emulator.runner.run_request import ReportProgress
from emulator.server.emulator import Emulator
from emulator.services.pubsub import push
from emulator.world.state import parse_world

_SAMPLES = REPOSITORY / "tests" / "samples"
_STARTED_AT = dt.datetime(2026, 10, 2, 8, 20, tzinfo=dt.UTC)
#: What a demonstration writes, and the next one in the same folder replaces.
_STORE, _POLICY, _EXPORTS = "case-files", "policy.yaml", "env.sh"
_KEY = "demo"


class DemoFolderTaken(Exception):  # noqa: N818 - named for what happened
    """The folder holds something that no demonstration wrote."""


@dataclass(frozen=True, slots=True)
class Demo:
    """A demonstration that is running.

    Attributes:
        exports: Shell lines that set the environment of the operator's commands.
        exports_file: The file that has them.
        statuses: The status of each incident, in the order of the events.
    """

    exports: str
    exports_file: Path
    statuses: tuple[str, ...]


@contextlib.asynccontextmanager
async def run_demo(folder: Path, report_progress: ReportProgress) -> AsyncIterator[Demo]:
    """Starts the emulator and has the function answer all findings; serves while it is entered.

    Args:
        folder: Where the store, the policy and the exports go.
        report_progress: Called with each phase as it begins.

    Raises:
        DemoFolderTaken: The folder holds something else.
        FunctionFailed: The function did not start, or did not answer.
    """
    _clear(folder)
    policy, store = folder / _POLICY, folder / _STORE
    policy.write_text(POLICY, encoding="utf-8")
    notifications = [incident.notification(_SAMPLES) for incident in INCIDENTS]
    world = parse_world(demo_world(notifications), source="the world of the demonstration")
    async with Emulator(world) as emulator:
        settings = {
            "RESPONDER_EMULATOR": emulator.environment,
            "RESPONDER_STORE": store.as_uri(),
            "RESPONDER_POLICY": str(policy),
            "RESPONDER_MODE": "enforce",
            "RESPONDER_NOW": _STARTED_AT.isoformat(),
            "RESPONDER_REDACTION_KEY": _KEY,
            "VIRUSTOTAL_API_KEY": "emulator-takes-any-key",
        }
        began = time.monotonic()
        statuses = await _answer_all(emulator, settings, notifications, report_progress)
        passed = dt.timedelta(minutes=1 + int((time.monotonic() - began) // 60))
        settings["RESPONDER_NOW"] = (_STARTED_AT + passed).isoformat()
        exports = _exports(settings)
        (folder / _EXPORTS).write_text(exports, encoding="utf-8")
        yield Demo(exports, folder / _EXPORTS, statuses)


def _clear(folder: Path) -> None:
    """Makes the folder, or takes an earlier demonstration out of it."""
    folder.mkdir(parents=True, exist_ok=True)
    others = {path.name for path in folder.iterdir()} - {_STORE, _POLICY, _EXPORTS}
    if others:
        raise DemoFolderTaken(f"{folder} holds {min(others)}, which is not of a demo")
    shutil.rmtree(folder / _STORE, ignore_errors=True)
    for name in (_POLICY, _EXPORTS):
        (folder / name).unlink(missing_ok=True)


async def _answer_all(
    emulator: Emulator,
    settings: dict[str, str],
    notifications: list[bytes],
    report_progress: ReportProgress,
) -> tuple[str, ...]:
    """Has the function answer one finding after the other, and a message that is none."""
    report_progress("starting the function")
    async with FunctionProcess(settings) as function:
        for number, data in enumerate(notifications):
            report_progress(f"answering finding {number + 1} of {len(notifications)}")
            refusal = Fault("UpdateService", grpc.StatusCode.PERMISSION_DENIED)
            emulator.world.faults = Faults((refusal,) if INCIDENTS[number].refused else ())
            await _deliver(function, data, number)
        emulator.world.faults = Faults()
        await _deliver(function, NOT_A_NOTIFICATION, len(notifications))
        outcomes = [entry.outcome or {} for entry in function.logged_outcomes]
    return tuple(str(outcome.get("status", "retry")) for outcome in outcomes)


async def _deliver(function: FunctionProcess, data: bytes, number: int) -> None:
    body = push.push_body(data, _STARTED_AT, f"demo-{number}")
    (delivery,) = await push.push_message(function.url, body, 1)
    await function.wait_for_outcomes(number + 1)
    if not delivery.acknowledged:
        lines = "\n".join(function.errors)
        raise FunctionFailed(f"the function did not answer finding {number + 1}:\n{lines}")


def _exports(settings: dict[str, str]) -> str:
    """The environment for a shell, with the installed command on the path."""
    folder = Path(sys.executable).parent
    lines = [f"export {name}={shlex.quote(value)}" for name, value in settings.items()]
    return "\n".join((*lines, f'export PATH={shlex.quote(str(folder))}:"$PATH"')) + "\n"
