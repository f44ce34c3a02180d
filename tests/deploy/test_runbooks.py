"""Runbooks: one shape, one way to the shell, and nothing in them that cannot be typed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from emulator import filters
from tests.deploy.terraform import DEPLOY, GIVEN, module, source

RUNBOOKS = DEPLOY / "runbooks"
LONGEST_DOCUMENTATION = 8192
#: Words that Monitoring fills in, and the label of the log line that it takes.
LABELLED = {"INCIDENT_ID": "incident", "WORKLOAD_NAME": "workload", "PRINCIPAL": "principal"}
SHAPE = ["Look", "Decide", "Act", "Afterwards"]
ALERTS: dict[str, Any] = module().locals["log_alerts"]
#: Who may run a command: those whose role has what it needs.
ROLES = {
    "approve": {"approver"},
    "contain": {"approver"},
    "coverage": {"surveyor"},
    "patrol": {"approver"},
    "replay": {"approver"},
    "list": {"operator", "approver"},
    "release": {"operator", "approver"},
    "show": {"operator", "approver"},
    "verify": {"operator", "approver"},
    "policy": set[str](),  # a file on one's own machine
}


def runbooks() -> list[Any]:
    """The runbooks, each under its name."""
    return [pytest.param(path, id=path.stem) for path in sorted(RUNBOOKS.glob("*.md"))]


def shell(text: str) -> str:
    """How a runbook says that one gets to a shell in which its commands work."""
    return text[text.index("**Shell**") : text.index("\n## Look")]


def queries(text: str) -> Iterable[str]:
    """The Logging filters that a runbook has people type."""
    return re.findall(r"gcloud logging read '([^']+)'", text)


@pytest.mark.parametrize("path", runbooks())
def test_a_runbook_fits_into_a_notification(path: Path) -> None:
    """Monitoring cuts nothing off: it refuses what is longer, with the names filled in."""
    assert len(path.read_text().encode()) < LONGEST_DOCUMENTATION - 1500


@pytest.mark.parametrize("path", runbooks())
def test_a_runbook_has_the_shape_of_all(path: Path) -> None:
    """What it means, how urgent, who, how to get there; then look, decide, act, afterwards."""
    text = path.read_text()
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == SHAPE
    top = text[: text.index("\n## Look")]
    places = [
        top.index(piece) for piece in ("# ", "* **How urgent**: ", "* **Who**: ", "**Shell**")
    ]
    assert places == sorted(places)
    assert places[0] == 0
    meaning = top[: places[1]].split("\n\n", 1)[1]
    assert len(meaning.split()) < 80  # to be read while the notification is still on the screen


@pytest.mark.parametrize("path", runbooks())
def test_a_runbook_says_who_may_do_what_it_asks_for(path: Path) -> None:
    """Each command is for somebody who is named: in the line that says who, or beside it."""
    text = path.read_text()
    for command in set(re.findall(r"python cli\.py ([a-z]+)", text)):
        allowed = ROLES[command]
        assert not allowed or any(f"`{role}`" in text for role in allowed), command


def test_every_runbook_leads_to_the_same_shell() -> None:
    """With the environment that the functions have, so that both look into one store."""
    (block,) = {shell(path.read_text()) for path in RUNBOOKS.glob("*.md")}
    given = dict(re.findall(r"(RESPONDER_[A-Z]+)=(\S+)", block))
    assert set(given) <= set(module().locals["environment"])
    buckets = {
        name: module().text(b["name"]) for name, b in module().all("google_storage_bucket").items()
    }
    topic = module().text(module().one("google_pubsub_topic", "outcomes")["name"])
    project = GIVEN["project_id"]
    named = {
        name: value.replace("PROJECT_ID", project).replace("DEPLOYMENT", "threat-responder")
        for name, value in given.items()
    }
    assert named == {
        "RESPONDER_STORE": f"gs://{buckets['evidence']}",
        "RESPONDER_POLICY": f"gs://{buckets['policy']}/{module().locals['policy_object']}",
        "RESPONDER_TOPIC": f"projects/{project}/topics/{topic}",
        "RESPONDER_PROJECT": project,
    }
    assert f'output "{block.split("output -raw ")[1].split(")")[0]}"' in source()


@pytest.mark.parametrize("path", runbooks())
def test_a_runbook_says_nothing_that_nobody_fills_in(path: Path) -> None:
    """An incident's id stands only where the alert has one to fill in; the same for the others."""
    text = path.read_text()
    by = set(ALERTS.get(path.stem, {}).get("by", []))
    named = {label for word, label in LABELLED.items() if word in text}
    assert named == by
    assert "${" not in text


@pytest.mark.parametrize("path", runbooks())
def test_the_queries_of_a_runbook_are_queries(path: Path) -> None:
    """Each parses as a Logging filter."""
    for query in queries(path.read_text()):
        filters.parse(query, filters.LOGGING)


def test_dead_letters_are_not_lost_while_somebody_looks() -> None:
    """They are acknowledged last, after they were delivered again."""
    text = (RUNBOOKS / "dead-letters.md").read_text()
    assert "--auto-ack" not in "".join(re.findall(r"`gcloud[^`]+`", text))
    order = [text.index(f"gcloud pubsub {what}") for what in
             ("subscriptions pull", "topics publish", "subscriptions ack")]  # fmt: skip
    assert order == sorted(order)
