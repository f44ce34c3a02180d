"""The command `run`: one finding through the real function, in a small Google Cloud."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import tempfile
import threading
from pathlib import Path

import click
from rich.console import Console

from emulator.cli import progress_line, run_report, terminal_text
from emulator.cli.run_arguments import (
    BadInput,
    message,
    moment_of,
    policy_file,
    store_folder,
    world_of,
)
from emulator.runner.function_process import FunctionFailed
from emulator.runner.pubsub_emulator import PubSubFailed
from emulator.runner.run_finding import carry_out
from emulator.runner.run_request import Order, Say
from emulator.runner.run_result import Result

_MODES = ("dry-run", "approve", "enforce")
# Where nobody's window is too narrow, hashes and links stand on one line, to be copied.
_PIPED_WIDTH = 120
_MOST_DELIVERIES = 500
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


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
    data = message(finding, via)
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
            world=world_of(world_file, data, finding),
            policy=policy_file(policy, mode, Path(folder)),
            now=moment_of(now, data),
            store=store_folder(store),
            via=via,
            deliveries=deliveries,
            command=(_python(), "-m", "emulator", "run", str(finding), *options),
            mode=mode,
        )
        with progress_line.shown() as say:
            result = _finished(order, say)
    _print(result, as_json=as_json)
    sys.exit(1 if result.failures else 0)


def _finished(order: Order, say: Say) -> Result:
    """The result of an order, with errors as the command line knows them."""
    try:
        return asyncio.run(_stoppable(order, say))
    except FunctionFailed as error:
        raise click.ClickException(terminal_text.clean_lines(str(error))) from error
    except PubSubFailed as error:
        raise BadInput(terminal_text.clean_lines(str(error))) from error
    except asyncio.CancelledError as error:
        raise click.Abort from error


async def _stoppable(order: Order, say: Say) -> Result:
    """Carries out an order; a request to terminate ends it like Ctrl-C, with all it started."""
    task = asyncio.current_task()
    if task is not None and threading.current_thread() is threading.main_thread():
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await carry_out(order, say)


def _print(result: Result, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(result.to_json(), indent=2, ensure_ascii=True))
        for failure in result.failures:
            click.echo(f"Error: {failure}", err=True)
        return
    console = Console(highlight=False, emoji=False)
    if console.is_terminal:
        console.print(run_report.report(result), crop=False)
        return
    console.width = max(console.width, _PIPED_WIDTH)
    with console.capture() as captured:
        console.print(run_report.report(result), crop=False)
    # Padding that only a terminal needs would be in the way of grep and diff.
    click.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))
