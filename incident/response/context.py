"""Ports to the services that an incident uses, and the result of a delivery."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from incident.case_file.case_file import OutcomePublisher
from incident.case_file.journal import ObjectStore
from incident.containment.request_and_result import ContainmentClient
from incident.investigation.affected import InventoryReader
from incident.investigation.collect import FindingReader, LogReader, TaskReader
from incident.investigation.virustotal import ReputationReader
from incident.model.outcome import Outcome
from incident.response.notify import FindingWriter, Messenger


class CloudRunPort(ContainmentClient, TaskReader, Protocol):
    """Cloud Run: reads and writes."""


class SecurityCenterPort(FindingReader, FindingWriter, Protocol):
    """Security Command Center: reads findings and updates them."""


class PolicyReader(Protocol):
    """Reads the policy file; ``url`` is its address."""

    url: str

    async def read(self) -> bytes:
        """Read the file; raises Missing or Denied if it cannot be had."""


@dataclass(frozen=True, slots=True)
class Ports:
    """All external services that an incident uses; None where one is not configured."""

    cloud_run: CloudRunPort
    security_center: SecurityCenterPort
    logging: LogReader
    inventory: InventoryReader
    store: ObjectStore
    policy: PolicyReader
    topic: OutcomePublisher | None
    webhook: Messenger | None
    virustotal: ReputationReader | None = None


@dataclass(frozen=True, slots=True)
class DeliveryResult:
    """Result of one delivery.

    Attributes:
        outcome: The incident's outcome.
        alarm: Whether a person must look now.
        case_file: Path of the case file in the store; None where none is kept.
        manifest_sha256: Digest of the manifest of the run; None where it created nothing.
        warning: Whether something besides the incident needs a repair.
        logged_record: Path and content of the record to create once the outcome is logged; None
            where it was logged before, or is not to be.
        contained_at: When the workload was read back as stopped, where this delivery reports it.
    """

    outcome: Outcome
    alarm: bool = False
    case_file: str | None = None
    manifest_sha256: str | None = None
    warning: bool = False
    contained_at: datetime | None = None
    logged_record: tuple[str, bytes] | None = None
