"""Ctrl-C in commands: exit status, message, and what the store and later commands say."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from commands import cli
from commands.interrupt import WriteAttempt
from emulator.services.gate import CallPoint
from tests.commands.test_progress import command_environment, slow
from tests.support.constants import REPOSITORY, SERVICE, UPDATE_SERVICE
from tests.support.environment import ResponderEnvironment, policy_yaml, responder_environment
from tests.support.forked_process import start_process
from tests.support.terminal import open_terminal
from tests.test_cli import restorable_fields

GET_SERVICE = "/google.cloud.run.v2.Services/GetService"
UNCHANGED = "Interrupted. This command changed no workload."
CHANGED = f"Interrupted. {SERVICE} may be changed already."


@dataclass
class Interruption:
    """Sends SIGINT to a command at one point of its calls. A ``Hook``.

    Attributes:
        phase: Before the call is handled, or after its effect and before its answer.
        method: The call's method.
        after_write: Whether only calls after a write count.
        skipped: How many calls of the method to let pass: a release validates its write first.
    """

    phase: str
    method: str
    after_write: bool = False
    skipped: int = 0
    pid: int = 0
    sent: bool = False
    _written: bool = field(default=False, init=False)

    def __call__(self, point: CallPoint) -> None:
        """Send the signal if this is the call."""
        if not self.pid or self.sent:
            return
        if (point.phase, point.method) == (self.phase, self.method) and (
            self._written or not self.after_write
        ):
            if self.skipped:
                self.skipped -= 1
                return
            self.sent = True
            os.kill(self.pid, signal.SIGINT)
        self._written |= (point.phase, point.method) == ("after", UPDATE_SERVICE)


async def interrupted(
    env: ResponderEnvironment, at: Interruption, *arguments: str
) -> tuple[int, str, str]:
    """Run a command that is interrupted; its exit status, output and errors."""
    command = (sys.executable, str(REPOSITORY / "cli.py"), *arguments)
    environment = {"PATH": os.environ["PATH"], **command_environment(env)}
    process = await start_process(command, environment, REPOSITORY)
    at.pid = process.pid
    assert process.stdout
    assert process.stderr
    out, err = await asyncio.gather(process.stdout.read(), process.stderr.read())
    code = await process.wait()
    at.pid = 0
    assert at.sent
    return code, out.decode(), err.decode()


async def run(env: ResponderEnvironment, *arguments: str) -> tuple[int, str, str]:
    """Run a command to its end, in this process."""
    runner = CliRunner(env=command_environment(env))
    result = await asyncio.to_thread(runner.invoke, cli, arguments)
    return result.exit_code, result.stdout, result.stderr


async def open_attempts(env: ResponderEnvironment, *options: str) -> list[Any]:
    """What `list` says about open attempts; `show` says the same."""
    _, out, _ = await run(env, "list", "--json", *options)
    rows = json.loads(out)
    for row in rows:
        _, shown, _ = await run(env, "show", row["incident"], "--json")
        assert json.loads(shown)["open_attempt"] == row["open_attempt"]
    return [row["open_attempt"] for row in rows]


async def checked_states(env: ResponderEnvironment) -> list[str]:
    """What `patrol` finds at containments."""
    _, out, err = await run(env, "patrol", "--json")
    assert not err
    return [check["state"] for check in json.loads(out)["containments"]]


@pytest.mark.parametrize(
    ("command", "at"),
    [
        ("approve", Interruption("before", UPDATE_SERVICE)),
        ("contain", Interruption("after", UPDATE_SERVICE)),
        ("approve", Interruption("before", GET_SERVICE, after_write=True)),
    ],
    ids=["write-sent", "write-done", "read-back"],
)
async def test_an_interrupted_containment_is_reported_and_finished(
    tmp_path: Path, command: str, at: Interruption
) -> None:
    """The message names the finishing command; list, show and patrol know the attempt."""
    async with responder_environment(tmp_path, policy_text=policy_yaml("approve"), hook=at) as env:
        incident = str((await env.deliver()).outcome.incident)
        before = restorable_fields(env)
        code, _, err = await interrupted(env, at, command, incident, "--yes")
        assert code == 130, err
        assert CHANGED in err
        assert f"To finish: cloud-run-responder {command} {incident}." in err
        assert f"To undo: cloud-run-responder release {incident}." in err
        (attempt,) = await open_attempts(env)
        assert (attempt["command"], attempt["workload_may_be_changed"]) == ("approve", True)
        assert await checked_states(env) == ["attempt-open"]
        code, _, err = await run(env, command, incident, "--yes")
        assert code == 0, err
        assert await open_attempts(env) == [None]
        assert len(env.containment_writes) == 1
        code, _, err = await run(env, "release", incident, "--yes")
        assert code == 0, err
        assert restorable_fields(env) == before


async def test_an_interrupted_approval_is_undone_by_release(tmp_path: Path) -> None:
    """The undo command that the message names works without finishing first."""
    at = Interruption("after", UPDATE_SERVICE)
    async with responder_environment(tmp_path, policy_text=policy_yaml("approve"), hook=at) as env:
        incident = str((await env.deliver()).outcome.incident)
        before = restorable_fields(env)
        code, _, err = await interrupted(env, at, "approve", incident, "--yes")
        assert code == 130, err
        # The interrupted command keeps the workload to itself for a minute or two.
        code, _, err = await run(env.later(600), "release", incident, "--yes")
        assert code == 0, err
        assert restorable_fields(env) == before


@pytest.mark.parametrize("command", ["approve", "contain", "release", "drill"])
async def test_a_command_interrupted_before_its_write_changed_nothing(
    tmp_path: Path, command: str
) -> None:
    """It says so, and the same command works afterwards."""
    at = Interruption("before", GET_SERVICE)
    mode = "enforce" if command in ("release", "drill") else "approve"
    async with responder_environment(tmp_path, policy_text=policy_yaml(mode), hook=at) as env:
        target = SERVICE if command == "drill" else str((await env.deliver()).outcome.incident)
        before, writes = restorable_fields(env), len(env.emulator.writes)
        code, _, err = await interrupted(env, at, command, target, "--yes")
        assert code == 130, err
        assert UNCHANGED in err
        assert (restorable_fields(env), len(env.emulator.writes)) == (before, writes)
        code, _, err = await run(env, command, target, "--yes")
        assert code == 0, err


async def test_an_interrupted_release_is_reported_and_finished(tmp_path: Path) -> None:
    """list, show and patrol know of it, and the next release finishes it."""
    at = Interruption("after", UPDATE_SERVICE, skipped=1)
    async with responder_environment(tmp_path, hook=at) as env:
        before = restorable_fields(env)
        incident = str((await env.deliver()).outcome.incident)
        code, out, err = await interrupted(env, at, "release", incident, "--yes", "--json")
        assert code == 130, err
        assert CHANGED in err
        assert f"To finish: cloud-run-responder release {incident}." in err
        reported = json.loads(out)
        assert (reported["result"], CHANGED in reported["error"]) == ("interrupted", True)
        (attempt,) = await open_attempts(env)
        assert (attempt["command"], attempt["workload_may_be_changed"]) == ("release", True)
        assert await checked_states(env) == ["releasing"]
        code, _, err = await run(env, "release", incident, "--yes")
        assert code == 0, err
        assert await open_attempts(env) == [None]
        assert restorable_fields(env) == before


async def test_an_interrupted_drill_is_reported_and_released(tmp_path: Path) -> None:
    """The message names the release by the drill's id; list and patrol know of the drill."""
    at = Interruption("after", UPDATE_SERVICE)
    async with responder_environment(tmp_path, hook=at) as env:
        before = restorable_fields(env)
        code, _, err = await interrupted(env, at, "drill", SERVICE, "--yes")
        assert code == 130, err
        assert CHANGED in err
        (attempt,) = await open_attempts(env, "--drills")
        assert (attempt["command"], attempt["workload_may_be_changed"]) == ("drill", True)
        assert await checked_states(env) == ["attempt-open"]
        undo = err.rpartition("To undo: cloud-run-responder ")[2].strip().rstrip(".")
        code, _, err = await run(env.later(600), *undo.split(), "--yes")
        assert code == 0, err
        assert restorable_fields(env) == before


async def test_the_first_ctrl_c_ends_a_question(tmp_path: Path) -> None:
    """One SIGINT at the question is enough."""
    async with responder_environment(tmp_path, policy_text=policy_yaml("approve")) as env:
        incident = str((await env.deliver()).outcome.incident)
        with open_terminal() as there:
            process = await asyncio.create_subprocess_exec(
                *_fresh_command("contain", incident),
                cwd=REPOSITORY,
                env={"PATH": os.environ["PATH"], "TERM": "xterm", **command_environment(env)},
                stdin=there.stream,
                stdout=there.stream,
                stderr=there.stream,
            )
            await asyncio.to_thread(there.wait_for, "It will be offline. [y/N]: ")
            process.send_signal(signal.SIGINT)
            code = await process.wait()
        assert (code, there.screen[-1]) == (130, UNCHANGED)
        assert env.containment_writes == []


async def test_a_drill_asks_without_a_progress_line(tmp_path: Path) -> None:
    """The question stays on the screen, and no progress line is beside it."""
    async with responder_environment(tmp_path) as env:
        slow(env, GetService=1.3)
        with open_terminal() as there:
            process = await asyncio.create_subprocess_exec(
                *_fresh_command("drill", SERVICE),
                cwd=REPOSITORY,
                env={"PATH": os.environ["PATH"], "TERM": "xterm", **command_environment(env)},
                stdin=there.stream,
                stdout=there.stream,
                stderr=there.stream,
            )
            await asyncio.to_thread(there.wait_for, "Type its name: ")
            assert "reading the settings of …" in there.printed
            asked = there.screen
            there.type("another\n")
            code = await process.wait()
        assert code == 1
        assert asked[-1].endswith("Type its name:")
        assert not [line for line in asked if "reading" in line]
        assert any("Type its name" in line for line in there.screen)
        assert env.containment_writes == []


async def test_ctrl_c_counts_while_the_commands_are_imported(tmp_path: Path) -> None:
    """Before anything could be written the message says so, without a traceback."""
    shutil.copy(REPOSITORY / "cli.py", tmp_path)
    (tmp_path / "commands").mkdir()
    (tmp_path / "commands" / "__init__.py").write_text(
        "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n"
    )
    process = await asyncio.create_subprocess_exec(
        *_fresh_command("list", script=tmp_path / "cli.py"), stderr=asyncio.subprocess.PIPE
    )
    _, err = await process.communicate()
    assert (process.returncode, err.decode().strip()) == (130, UNCHANGED)


def _fresh_command(*arguments: str, script: Path = REPOSITORY / "cli.py") -> tuple[str, ...]:
    """A command that handles SIGINT although the tests may run where it is ignored."""
    code = (
        "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL);"
        " os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    )
    return (sys.executable, "-c", code, str(script), *arguments)


def test_the_message_names_only_what_was_written() -> None:
    """Reads and validations change nothing; a finished command says what it did."""
    attempt = WriteAttempt("finish it", "undo it")
    attempt.observe("read the settings of", "services/a")()
    attempt.observe("validate a change of", "services/a")()
    assert attempt.text == UNCHANGED
    attempt.observe("change", "services/a")()
    attempt.observe("change the IAM policy of", "services/a")()
    assert attempt.text == (
        "Interrupted. services/a may be changed already. To finish: finish it. To undo: undo it."
    )
    attempt.result = "20261002-000000000000 is contained"
    assert attempt.text == (
        "Interrupted after the work was done: 20261002-000000000000 is contained."
    )
