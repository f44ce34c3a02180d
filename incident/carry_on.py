"""An incident that is done goes on: its new outcome is announced, and put on record.

What the outcome is, and why there is a new one, is for the caller.
"""

from __future__ import annotations

from incident.core import Books
from incident.model import JsonObject
from incident.record import DONE, publish
from incident.standing import Outside
from incident.write_back import carry_back


async def carry_on(
    folder: str, outcome: JsonObject, books: Books, outside: Outside, *, after: int = DONE
) -> JsonObject:
    """Tell everybody what has become of an incident since, and record it last.

    The record comes last, so that whoever is interrupted tells everybody again. This is the one
    place through which outcomes after ``done`` go: whoever else is to be told is told here.

    Args:
        folder: The case file's path.
        outcome: What has become of the incident.
        books: Where records are kept.
        outside: Security Command Center, and where outcomes are announced.
        after: Number of the newest record that the outcome takes into account. What comes of
            records that are written meanwhile is newer.

    Raises:
        Retry: The topic or the store does not answer; nothing is recorded then.
    """
    case = await books.case(folder)
    unsaid = await carry_back(case, outside.security_center, outcome)
    unheard = await publish(outside.topic, outcome) if outside.topic else None
    for name, reason in (("write-back", unsaid), ("announcement", unheard)):
        if reason:
            gaps = outcome.get("gaps")
            gap = {"collector": name, "reason": reason}
            outcome = {**outcome, "gaps": [*(gaps if isinstance(gaps, list) else ()), gap]}
    await case.journal.append(max(after, DONE), str(outcome["status"]), {"outcome": outcome})
    return outcome
