"""Documents name only files that exist, and bounds that the code has."""

from __future__ import annotations

import re

import pytest

from clients import asset_inventory, cloud_logging, cloud_run, rest, security_center
from clients.paging import ListBounds
from incident.model import AUDIT_EVENTS
from tests.support.constants import REPOSITORY

PATH = re.compile(
    r"`((?:incident|responders|clients|commands|emulator|deploy|tests|docs)/[\w./-]+)`"
)


@pytest.mark.parametrize("document", ["docs/architecture.md", "CONTRIBUTING.md"])
def test_every_path_that_a_document_names_exists(document: str) -> None:
    """A newcomer finds what the map names."""
    named = set(PATH.findall((REPOSITORY / document).read_text()))
    assert named
    assert [path for path in sorted(named) if not (REPOSITORY / path).exists()] == []


def described(bounds: ListBounds) -> str:
    """Bounds as a document has them."""
    return f"{bounds.items:,}, {bounds.seconds:g} s"


def test_the_bounds_of_lists_are_those_of_the_code() -> None:
    """Every list of Google's is named, with how much of it is read."""
    text = (REPOSITORY / "docs/architecture.md").read_text().partition("## Lists of Google's")[2]
    rows = [
        line.split(" | ") for line in text.partition("\n## ")[0].splitlines() if "`clients/" in line
    ]
    bounds, log_s = cloud_run.BOUNDS, cloud_logging._MAX_SECONDS  # noqa: SLF001 - what it says
    log_mb = cloud_logging._MAX_BYTES // 1_000_000  # noqa: SLF001
    pages = f"{rest._MAX_PAGES:,} pages"  # noqa: SLF001
    inventory = asset_inventory._PAGE_SIZE * asset_inventory._MAX_PAGES  # noqa: SLF001
    assert {row[0].removeprefix("| "): row[2] for row in rows} == {
        "findings of the source since the event": described(security_center._CONFIRMING),  # noqa: SLF001
        "related findings": described(security_center._SUPPORTING),  # noqa: SLF001
        "revisions": described(bounds.revisions),
        "executions": described(bounds.executions),
        "tasks of an execution": described(bounds.tasks),
        "workloads of a region": described(bounds.workloads),
        "log entries of a run": f"the policy's `log_entries`, {log_mb} MB, {log_s} s",
        "audit log entries": f"{AUDIT_EVENTS}, {log_s} s",
        "workloads of the inventory": f"{inventory:,}",
        "regions, projects, folders": pages,
        "objects of the store": pages,
    }
    # Another call that pages needs another row: four of Cloud Run's, and both of findings in one.
    sources = "".join(path.read_text() for path in (REPOSITORY / "clients").glob("*.py"))
    assert len(re.findall(r"await read_all\(", sources)) == len(cloud_run.BOUNDS) + 1
