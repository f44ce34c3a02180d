"""What a responding process is given: the outside, and what holds for every incident."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from incident.case_file.case_file import OutcomePublisher
from incident.case_file.journal import ObjectStore
from incident.containment.types import ContainmentClient as Writing
from incident.investigation.collect import FindingReader, LogReader, TaskReader
from incident.investigation.virustotal import ReputationReader
from incident.model import (
    JsonObject,
)
from incident.response.notify_chat import Messenger
from incident.response.notify_scc import FindingWriter


class CloudRunPort(Writing, TaskReader, Protocol):
    """Cloud Run, to read and to write."""


class SecurityCenterPort(FindingReader, FindingWriter, Protocol):
    """Security Command Center, to read and to write back to."""


class PolicyReader(Protocol):
    """Where the policy file is."""

    url: str

    async def read(self) -> bytes:
        """Its bytes; Missing or Denied when there is none to be had."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Everything outside that an incident needs; neither a topic nor VirusTotal has to be there."""

    cloud_run: CloudRunPort
    security_center: SecurityCenterPort
    logging: LogReader
    store: ObjectStore
    policy: PolicyReader
    topic: OutcomePublisher | None
    webhook: Messenger | None
    virustotal: ReputationReader | None = None


@dataclass(frozen=True, slots=True)
class DeliveryResult:
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
LogOutcome = Callable[[DeliveryResult], None]


def log_nothing(result: DeliveryResult) -> None:
    """Where whoever asked tells what it came to, once he has the answer."""
