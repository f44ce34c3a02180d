"""Update of a finding in Security Command Center: security marks and an external system.

They have the status, the incident and the case file, and are written only for outcomes whose write
was verified: see ``REPORTED_STATUSES``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from incident.model import (
    Finding,
    GiveUp,
    Json,
    JsonObject,
    Status,
)
from incident.model.outcome import Outcome
from incident.model.ports import SecurityCenterPort

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

    def to_json(self) -> JsonObject:
        """The update as its record has it."""
        return {"finding": self.finding, "marks": self.marks, "system": EXTERNAL_SYSTEM}

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


async def send_update(
    writer: SecurityCenterPort, update: FindingUpdate, listed_finding: Finding | None
) -> str | None:
    """Write marks and external system, side by side. They are refused independently.

    Args:
        writer: Security Command Center.
        update: What to write.
        listed_finding: The finding as SCC listed it in this run; what it already has is not
            written again.

    Returns:
        Why SCC refused for good; None on success.

    Raises:
        Retry: SCC does not answer.
    """
    listed = _listed_record(listed_finding, update)
    writes = []
    if not update.has_marks(listed):
        writes.append(writer.set_marks(update.finding, update.marks))
    if not update.has_external_system(listed):
        system = update.external_system
        writes.append(writer.set_external_system(update.finding, EXTERNAL_SYSTEM, system))
    answers = await asyncio.gather(*writes, return_exceptions=True)
    refusals = [str(answer) for answer in answers if isinstance(answer, GiveUp)]
    for answer in answers:
        if isinstance(answer, BaseException) and not isinstance(answer, GiveUp):
            raise answer
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
