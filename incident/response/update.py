"""An incident that is done goes on: everybody is told of its new outcome, and it is put on record.

What the outcome is, and why there is a new one, is for the caller.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from incident.case_file.case_file import DONE_NUMBER, publish_outcome
from incident.case_file.manifest_chain import try_extend_manifest_chain
from incident.case_file.recording_store import as_recording_store
from incident.decision.inputs import Records
from incident.model import IncidentError, Json, JsonObject
from incident.playbook.plan import with_updated_plan
from incident.redaction.redactor import Redactor
from incident.report.chat_text import chat_message
from incident.report.seal import try_to_seal_case_file
from incident.response.context import Ports
from incident.response.notify_scc import correct_finding


async def publish_update(  # noqa: PLR0913 - where, what, with what, and since when
    folder: str,
    outcome: JsonObject,
    records: Records,
    ports: Ports,
    redactor: Redactor,
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
        records: Where records are kept.
        ports: Security Command Center, and where outcomes are announced.
        redactor: Redacts what goes wrong meanwhile.
        after: Number of the newest record that the outcome takes into account, where what comes
            of records that are written meanwhile is newer; None where this comes after all.
        once: Whether of several who say the same at once one record is enough.

    Raises:
        Retry: The topic or the store does not answer; nothing is recorded then.
    """
    records = replace(records, store=as_recording_store(records.store))
    outcome, sha256, seal_error = await _seal_update(folder, with_updated_plan(outcome), records)
    case = await records.case_file(folder)
    reasons = {
        "report": seal_error,
        "write-back": await correct_finding(case, ports.security_center, outcome),
        "announcement": await publish_outcome(ports.topic, outcome) if ports.topic else None,
        "webhook": await _send_chat(ports, outcome),
    }
    outcome = _with_gaps(outcome, reasons, redactor)
    body: JsonObject = {"outcome": outcome, "manifest_sha256": sha256}
    write = case.journal.create if once else case.journal.append
    newest = max((record.number for record in case.known_records), default=DONE_NUMBER)
    last = max(newest if after is None else after, DONE_NUMBER)
    await write(last + 1 if once else last, str(outcome["status"]), body)
    _, unlisted = await try_extend_manifest_chain(records.store, folder, outcome.get("containment"))
    return _with_gaps(outcome, {"manifest": unlisted}, redactor)


async def _seal_update(
    folder: str, outcome: JsonObject, records: Records
) -> tuple[JsonObject, str | None, str | None]:
    """The outcome with its new page, the new manifest's digest, or why there are none.

    Raises:
        Retry: The store does not answer.
    """
    sealed = await try_to_seal_case_file(records.store, folder, outcome, records.clock())
    if isinstance(sealed, str):
        return outcome, None, sealed
    links = outcome.get("links")
    known: Mapping[str, Json] = links if isinstance(links, Mapping) else {}
    page = f"{known.get('case_file')}/{sealed.report_path.rpartition('/')[2]}"
    return {**outcome, "links": {**known, "report": page}}, sealed.manifest_sha256, None


def _with_gaps(
    outcome: JsonObject, reasons: Mapping[str, str | None], redactor: Redactor
) -> JsonObject:
    gaps = outcome.get("gaps")
    known = gaps if isinstance(gaps, list) else []
    new = [{"collector": c, "reason": redactor.text(why)} for c, why in reasons.items() if why]
    return {**outcome, "gaps": [*known, *new]} if new else outcome


async def _send_chat(ports: Ports, outcome: JsonObject) -> str | None:
    """The short text to the room, if there is one; nothing ever waits for it."""
    if ports.webhook is None:
        return None
    try:
        await ports.webhook.send(chat_message(outcome))
    except IncidentError as error:
        return str(error)
    return None
