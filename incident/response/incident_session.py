"""Session of one incident run: readers, records, assessor, containment tools.

Used by deliveries, by operators' commands and by the patrol.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace

from incident.actions.masked_changes import details_for_steps
from incident.case_file.containments import ContainmentHistory
from incident.case_file.paths import INCIDENTS, case_file_folder
from incident.containment.request_and_result import ContainmentRequest, ContainmentTools
from incident.decision.assess import AssessedIncident, Assessor
from incident.decision.context import ProcessContext
from incident.decision.guards import GuardBlock
from incident.decision.inputs import DecisionInputs, Records, read_decision_inputs, reread_workload
from incident.investigation.affected import InventorySearch
from incident.investigation.collect import EvidenceSources
from incident.investigation.virustotal import ReputationLookup
from incident.investigation.workload_reader import CachedWorkloadReader, WorkloadReader, add_needs
from incident.model import (
    Decision,
    Evidence,
    File,
    Finding,
    GiveUp,
    InvalidPolicy,
    Notification,
    Reason,
    Route,
    Workload,
    WorkloadConfiguration,
)
from incident.policy.resolve import Policy, parse_policy
from incident.redaction.redactor import Redactor
from incident.response.context import Ports


@dataclass(frozen=True, slots=True)
class IncidentSession:
    """Everything that one run of an incident uses; close it when the run is over.

    Attributes:
        claim: The finding as notified, or as rebuilt from SCC's record.
        context: Settings that hold for all incidents.
        ports: External services.
        cloud_run_reader: Cloud Run reads, cached for this run.
        sources: Sources of evidence.
        records: The store's records.
        assessor: Assesses the finding and decides.
        reputations: VirusTotal look-ups.
    """

    claim: Finding
    context: ProcessContext
    ports: Ports
    cloud_run_reader: CachedWorkloadReader
    sources: EvidenceSources
    records: Records
    assessor: Assessor
    reputations: ReputationLookup

    @staticmethod
    def create(
        claim: Finding, route: Route, context: ProcessContext, ports: Ports
    ) -> IncidentSession:
        """The session of one run."""
        reader = CachedWorkloadReader(ports.cloud_run)
        reputations = ReputationLookup(
            ports.virustotal, lambda finding: _suspected_file(finding, context)
        )
        cloud_run, findings, logs = ports.cloud_run, ports.security_center, ports.logging
        return IncidentSession(
            claim=claim,
            context=context,
            ports=ports,
            cloud_run_reader=reader,
            sources=EvidenceSources(
                findings, reader, cloud_run, logs, reputations, InventorySearch(ports.inventory)
            ),
            records=Records(ports.store, secrets.token_hex(6), context.clock),
            assessor=Assessor(claim, route, context, lambda: read_policy(ports), reputations),
            reputations=reputations,
        )

    async def close(self) -> None:
        """Stop reads that are still in progress."""
        self.cloud_run_reader.close()
        self.sources.inventory.close()
        await self.reputations.close()

    def redactor(self, evidence: Evidence | None = None) -> Redactor:
        """Redacts with the secrets in the evidence and in everything else that was read."""
        return self.context.redactor(
            evidence or Evidence(self.claim), self.cloud_run_reader.secrets
        )

    async def policy(self) -> Policy | InvalidPolicy:
        """Read the policy; InvalidPolicy if it is missing or invalid.

        Raises:
            Retry: It cannot be read at the moment.
        """
        return await read_policy(self.ports)

    async def decision_inputs(self) -> DecisionInputs:
        """Read everything that a decision needs.

        Raises:
            Retry: A service does not answer; try again later.
            GiveUp: A record in the store cannot be read.
        """
        case = self.records.case_file(case_file_folder(INCIDENTS, self.claim.incident_id))
        inputs = await read_decision_inputs(
            self.claim, case, self.policy(), self.sources, self.records
        )
        state = inputs.workload_state
        if state.workload is None or state.configuration is None:
            return inputs
        try:
            configuration = await self._with_named_actions(
                state.configuration, state.workload, self.cloud_run_reader
            )
        except GiveUp as error:
            return replace(inputs, workload_state=replace(state, read_error=error))
        return replace(inputs, workload_state=replace(state, configuration=configuration))

    async def _with_named_actions(
        self, configuration: WorkloadConfiguration, workload: Workload, cloud_run: WorkloadReader
    ) -> WorkloadConfiguration:
        """The settings with the details that the actions named by the operator need."""
        named = self.context.operator.steps if self.context.operator else ()
        return await add_needs(
            configuration, workload, details_for_steps(named, workload.kind), cloud_run
        )

    def containment_request(self, assessed: AssessedIncident) -> ContainmentRequest:
        """The request to contain; a workload and its settings must have been read."""
        state = assessed.inputs.workload_state
        assert state.workload is not None  # noqa: S101 - only a workload is contained
        assert state.configuration is not None  # noqa: S101 - as it was read
        return ContainmentRequest(
            incident=self.claim.incident_id,
            finding=assessed.evidence.finding,
            workload=state.workload,
            configuration=state.configuration,
            history=state.history,
            decision=assessed.decision,
        )

    def containment_tools(self, assessed: AssessedIncident) -> ContainmentTools:
        """Clients, records and callbacks for containing."""
        state = assessed.inputs.workload_state
        workload = state.workload
        assert workload is not None  # noqa: S101 - only a workload is contained
        containment_records = self.records.containments(workload)
        slots = self.records.hourly_slots(workload)

        async def decide_again(
            configuration: WorkloadConfiguration, history: ContainmentHistory
        ) -> Decision:
            return await self.assessor.reassess(assessed, configuration, history)

        async def reread() -> tuple[WorkloadConfiguration, ContainmentHistory]:
            finding = assessed.evidence.finding
            cloud_run = self.ports.cloud_run
            configuration, history = await reread_workload(
                state, finding, self.policy, cloud_run, containment_records
            )
            return await self._with_named_actions(configuration, workload, cloud_run), history

        async def acquire_slot() -> GuardBlock | None:
            if self.context.operator and self.context.operator.exempt_from_caps:
                return None
            policy = await self.policy()
            if isinstance(policy, InvalidPolicy):
                return GuardBlock(Reason(str(policy), "policy"), alarm=True)
            return await slots.acquire(state.containment_folder, policy.guards, state.taken_slots)

        return ContainmentTools(
            cloud_run=self.ports.cloud_run,
            containment_records=containment_records,
            reread=reread,
            decide_again=decide_again,
            acquire_slot=acquire_slot,
            clock=self.context.clock,
            verify_timeout=self.context.verify_timeout,
            peer_wait=self.context.peer_wait,
        )


def _suspected_file(finding: Finding, context: ProcessContext) -> File | None:
    """The file that the finding's responder suspects: a script, not the shell that runs it."""
    responder = context.route(Notification(finding, deleted=False)).responder
    return (responder.suspect(finding) if responder else finding.suspect).file


async def read_policy(ports: Ports) -> Policy | InvalidPolicy:
    """Read the policy; InvalidPolicy if it is missing or invalid.

    Raises:
        Retry: It cannot be read at the moment.
    """
    source = ports.policy
    try:
        return parse_policy(await source.read(), source=source.url)
    except InvalidPolicy as error:
        return error
    except GiveUp as error:
        return InvalidPolicy(str(error))
