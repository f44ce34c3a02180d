"""`report`: the page of an incident as a file, and the index of all of them."""

from __future__ import annotations

import asyncio
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest
from click.testing import CliRunner, Result

from commands import cli
from commands.case_index_page import page_link
from tests.commands.test_list_and_show import run, write_case
from tests.support.environment import policy_yaml, responder_environment


class Links(HTMLParser):
    """The addresses and section titles of a page, and whether it has a script."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.tags: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep what a test looks at."""
        self.tags.add(tag)
        self.links += [value for name, value in attrs if name in {"href", "src"} and value]


def headings(page: str) -> list[str]:
    """The titles of its sections, in order."""
    return re.findall(r"<h2[^>]*>([^<]*)</h2>", page)


async def written(folder: Path, *arguments: str) -> Result:
    """Run the command for the store of a test's environment."""
    return await asyncio.to_thread(run, folder / "store", "report", *arguments)


async def test_the_page_of_an_incident_is_written_and_named(tmp_path: Path) -> None:
    """By the beginning of its id, into a file of one's own."""
    async with responder_environment(tmp_path) as env:
        incident = str((await env.deliver()).outcome.incident)
        file = tmp_path / "page.html"
        result = await written(tmp_path, incident[:12], "--output", str(file))
        assert (result.exit_code, result.stdout) == (0, f"{file}\n"), result.output
    page = file.read_text()
    assert page.startswith("<!doctype html>")
    assert incident in page
    assert "script" not in Links(page).tags


async def test_the_index_links_every_page(tmp_path: Path) -> None:
    """Sections by status, dry runs apart; each linked file exists."""
    async with responder_environment(tmp_path, policy_text=policy_yaml("dry-run")) as env:
        await env.deliver()
        env.write_policy(policy_yaml())
        await env.deliver()
        file = tmp_path / "index.html"
        result = await written(tmp_path, "--index", "--output", str(file))
        assert result.exit_code == 0, result.output
    page = file.read_text()
    assert headings(page) == ["Contained (1)", "Dry runs (1)"]
    found = Links(page)
    assert not found.tags & {"script", "img", "link", "iframe"}
    stored = [urlsplit(link).path for link in found.links if link.startswith("file:")]
    assert len(stored) == 2
    reports = {path.as_posix() for path in (tmp_path / "store").glob("*/*/report.html")}
    assert {url2pathname(path) for path in stored} == reports
    assert re.search(r'data-label="Time to contain" class="short">\d', page)
    assert "SIMULATED" in page


def test_urgent_sections_come_first_and_text_is_escaped(tmp_path: Path) -> None:
    """Whatever an attacker chose as text."""
    hostile = "<script>alert(1)</script>\x1b[31m"
    write_case(tmp_path, "20261001-aaaaaaaaaaaa", status="released")
    write_case(tmp_path, "20261002-bbbbbbbbbbbb", status="held", reason=hostile)
    write_case(tmp_path, "20261003-cccccccccccc", status="failed", category=hostile)
    write_case(tmp_path, "20261003-dddddddddddd-12345678", "claims")
    (tmp_path / "store" / "incidents" / "20261003-eeeeeeeeeeee").mkdir()
    (tmp_path / "store" / "incidents" / "20261003-eeeeeeeeeeee" / "1000-done.json").write_text("[]")
    file = tmp_path / "index.html"
    result = run(tmp_path / "store", "report", "--index", "--output", str(file))
    assert result.exit_code == 0, result.output
    page = file.read_text()
    assert headings(page) == ["Containment failed (1)", "Held for a person (2)", "Released (1)"]
    assert "script" not in Links(page).tags
    assert "\x1b" not in page
    assert "20261003-dddddddddddd-12345678 (unconfirmed)" in page
    assert "1 case files cannot be read" in page


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        (None, ""),
        ("file:///a/report.html", "file:///a/report.html"),
        ("gs://b/c d/report.html", "https://storage.cloud.google.com/b/c%20d/report.html"),
        ("javascript:alert(1)", ""),
        ("file://host/x", ""),
    ],
)
def test_only_pages_of_the_store_are_linked(report: str | None, expected: str) -> None:
    """An address of a stored outcome may be anybody's."""
    assert page_link(report) == expected


@pytest.mark.parametrize("arguments", [(), ("20261002-6255b37a8bf0", "--index")])
def test_one_of_incident_and_index_is_needed(arguments: tuple[str, ...]) -> None:
    """Not both, and not neither."""
    assert CliRunner().invoke(cli, ["report", *arguments]).exit_code == 2
