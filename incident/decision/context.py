"""What holds for every incident of a process: settings, clock, mode ceiling, redactor."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from incident.decision.guards import Operator, ResponderIdentity
from incident.model import (
    Evidence,
    Mode,
    Notification,
    Route,
    Secret,
    Workload,
    WorkloadConfiguration,
)
from incident.redaction.redactor import Redactor


@dataclass(frozen=True, slots=True)
class ProcessContext:
    """What holds for every incident of this process.

    Attributes:
        route: Which responder answers a notification.
        clock: The time.
        mode_ceiling: The highest mode that the environment allows.
        mode_ceiling_reason: Why.
        responder_identity: Where the responder itself runs.
        store_url: Where the case files are, for the links.
        redaction_key: Key of the hashes that replace redacted values.
        verify_timeout: How long a write may take until it is read back in effect.
        peer_wait: How long another process may leave work that it began without a record.
        operator: Who resumes incidents; None where deliveries are answered.
        simulated: Whether the emulator stands in for Google, which every outcome says.
    """

    route: Callable[[Notification], Route]
    clock: Callable[[], datetime]
    mode_ceiling: Mode
    mode_ceiling_reason: str
    responder_identity: ResponderIdentity
    store_url: str
    redaction_key: bytes
    verify_timeout: timedelta
    peer_wait: timedelta
    operator: Operator | None = None
    simulated: bool = False

    def workload_redactor(
        self, workload: Workload, configuration: WorkloadConfiguration | None
    ) -> Redactor:
        """Redacts a workload's settings where there is no finding."""
        secrets = configuration.template.secrets if configuration else ()
        return Redactor(self.redaction_key, secrets, harmless=_workload_names(workload))

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
            harmless += _workload_names(finding.workload)
        return Redactor(self.redaction_key, (*evidence.secrets, *known), harmless=harmless)


def _workload_names(workload: Workload) -> list[str]:
    project = (workload.project_id, workload.project_number)
    return [name for name in (workload.name, workload.location, *project) if name]
