"""The command `cloud-run-responder`, as `make setup` and `uv tool install` install it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.support.constants import REPOSITORY

PROGRAM = "cloud-run-responder"
#: Where printed texts come from, and what people read.
PRINTED = ("clients", "commands", "deploy", "docs", "incident", "responders", "README.md")
SUFFIXES = {".py", ".md", ".j2", ".yaml", ".tf", ".tftpl"}


def output_of(*command: str, **environment: str) -> str:
    """What a command prints, which ends well."""
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=120, env=environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the built package in it, and nothing else of the repository."""
    target, source = tmp_path_factory.mktemp("installed"), tmp_path_factory.mktemp("source")
    # A build leaves its work in the source folder.
    hidden = shutil.ignore_patterns(".*", "tests", "build", "*.egg-info")
    shutil.copytree(REPOSITORY, source, ignore=hidden, dirs_exist_ok=True)
    python = Path(sys.executable)
    output_of(
        str(python.with_name("uv")), "pip", "install", "--quiet", "--offline", "--no-deps",
        "--no-build-isolation", "--python", str(python), "--target", str(target), str(source),
    )  # fmt: skip
    return target


def test_make_setup_installs_the_command() -> None:
    """Beside the interpreter, under the name that is printed everywhere."""
    script = Path(sys.executable).with_name(PROGRAM)
    assert f"Usage: {PROGRAM} [OPTIONS] COMMAND" in output_of(str(script), "--help")


def test_the_built_package_has_all_that_the_commands_need(installed: Path) -> None:
    """Every command is imported, and the page's templates are there; the emulator is not."""
    script = installed / "bin" / PROGRAM
    text = output_of(sys.executable, str(script), "--help", PYTHONPATH=str(installed))
    assert "approve" in text
    templates = {path.suffix for path in installed.glob("incident/report/templates/*")}
    assert templates >= {".j2", ".css"}
    assert (installed / "commands" / "templates" / "index.html.j2").is_file()
    assert not (installed / "emulator").exists()
    assert not (installed / "main.py").exists()


def test_shells_can_complete_it() -> None:
    """Click's own completion, under the command's name."""
    script = Path(sys.executable).with_name(PROGRAM)
    for shell in ("bash", "zsh", "fish"):
        text = output_of(str(script), _CLOUD_RUN_RESPONDER_COMPLETE=f"{shell}_source", PATH="/bin")
        assert PROGRAM in text


def test_the_package_names_the_command() -> None:
    """[project.scripts] is what the texts name."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert list(project["scripts"]) == [PROGRAM]


def test_every_printed_command_is_the_installed_one() -> None:
    """Nobody is told to run a file of the checkout."""
    files = [
        path
        for name in PRINTED
        for path in (REPOSITORY / name, *(REPOSITORY / name).rglob("*"))
        if path.suffix in SUFFIXES
    ]
    assert len(files) > 100
    wrong = [
        f"{path.relative_to(REPOSITORY)}: {line}"
        for path in files
        for line in path.read_text().splitlines()
        if re.search(r"python3? \S*cli\.py|`cli\.py", line)
    ]
    assert wrong == []
