"""The recipes of docs/integrations.md run on a real outcome, and name what an outcome has."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from incident.model import Connection, Status
from incident.model.json_codec import to_json
from incident.model.outcome import Outcome
from tests.support.constants import REPOSITORY
from tests.support.environment import responder_environment

DOCUMENT = (REPOSITORY / "docs/integrations.md").read_text()
JsonDict = dict[str, Any]


def recipe(name: str) -> Callable[..., JsonDict]:
    """A function of the document."""
    found: JsonDict = {}
    for block in re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL):
        exec(block, found)  # noqa: S102 - our own document
    function: Callable[..., JsonDict] = found[name]
    return function


async def outcome_json(folder: Path) -> JsonDict:
    """The outcome of the sample, as the topic has it."""
    async with responder_environment(folder) as env:
        return (await env.deliver()).outcome.to_json()


async def test_a_pagerduty_event_is_within_its_limits(tmp_path: Path) -> None:
    """One incident, one key; a release resolves it."""
    outcome, build = await outcome_json(tmp_path), recipe("pagerduty_event")
    event = build(outcome, "key")
    assert event["event_action"] == "trigger"
    assert event["dedup_key"] == outcome["incident"]
    payload = event["payload"]
    assert payload["summary"].startswith("CONTAINED storefront: Execution: ")
    assert payload["severity"] == "critical"
    assert payload["source"].endswith("/services/storefront")
    assert [link["text"] for link in event["links"]] == ["Finding"]
    assert build({**outcome, "status": "released"}, "key")["event_action"] == "resolve"


async def test_a_jira_issue_has_the_tasks(tmp_path: Path) -> None:
    """A label finds it again; every paragraph has a text, which Jira insists on."""
    outcome = await outcome_json(tmp_path)
    fields = recipe("jira_issue")(outcome, "SEC")["fields"]
    assert len(fields["summary"]) <= 255
    assert f"incident-{outcome['incident']}" in fields["labels"]
    texts = [part["content"][0]["text"] for part in fields["description"]["content"]]
    assert all(texts)
    assert any(text.startswith("1. ") for text in texts)
    search = recipe("jira_search")(outcome["incident"])
    assert fields["labels"][1] in search["jql"]


@pytest.mark.parametrize("status", list(Status))
def test_a_recipe_takes_an_outcome_of_little(status: Status) -> None:
    """Malformed messages and findings without a workload are outcomes too."""
    outcome = Outcome(status, message_sha256="ab" * 32).to_json()
    assert recipe("pagerduty_event")(outcome, "key")["dedup_key"]
    assert recipe("jira_issue")(outcome, "SEC")["fields"]["summary"]


async def test_every_key_that_the_mapping_names_is_there(tmp_path: Path) -> None:
    """A renamed key of the outcome is renamed here too."""
    outcome = await outcome_json(tmp_path)
    section = DOCUMENT.partition("| UDM | outcome |")[2].partition("```")[0]
    named = re.findall(r"`((?:finding|workload|assessment|detected)\.[a-z0-9_.\[\]]+)`", section)
    assert len(named) > 8
    outcome["detected"]["connection"] = to_json(Connection("203.0.113.7", 4444, "", None))
    for path in named:
        value: Any = outcome
        for key in path.split("."):
            name = key.removesuffix("[]")
            assert name in value, path
            value = value[name][0] if key.endswith("[]") and value[name] else value[name]
