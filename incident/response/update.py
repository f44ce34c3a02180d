"""An incident that is done goes on: everybody is told of its new outcome, and it is put on record.

What the outcome is, and why there is a new one, is for the caller.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from incident.case_file.case_file import DONE, publish
from incident.case_file.manifest_chain import close
from incident.case_file.recording_store import witness
from incident.decision.inputs import Books
from incident.model import IncidentError, Json, JsonObject
from incident.playbook.order import replanned
from incident.redaction.redactor import Redactor
from incident.report.chat_text import brief
from incident.report.seal import try_to_seal
from incident.response.context import Outside
from incident.response.notify_scc import carry_back


async def carry_on(  # noqa: PLR0913 - where, what, with what, and since when
    folder: str,
    outcome: JsonObject,
    books: Books,
    outside: Outside,
    hide: Redactor,
    *,
    after: int | None = None,
    once: bool = False,
) -> JsonObject:
    """Tell everybody what has become of an incident since, and record it last.

    The record comes last, so that whoever is interrupted tells everybody again; behind it, what
    is new in the case file is listed, which nothing of it depends on. This is the one
    place through which outcomes after ``done`` go: whoever else is to be told is told here.

    Args:
        folder: The case file's path.
        outcome: What has become of the incident.
        books: Where records are kept.
        outside: Security Command Center, and where outcomes are announced.
        hide: Redacts what goes wrong meanwhile.
        after: Number of the newest record that the outcome takes into account, where what comes
            of records that are written meanwhile is newer; None where this comes after all.
        once: Whether of several who say the same at once one record is enough.

    Raises:
        Retry: The topic or the store does not answer; nothing is recorded then.
    """
    books = replace(books, store=witness(books.store))
    outcome, sha256, unsealed = await _sealed(folder, replanned(outcome), books)
    case = await books.case(folder)
    reasons = {
        "report": unsealed,
        "write-back": await carry_back(case, outside.security_center, outcome),
        "announcement": await publish(outside.topic, outcome) if outside.topic else None,
        "webhook": await _send(outside, outcome),
    }
    outcome = _with_gaps(outcome, reasons, hide)
    body: JsonObject = {"outcome": outcome, "manifest_sha256": sha256}
    write = case.journal.claim if once else case.journal.append
    newest = max((record.number for record in case.earlier), default=DONE)
    last = max(newest if after is None else after, DONE)
    await write(last + 1 if once else last, str(outcome["status"]), body)
    _, unlisted = await close(books.store, folder, outcome.get("containment"))
    return _with_gaps(outcome, {"manifest": unlisted}, hide)


async def _sealed(
    folder: str, outcome: JsonObject, books: Books
) -> tuple[JsonObject, str | None, str | None]:
    """The outcome with its new page, the new manifest's digest, or why there are none.

    Raises:
        Retry: The store does not answer.
    """
    sealed = await try_to_seal(books.store, folder, outcome, books.clock())
    if isinstance(sealed, str):
        return outcome, None, sealed
    links = outcome.get("links")
    known: Mapping[str, Json] = links if isinstance(links, Mapping) else {}
    page = f"{known.get('case_file')}/{sealed.report.rpartition('/')[2]}"
    return {**outcome, "links": {**known, "report": page}}, sealed.sha256, None


def _with_gaps(
    outcome: JsonObject, reasons: Mapping[str, str | None], hide: Redactor
) -> JsonObject:
    gaps = outcome.get("gaps")
    known = gaps if isinstance(gaps, list) else []
    new = [{"collector": c, "reason": hide.text(why)} for c, why in reasons.items() if why]
    return {**outcome, "gaps": [*known, *new]} if new else outcome


async def _send(outside: Outside, outcome: JsonObject) -> str | None:
    """The short text to the room, if there is one; nothing ever waits for it."""
    if outside.webhook is None:
        return None
    try:
        await outside.webhook.send(brief(outcome))
    except IncidentError as error:
        return str(error)
    return None
