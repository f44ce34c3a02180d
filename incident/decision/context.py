"""What holds for every incident of a process: settings, clock, mode ceiling, redactor."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from incident.decision.guards import Attendance, Ourselves
from incident.model import Evidence, Mode, Notification, Route, Secret, Settings, Workload
from incident.redaction.redactor import Redactor


@dataclass(frozen=True, slots=True)
class Standing:
    """What holds for every incident of this process.

    Attributes:
        route: Which responder answers a notification.
        clock: Tells the time.
        ceiling: The highest mode that the environment allows.
        ceiling_reason: Why.
        ourselves: Where the responder itself runs.
        store_url: Where the case files are, for the links.
        redaction_key: Key of the hashes that stand in for redacted values.
        verify_timeout: How long a write may take until it is seen in effect.
        peer_wait: How long another process may be silent about work that it began.
        attendance: Who takes incidents up again; None where notifications are answered.
    """

    route: Callable[[Notification], Route]
    clock: Callable[[], datetime]
    ceiling: Mode
    ceiling_reason: str
    ourselves: Ourselves
    store_url: str
    redaction_key: bytes
    verify_timeout: timedelta
    peer_wait: timedelta
    attendance: Attendance | None = None

    def redactor_of(self, workload: Workload, settings: Settings | None) -> Redactor:
        """Redacts what a workload's settings hold, for whoever works on it without a finding."""
        secrets = settings.template.secrets if settings else ()
        return Redactor(self.redaction_key, secrets, harmless=_names_of(workload))

    def redactor(self, evidence: Evidence | None = None, known: Iterable[Secret] = ()) -> Redactor:
        """Redacts what is known to be secret by now, and never the names of the workload.

        Args:
            evidence: What was gathered, where there is an incident.
            known: What else was read that may be secret.
        """
        if evidence is None:
            return Redactor(self.redaction_key, known)
        finding = evidence.finding
        names = [finding.revision, *(container.name for container in finding.containers)]
        harmless = [name for name in names if name]
        if finding.workload:
            harmless += _names_of(finding.workload)
        return Redactor(self.redaction_key, (*evidence.secrets, *known), harmless=harmless)


def _names_of(workload: Workload) -> list[str]:
    project = (workload.project_id, workload.project_number)
    return [name for name in (workload.name, workload.location, *project) if name]
