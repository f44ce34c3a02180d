"""What a command is doing, live: on a terminal, after a while, and gone when it ends."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import os
import re
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from clients.call_progress import call_in_progress
from commands import cli, progress
from commands.progress import RunningCalls, continuous_text, progress_paused, progress_shown
from emulator.api.faults import Latency
from incident.report.terminal import escape_unprintable
from tests.support.constants import REPOSITORY, SERVICE
from tests.support.environment import ResponderEnvironment, policy_yaml, responder_environment
from tests.support.terminal import Terminal, open_terminal

# Every verb that a call begins with, and its continuous form.
VERBS = {
    "search": "searching",
    "ask": "asking",
    "cancel": "cancelling",
    "change": "changing",
    "connect": "connecting",
    "create": "creating",
    "link": "linking",
    "list": "listing",
    "look": "looking",
    "mark": "marking",
    "notify": "notifying",
    "publish": "publishing",
    "read": "reading",
    "test": "testing",
    "validate": "validating",
}


@pytest.fixture(autouse=True)
def _usual(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal of a kind that most people have."""
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


@contextlib.contextmanager
def terminal_as_stderr() -> Iterator[Terminal]:
    """A terminal as standard error; in the test itself, since pytest replaces it before."""
    with open_terminal() as screen, contextlib.redirect_stderr(screen.stream):
        yield screen


def prints(screen: Terminal, text: str) -> None:
    """A command prints something, and it has arrived."""
    screen.stream.write(text)
    screen.stream.flush()
    screen.wait_for(text.rstrip("\n"))


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes a second otherwise takes a twentieth."""
    monkeypatch.setattr(progress, "_DELAY_S", 0.05)


def timers() -> list[threading.Thread]:
    """What waits to show something."""
    return [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]


def verbs_in_use() -> set[str]:
    """The first words of all calls in the sources of the clients."""
    found = set()
    for path in (REPOSITORY / "clients").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            name = node.func.id if isinstance(node, ast.Call) and hasattr(node.func, "id") else ""
            if name in {"google_call", "call_in_progress"} and isinstance(node, ast.Call):
                (text, *_) = node.args
                if isinstance(text, ast.Constant):
                    found.add(str(text.value).partition(" ")[0])
    return found


@pytest.mark.parametrize(("verb", "continuous"), VERBS.items())
def test_a_call_is_shown_in_the_progressive_form(verb: str, continuous: str) -> None:
    """The verbs of errors serve here too."""
    assert continuous_text(f"{verb} the settings of", "x") == f"{continuous} the settings of x"
    assert continuous_text(verb, "x") == f"{continuous} x"


def test_every_verb_in_use_is_known_here() -> None:
    """Every verb of a remote call has a continuous form here."""
    assert verbs_in_use() <= set(VERBS)
    assert len(verbs_in_use()) > 8


@given(st.text(), st.text())
def test_any_name_makes_one_short_visible_line(what: str, on: str) -> None:
    """Names may be an attacker's."""
    line = continuous_text(what, on)
    assert line == escape_unprintable(line)
    assert len(continuous_text("read", on)) <= len("reading ") + 44


def test_of_a_long_name_the_end_is_kept() -> None:
    """It is where names differ."""
    line = continuous_text("read the settings of", SERVICE)
    assert line.startswith("reading the settings of …")
    assert line.endswith("europe-west1/services/storefront")


def test_the_line_is_about_the_call_that_is_waited_for_longest() -> None:
    """With its own seconds, and how many others there are; between calls, about the last one."""
    now = 100.0
    calls = RunningCalls(lambda: now)
    assert calls.line == "starting"
    first = calls.begin("read", "a")
    now += 3.4
    second = calls.begin("list", "b")
    assert calls.line == "reading a (3 s), and 1 more"
    first()
    assert calls.line == "listing b"
    second()
    assert calls.line == "after listing b"
    now += 2
    assert calls.line == "after listing b (2 s)"


def test_it_comes_after_a_second_and_is_gone_in_the_end() -> None:
    """A person sees what is waited for, and afterwards a screen as if nothing had been there."""
    begun = time.monotonic()
    with terminal_as_stderr() as screen:
        with progress_shown(), call_in_progress("read the settings of", SERVICE):
            screen.wait_for("\x1b")
            assert time.monotonic() - begun >= 1
            screen.wait_for("reading the settings of …")
            screen.wait_for("services/storefront (1 s)")
            assert not screen.hides_cursor
        prints(screen, "done\n")
    assert screen.screen == ["done"]
    assert not re.search(r"\x1b\[[0-9;]+m", screen.printed), "nobody asked for colours"


def test_a_quick_command_shows_nothing() -> None:
    """Not a byte."""
    with terminal_as_stderr() as screen, progress_shown(), call_in_progress("read", "x"):
        assert timers()
    assert screen.printed == ""


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_it_is_gone_after_an_error_too(error: type[BaseException]) -> None:
    """Also after Ctrl-C; and the error is the command's own."""

    def fail(screen: Terminal) -> None:
        with progress_shown(), call_in_progress("read", "the store"):
            screen.wait_for("reading the store")
            raise error

    with terminal_as_stderr() as screen:
        with pytest.raises(error):
            fail(screen)
        prints(screen, "Aborted!\n")
    assert screen.screen == ["Aborted!"]
    assert not screen.hides_cursor


@pytest.mark.usefixtures("impatient")
def test_the_progress_line_pauses_during_a_prompt() -> None:
    """Whatever work continues meanwhile; afterwards progress is shown again."""
    with terminal_as_stderr() as screen, progress_shown(), call_in_progress("read", "the logs"):
        screen.wait_for("reading the logs")
        with progress_paused():
            prints(screen, "Do this? [y/N]: ")
            assert screen.screen == ["Do this? [y/N]:"]
            before = screen.printed
            time.sleep(0.3)  # several times as long as it would take to come back
            assert screen.printed == before
            prints(screen, "y\n")
        with call_in_progress("change", "the service"):
            screen.wait_for(", and 1 more")
    assert screen.screen == ["Do this? [y/N]: y"]


def test_a_terminal_that_cannot_move_its_cursor_is_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`TERM=dumb` gets nothing that would have to be taken back."""
    monkeypatch.setenv("TERM", "dumb")
    with terminal_as_stderr() as screen, progress_shown(), call_in_progress("read", "the store"):
        assert not timers()
    assert screen.printed == ""


def test_a_pipe_gets_nothing_whatever_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Colours may be forced into a pipe, a moving line may not."""
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.setenv(name, "1")
    with progress_shown(), call_in_progress("read", "the store"):
        assert not timers()
    assert capfd.readouterr() == ("", "")


def slow(env: ResponderEnvironment, **seconds: float) -> None:
    """Some calls take long from now on."""
    env.emulator.world.latency = Latency(methods_s=seconds, reconcile_s=0.005)


def command_environment(env: ResponderEnvironment) -> dict[str, str]:
    """Environment of a command."""
    assert env.settings.emulator
    assert env.settings.now
    return {
        "RESPONDER_EMULATOR": env.settings.emulator.model_dump_json(),
        "RESPONDER_STORE": env.settings.store,
        "RESPONDER_POLICY": env.settings.policy,
        "RESPONDER_NOW": env.settings.now.isoformat(),
        "RESPONDER_PEER_WAIT": f"{env.settings.peer_wait.total_seconds():g}s",
    }


async def test_a_slow_command_prints_the_same_into_a_pipe(tmp_path: Path) -> None:
    """Byte for byte what it prints when it is quick, and nothing that moves a cursor."""
    async with responder_environment(tmp_path, store="gs://case-files") as env:
        incident = str((await env.deliver()).outcome.incident)

        async def reported(*arguments: str) -> tuple[int, bytes, bytes]:
            runner = CliRunner(env=command_environment(env))
            result = await asyncio.to_thread(runner.invoke, cli, arguments)
            return result.exit_code, result.stdout_bytes, result.stderr_bytes

        commands = (("list",), ("show", incident, "--json"))
        quick = [await reported(*arguments) for arguments in commands]
        slow(env, **{"storage.GET": 0.6})
        assert [await reported(*arguments) for arguments in commands] == quick
        for code, out, err in quick:
            assert (code, err) == (0, b"")
            assert incident.encode() in out
            assert not {*out} & {0x1B, 0x0D, 0x08}


async def test_a_person_sees_what_contain_waits_for(tmp_path: Path) -> None:
    """While it reads and while it writes, but not while it asks; the plan and the end stay."""
    async with responder_environment(tmp_path, policy_text=policy_yaml("approve")) as env:
        incident = str((await env.deliver()).outcome.incident)
        slow(env, GetService=1.3)
        with open_terminal() as there:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, str(REPOSITORY / "cli.py"), "contain", incident),
                cwd=REPOSITORY,
                env={"PATH": os.environ["PATH"], "TERM": "xterm", **command_environment(env)},
                stdin=there.stream,
                stdout=there.stream,
                stderr=there.stream,
            )
            await asyncio.to_thread(there.wait_for, "It will be offline. [y/N]: ")
            asked = there.screen
            reading = there.printed
            slow(env, UpdateService=1.3)
            there.type("y\n")
            code = await process.wait()
        assert "reading the settings of …" in reading
        assert not [line for line in asked if "reading" in line]
        assert asked[-1].endswith("It will be offline. [y/N]:")
        assert "changing …" in there.printed[len(reading) :]
        assert (code, there.screen[-1]) == (0, f"{incident} is contained")
        assert not [line for line in there.screen if "reading" in line or "changing" in line]
        assert not there.hides_cursor
