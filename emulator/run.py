"""The command `run`: one finding through the real function, in a small Google Cloud."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import functools
import json
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import click
from rich.console import Console

from emulator import deliver, live, policy_mode, pubsub_sdk, show, surroundings, world
from emulator.again import notify_again
from emulator.deliver import Delivery
from emulator.function import REPOSITORY, Function, FunctionFailed
from emulator.live import Say
from emulator.result import Result, aligned
from emulator.server import Emulator

_MODES = ("dry-run", "approve", "enforce")
_DEFAULT_POLICY = REPOSITORY / "deploy" / "policy.yaml"
_AFTER_THE_EVENT = dt.timedelta(seconds=5)
# What Pub/Sub takes as one message, in bytes.
_LARGEST = 10_000_000
# Where nobody's window is too narrow, hashes and links stand on one line, to be copied.
_PIPED_WIDTH = 120
_MOST_DELIVERIES = 500
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)

# The function looks hashes up at the emulated VirusTotal, which takes any key.
_FAKE_KEY = "emulator-takes-any-key"


class BadInput(click.ClickException):
    """Bad arguments or input: exit status 2."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Order:
    """What a run is to do.

    Attributes:
        data: The message's data, verbatim.
        world: The world to do it in.
        policy: The policy file, with the wanted mode.
        store: Folder for the case files.
        now: The time that the function believes it is when the message arrives.
        via: `http`, or `pubsub` for Google's own Pub/Sub emulator.
        deliveries: How many deliveries arrive at once.
        command: The command that would do the same once more, without `--mode` and in a new
            store.
        mode: The mode that the command asked for; None where the policy alone decides.
        source: File with the function's entry point.
    """

    data: bytes
    world: world.World
    policy: Path
    store: Path
    now: dt.datetime
    via: str
    deliveries: int
    command: tuple[str, ...]
    mode: str | None
    source: Path = REPOSITORY / "main.py"


def _python() -> str:
    """This interpreter as somebody in this folder would type it."""
    return (
        os.path.relpath(sys.executable)
        if Path(sys.executable).is_relative_to(Path.cwd())
        else sys.executable
    )


@click.command()
@click.argument("finding", type=_FILE)
@click.option("--world", "world_file", type=_FILE, help="The world; else one is made up.")
@click.option("--policy", type=_FILE, help="The policy; else deploy/policy.yaml.")
@click.option("--mode", type=click.Choice(_MODES), help="The policy's top-level mode, this once.")
@click.option("--store", type=click.Path(file_okay=False, path_type=Path), help="For case files.")
@click.option("--now", help="The time it is, RFC 3339; else 5 s after the event.")
@click.option("--via", type=click.Choice(("http", "pubsub")), default="http", show_default=True)
@click.option(
    "--deliveries",
    type=click.IntRange(1, _MOST_DELIVERIES),
    default=1,
    show_default=True,
    help="How often the message arrives, at once.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def run(  # noqa: PLR0913 - one per option
    finding: Path,
    *,
    world_file: Path | None,
    policy: Path | None,
    mode: str | None,
    store: Path | None,
    now: str | None,
    via: str,
    deliveries: int,
    as_json: bool,
) -> None:
    """Deliver a finding to the real function and show what it does.

    FINDING is a file with a notification of Security Command Center. The function runs as it is
    deployed, in a process of its own; the Google Cloud around it is emulated on this machine.

    The exit status is 0 when every delivery was answered as promised, 1 when the function
    failed, and 2 for bad arguments or input.
    """
    data = _message(finding, via)
    given = {
        "--world": world_file,
        "--policy": policy,
        "--now": now,
        "--via": via if via != "http" else None,
        "--deliveries": deliveries if deliveries > 1 else None,
    }
    options = [part for name, value in given.items() if value for part in (name, str(value))]
    with tempfile.TemporaryDirectory(prefix="emulator-run-") as folder:
        order = Order(
            data=data,
            world=_world(world_file, data, finding),
            policy=_policy(policy, mode, Path(folder)),
            now=_now(now, data),
            store=_store(store),
            via=via,
            deliveries=deliveries,
            command=(_python(), "-m", "emulator", "run", str(finding), *options),
            mode=mode,
        )
        with live.shown() as say:
            result = _finished(order, say)
    _print(result, as_json=as_json)
    sys.exit(1 if result.failures else 0)


async def carry_out(order: Order, say: Say = live.unseen) -> Result:
    """Starts everything, delivers the message, ends everything.

    Raises:
        FunctionFailed: The function did not start.
        PubSubFailed: Google's Pub/Sub emulator cannot be used.
    """
    via = "Google's Pub/Sub emulator and ours" if order.via == "pubsub" else "the emulator"
    say(f"starting {via}")
    async with _pubsub(order) as pubsub, Emulator(order.world) as emulator:
        say("starting the function")
        async with Function(_settings(order, emulator.environment), order.source) as function:
            seen = functools.partial(_seen, emulator, function)
            say(_delivering(order), seen)
            sent_at, deliveries = await _deliver(order, pubsub, function.url)
            say("waiting for the function's last words", seen)
            await function.told(len(deliveries))
            said = aligned(function.said, deliveries)
            say("delivering what our own writes notify of", seen)
            notified, endless = await notify_again(
                emulator.notifications,
                function,
                functools.partial(_push_again, order, pubsub, function.url),
            )
            died = not function.alive
            say("ending the function", seen)
    return Result(
        said=said,
        deliveries=deliveries,
        renotifications=notified,
        endless=endless,
        calls=tuple(emulator.calls),
        writes=tuple(emulator.writes),
        world=emulator.world.dump(),
        sent_at=sent_at,
        store=order.store,
        errors=function.errors,
        died=died,
        command=order.command,
        mode=order.mode,
    )


def _delivering(order: Order) -> str:
    if order.via == "pubsub":
        return "delivering through Google's Pub/Sub emulator"
    times = f"{order.deliveries} times at once" if order.deliveries > 1 else "once"
    return f"delivering the message {times}"


def _seen(emulator: Emulator, function: Function) -> str:
    """How far the function has got, as seen from here."""
    calls = emulator.calls
    last = f", the last one {show.clean(calls[-1].method.rpartition('/')[2])}" if calls else ""
    return f"{len(calls)} calls so far{last}; {len(function.said)} answered"


@contextlib.asynccontextmanager
async def _pubsub(order: Order) -> AsyncIterator[str]:
    """The address of Google's Pub/Sub emulator, empty where the run does not need it."""
    if order.via != "pubsub":
        yield ""
        return
    async with pubsub_sdk.running() as address:
        yield address


async def _deliver(order: Order, pubsub: str, url: str) -> tuple[float, tuple[Delivery, ...]]:
    """When the first delivery was sent, in seconds of `time.monotonic`, and all of them."""
    if pubsub:
        pushed = await pubsub_sdk.publish(pubsub, order.data, url, order.deliveries)
        return pushed.first_at, pushed.deliveries
    body = deliver.push_of(order.data, order.now)
    sent_at = time.monotonic()
    return sent_at, await deliver.push(url, body, order.deliveries)


async def _push_again(
    order: Order, pubsub: str, url: str, data: bytes, number: int
) -> tuple[Delivery, ...]:
    if pubsub:
        return (await pubsub_sdk.publish(pubsub, data, url, 1)).deliveries
    body = deliver.push_of(data, order.now, f"renotification-{number + 1}")
    return await deliver.push(url, body, 1)


def _settings(order: Order, environment: str) -> dict[str, str]:
    """The settings of the product for this run."""
    return {
        "RESPONDER_EMULATOR": environment,
        "RESPONDER_POLICY": str(order.policy),
        "RESPONDER_STORE": order.store.as_uri(),
        # The ceiling; how far the run goes is for the policy to say.
        "RESPONDER_MODE": "enforce",
        "RESPONDER_NOW": order.now.isoformat(),
        "VIRUSTOTAL_API_KEY": _FAKE_KEY,
    }


def _finished(order: Order, say: Say) -> Result:
    """The result of an order, with errors as the command line knows them."""
    try:
        return asyncio.run(_stoppable(order, say))
    except FunctionFailed as error:
        raise click.ClickException(show.clean_lines(str(error))) from error
    except pubsub_sdk.PubSubFailed as error:
        raise BadInput(show.clean_lines(str(error))) from error
    except asyncio.CancelledError as error:
        raise click.Abort from error


async def _stoppable(order: Order, say: Say) -> Result:
    """Carries out an order; a request to terminate ends it like Ctrl-C, with all it started."""
    task = asyncio.current_task()
    if task is not None and threading.current_thread() is threading.main_thread():
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await carry_out(order, say)


def _message(finding: Path, via: str) -> bytes:
    data = _content(finding, "the finding")
    if via == "pubsub" and len(data) > _LARGEST:
        raise BadInput(f"{finding}: {len(data)} bytes; Pub/Sub takes {_LARGEST} at most")
    return data


def _content(file: Path, what: str) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise BadInput(f"cannot read {what} {file}: {error.strerror}") from error


def _world(file: Path | None, data: bytes, finding: Path) -> world.World:
    try:
        if file is not None:
            return world.load(file)
        return world.parse(surroundings.around(data), source=f"the world made around {finding}")
    except world.BadWorld as error:
        raise BadInput(show.clean(error)) from error


def _policy(given: Path | None, mode: str | None, folder: Path) -> Path:
    """The policy file as given, or a copy of it with another mode."""
    policy = (given or _DEFAULT_POLICY).resolve()
    content = _content(policy, "the policy")
    if mode is None:
        return policy
    copy = folder / policy.name
    try:
        copy.write_bytes(policy_mode.with_mode(content, mode))
    except policy_mode.CannotSetMode as error:
        raise BadInput(f"cannot set --mode in {policy}: {error}") from error
    return copy


def _store(given: Path | None) -> Path:
    if given is None:
        return Path(tempfile.mkdtemp(prefix="case-files-")).resolve()
    try:
        given.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"cannot make the store {given}: {error.strerror}") from error
    return given.resolve()


def _now(given: str | None, data: bytes) -> dt.datetime:
    if given is None:
        event = surroundings.event_time(data)
        return event + _AFTER_THE_EVENT if event else dt.datetime.now(dt.UTC)
    try:
        moment = dt.datetime.fromisoformat(given)
    except ValueError as error:
        raise BadInput(f"--now: {error}; write a time such as 2026-10-02T08:14:12Z") from error
    if moment.tzinfo is None:
        raise BadInput("--now: the time has no zone; write one such as 2026-10-02T08:14:12Z")
    return moment.astimezone(dt.UTC)


def _print(result: Result, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(result.to_json(), indent=2, ensure_ascii=True))
        for failure in result.failures:
            click.echo(f"Error: {failure}", err=True)
        return
    console = Console(highlight=False, emoji=False)
    if console.is_terminal:
        console.print(show.report(result))
        return
    console.width = max(console.width, _PIPED_WIDTH)
    with console.capture() as captured:
        console.print(show.report(result))
    # Padding that only a terminal needs would be in the way of grep and diff.
    click.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))
