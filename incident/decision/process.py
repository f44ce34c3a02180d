"""Process: settings, ports, clock and redactor of everything that one process does."""

from __future__ import annotations

import asyncio
import math
import secrets
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

from incident.case_file.case_file import CaseFile, open_case_file
from incident.case_file.containments import ContainmentRecords
from incident.case_file.journal import Journal, ObjectStore
from incident.decision.guards import ResponderIdentity
from incident.decision.rate_limit import HourlySlots
from incident.investigation.affected import InventorySearch
from incident.investigation.collect import EvidenceSources
from incident.investigation.virustotal import ReputationLookup
from incident.investigation.workload_reader import CachedWorkloadReader
from incident.model import (
    Evidence,
    File,
    Finding,
    GiveUp,
    InvalidPolicy,
    Mode,
    Notification,
    Route,
    Secret,
    Workload,
    WorkloadConfiguration,
)
from incident.model.ports import (
    ChatPort,
    CloudRunPort,
    InventoryPort,
    LoggingPort,
    PolicyPort,
    SecurityCenterPort,
    TopicPort,
    VirusTotalPort,
)
from incident.policy.resolve import Policy, parse_policy
from incident.redaction.redactor import Redactor

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Process:
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
        cloud_run: Cloud Run.
        security_center: Security Command Center.
        logging: Cloud Logging.
        store: The store of the case files.
        policy: The policy file.
        inventory: Cloud Asset Inventory.
        topic: The topic that outcomes are published on; None where none is configured.
        webhook: The chat room; None where none is configured.
        virustotal: VirusTotal; None where no key is configured.
        simulated: Whether the emulator stands in for Google, which every outcome says.
        run_id: Names a run in the records that it writes: see :meth:`for_run`.
        run_sources: What a run reads, each thing once.
        run_tasks: What goes on beside a run.
        run_deadline: When the run's time is up, by the loop's clock.
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
    cloud_run: CloudRunPort
    security_center: SecurityCenterPort
    logging: LoggingPort
    store: ObjectStore
    policy: PolicyPort
    inventory: InventoryPort
    topic: TopicPort | None = None
    webhook: ChatPort | None = None
    virustotal: VirusTotalPort | None = None
    simulated: bool = False
    run_id: str = ""
    run_sources: EvidenceSources | None = None
    run_tasks: list[asyncio.Future[Any]] = field(default_factory=list)
    run_deadline: float = math.inf

    def for_run(self, run_id: str = "", deadline: float = math.inf) -> Process:
        """The same process for one run, which reads each thing once; :meth:`end` it."""
        sources = EvidenceSources(
            self.security_center,
            CachedWorkloadReader(self.cloud_run),
            self.cloud_run,
            self.logging,
            ReputationLookup(self.virustotal, self._suspected_file),
            InventorySearch(self.inventory),
        )
        run_id = run_id or secrets.token_hex(6)
        return replace(
            self, run_id=run_id, run_sources=sources, run_tasks=[], run_deadline=deadline
        )

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Start work that goes on beside the run, and at the latest is cancelled at its end."""
        task = asyncio.ensure_future(work)
        self.run_tasks.append(task)
        return task

    async def end(self) -> None:
        """End a run: stop what goes on beside it, and reads that are still in progress."""
        for task in self.run_tasks:
            task.cancel()
        await asyncio.gather(*self.run_tasks, return_exceptions=True)
        await self.sources.close()

    @property
    def sources(self) -> EvidenceSources:
        """The sources of evidence of this run."""
        assert self.run_sources is not None  # noqa: S101 - only a run collects evidence
        return self.run_sources

    def journal(self, folder: str) -> Journal:
        """The records of a folder, as this run writes them."""
        return Journal(self.store, folder, self.run_id, self.clock)

    async def case_file(self, folder: str) -> CaseFile:
        """The case file in a folder, such as ``incidents/…``."""
        return await open_case_file(self.store, folder, self.run_id, self.clock)

    def containments(self, workload: Workload) -> ContainmentRecords:
        """A workload's containments."""
        return ContainmentRecords(self.store, workload, self.run_id, self.clock)

    def hourly_slots(self, workload: Workload) -> HourlySlots:
        """This hour's slots, as a workload sees them."""
        return HourlySlots(self.store, workload, self.run_id, self.clock)

    def redactor(self, evidence: Evidence | None = None) -> Redactor:
        """Redacts what is known to be secret by now, and never the names of the workload.

        That is what the evidence has, where there is an incident, and all that this run has read.
        """
        known: Iterable[Secret] = self.run_sources.workloads.secrets if self.run_sources else ()
        if evidence is None:
            return Redactor(self.redaction_key, known)
        finding = evidence.finding
        names = [finding.revision, *(container.name for container in finding.containers)]
        harmless = [name for name in names if name]
        if finding.workload:
            harmless += _workload_names(finding.workload)
        return Redactor(self.redaction_key, (*evidence.secrets, *known), harmless=harmless)

    def workload_redactor(
        self, workload: Workload, configuration: WorkloadConfiguration | None
    ) -> Redactor:
        """Redacts a workload's settings where there is no finding."""
        found = configuration.template.secrets if configuration else ()
        return Redactor(self.redaction_key, found, harmless=_workload_names(workload))

    def _suspected_file(self, finding: Finding) -> File | None:
        """The file that the finding's responder suspects: a script, not the shell that runs it."""
        responder = self.route(Notification(finding, deleted=False)).responder
        return (responder.suspect(finding) if responder else finding.suspect).file


async def read_policy(process: Process) -> Policy | InvalidPolicy:
    """Read the policy; InvalidPolicy if it is missing or invalid.

    Raises:
        Retry: It cannot be read at the moment.
    """
    try:
        return parse_policy(await process.policy.read(), source=process.policy.url)
    except InvalidPolicy as error:
        return error
    except GiveUp as error:
        return InvalidPolicy(str(error))


def _workload_names(workload: Workload) -> list[str]:
    project = (workload.project_id, workload.project_number)
    return [name for name in (workload.name, workload.location, *project) if name]
