"""A release: one archive with the modules and what they deploy, the same for the same commit."""

from __future__ import annotations

import hashlib
import re
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.support.constants import REPOSITORY


def sh(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run something in a folder."""
    return subprocess.run(
        words, cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A clean checkout of the last commit."""
    if not (REPOSITORY / ".git").exists():
        pytest.skip("needs a git checkout: only committed files are released")
    folder = tmp_path / "checkout"
    done = sh(tmp_path, "git", "clone", "--quiet", str(REPOSITORY), str(folder))
    assert done.returncode == 0, done.stderr
    return folder


def test_the_same_commit_gives_the_same_bytes(checkout: Path, tmp_path: Path) -> None:
    """By any builder at any time; the digest beside it is that of the archive."""
    contents = []
    for name in ("first", "second"):
        done = sh(checkout, "sh", "deploy/release.sh", "1.2.3", str(tmp_path / name))
        assert done.returncode == 0, done.stderr
        archive = tmp_path / name / "threat-responder-1.2.3.tar.gz"
        contents.append(archive.read_bytes())
        digest = hashlib.sha256(contents[-1]).hexdigest()
        listed = archive.with_name(f"{archive.name}.sha256").read_text()
        assert listed == f"{digest}  {archive.name}\n"
    assert contents[0] == contents[1]
    with tarfile.open(tmp_path / "first" / "threat-responder-1.2.3.tar.gz") as release:
        names = set(release.getnames())
    tracked = sh(checkout, "git", "ls-files").stdout.splitlines()
    assert {*tracked, "function.zip"} <= names


def test_what_the_modules_read_is_where_they_expect_it(checkout: Path, tmp_path: Path) -> None:
    """The default of `source_archive` is the archive that the release brings."""
    sh(checkout, "sh", "deploy/release.sh", "1.2.3", str(tmp_path))
    with tarfile.open(tmp_path / "threat-responder-1.2.3.tar.gz") as release:
        release.extractall(tmp_path / "release", filter="data")
    module = tmp_path / "release" / "deploy" / "terraform" / "responder"
    text = "\n".join(path.read_text() for path in module.glob("*.tf"))
    read = set(re.findall(r'\$\{path\.module\}/((?:\.\./)+[a-z./]+)[/"]', text))
    assert "../../../function.zip" in read
    assert all((module / relative).exists() for relative in read)


@pytest.mark.parametrize("version", ["", "1.2", "v1.2.3", "1.2.3;id"])
def test_a_version_is_three_numbers(checkout: Path, tmp_path: Path, version: str) -> None:
    """It names a file and a tag."""
    done = sh(checkout, "sh", "deploy/release.sh", version, str(tmp_path / "none"))
    assert "expected a version such as" in done.stderr
    assert (done.returncode, (tmp_path / "none").exists()) == (2, False)


def test_only_what_is_committed_is_released(checkout: Path, tmp_path: Path) -> None:
    """A change that no commit has is refused, and so is a tag of another commit."""
    (checkout / "LICENSE").write_text("changed")
    done = sh(checkout, "sh", "deploy/release.sh", "1.2.3", str(tmp_path / "none"))
    assert (done.returncode, "LICENSE" in done.stderr) == (1, True)
    sh(checkout, "git", "checkout", "--quiet", "LICENSE")
    nobody = ("-c", "user.name=nobody", "-c", "user.email=nobody@invalid")
    sh(checkout, "git", *nobody, "commit", "--quiet", "--allow-empty", "--message", "another")
    sh(checkout, "git", "tag", "v1.2.3")
    sh(checkout, "git", "reset", "--quiet", "--hard", "HEAD~1")
    done = sh(checkout, "sh", "deploy/release.sh", "1.2.3", str(tmp_path / "none"))
    assert (done.returncode, "v1.2.3" in done.stderr) == (1, True)
