"""Measures what is deployed: its start beside functions-framework alone, and its load.

Run with `make measure`; prints tables in Markdown. Everything that is compared is measured in one
run, in turns. The deployed set is what `make package` packs, as committed, installed with hashes
into an environment of its own; the emulator runs beside it and costs time and processor too.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import subprocess
import sys
import tempfile
import time
import venv
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emulator.runner.function_process import FunctionProcess
from emulator.server.emulator import Emulator
from emulator.services.pubsub import push
from emulator.world.state import parse_world
from tests.support.constants import REPOSITORY, UPDATE_SERVICE
from tests.support.findings import SampleFinding
from tests.support.function_process import ENFORCING_POLICY, children
from tests.support.worlds import world_with_findings

STARTS = 7
ENTRIES = 500
# How many findings at once, and the size of each log entry in characters.
LOADS = ((1, 4_000), (4, 4_000), (8, 4_000), (8, 16_000), (16, 4_000))
EMPTY_FUNCTION = """
import functions_framework

@functions_framework.cloud_event
def respond(event):
    pass
"""
# What gunicorn's worker does before it is ready; prints seconds and the peak of memory in MB.
START_SCRIPT = """
import sys, time
begun = time.perf_counter()
if len(sys.argv) > 1:
    import functions_framework
    functions_framework.create_app("respond", sys.argv[1], "cloudevent")
took = time.perf_counter() - begun
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(took, int(status["VmHWM"].split()[0]) / 1024)
"""


class MeasuredFunction(FunctionProcess):
    """A function of which the worker's memory is measured."""

    @property
    def peak(self) -> float:
        """The most memory that the worker has had, in megabytes."""
        (worker,) = children(self._group.pid or 0)
        lines = Path(f"/proc/{worker}/status").read_text().splitlines()
        status = dict(line.split(":", 1) for line in lines)
        return int(status["VmHWM"].split()[0]) / 1024


@dataclass(frozen=True, slots=True)
class Load:
    """What findings that came at once took.

    Attributes:
        all_s: Until the last was answered, in seconds.
        write_s: Until the last of their containing writes reached Cloud Run, in seconds.
        peak_mb: The worker's peak of memory.
    """

    all_s: float
    write_s: float
    peak_mb: float


def main() -> None:
    """Install the deployed set and measure it."""
    with tempfile.TemporaryDirectory(prefix="measure-") as temporary:
        folder = Path(temporary)
        python, source = install_package(folder)
        version = ".".join(str(part) for part in sys.version_info[:3])
        print_line(f"Python {version}, {os.cpu_count()} cores, best of {STARTS} starts in turns\n")
        print_start_times(python, source, folder)
        print_line(
            f"\n{ENTRIES} log entries for each finding, one worker, the emulator beside it\n"
        )
        print_load_times(python, source, folder)


def install_package(folder: Path) -> tuple[Path, Path]:
    """An environment with what is deployed, and the folder of its source."""
    archive, source = folder / "function.zip", folder / "source"
    subprocess.run(("sh", "deploy/package.sh", str(archive)), cwd=REPOSITORY, check=True)
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(source)
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv" / "bin" / "python"
    requirements = source / "requirements.txt"
    pip = (str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    subprocess.run((*pip, "--require-hashes", "-r", str(requirements)), check=True)
    return python, source


def print_start_times(python: Path, source: Path, folder: Path) -> None:
    """Print what a start takes: nothing, an empty function, and the responder."""
    empty = folder / "empty.py"
    empty.write_text(EMPTY_FUNCTION)
    kinds = {
        "Python alone": (),
        "functions-framework alone, with an empty function": (str(empty),),
        "the responder": (str(source / "main.py"),),
    }
    for arguments in kinds.values():
        measure_start(python, arguments, folder)  # compiles what is not compiled yet
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in kinds}
    for _ in range(STARTS):
        for name, arguments in kinds.items():
            found[name].append(measure_start(python, arguments, folder))
    _, alone, _ = (min(took for took, _ in each) for each in found.values())
    print_line("| process | imported after | of functions-framework alone | memory |")
    print_line("| --- | --- | --- | --- |")
    for name, each in found.items():
        took, memory = min(each)
        print_line(f"| {name} | {took:.2f} s | {took / alone:.1f} | {memory:.0f} MB |")


def print_line(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def measure_start(python: Path, arguments: Sequence[str], folder: Path) -> tuple[float, float]:
    """The seconds and the megabytes of one start."""
    done = subprocess.run(
        (str(python), "-c", START_SCRIPT, *arguments),
        env=function_settings(folder),
        capture_output=True,
        text=True,
        check=True,
    )
    took, memory = done.stdout.split()
    return float(took), float(memory)


def print_load_times(python: Path, source: Path, folder: Path) -> None:
    """Print what findings at once take."""
    print_line(
        "| at once | size of an entry | all answered after | last containing write | worker |"
    )
    print_line("| --- | --- | --- | --- | --- |")
    for number, (findings, size) in enumerate(LOADS):
        one = asyncio.run(measure_load(python, source, folder / str(number), findings, size))
        print_line(
            f"| {findings} | {size // 1000} kB | {one.all_s:.1f} s "
            f"| {one.write_s:.1f} s | {one.peak_mb:.0f} MB |"
        )


async def measure_load(python: Path, source: Path, folder: Path, findings: int, size: int) -> Load:
    """Deliver findings at once to a function that has made no client yet.

    Raises:
        SystemExit: One of them was not contained, so that the figures mean nothing.
    """
    now = dt.datetime.now(dt.UTC)
    reported = [
        SampleFinding(f"{n}", f"shop-{n}", f"example-{n}", f"{10**11 + n}", now)
        for n in range(1, findings + 1)
    ]
    world = world_with_findings(*reported)
    world["logEntries"] += [
        log_entry(one, number, size) for one in reported for number in range(ENTRIES)
    ]
    async with Emulator(parse_world(world, source="a world to measure in")) as emulator:
        settings = {
            **function_settings(folder),
            "RESPONDER_EMULATOR": emulator.environment,
            "THREADS": str(findings),
        }
        async with MeasuredFunction(settings, source / "main.py", python=python) as function:
            begun = time.monotonic()
            pushes = (
                push.push_message(function.url, push.push_body(one.notification, now), 1)
                for one in reported
            )
            await asyncio.gather(*pushes)
            all_s = time.monotonic() - begun
            await function.wait_for_outcomes(findings)
            peak = function.peak
    statuses = [logged.outcome["status"] for logged in function.logged_outcomes if logged.outcome]
    if statuses != ["contained"] * findings:
        raise SystemExit(f"cannot measure: {findings} findings ended as {statuses}")
    writes = [
        w.at - begun for w in emulator.writes if w.method == UPDATE_SERVICE and "scaling" in w.mask
    ]
    return Load(all_s, max(writes), peak)


def log_entry(one: SampleFinding, number: int, size: int) -> dict[str, Any]:
    """A log entry of a finding's service, shortly before its event."""
    time_of = one.event_time - dt.timedelta(seconds=1 + number / 10)
    return {
        "severity": "INFO",
        "textPayload": f"{number} {'word ' * (size // 5)}",
        "logName": f"projects/{one.project}/logs/run.googleapis.com%2Fstdout",
        "insertId": f"measured-{number:05d}",
        "timestamp": time_of.isoformat(),
        "receiveTimestamp": time_of.isoformat(),
        "resource": {
            "type": "cloud_run_revision",
            "labels": {
                "project_id": one.project,
                "location": "europe-west1",
                "service_name": one.service,
                "revision_name": f"{one.service}-00007-hdm",
            },
        },
    }


def function_settings(folder: Path) -> Mapping[str, str]:
    """The function's settings, with a policy that contains."""
    folder.mkdir(exist_ok=True)
    policy = folder / "policy.yaml"
    policy.write_text(f"{ENFORCING_POLICY}guards: {{max_containments_per_hour: 1000}}\n")
    return {
        "RESPONDER_POLICY": str(policy),
        "RESPONDER_STORE": str(folder / "store"),
        "RESPONDER_MODE": "enforce",
    }


if __name__ == "__main__":
    main()
