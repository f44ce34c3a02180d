"""The file of a playbook: strict, with line and column of each mistake; templates are checked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from incident.model import InvalidPlaybook
from incident.playbook.check import check_playbook
from incident.playbook.schema import parse_playbook, playbook_schema, shipped_playbook
from tests.support.constants import REPOSITORY

SHIPPED = REPOSITORY / "incident/playbook/playbook.yaml"
MINIMAL = """\
tasks:
  - id: one
    title: One
    what: Do {{ workload.name }}.
    why: Because.
    commands: show {{ workload.name }}
without_workload:
  - id: look
    title: Look
    what: Look at it.
    why: Because.
"""


def mistakes(text: str) -> str:
    """The message about a playbook; fails where it is in order."""
    with pytest.raises(InvalidPlaybook) as found:
        check_playbook(parse_playbook(text, source="p.yaml"), source="p.yaml")
    return str(found.value)


def test_the_shipped_playbook_is_in_order() -> None:
    """Every task of it can be filled in for every kind and status."""
    check_playbook(shipped_playbook(), source=SHIPPED.name)


def test_a_small_playbook_is_enough() -> None:
    """Conditions, links and details may be left out."""
    check_playbook(parse_playbook(MINIMAL, source="p.yaml"), source="p.yaml")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("why: Because.", "reason: Because.", "unknown key"),
        ("id: one", "id: One", "p.yaml:2:9"),
        ("id: look", "id: one", "the id one stands in the file already"),
        ("title: One", "title: 1", "expected a text: put it in quotes"),
        ("workload.name }}.", "worklaod.name }}.", "no fact is called worklaod"),
        ("workload.name }}.", "workload.nmae }}.", "task one"),
        ("show {{ workload.name }}", "show '{{ workload.name }}'", "within quotes"),
        ("Do {{ workload.name }}.", "'{% if %}'", "task one"),
        ("    why", "    when: status ==\n    why", "task one"),
        ("without_workload", "without", "missing; this key is required"),
    ],
)
def test_each_mistake_is_named(old: str, new: str, expected: str) -> None:
    """With its place, or its task."""
    text = mistakes(MINIMAL.replace(old, new, 1))
    assert "Cannot use the playbook p.yaml" in text
    assert expected in text


@pytest.mark.parametrize("text", ["", "tasks: []", "- a", "tasks: [", "\x00"])
def test_what_is_no_playbook_is_refused(text: str) -> None:
    """With a message, whatever the bytes are."""
    assert "Cannot use the playbook p.yaml" in mistakes(text)


def test_the_schema_in_deploy_is_generated() -> None:
    """`make check` compares them too."""
    written = json.loads((REPOSITORY / "deploy/playbook.schema.json").read_text())
    assert written == playbook_schema()
    assert Path(SHIPPED).read_text().startswith("# ")
