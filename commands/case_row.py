"""An incident as one row: what `list` prints and the index of all cases shows. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from commands.open_attempts import OpenAttempt
from incident.case_file.index import CaseSummary
from incident.case_file.paths import CLAIMS
from incident.model import Json, Status, Verdict
from incident.model.json_text import parse_time, time_text
from incident.model.outcome import Outcome

_AGES = ((86400, "d"), (3600, "h"), (60, "min"))


@dataclass(frozen=True, slots=True)
class CaseRow:
    """An incident in short.

    Attributes:
        case: Its case file.
        outcome: Its newest outcome; None while it is open.
        attempt: Work of a person that was begun and has no result.
    """

    case: CaseSummary
    outcome: Outcome | None
    attempt: OpenAttempt | None = None

    @property
    def confirmed(self) -> bool:
        """Whether Security Command Center lists the finding; unconfirmed claims lie apart."""
        return not self.case.folder.startswith(f"{CLAIMS}/")

    @property
    def simulated(self) -> bool:
        """Whether the emulator stood in for Google."""
        return bool(self.outcome and self.outcome.simulated)

    @property
    def event_time(self) -> datetime | None:
        """When the finding's event was, as the outcome or else the first record says."""
        finding = self.outcome.finding if self.outcome else None
        if finding and finding.event_time:
            return finding.event_time
        stated = [record.body.get("event_time") for record in self.case.records[:1]]
        return parse_time(stated[0]) if stated and stated[0] else self.case.started_at

    @property
    def contained_at(self) -> datetime | None:
        """When a containment was recorded as verified; None if none was."""
        statuses = (
            (record.recorded_at, record.kind, record.body.get("status"), record.outcome)
            for record in self.case.records
        )
        return next(
            (
                at
                for at, kind, status, outcome in statuses
                if kind == "contained"
                and Status.CONTAINED in (status, outcome.status if outcome else None)
            ),
            None,
        )

    @property
    def severity(self) -> str:
        """The finding's severity; empty if not known yet."""
        finding = self.outcome.finding if self.outcome else None
        return (finding.severity if finding else None) or ""

    @property
    def category(self) -> str:
        """The finding type; empty if not known yet."""
        finding = self.outcome.finding if self.outcome else None
        return (finding.category if finding else None) or ""

    @property
    def project(self) -> str:
        """Id or number of the workload's project; empty without a workload."""
        workload = self.case.workload
        return workload.project if workload else ""

    @property
    def workload_text(self) -> str:
        """The workload's short name with its project."""
        workload = self.case.workload
        return f"{workload.name} ({workload.project})" if workload else "-"

    @property
    def status_text(self) -> str:
        """The status, and whether anybody but the message says that there is a finding."""
        return self.case.status if self.confirmed else f"{self.case.status}, unconfirmed"

    @property
    def reason(self) -> str:
        """Why the status is what it is: a change's error, else a reason of the decision."""
        if self.outcome is None:
            return ""
        error = next((change.error for change in self.outcome.changes if change.error), None)
        reasons = self.outcome.decision.reasons
        # Where it was decided to contain, that the finding is confirmed comes first.
        first = 1 if self.outcome.decision.verdict is Verdict.CONTAIN and len(reasons) > 1 else 0
        return error or next(iter(reasons[first:]), "")

    def age(self, now: datetime) -> str:
        """How long ago the event was, such as ``3 h``."""
        return age_text(self.event_time, now)

    @property
    def json(self) -> dict[str, Json]:
        """The row for scripts."""
        case, workload, finding = self.case, self.case.workload, self.category
        return {
            "incident": case.incident,
            "status": case.status,
            "confirmed": self.confirmed,
            "severity": self.severity or None,
            "category": finding or None,
            "project": self.project or None,
            "workload": workload.resource_name if workload else None,
            "reason": self.reason or None,
            "event_time": time_text(self.event_time),
            "began_at": time_text(case.started_at),
            "open_attempt": self.attempt.json if self.attempt else None,
            **({"simulated": True} if self.simulated else {}),
        }


def case_row(case: CaseSummary, attempt: OpenAttempt | None = None) -> CaseRow:
    """The row of a case file."""
    return CaseRow(case, case.outcome, attempt)


def age_text(moment: datetime | None, now: datetime) -> str:
    """A span until now in its largest unit, such as ``3 h``; empty if unknown."""
    if moment is None:
        return ""
    seconds = max(int((now - moment).total_seconds()), 0)
    for size, unit in _AGES:
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def utc_text(moment: datetime | None) -> str:
    """A time as people read it, such as ``2026-10-02 08:14:07 UTC``; empty if unknown."""
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC" if moment else ""
