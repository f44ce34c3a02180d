"""Body of a chat webhook's request: plain text, Slack's blocks or Google Chat's cards. Pure.

Limits of the services: Slack 50 blocks, 150 characters in a header, 3,000 in a text, 75 on a button
(docs.slack.dev/reference/block-kit/blocks); Google Chat 32,000 bytes a message
(developers.google.com/workspace/chat/api/reference/rest/v1/spaces.messages/create).
"""

from __future__ import annotations

import json
import re

from incident.model import ChatFormat, ChatStyle, Json, JsonObject
from incident.model.outcome import Outcome
from incident.report.chat_text import ChatMessage, chat_message

_LONGEST_SLACK_HEADER, _LONGEST_SLACK_TEXT = 150, 3000
_MOST_CHAT_BYTES = 32_000
#: Only our own commands stand in backticks.
_COMMAND = re.compile(r"`((?:cloud-run-responder|gcloud) [^`]+)`")


def chat_body(outcome: Outcome, style: ChatStyle) -> JsonObject:
    """What to post about an outcome, as the room takes it."""
    message = chat_message(outcome, style.runbooks)
    match style.format:
        case ChatFormat.SLACK:
            return _slack_body(message)
        case ChatFormat.GOOGLE_CHAT:
            body = _google_chat_body(message)
            whole = len(json.dumps(body, ensure_ascii=False).encode()) <= _MOST_CHAT_BYTES
            return body if whole else {"text": message.text}
        case ChatFormat.TEXT:
            return {"text": message.text}


def _slack_body(message: ChatMessage) -> JsonObject:
    """Blocks, and the text that a notification shows in their place."""
    title = _title(message)
    facts = [f"*{label}*\n{text}" for label, text in message.facts]
    commands = _commands(message)
    blocks: list[Json] = [{"type": "header", "text": _plain_text(title)}]
    # The title has no room for all of it.
    blocks += [_slack_section(text) for text in (message.headline, *facts)]
    if commands:
        blocks.append(_slack_section("\n".join(("```", *commands, "```"))))
    if message.links:
        buttons: list[Json] = [
            {"type": "button", "text": _plain_text(label), "url": url}
            for label, url in message.links
        ]
        blocks.append({"type": "actions", "elements": buttons})
    reference = {"type": "mrkdwn", "text": message.reference}
    blocks.append({"type": "context", "elements": [reference]})
    return {"text": message.headline, "blocks": blocks}


def _slack_section(text: str) -> JsonObject:
    """A block of text; what is too long goes on in no other block: its facts are bounded."""
    return {"type": "section", "text": {"type": "mrkdwn", "text": text[:_LONGEST_SLACK_TEXT]}}


def _plain_text(text: str) -> JsonObject:
    return {"type": "plain_text", "text": text, "emoji": False}


def _google_chat_body(message: ChatMessage) -> JsonObject:
    """One card; cards know no backticks, so that each command has a widget of its own."""
    # A card's header is cut at the width of the room: it has nothing that stands nowhere else.
    headline = {"textParagraph": {"text": message.headline}}
    facts: list[Json] = [
        {"decoratedText": {"topLabel": label, "text": text.replace("`", ""), "wrapText": True}}
        for label, text in message.facts
    ]
    commands: list[Json] = [{"textParagraph": {"text": text}} for text in _commands(message)]
    buttons: list[Json] = [
        {"text": label, "onClick": {"openLink": {"url": url}}} for label, url in message.links
    ]
    sections: list[Json] = [{"widgets": [headline, *facts]}]
    if commands:
        sections.append({"header": "Commands", "widgets": commands})
    if buttons:
        sections.append({"widgets": [{"buttonList": {"buttons": buttons}}]})
    sections.append({"widgets": [{"textParagraph": {"text": message.reference}}]})
    card: JsonObject = {"header": {"title": _title(message)}, "sections": sections}
    return {
        "cardsV2": [{"cardId": "outcome", "card": card}],
        "fallbackText": message.headline,
    }


def _title(message: ChatMessage) -> str:
    """Status and workload, which always fit."""
    title = f"{message.status}: {message.workload}" if message.workload else message.status
    return title[:_LONGEST_SLACK_HEADER]


def _commands(message: ChatMessage) -> list[str]:
    """The commands of all texts, each once."""
    found = [each for _, text in message.facts for each in _COMMAND.findall(text)]
    return list(dict.fromkeys(found))
