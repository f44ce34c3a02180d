"""The command `demo`: eight incidents, and an environment for the operator's commands."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from emulator.cli.demo import demo
from tests.support.constants import REPOSITORY

STATUSES = [
    *("contained", "contained", "contained", "awaiting-approval"),
    *("restricted", "held", "failed", "planned", "malformed"),
]
_LONGEST_START_S = 120.0


@dataclass(frozen=True, slots=True)
class RunningDemo:
    """A demo, and shells with its environment."""

    folder: Path
    output: str

    def run(self, command: str, *, expected: int | None = 0) -> str:
        """What a command prints in a shell that has read the exports."""
        done = subprocess.run(
            ("bash", "-c", f"source {self.folder}/env.sh; {command}"),
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")},
        )
        assert expected is None or done.returncode == expected, done.stdout + done.stderr
        return done.stdout


@contextmanager
def started_demo(
    command: str, folder: Path, environment: dict[str, str] | None = None
) -> Iterator[str]:
    """A demo that runs meanwhile, and what it printed when it was ready."""
    output = folder / "output"
    with output.open("w") as file:
        process = subprocess.Popen(
            ("bash", "-c", f"exec {command}"),
            cwd=folder,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=environment,
        )
    try:
        until = time.monotonic() + _LONGEST_START_S
        while "Ctrl-C here ends it." not in output.read_text():
            assert process.poll() is None, output.read_text()
            assert time.monotonic() < until
            time.sleep(0.1)
        yield output.read_text()
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDemo]:
    """A demo that stays up for all tests of this module."""
    folder = tmp_path_factory.mktemp("demo")
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    command = f"{sys.executable} -m emulator demo --store {folder / 'demo'}"
    with started_demo(command, folder, environment) as output:
        yield RunningDemo(folder / "demo", output)


def test_it_prints_exports_and_the_statuses(running: RunningDemo) -> None:
    """The exports are what the file holds; the rest are comments."""
    exports = (running.folder / "env.sh").read_text()
    assert running.output.startswith(exports)
    comments = running.output.removeprefix(exports).splitlines()
    assert all(line.startswith("# ") for line in comments)
    assert comments[0] == f"# SIMULATED incidents: {', '.join(STATUSES)}"


def test_the_commands_see_all_incidents(running: RunningDemo) -> None:
    """Of every kind of workload, newest first, minutes ago by the demo's clock."""
    rows: list[dict[str, Any]] = json.loads(running.run("cloud-run-responder list --json"))
    assert [row["status"] for row in reversed(rows)] == STATUSES[:7]
    kinds = {(row["workload"] or "").split("/")[4] for row in rows}
    assert kinds == {"services", "jobs", "workerPools"}
    assert all(row["simulated"] for row in rows)
    lines = running.run("cloud-run-responder list").splitlines()[1:-1]
    assert all(" min " in line for line in lines)
    (planned,) = json.loads(running.run("cloud-run-responder list --dry-runs --json"))
    assert "/instances/" in planned["workload"]
    assert len(json.loads(running.run("cloud-run-responder list --quarantined --json"))) == 1


def test_a_person_can_approve_release_and_verify(running: RunningDemo) -> None:
    """On the same world, in which what they do takes effect."""
    rows = json.loads(running.run("cloud-run-responder list --status awaiting-approval --json"))
    waiting = rows[0]["incident"]
    running.run("cloud-run-responder patrol")
    running.run(f"cloud-run-responder approve {waiting} --yes")
    assert "CONTAINED  checkout" in running.run(f"cloud-run-responder show {waiting[:14]}")
    running.run(f"cloud-run-responder release {waiting[:14]} --yes")
    assert "RELEASED" in running.run(f"cloud-run-responder show {waiting}")
    assert f"{waiting}: intact" in running.run(f"cloud-run-responder verify {waiting[:14]}")


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    """It may be somebody's; an earlier demo is replaced."""
    (tmp_path / "thesis.txt").write_text("mine")
    result = CliRunner().invoke(demo, ["--store", str(tmp_path)])
    assert result.exit_code == 2
    assert "holds thesis.txt" in result.stderr
    assert (tmp_path / "thesis.txt").exists()


def readme_blocks() -> tuple[str, list[str]]:
    """The command that starts the tour of the README, and those of the other terminal."""
    text = (REPOSITORY / "README.md").read_text()
    tour = text.partition("<!-- tour: start -->")[2].partition("<!-- tour: end -->")[0]
    start, commands = re.findall(r"^```console\n(.*?)^```", tour, re.MULTILINE | re.DOTALL)
    return start.strip(), commands.strip().splitlines()


def test_the_tour_of_the_readme_works_word_for_word(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """In two shells, in a folder that looks like a checkout."""
    folder = tmp_path_factory.mktemp("checkout")
    python = folder / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    start, commands = readme_blocks()
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": os.environ.get("HOME", "/"),
        "PYTHONPATH": str(REPOSITORY),
    }
    with started_demo(start, folder, environment):
        for number, command in enumerate(commands[1:], start=1):
            done = subprocess.run(
                ("bash", "-c", f"{commands[0]}\n{command}"),
                cwd=folder,
                capture_output=True,
                text=True,
                check=False,
                timeout=120,
                env=environment,
            )
            assert done.returncode == 0, (number, command, done.stdout, done.stderr)
    assert {"index.html", "report-20261002-6255b37a8bf0.html"} <= set(os.listdir(folder))  # noqa: PTH208
    verbs = {command.split()[1] for command in commands[1:]}
    assert {"show", "approve", "patrol", "release", "verify", "report"} <= verbs
