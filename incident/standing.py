"""What a responding process is given: the outside, and what holds for every incident."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from incident.guards import Attendance, Ourselves
from incident.investigate import Findings, LogReader, Tasks
from incident.journal import Store
from incident.model import (
    Evidence,
    JsonObject,
    Mode,
    Notification,
    Route,
    Secret,
    Settings,
    Workload,
)
from incident.notify import Messenger
from incident.record import Announcer
from incident.redaction import Redactor
from incident.reputation import FileReports
from incident.scene import Run as Writing
from incident.write_back import Noticeboard


class Run(Writing, Tasks, Protocol):
    """Cloud Run, to read and to write."""


class SecurityCenter(Findings, Noticeboard, Protocol):
    """Security Command Center, to read and to write back to."""


class PolicyReader(Protocol):
    """Where the policy file is."""

    url: str

    async def read(self) -> bytes:
        """Its bytes; Missing or Denied when there is none to be had."""


@dataclass(frozen=True, slots=True)
class Outside:
    """Everything outside that an incident needs; neither a topic nor VirusTotal has to be there."""

    run: Run
    security_center: SecurityCenter
    logging: LogReader
    store: Store
    policy: PolicyReader
    topic: Announcer | None
    webhook: Messenger | None
    virustotal: FileReports | None = None


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


@dataclass(frozen=True, slots=True)
class Answer:
    """What one delivery came to.

    Attributes:
        outcome: The incident's outcome.
        alarm: Whether a person must look now.
        case_file: Path of the case file in the store; None where none is kept.
        manifest_sha256: Digest of the newest manifest of the case file that was written for it;
            None where none was.
        warning: Whether something besides the incident needs mending.
        unlisted: Why the newest objects are in no manifest yet; empty where they are.
        contained_at: When the workload was read back as stopped, where this delivery tells of it.
    """

    outcome: JsonObject
    alarm: bool = False
    case_file: str | None = None
    manifest_sha256: str | None = None
    warning: bool = False
    unlisted: str = ""
    contained_at: datetime | None = None


#: Puts an answer into the log at once, before its case file is listed.
Say = Callable[[Answer], None]


def unheard(answer: Answer) -> None:
    """Where whoever asked tells what it came to, once he has the answer."""
