"""Bodies for Slack and Google Chat: within the documented limits, whole, and without markup."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incident.model import ChatFormat, ChatStyle, Status
from incident.model.outcome import Outcome
from incident.report.chat_body import chat_body
from tests.incident.report.test_chat_text import CHANGE, OUTCOME
from tests.support.constants import INCIDENT_ID
from tests.support.model import repeatable

RUNBOOKS = "https://git.example/responder/blob/main/deploy/runbooks/"
CONSOLE = (
    "https://console.cloud.google.com/security/command-center/findingsv2?project=p&resourceId=x%2Fy"
)
RICH: dict[str, Any] = {
    **OUTCOME,
    "detected": {**OUTCOME["detected"], "sha256": "ab" * 32},
    "links": {
        **OUTCOME["links"],
        "console": CONSOLE,
        "report": f"gs://case-files/incidents/{INCIDENT_ID}/report.html",
        "virustotal": f"https://www.virustotal.com/gui/file/{'ab' * 32}",
    },
}
WAITING = {**RICH, "status": "awaiting-approval"}


def body_of(outcome: dict[str, Any], message_format: ChatFormat) -> dict[str, Any]:
    """The body for a room, of an outcome as JSON."""
    style = ChatStyle(message_format, RUNBOOKS)
    return dict(chat_body(Outcome.from_json(outcome), style))


def check_slack(body: dict[str, Any]) -> None:
    """Slack's limits and required keys (docs.slack.dev/reference/block-kit, 2026-11).

    Raises:
        AssertionError: Slack would answer ``invalid_blocks``.
    """
    assert set(body) == {"text", "blocks"}
    assert 0 < len(body["text"]) <= 40_000
    assert 0 < len(body["blocks"]) <= 50
    for block in body["blocks"]:
        match block:
            case {"type": "header", "text": {"type": "plain_text", "text": text, "emoji": bool()}}:
                assert 0 < len(text) <= 150
            case {"type": "section", "text": {"type": "mrkdwn", "text": text}}:
                assert 0 < len(text) <= 3000
            case {"type": "actions", "elements": elements}:
                assert 0 < len(elements) <= 25
                for element in elements:
                    check_slack_button(element)
            case {"type": "context", "elements": [{"type": "mrkdwn", "text": text}]}:
                assert 0 < len(text) <= 3000
            case _:
                pytest.fail(f"no block of Slack's: {block}")
        assert set(block) <= {"type", "text", "elements"}


def check_slack_button(element: dict[str, Any]) -> None:
    """A link button's limits."""
    assert set(element) == {"type", "text", "url"}
    assert element["type"] == "button"
    assert element["text"]["type"] == "plain_text"
    assert 0 < len(element["text"]["text"]) <= 75
    assert element["url"].startswith("https://")
    assert len(element["url"]) <= 3000


def check_google_chat(body: dict[str, Any]) -> None:
    """Google Chat's limits and keys (spaces.messages of its REST reference, cards v2).

    Raises:
        AssertionError: Google Chat would refuse the message.
    """
    assert len(json.dumps(body, ensure_ascii=False).encode()) <= 32_000
    if set(body) == {"text"}:
        return
    assert set(body) == {"cardsV2", "fallbackText"}
    ((card_id, card),) = [(each["cardId"], each["card"]) for each in body["cardsV2"]]
    assert card_id
    assert set(card) == {"header", "sections"}
    assert card["header"]["title"]
    assert 0 < len(card["sections"]) <= 100
    for section in card["sections"]:
        assert set(section) <= {"header", "widgets"}
        assert section["widgets"]
        for widget in section["widgets"]:
            check_google_chat_widget(widget)


def check_google_chat_widget(widget: dict[str, Any]) -> None:
    """One widget: exactly one kind, with the keys that the kind has."""
    match widget:
        case {"textParagraph": {"text": str(text)}} if len(widget) == 1:
            assert text
        case {"decoratedText": {"topLabel": str(), "text": str(), "wrapText": True}}:
            assert set(widget["decoratedText"]) == {"topLabel", "text", "wrapText"}
        case {"buttonList": {"buttons": buttons}}:
            for button in buttons:
                assert set(button) == {"text", "onClick"}
                assert button["onClick"]["openLink"]["url"].startswith("https://")
        case _:
            pytest.fail(f"no widget of Google Chat's: {widget}")


CHECKS = {ChatFormat.SLACK: check_slack, ChatFormat.GOOGLE_CHAT: check_google_chat}


def texts_in(value: Any, key: str = "") -> Iterator[str]:
    """Every text of a body but its addresses and types."""
    if isinstance(value, dict):
        for name, part in value.items():
            yield from texts_in(part, name)
    elif isinstance(value, list):
        for part in value:
            yield from texts_in(part, key)
    elif isinstance(value, str) and key not in ("url", "type", "cardId"):
        yield value


@pytest.mark.parametrize("message_format", list(CHECKS))
@pytest.mark.parametrize("status", list(Status))
def test_every_status_is_within_the_limits(status: Status, message_format: ChatFormat) -> None:
    """With pages, and with as little as there can be."""
    for outcome in ({**RICH, "status": status.value}, {"status": status.value}):
        CHECKS[message_format](body_of(outcome, message_format))


def test_other_rooms_get_the_plain_text() -> None:
    """One key."""
    body = body_of(RICH, ChatFormat.TEXT)
    assert set(body) == {"text"}
    assert body["text"].startswith("CONTAINED: Execution: ")


@pytest.mark.parametrize("message_format", list(CHECKS))
def test_finding_page_and_runbook_are_buttons(message_format: ChatFormat) -> None:
    """A report in a bucket is opened by who is logged in; a folder on a disk has no button."""
    pages = {
        "Finding": CONSOLE,
        "Page": f"https://storage.cloud.google.com/case-files/incidents/{INCIDENT_ID}/report.html",
        "Runbook": f"{RUNBOOKS}awaiting-approval.md",
        "VirusTotal": RICH["links"]["virustotal"],
    }
    assert dict(buttons_of(body_of(WAITING, message_format))) == pages
    local = {**WAITING, "links": {**WAITING["links"], "report": "file:///x/report.html"}}
    assert "Page" not in dict(buttons_of(body_of(local, message_format)))
    planned = {**RICH, "status": "planned"}
    assert "Runbook" not in dict(buttons_of(body_of(planned, message_format)))


def buttons_of(body: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Label and address of every button."""
    for block in body.get("blocks", ()):
        for element in block.get("elements", ()):
            if element["type"] == "button":
                yield element["text"]["text"], element["url"]
    for each in body.get("cardsV2", ()):
        for section in each["card"]["sections"]:
            for widget in section["widgets"]:
                for button in widget.get("buttonList", {}).get("buttons", ()):
                    yield button["text"], button["onClick"]["openLink"]["url"]


@pytest.mark.parametrize("message_format", list(CHECKS))
def test_the_command_to_approve_can_be_copied(message_format: ChatFormat) -> None:
    """It stands alone: in a block of code, or in a widget of its own."""
    command = f"cloud-run-responder approve {INCIDENT_ID}"
    lines = [
        line for text in texts_in(body_of(WAITING, message_format)) for line in text.split("\n")
    ]
    assert command in lines


@pytest.mark.parametrize("message_format", list(CHECKS))
def test_no_key_fact_is_cut(message_format: ChatFormat) -> None:
    """The longest names there can be, a hash, the end of a path, what an error names last."""
    name, project = "s" * 63, "p" * 30
    error = f"{'a' * 500} lacks {'b' * 500}: run.services.update on the service"
    outcome = {
        **RICH,
        "status": "failed",
        "workload": {**RICH["workload"], "name": name, "project": project},
        "detected": {**RICH["detected"], "binary_path": f"/{'d' * 4000}/kworkerds"},
        "changes": [{**CHANGE, "state": "failed", "error": error}],
    }
    body = body_of(outcome, message_format)
    CHECKS[message_format](body)
    whole = "\n".join(texts_in(body))
    for fact in (
        f"FAILED: {name}",
        f"{name} (service, {project}, europe-west1)",
        "Execution: Modified Malicious Binary Executed (CRITICAL)",
        "ab" * 32,
        "/kworkerds",
        "run.services.update",
        "on the service",
        f"contain {INCIDENT_ID}",
    ):
        assert fact in whole


@repeatable
@given(
    st.text(min_size=1, max_size=900), st.sampled_from(list(Status)), st.sampled_from(list(CHECKS))
)
def test_no_hostile_text_breaks_a_limit_or_has_markup(
    hostile: str, status: Status, message_format: ChatFormat
) -> None:
    """In every untrusted place at once; what is too large for a card is sent as text."""
    workload = dict.fromkeys(("name", "project", "location", "resource_name"), hostile)
    outcome = {
        **RICH,
        "status": status.value,
        "finding": {"category": hostile, "severity": hostile},
        "workload": {
            "kind": "service",
            "project_number": None,
            "function": hostile,
            "other_regions": [hostile] * 3,
            **workload,
        },
        "detected": {"binary_path": hostile, "sha256": hostile},
        "assessment": {"summary": hostile, "confidence": "high"},
        "decision": {"reasons": [hostile], "barred": [{"text": hostile, "first": hostile}]},
        "changes": [{**CHANGE, "action": hostile, "error": hostile}] * 9,
        "links": dict.fromkeys(("console", "report", "workload", "virustotal"), hostile),
    }
    body = body_of(outcome, message_format)
    CHECKS[message_format](body)
    assert not any(set("<>&") & set(text) for text in texts_in(body))
    pages = [url for _, url in buttons_of(body)]
    assert all(url.startswith(RUNBOOKS) for url in pages)
