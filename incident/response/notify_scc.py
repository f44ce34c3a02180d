"""What became of an incident, written back to Security Command Center, beside what others say.

Only what was read back is written there: see ``SAID``. Whoever looks at the finding finds the
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
SYSTEM = "scc-responder"
STATUS, INCIDENT, CONTAINMENT = "responder-status", "responder-incident", "responder-containment"
#: The statuses that SCC is told: a write of ours was read back, or taken back and read back.
#: Every other one either wrote nothing (planned, held, ignored, awaiting-approval, expired,
#: already-contained, duplicate) or could not show what its write did (unverified, failed). What was
#: said before is corrected, whatever is true by now: see ``statement``.
SAID = frozenset({Status.CONTAINED, Status.RESTRICTED, Status.RELEASED})


class Noticeboard(Protocol):
    """What writing back needs of Security Command Center."""

    async def mark(self, finding: str, marks: Mapping[str, str]) -> None:
        """Set some security marks of a finding."""

    async def link(self, finding: str, system: str, case: Mapping[str, str]) -> None:
        """Say what an external system makes of a finding."""


@dataclass(frozen=True, slots=True)
class Statement:
    """What is said of a finding.

    Attributes:
        finding: The finding at its canonical name: its project's own name for it is the one
            under which writing works with a project's permissions, too.
        marks: Security marks.
        case: Fields of the external system.
    """

    finding: str
    marks: Mapping[str, str]
    case: Mapping[str, str]

    def marked(self, finding: JsonObject) -> bool:
        """Whether the marks of a finding, as SCC lists it, say the same already.

        The incident does not count. A later event of the same finding joins its containment,
        and if it said so anew, an event time that moves with each of our writes would never
        let it end.
        """
        said = _texts(finding, "securityMarks", "marks")
        keys = self.marks.keys() - {INCIDENT}
        return all(said.get(key) == self.marks[key] for key in keys)

    def linked(self, finding: JsonObject) -> bool:
        """Whether what SCC lists links to a case file of ours with the same status already."""
        said = _texts(finding, "externalSystems", SYSTEM)
        same = said.get("status") == self.case["status"] and bool(said.get("caseUri"))
        return same and self.marked(finding)


def statement(
    outcome: JsonObject, finding: str | None, *, corrects: bool = False
) -> Statement | None:
    """What SCC is told of an outcome; None where it is told nothing.

    What it was told before is corrected, whatever is true by now: a finding must not go on
    saying that a workload is contained.
    """
    ours = outcome.get("containment") is not None  # of what others did, SCC is told nothing
    if finding is None or not ours or not (corrects or str(outcome["status"]) in SAID):
        return None
    status, incident = str(outcome["status"]), str(outcome["incident"])
    links = outcome.get("links")
    place = links.get("case_file") if isinstance(links, Mapping) else None
    marks = {STATUS: status, INCIDENT: incident, CONTAINMENT: str(outcome["containment"])}
    case = {"status": status, "external_uid": incident, "case_uri": str(place)}
    return Statement(finding, marks, case)


async def write_back(
    case: CaseFile, board: Noticeboard, said: Statement | None, seen: Finding | None, hide: Redactor
) -> str | None:
    """Tell SCC what became of a finding, once; the reason when it will never be told.

    Args:
        case: The incident's case file.
        board: Security Command Center.
        said: What to say; None for nothing.
        seen: The finding as SCC listed it in this run: what it says already is not said again.
        hide: Redacts the reason.

    Raises:
        Retry: SCC or the store does not answer; a redelivery finishes what is missing.
    """
    if said is None or case.has("written-back"):
        return None
    if refused := case.refusal("not-written-back"):
        return refused
    reason = await _write(board, said, _listed(seen, said))
    told: dict[str, Json] = {"finding": said.finding, "marks": said.marks, "system": SYSTEM}
    if reason is None:
        await case.note("written-back", told)
        return None
    reason = hide.text(reason)
    await case.note("not-written-back", {**told, "reason": reason})
    return reason


async def carry_back(case: CaseFile, board: Noticeboard, told: JsonObject) -> str | None:
    """Tell SCC what has become of a finished incident since, such as its release.

    Whatever it may say is overwritten, and SCC away for a moment counts as a refusal: nobody
    comes back for it. The reason is returned, for the person who does it.

    Raises:
        Retry: The store does not answer.
    """
    said = statement(told, case.finding, corrects=case.has("written-back"))
    if said is None:
        return None
    try:
        reason = await _write(board, said, {})
    except Retry as error:
        reason = str(error)
    kind = "written-back" if reason is None else "not-written-back"
    await case.follow(kind, {"finding": said.finding, "marks": said.marks, "system": SYSTEM})
    return reason


async def _write(board: Noticeboard, said: Statement, listed: JsonObject) -> str | None:
    """Write what is missing; a refusal of the one is none of the other."""
    refusals = []
    if not said.marked(listed):
        try:
            await board.mark(said.finding, said.marks)
        except GiveUp as error:
            refusals.append(str(error))
    if not said.linked(listed):
        try:
            await board.link(said.finding, SYSTEM, said.case)
        except GiveUp as error:
            refusals.append(str(error))
    return "; ".join(refusals) or None


def _listed(seen: Finding | None, said: Statement) -> JsonObject:
    """The very finding as SCC listed it; empty where it is another one, or was not listed."""
    listed = seen.raw.get("finding") if seen and seen.filed_name == said.finding else None
    return listed if isinstance(listed, Mapping) else {}


def _texts(value: Json, *path: str) -> Mapping[str, str]:
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    members = value if isinstance(value, Mapping) else {}
    return {key: text for key, text in members.items() if isinstance(text, str)}
