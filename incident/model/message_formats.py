"""Formats in which outcomes leave: to a chat room, and on the topic."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ChatFormat(StrEnum):
    """The format of a message, by the room's service."""

    TEXT = "text"
    SLACK = "slack"
    GOOGLE_CHAT = "google-chat"


class TopicFormat(StrEnum):
    """The format of a message on the outcome topic."""

    OUTCOME = "outcome"
    OCSF = "ocsf"


@dataclass(frozen=True, slots=True)
class ChatStyle:
    """How a room takes its messages.

    Attributes:
        format: Plain text, Slack's blocks or Google Chat's cards.
        runbooks: URL of the folder with the runbooks, ``contained.md`` and so on; empty for none.
    """

    format: ChatFormat = ChatFormat.TEXT
    runbooks: str = ""
