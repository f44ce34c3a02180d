"""What a start costs: the deployed set beside an empty function that imports the same libraries."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks.deployed_set import DeployedSet

STARTS = 9
EMPTY_FUNCTION = """
import functions_framework
import jinja2
import obstore
import pydantic
import yaml
from google.cloud import run_v2, securitycenter_v2
from google.cloud.logging_v2.services.logging_service_v2 import LoggingServiceV2AsyncClient
from google.pubsub_v1 import PublisherAsyncClient

@functions_framework.cloud_event
def respond(event):
    pass
"""
#: What gunicorn's master does before it listens; prints seconds of processor and clock, megabytes.
_SCRIPT = """
import sys, time
begun = time.perf_counter()
import functions_framework
functions_framework.create_app("respond", sys.argv[1], "cloudevent")
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(time.process_time(), time.perf_counter() - begun, int(status["VmHWM"].split()[0]) / 1024)
"""


@dataclass(frozen=True, slots=True)
class Start:
    """A start.

    Attributes:
        cpu_s: Processor time in seconds, Python's own start included.
        wall_s: Time on the clock.
        memory_mb: Peak of memory.
    """

    cpu_s: float
    wall_s: float
    memory_mb: float


def measure_starts(sets: list[DeployedSet], folder: Path) -> dict[str, Start]:
    """The best of several starts in turns, by name; first the empty function's."""
    empty = folder / "empty.py"
    empty.write_text(EMPTY_FUNCTION)
    kinds = {"empty function": (sets[0].python, empty)}
    kinds |= {each.name: (each.python, each.main) for each in sets}
    found: dict[str, list[Start]] = {name: [] for name in kinds}
    for turn in range(STARTS + 1):
        for name, (python, main) in kinds.items():
            start = _start(python, main, folder)
            if turn:  # the first one compiles
                found[name].append(start)
    return {
        name: Start(
            min(each.cpu_s for each in starts),
            min(each.wall_s for each in starts),
            min(each.memory_mb for each in starts),
        )
        for name, starts in found.items()
    }


def _start(python: Path, main: Path, folder: Path) -> Start:
    done = subprocess.run(
        (str(python), "-c", _SCRIPT, str(main)),
        cwd=main.parent,  # else Python would import the packages of this repository
        env={"RESPONDER_STORE": str(folder / "start"), "RESPONDER_MODE": "enforce"},
        capture_output=True,
        text=True,
        check=True,
    )
    return Start(*map(float, done.stdout.split()))
