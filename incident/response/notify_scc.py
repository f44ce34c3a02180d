"""What became of an incident, written back to Security Command Center, beside what others say.

Only what was read back is written there: see ``REPORTED_STATUSES``. Whoever looks at the finding
finds the
status, the incident and the case file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from incident.case_file.case_file import CaseFile
from incident.model import Finding, GiveUp, Json, JsonObject, Retry, Status
from incident.redaction.redactor import Redactor

#: What the external system is called under which SCC keeps our word.
EXTERNAL_SYSTEM = "scc-responder"
STATUS_MARK, INCIDENT_MARK, CONTAINMENT_MARK = (
    "responder-status",
    "responder-incident",
    "responder-containment",
)
#: The statuses that SCC is told: a write of ours was read back, or taken back and read back.
#: Every other one either wrote nothing (planned, held, ignored, awaiting-approval, expired,
#: already-contained, duplicate) or could not show what its write did (unverified, failed). What was
#: said before is corrected, whatever is true by now: see ``statement``.
REPORTED_STATUSES = frozenset({Status.CONTAINED, Status.RESTRICTED, Status.RELEASED})


class FindingWriter(Protocol):
    """What writing back needs of Security Command Center."""

    async def set_marks(self, finding: str, marks: Mapping[str, str]) -> None:
        """Set some security marks of a finding."""

    async def set_external_system(
        self, finding: str, system: str, fields: Mapping[str, str]
    ) -> None:
        """Say what an external system makes of a finding."""


@dataclass(frozen=True, slots=True)
class FindingUpdate:
    """What is said of a finding.

    Attributes:
        finding: The finding at its canonical name: its project's own name for it is the one
            under which writing works with a project's permissions, too.
        marks: Security marks.
        external_system: Fields of the external system.
    """

    finding: str
    marks: Mapping[str, str]
    external_system: Mapping[str, str]

    def has_marks(self, finding: JsonObject) -> bool:
        """Whether the marks of a finding, as SCC lists it, say the same already.

        The incident does not count. A later event of the same finding joins its containment,
        and if it said so anew, an event time that moves with each of our writes would never
        let it end.
        """
        current = _text_members(finding, "securityMarks", "marks")
        keys = self.marks.keys() - {INCIDENT_MARK}
        return all(current.get(key) == self.marks[key] for key in keys)

    def has_external_system(self, finding: JsonObject) -> bool:
        """Whether what SCC lists links to a case file of ours with the same status already."""
        current = _text_members(finding, "externalSystems", EXTERNAL_SYSTEM)
        same = current.get("status") == self.external_system["status"] and bool(
            current.get("caseUri")
        )
        return same and self.has_marks(finding)


def finding_update(
    outcome: JsonObject, finding: str | None, *, correction: bool = False
) -> FindingUpdate | None:
    """What SCC is told of an outcome; None where it is told nothing.

    What it was told before is corrected, whatever is true by now: a finding must not go on
    saying that a workload is contained.
    """
    has_containment = (
        outcome.get("containment") is not None
    )  # of what others did, SCC is told nothing
    if (
        finding is None
        or not has_containment
        or not (correction or str(outcome["status"]) in REPORTED_STATUSES)
    ):
        return None
    status, incident = str(outcome["status"]), str(outcome["incident"])
    links = outcome.get("links")
    case_file = links.get("case_file") if isinstance(links, Mapping) else None
    marks = {
        STATUS_MARK: status,
        INCIDENT_MARK: incident,
        CONTAINMENT_MARK: str(outcome["containment"]),
    }
    external_system = {"status": status, "external_uid": incident, "case_uri": str(case_file)}
    return FindingUpdate(finding, marks, external_system)


async def update_finding(
    case: CaseFile,
    writer: FindingWriter,
    update: FindingUpdate | None,
    listed_finding: Finding | None,
    redactor: Redactor,
) -> str | None:
    """Tell SCC what became of a finding, once; the reason when it will never be told.

    Args:
        case: The incident's case file.
        writer: Security Command Center.
        update: What to say; None for nothing.
        listed_finding: The finding as SCC listed it in this run: what it says already is not said
            again.
        redactor: Redacts the reason.

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


async def correct_finding(case: CaseFile, writer: FindingWriter, outcome: JsonObject) -> str | None:
    """Tell SCC what has become of a finished incident since, such as its release.

    Whatever it may say is overwritten, and SCC away for a moment counts as a refusal: nobody
    comes back for it. The reason is returned, for the person who does it.

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
    """Write what is missing; a refusal of the one is none of the other."""
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
    """The very finding as SCC listed it; empty where it is another one, or was not listed."""
    listed = (
        finding.raw.get("finding") if finding and finding.filed_name == update.finding else None
    )
    return listed if isinstance(listed, Mapping) else {}


def _text_members(value: Json, *path: str) -> Mapping[str, str]:
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    members = value if isinstance(value, Mapping) else {}
    return {key: text for key, text in members.items() if isinstance(text, str)}
