"""Ports to the services that an incident uses, and the result of a delivery."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from incident.case_file.case_file import OutcomePublisher
from incident.case_file.journal import ObjectStore
from incident.containment.types import ContainmentClient
from incident.investigation.collect import FindingReader, LogReader, TaskReader
from incident.investigation.virustotal import ReputationReader
from incident.model import JsonObject
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
        alarm: Whether a person must act now.
        case_file: Path of the case file in the store; None if there is none.
        manifest_sha256: Digest of the newest manifest that was written; None if none was.
        warning: Whether something other than the incident needs a fix, such as the chat webhook.
        unlisted: Why the newest objects are in no manifest yet; empty if they are.
        contained_at: When the containment was verified; None if this delivery does not report it.
    """

    outcome: JsonObject
    alarm: bool = False
    case_file: str | None = None
    manifest_sha256: str | None = None
    warning: bool = False
    unlisted: str = ""
    contained_at: datetime | None = None


#: Logs a result at once, before the case file's manifest is written.
LogOutcome = Callable[[DeliveryResult], None]


def log_nothing(result: DeliveryResult) -> None:
    """For callers that report the result themselves."""
