"""`python -m emulator serve`: the emulated services until stopped."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from pathlib import Path
from urllib.parse import urlsplit

import click

from emulator.server.emulator import Emulator
from emulator.services.security_center.notifications import Subscription
from emulator.world.state import BadWorld, World, load_world

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def _check_loopback(_: click.Context, option: click.Parameter, value: str | None) -> str | None:
    """An address on this machine: the emulator speaks to no other."""
    parts = urlsplit(value or "")
    if value and (parts.scheme != "http" or parts.hostname not in _LOOPBACK):
        raise click.BadParameter("write an address such as http://127.0.0.1:8080/", param=option)
    return value


@click.command()
@click.option(
    "--world",
    "path",
    type=click.Path(path_type=Path),
    help="What exists at first, as JSON. Nothing does if left out.",
)
@click.option(
    "--push",
    "endpoint",
    callback=_check_loopback,
    help="Where notifications of findings that were written to are pushed, on this machine.",
)
def serve(path: Path | None, endpoint: str | None) -> None:
    """Serve on free loopback ports until stopped, with Ctrl-C or SIGTERM.

    Prints one line when ready, the value of RESPONDER_EMULATOR:
    {"grpc": "127.0.0.1:PORT", "http": "127.0.0.1:PORT"}
    """
    try:
        world = load_world(path) if path else World()
    except BadWorld as error:
        raise click.UsageError(str(error)) from error
    asyncio.run(_serve(world, endpoint))


async def _serve(world: World, endpoint: str | None) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    async with contextlib.AsyncExitStack() as stack:
        emulator = await stack.enter_async_context(Emulator(world))
        if endpoint:
            await stack.enter_async_context(Subscription(emulator.notifications, endpoint))
        click.echo(emulator.environment)
        await stopped.wait()
