"""Notify Security Command Center and the chat room of an outcome.

SCC gets security marks and an external system with the status, the incident and the case file,
and only for outcomes whose write was verified: see ``REPORTED_STATUSES``. The chat room gets one
short message; a failure to send it never blocks the incident.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from incident.case_file.case_file import CaseFile
from incident.model import (
    ChatStyle,
    Finding,
    GiveUp,
    IncidentError,
    Json,
    JsonObject,
    Retry,
    Status,
)
from incident.model.outcome import Outcome
from incident.redaction.redactor import Redactor
from incident.report.chat_body import chat_body

#: Name of the external system in SCC.
EXTERNAL_SYSTEM = "scc-responder"
STATUS_MARK, INCIDENT_MARK, CONTAINMENT_MARK = (
    "responder-status",
    "responder-incident",
    "responder-containment",
)
#: Statuses that are written to SCC: a write, or its release, was verified by reading it back.
#: All others wrote nothing (planned, held, ignored, awaiting-approval, expired,
#: already-contained, duplicate) or could not be verified (unverified, failed). What SCC was sent
#: before is corrected in any case: see ``finding_update``.
REPORTED_STATUSES = frozenset({Status.CONTAINED, Status.RESTRICTED, Status.RELEASED})


class FindingWriter(Protocol):
    """Writes to a finding in Security Command Center."""

    async def set_marks(self, finding: str, marks: Mapping[str, str]) -> None:
        """Set some security marks of a finding."""

    async def set_external_system(
        self, finding: str, system: str, fields: Mapping[str, str]
    ) -> None:
        """Set the fields of an external system on a finding."""


@dataclass(frozen=True, slots=True)
class FindingUpdate:
    """Security marks and external system to write to a finding.

    Attributes:
        finding: The finding's canonical name. It names the project, so that writing works with
            permissions on that project alone.
        marks: Security marks.
        external_system: Fields of the external system.
    """

    finding: str
    marks: Mapping[str, str]
    external_system: Mapping[str, str]

    def has_marks(self, finding: JsonObject) -> bool:
        """Whether a finding, as SCC lists it, has these marks already.

        The incident mark is not compared. A later event of the same finding refers to the same
        containment; if it wrote its own incident, and a write moved the event time, each write
        would cause the next event.
        """
        current = _text_members(finding, "securityMarks", "marks")
        keys = self.marks.keys() - {INCIDENT_MARK}
        return all(current.get(key) == self.marks[key] for key in keys)

    def has_external_system(self, finding: JsonObject) -> bool:
        """Whether the finding already links to a case file with the same status."""
        current = _text_members(finding, "externalSystems", EXTERNAL_SYSTEM)
        same = current.get("status") == self.external_system["status"] and bool(
            current.get("caseUri")
        )
        return same and self.has_marks(finding)


def has_incident_mark(finding: Finding) -> bool:
    """Whether a finding shows what its own incident wrote to it: the mark or the external system.

    SCC notifies of both writes. Such a notification has the incident's id in it, and is not news.
    """
    record = finding.raw.get("finding")
    marks = _text_members(record, "securityMarks", "marks")
    system = _text_members(record, "externalSystems", EXTERNAL_SYSTEM)
    return finding.incident_id in (marks.get(INCIDENT_MARK), system.get("externalUid"))


def finding_update(
    outcome: Outcome, finding: str | None, *, correction: bool = False
) -> FindingUpdate | None:
    """The update that an outcome makes to its finding in SCC; None for no update.

    Args:
        outcome: The incident's outcome.
        finding: The finding's canonical name; None if unknown.
        correction: Whether SCC was updated before. It is then updated whatever the status, so
            that a finding does not keep a status that is no longer true.
    """
    if finding is None or outcome.containment is None:
        return None
    if not (correction or outcome.status in REPORTED_STATUSES):
        return None
    status, incident = outcome.status.value, str(outcome.incident)
    marks = {
        STATUS_MARK: status,
        INCIDENT_MARK: incident,
        CONTAINMENT_MARK: outcome.containment,
    }
    case_uri = str(outcome.links.case_file)
    external_system = {"status": status, "external_uid": incident, "case_uri": case_uri}
    return FindingUpdate(finding, marks, external_system)


async def update_finding(
    case: CaseFile,
    writer: FindingWriter,
    update: FindingUpdate | None,
    listed_finding: Finding | None,
    redactor: Redactor,
) -> str | None:
    """Update the finding in SCC, once.

    Args:
        case: The incident's case file.
        writer: Security Command Center.
        update: What to write; None for nothing.
        listed_finding: The finding as SCC listed it in this run; what it already has is not
            written again.
        redactor: Redacts the reason.

    Returns:
        Why SCC refused for good; None on success.

    Raises:
        Retry: SCC or the store does not answer; a redelivery finishes what is missing.
    """
    if update is None or case.has_record("written-back"):
        return None
    if refused := case.refusal_reason("not-written-back"):
        return refused
    reason = await _send_update(writer, update, _listed_record(listed_finding, update))
    body: dict[str, Json] = {
        "finding": update.finding,
        "marks": update.marks,
        "system": EXTERNAL_SYSTEM,
    }
    if reason is None:
        await case.add_record("written-back", body)
        return None
    reason = redactor.text(reason)
    await case.add_record("not-written-back", {**body, "reason": reason})
    return reason


async def correct_finding(case: CaseFile, writer: FindingWriter, outcome: Outcome) -> str | None:
    """Update the finding in SCC for the new outcome of a concluded incident, such as a release.

    Overwrites what is there. A transient fault of SCC counts as a refusal, since nothing
    retries this update.

    Returns:
        Why SCC was not updated; None on success.

    Raises:
        Retry: The store does not answer.
    """
    update = finding_update(outcome, case.finding, correction=case.has_record("written-back"))
    if update is None:
        return None
    try:
        reason = await _send_update(writer, update, {})
    except Retry as error:
        reason = str(error)
    kind = "written-back" if reason is None else "not-written-back"
    await case.add_later_record(
        kind, {"finding": update.finding, "marks": update.marks, "system": EXTERNAL_SYSTEM}
    )
    return reason


async def _send_update(
    writer: FindingWriter, update: FindingUpdate, listed: JsonObject
) -> str | None:
    """Write what is missing. Marks and external system are refused independently."""
    refusals = []
    if not update.has_marks(listed):
        try:
            await writer.set_marks(update.finding, update.marks)
        except GiveUp as error:
            refusals.append(str(error))
    if not update.has_external_system(listed):
        try:
            await writer.set_external_system(
                update.finding, EXTERNAL_SYSTEM, update.external_system
            )
        except GiveUp as error:
            refusals.append(str(error))
    return "; ".join(refusals) or None


def _listed_record(finding: Finding | None, update: FindingUpdate) -> JsonObject:
    """The finding as SCC listed it; empty if it was not listed or is another finding."""
    listed = (
        finding.raw.get("finding") if finding and finding.filed_name == update.finding else None
    )
    return listed if isinstance(listed, Mapping) else {}


def _text_members(value: Json, *path: str) -> Mapping[str, str]:
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    members = value if isinstance(value, Mapping) else {}
    return {key: text for key, text in members.items() if isinstance(text, str)}


class Messenger(Protocol):
    """Sends messages to a chat room.

    Attributes:
        name: The room's host, which is safe to show.
        style: How it takes its messages.
    """

    name: str
    style: ChatStyle

    async def send(self, body: JsonObject) -> None:
        """Send one message; ends within a few seconds."""


async def notify_chat(
    case: CaseFile, messenger: Messenger | None, outcome: Outcome, redactor: Redactor
) -> str | None:
    """Send the chat message of an outcome, once.

    A failure is recorded and not retried, so that redeliveries for other reasons do not flood
    the room.

    Returns:
        Why it was not sent; None on success.

    Raises:
        Retry: The store does not answer.
    """
    if messenger is None or case.has_record("notified"):
        return None
    if refused := case.refusal_reason("not-notified"):
        return refused
    try:
        await messenger.send(chat_body(outcome, messenger.style))
    except IncidentError as error:
        reason = redactor.text(str(error))
        await case.add_record("not-notified", {"host": messenger.name, "reason": reason})
        return reason
    await case.add_record("notified", {"host": messenger.name})
    return None
