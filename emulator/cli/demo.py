"""`python -m emulator demo`: eight incidents to try the operator's commands on."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from pathlib import Path

import click

from emulator.cli import progress_line, terminal_text
from emulator.cli.run_arguments import BadInput
from emulator.runner.demo import Demo, DemoFolderTaken, run_demo
from emulator.runner.function_process import FunctionFailed


@click.command()
@click.option(
    "--store",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("demo"),
    show_default=True,
    help="Folder for case files, policy and exports. An earlier demo in it is replaced.",
)
def demo(folder: Path) -> None:
    """Make eight incidents in an emulated Google Cloud, and keep it up until stopped.

    The real function answers eight findings: three contained, one restricted, one that waits for
    approval, one held, one failed, one dry run; and a message that is no notification. Prints
    the exports for the operator's commands, which are also in the file env.sh of the folder. The
    time in there is fixed: 2026-10-02 08:21 UTC.

    Ctrl-C or SIGTERM ends it with exit status 0.
    """
    try:
        asyncio.run(_demo(folder.resolve()))
    except DemoFolderTaken as error:
        raise BadInput(f"{terminal_text.clean(error)}; name another folder with --store") from error
    except FunctionFailed as error:
        raise click.ClickException(terminal_text.clean_lines(str(error))) from error


async def _demo(folder: Path) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    async with contextlib.AsyncExitStack() as stack:
        with progress_line.progress_display() as report_progress:
            running = await stack.enter_async_context(run_demo(folder, report_progress))
        _print(running)
        await stopped.wait()


def _print(running: Demo) -> None:
    click.echo(running.exports, nl=False)
    click.echo(f"# SIMULATED incidents: {', '.join(running.statuses)}")
    click.echo("# In another terminal:")
    click.echo(f"#   source {running.exports_file}")
    click.echo("#   cloud-run-responder list")
    click.echo("# Ctrl-C here ends it.")
