"""README and docs: short, with contents, links that lead somewhere, and tables of the code."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.reference import tables
from tests.support.constants import REPOSITORY

README = REPOSITORY / "README.md"
DOCS = sorted((REPOSITORY / "docs").glob("*.md"))
REQUIRED = (
    "operations",
    "policy",
    "case-file",
    "permissions",
    "outcomes",
    "settings",
    "development",
)
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def anchor(title: str) -> str:
    """The anchor that GitHub gives a heading."""
    kept = re.sub(r"[^\w\- ]", "", title.replace("`", "").lower())
    return kept.strip().replace(" ", "-")


def headings(path: Path, level: str = "#+") -> list[str]:
    """The titles in a document, but for those in code."""
    text = _FENCE.sub("", path.read_text())
    return re.findall(rf"^{level} (.*)$", text, flags=re.MULTILINE)


def test_the_readme_is_short() -> None:
    """Everything else is in docs."""
    assert len(README.read_text().splitlines()) <= 180


def test_all_documents_are_there() -> None:
    """One for each subject."""
    assert {f"{name}.md" for name in REQUIRED} <= {path.name for path in DOCS}


@pytest.mark.parametrize("path", [p for p in DOCS if p.stem in REQUIRED], ids=lambda p: p.stem)
def test_a_document_begins_with_its_contents(path: Path) -> None:
    """Every section of the second level, in order."""
    listed = re.findall(r"^\* \[([^\]]+)\]\(#([^)]+)\)$", path.read_text(), flags=re.MULTILINE)
    titles = headings(path, "##")
    assert [title for title, _ in listed] == titles
    assert [target for _, target in listed] == [anchor(title) for title in titles]


@pytest.mark.parametrize("path", [README, *DOCS], ids=lambda p: p.name)
def test_every_link_leads_somewhere(path: Path) -> None:
    """To a file of the repository, and to a heading in it where it names one."""
    text = _FENCE.sub("", path.read_text())
    for target in _LINK.findall(text):
        if re.match(r"https?:", target):
            continue
        name, _, fragment = target.partition("#")
        file = (path.parent / name).resolve() if name else path
        assert file.exists(), target
        if fragment:
            assert fragment in {anchor(title) for title in headings(file)}, target


def test_the_tables_are_what_the_code_says() -> None:
    """As `make check` finds out; each table is in a document."""
    text = "".join(path.read_text() for path in tables.documents())
    assert all(f"<!-- generated: {name} -->" in text for name in tables.TABLES)
    command = (sys.executable, "-m", "tests.reference.tables", "--check")
    done = subprocess.run(
        command, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_changed_table_is_found_and_written_again() -> None:
    """Nobody edits one by hand for long."""
    text = (REPOSITORY / "docs" / "settings.md").read_text()
    changed = text.replace("| `RESPONDER_MODE` |", "| `RESPONDER_MOOD` |")
    assert changed != text
    assert tables.in_sync(changed) == text
