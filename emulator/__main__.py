"""The command line: `python -m emulator serve` and `python -m emulator run`."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import click

from emulator.run import run
from emulator.server import Emulator
from emulator.world import BadWorld, World, load


@click.group()
def main() -> None:
    """A small Google Cloud for a laptop."""


main.add_command(run)


@main.command()
@click.option(
    "--world",
    "path",
    type=click.Path(path_type=Path),
    help="What exists at first, as JSON. Nothing does if left out.",
)
def serve(path: Path | None) -> None:
    """Serve on free loopback ports until stopped, with Ctrl-C or SIGTERM.

    Prints one line when ready, the value of RESPONDER_EMULATOR:
    {"grpc": "127.0.0.1:PORT", "http": "127.0.0.1:PORT"}
    """
    try:
        world = load(path) if path else World()
    except BadWorld as error:
        raise click.UsageError(str(error)) from error
    asyncio.run(_serve(world))


async def _serve(world: World) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    async with Emulator(world) as emulator:
        click.echo(emulator.environment)
        await stopped.wait()


if __name__ == "__main__":
    main(prog_name="python -m emulator")
