"""`python -m emulator run`: one finding through the real function."""

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
    load_or_make_world,
    message_data,
    policy_file,
    start_time,
    store_folder,
)
from emulator.runner.function_process import FunctionFailed
from emulator.runner.pubsub_emulator import PubSubFailed
from emulator.runner.run_finding import run_finding
from emulator.runner.run_request import ReportProgress, RunRequest
from emulator.runner.run_result import RunResult
from finding_input.command_line import FINDING_FILE, finding_id_option

_MODES = ("dry-run", "approve", "enforce")
# Where no window is too narrow, hashes and links stand on one line, to be copied.
_PIPED_WIDTH = 120
_MAX_DELIVERIES = 500
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


def _interpreter() -> str:
    """This interpreter as somebody in this folder would type it."""
    return (
        os.path.relpath(sys.executable)
        if Path(sys.executable).is_relative_to(Path.cwd())
        else sys.executable
    )


@click.command()
@click.argument("finding", type=FINDING_FILE)
@finding_id_option
@click.option(
    "--verbatim", is_flag=True, help="Deliver the file as it is, as anybody may publish it."
)
@click.option("--world", "world_file", type=_FILE, help="The world; else one is made up.")
@click.option(
    "--plausible-attack/--no-plausible-attack",
    default=None,
    help="Whether the world that is made up also has traces of an attack: a VirusTotal verdict,"
    " related findings, an attacker's requests. By default only for the shipped samples.",
)
@click.option("--policy", type=_FILE, help="The policy; else deploy/policy.yaml.")
@click.option("--mode", type=click.Choice(_MODES), help="The policy's top-level mode, this once.")
@click.option("--store", type=click.Path(file_okay=False, path_type=Path), help="For case files.")
@click.option("--now", help="The time it is, RFC 3339; else 5 s after the event.")
@click.option("--via", type=click.Choice(("http", "pubsub")), default="http", show_default=True)
@click.option(
    "--deliveries",
    type=click.IntRange(1, _MAX_DELIVERIES),
    default=1,
    show_default=True,
    help="How often the message arrives, at once.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def run_command(  # noqa: PLR0913 - one per option
    finding: Path,
    *,
    finding_id: str | None,
    verbatim: bool,
    world_file: Path | None,
    plausible_attack: bool | None,
    policy: Path | None,
    mode: str | None,
    store: Path | None,
    now: str | None,
    via: str,
    deliveries: int,
    as_json: bool,
) -> None:
    """Deliver a finding to the real function and show what it does.

    FINDING is a file, or - for standard input, with a finding of Security Command Center in any
    form that people have it in: a notification, the output of `gcloud scc findings list
    --format=json` or of `gcloud pubsub subscriptions pull --format=json`, the console's JSON. The
    function runs as it is deployed, in a process of its own; the Google Cloud around it is emulated
    on this machine.

    The exit status is 0 when every delivery was answered as promised, 1 when the function
    failed, and 2 for bad arguments or input.
    """
    data = message_data(finding, finding_id, via, verbatim=verbatim)
    given = {
        "--finding-id": finding_id,
        "--world": world_file,
        "--policy": policy,
        "--now": now,
        "--via": via if via != "http" else None,
        "--deliveries": deliveries if deliveries > 1 else None,
    }
    options = [part for name, value in given.items() if value for part in (name, str(value))]
    options += ["--verbatim"] if verbatim else []
    if plausible_attack is not None:
        options.append("--plausible-attack" if plausible_attack else "--no-plausible-attack")
    with tempfile.TemporaryDirectory(prefix="emulator-run-") as folder:
        request = RunRequest(
            data=data,
            world=load_or_make_world(world_file, data, finding, plausible_attack=plausible_attack),
            policy=policy_file(policy, mode, Path(folder)),
            now=start_time(now, data),
            store=store_folder(store),
            via=via,
            deliveries=deliveries,
            command=(_interpreter(), "-m", "emulator", "run", str(finding), *options),
            mode=mode,
        )
        with progress_line.progress_display() as report_progress:
            result = _run_to_end(request, report_progress)
    _print_result(result, as_json=as_json)
    sys.exit(1 if result.failures else 0)


def _run_to_end(request: RunRequest, report_progress: ReportProgress) -> RunResult:
    """The result of an order, with errors as the command line knows them."""
    try:
        return asyncio.run(_run_until_terminated(request, report_progress))
    except FunctionFailed as error:
        raise click.ClickException(terminal_text.clean_lines(str(error))) from error
    except PubSubFailed as error:
        raise BadInput(terminal_text.clean_lines(str(error))) from error
    except asyncio.CancelledError as error:
        raise click.Abort from error


async def _run_until_terminated(request: RunRequest, report_progress: ReportProgress) -> RunResult:
    """Carries out an order; a request to terminate ends it like Ctrl-C, with all it started."""
    task = asyncio.current_task()
    if task is not None and threading.current_thread() is threading.main_thread():
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await run_finding(request, report_progress)


def _print_result(result: RunResult, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(result.to_json(), indent=2, ensure_ascii=True))
        for failure in result.failures:
            click.echo(f"Error: {failure}", err=True)
        return
    console = Console(highlight=False, emoji=False)
    if console.is_terminal:
        console.print(run_report.render_report(result), crop=False)
        return
    console.width = max(console.width, _PIPED_WIDTH)
    with console.capture() as captured:
        console.print(run_report.render_report(result), crop=False)
    # Padding that only a terminal needs would be in the way of grep and diff.
    click.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))
