"""The short text to a chat room: sent a bounded number of times, and nothing ever waits for it."""

from __future__ import annotations

from typing import Protocol

from incident.case_file.case_file import CaseFile
from incident.model import IncidentError, JsonObject
from incident.redaction.redactor import Redactor
from incident.report.chat_text import chat_message


class Messenger(Protocol):
    """Where short texts are sent; its name is what may be told of it, its host."""

    name: str

    async def send(self, text: str) -> None:
        """Send one text, within a few seconds, whatever happens."""


async def notify_chat(
    case: CaseFile, messenger: Messenger | None, outcome: JsonObject, redactor: Redactor
) -> str | None:
    """Send the outcome's text once; the reason when it was not to be had.

    A failure is on record and is not tried again: a redelivery for another reason must not
    fill the room.

    Raises:
        Retry: The store does not answer.
    """
    if messenger is None or case.has_record("notified"):
        return None
    if refused := case.refusal_reason("not-notified"):
        return refused
    try:
        await messenger.send(chat_message(outcome))
    except IncidentError as error:
        reason = redactor.text(str(error))
        await case.add_record("not-notified", {"host": messenger.name, "reason": reason})
        return reason
    await case.add_record("notified", {"host": messenger.name})
    return None
