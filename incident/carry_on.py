"""An incident that is done goes on: its new outcome is announced, and put on record.

What the outcome is, and why there is a new one, is for the caller.
"""

from __future__ import annotations

from incident.core import Books
from incident.journal import Journal
from incident.model import JsonObject
from incident.record import DONE, Announcer, publish


async def carry_on(
    folder: str, outcome: JsonObject, books: Books, topic: Announcer | None, *, after: int = DONE
) -> JsonObject:
    """Tell everybody what has become of an incident since, and record it last.

    The record comes last, so that whoever is interrupted tells everybody again. This is the one
    place through which outcomes after ``done`` go: whoever else is to be told is told here.

    Args:
        folder: The case file's path.
        outcome: What has become of the incident.
        books: Where records are kept.
        topic: Where outcomes are announced; None for nowhere.
        after: Number of the newest record that the outcome takes into account. What comes of
            records that are written meanwhile is newer.

    Raises:
        Retry: The topic or the store does not answer; nothing is recorded then.
    """
    refused = await publish(topic, outcome) if topic else None
    if refused:
        gaps = outcome.get("gaps")
        gap = {"collector": "announcement", "reason": refused}
        outcome = {**outcome, "gaps": [*(gaps if isinstance(gaps, list) else ()), gap]}
    journal = Journal(books.store, folder, books.run, books.clock)
    await journal.append(max(after, DONE), str(outcome["status"]), {"outcome": outcome})
    return outcome
