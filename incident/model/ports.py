"""The ports: what the responder needs of each service outside. ``clients`` implements them.

Every call raises Retry where time may heal its failure, and GiveUp where it will not.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Protocol

from incident.model import TopicFormat
from incident.model.configuration import (
    Access,
    Execution,
    ServiceAccount,
    Task,
    Template,
    WorkloadConfiguration,
)
from incident.model.cut_list import Listing
from incident.model.decision import Change
from incident.model.evidence import AuditEvent, Logs, Reputation
from incident.model.inventory import InventoryWorkload
from incident.model.message_formats import ChatStyle
from incident.model.workload import ChangeKind, JsonObject, Workload


class CloudRunPort(Protocol):
    """Cloud Run: reads and writes of workloads."""

    async def configuration(self, workload: Workload) -> WorkloadConfiguration:
        """A workload's current settings."""

    async def access(self, workload: Workload) -> Access:
        """Its IAM policy."""

    async def revisions(self, workload: Workload, named: Collection[str] = ()) -> Listing[Template]:
        """Its revisions, newest first; of a cut list also those named, by short name."""

    async def executions(
        self, workload: Workload, named: Collection[str] = ()
    ) -> Listing[Execution]:
        """The executions of a job, newest first; of a cut list also those named."""

    async def tasks(self, execution: str) -> Listing[Task]:
        """The tasks of an execution, by its resource name."""

    async def write(self, change: Change, *, validate_only: bool) -> int | None:
        """Send one change; returns the generation that it made, where the answer has one."""

    async def service_account(self, email: str) -> ServiceAccount:
        """A service account as it is now."""

    async def missing_permissions(
        self, workload: Workload, change: ChangeKind, target: str = ""
    ) -> tuple[str, ...]:
        """The permissions on the workload, or on another target, that we lack for a change."""


class SecurityCenterPort(Protocol):
    """Security Command Center: reads findings and updates them."""

    async def findings_at(self, source: str, since: datetime) -> Listing[JsonObject]:
        """The findings of one source since a moment."""

    async def findings_named(self, source: str, *names: str) -> Listing[JsonObject]:
        """The findings of one source that have one of these resource names."""

    async def findings_on(
        self, workload: Workload, start: datetime, end: datetime, *, location: str
    ) -> Listing[JsonObject]:
        """The findings in a window whose resource name contains the workload's."""

    async def set_marks(self, finding: str, marks: Mapping[str, str]) -> None:
        """Set some security marks of a finding."""

    async def set_external_system(
        self, finding: str, system: str, fields: Mapping[str, str]
    ) -> None:
        """Set the fields of an external system on a finding."""


class LoggingPort(Protocol):
    """Cloud Logging: reads logs."""

    async def entries(
        self, workload: Workload, start: datetime, end: datetime, *, limit: int
    ) -> Logs:
        """A workload's logs between two moments."""

    async def audit(
        self, workload: Workload, start: datetime, end: datetime, *, limit: int
    ) -> Listing[AuditEvent]:
        """Changes to it between two moments."""


class InventoryPort(Protocol):
    """Cloud Asset Inventory.

    Attributes:
        scope: Where affected workloads are searched: ``projects/P``, ``folders/N`` or
            ``organizations/N``; empty for the project of the finding's workload.
    """

    scope: str

    async def workloads(self, scope: str) -> Listing[InventoryWorkload]:
        """The Cloud Run workloads in a project, folder or organization."""


class PolicyPort(Protocol):
    """The policy file; ``url`` is its address."""

    url: str

    async def read(self) -> bytes:
        """Read the file; raises Missing or Denied if it cannot be had."""

    async def read_named(self, name: str) -> bytes:
        """Read a file that the policy names; raises as for the policy."""


class TopicPort(Protocol):
    """The topic that outcomes are published on.

    Attributes:
        name: Its resource name.
        format: The format of its messages.
    """

    name: str
    format: TopicFormat

    async def publish(self, data: bytes, attributes: Mapping[str, str]) -> None:
        """Publish one message."""


class ChatPort(Protocol):
    """The chat room.

    Attributes:
        name: The room's host, which is safe to show.
        style: How it takes its messages.
    """

    name: str
    style: ChatStyle

    async def send(self, body: JsonObject) -> None:
        """Send one message; ends within a few seconds."""


class VirusTotalPort(Protocol):
    """VirusTotal: reads file reports."""

    async def file(self, sha256: str) -> Reputation:
        """VirusTotal's report on a file, by its SHA-256 in lower-case hex."""
