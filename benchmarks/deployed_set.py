"""Deployed sets: what ``make package`` packs at a commit, installed into an environment."""

from __future__ import annotations

import subprocess
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

from tests.support.constants import REPOSITORY


@dataclass(frozen=True, slots=True)
class DeployedSet:
    """A commit's functions as they are uploaded, and an interpreter that has what they need.

    Attributes:
        name: The commit, abbreviated.
        source: Folder of the source.
        python: Interpreter of an environment with its locked requirements and nothing else.
    """

    name: str
    source: Path
    python: Path

    @property
    def main(self) -> Path:
        """The file with the entry points."""
        return self.source / "main.py"


def install(commit: str, folder: Path) -> DeployedSet:
    """Pack a commit's functions with its own script, and install what they need, with hashes."""
    folder.mkdir(parents=True)
    checkout, archive, source = folder / "checkout", folder / "function.zip", folder / "source"
    _run("git", "clone", "--quiet", "--shared", "--no-checkout", str(REPOSITORY), str(checkout))
    _run("git", "-C", str(checkout), "checkout", "--quiet", "--detach", commit)
    _run("sh", str(checkout / "deploy" / "package.sh"), str(archive))
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(source)
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv" / "bin" / "python"
    pip = (str(python), "-m", "pip", "install", "-qq", "--disable-pip-version-check")
    _run(*pip, "--require-hashes", "-r", str(source / "requirements.txt"))
    # Run compiled, as on Cloud Run: without bytecode every start would compile for seconds.
    _run(str(python), "-m", "compileall", "-q", str(source))
    return DeployedSet(_abbreviated(commit), source, python)


def _abbreviated(commit: str) -> str:
    shown = subprocess.run(
        ("git", "rev-parse", "--short", commit),
        cwd=REPOSITORY,
        check=True,
        capture_output=True,
        text=True,
    )
    return shown.stdout.strip()


def _run(*command: str) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
