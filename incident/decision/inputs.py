"""What the decision waits for, read side by side: records, policy, SCC's record, settings.

Says what was read; judging it is for others.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime

from incident.actions import masked_changes
from incident.case_file.case_file import CaseFile, open_case_file
from incident.case_file.containments import ContainmentHistory, ContainmentRecords
from incident.case_file.journal import ObjectStore
from incident.case_file.paths import CLAIMS, DRY_RUNS, case_file_folder
from incident.decision.guards import TakenSlots
from incident.decision.rate_limit import HourlySlots
from incident.investigation.collect import EvidenceSources, confirm_finding
from incident.investigation.virustotal import ReputationLookup
from incident.investigation.workload_reader import WorkloadReader, add_needs, names_in
from incident.model import (
    Finding,
    GiveUp,
    InvalidPolicy,
    Mode,
    Reputation,
    Workload,
    WorkloadConfiguration,
)
from incident.model.concurrency import gather_all
from incident.policy.resolve import Policy, Subject, resolve


@dataclass(frozen=True, slots=True)
class Records:
    """Where this run's records are.

    Attributes:
        store: Where everything is.
        run_id: Names this run in the records that it writes.
        clock: The time.
    """

    store: ObjectStore
    run_id: str
    clock: Callable[[], datetime]

    async def case_file(self, folder: str) -> CaseFile:
        """The case file in a folder, such as ``incidents/…``."""
        return await open_case_file(self.store, folder, self.run_id, self.clock)

    def containments(self, workload: Workload) -> ContainmentRecords:
        """A workload's containments."""
        return ContainmentRecords(self.store, workload, self.run_id, self.clock)

    def hourly_slots(self, workload: Workload) -> HourlySlots:
        """This hour's slots, as a workload sees them."""
        return HourlySlots(self.store, workload, self.run_id, self.clock)


@dataclass(frozen=True, slots=True)
class WorkloadState:
    """What is known of one workload.

    Attributes:
        workload: Which it is; None where the finding names none.
        configuration: Its settings, with all that its actions need; None where there are none to
            read, or they cannot be read.
        read_error: Why the settings cannot be read, for good.
        history: Its containments.
        taken_slots: This hour's slots, as it sees them.
        containment_folder: The containment that a write made now belongs to.
    """

    workload: Workload | None = None
    configuration: WorkloadConfiguration | None = None
    read_error: GiveUp | None = None
    history: ContainmentHistory = ContainmentHistory()  # noqa: RUF009 - frozen and empty
    taken_slots: TakenSlots = TakenSlots()  # noqa: RUF009 - frozen and empty
    containment_folder: str = ""


@dataclass(frozen=True, slots=True)
class DecisionInputs:
    """What was read.

    Attributes:
        incident_case_file: The incident's case file among those that may act.
        dry_run_case_file: Its case file among the dry runs.
        unconfirmed_case_file: Its case file among the unconfirmed claims.
        policy: The policy, or why every finding is held.
        scc_record: SCC's own record of the finding; None when SCC does not list it.
        scc_error: Why SCC does not let us ask, for good.
        workload_state: What is known of the workload.
        reputation: What VirusTotal says of the file that SCC's record names; None where the
            policy does not ask for it.
    """

    incident_case_file: CaseFile
    dry_run_case_file: CaseFile
    unconfirmed_case_file: CaseFile
    policy: Policy | InvalidPolicy
    scc_record: Finding | None
    scc_error: GiveUp | None
    workload_state: WorkloadState
    reputation: Reputation | None = None

    def case_file_for(self, mode: Mode, *, finishing: bool) -> CaseFile:
        """Where this run's records belong.

        A dry run's lie apart, so that they never make an enforcing delivery a duplicate, and
        so do those of an unconfirmed claim, which anybody might have made to block the genuine
        finding. A write of our own is finished in the case file where it began.
        """
        if finishing:
            return self.incident_case_file
        if self.scc_record is None:
            return self.unconfirmed_case_file
        return self.dry_run_case_file if mode is Mode.DRY_RUN else self.incident_case_file


async def read_decision_inputs(
    claim: Finding,
    incident_case_file: Awaitable[CaseFile],
    policy: Awaitable[Policy | InvalidPolicy],
    sources: EvidenceSources,
    records: Records,
) -> DecisionInputs:
    """Everything that the decision waits for.

    Where SCC's record names the workload otherwise than the claim does, the record's is read.
    What the policy's actions need besides is asked for at once, and waited for only where they
    need it; so is what VirusTotal says, where the policy gates on it.

    Raises:
        Retry: Something does not answer; time may heal it.
        GiveUp: A record of the responder cannot be read.
    """
    sources.workloads.prefetch(claim)
    sources.reputations.prefetch(claim)
    (
        case_file,
        dry_run_case_file,
        unconfirmed_case_file,
        read_policy,
        answer,
        state,
    ) = await gather_all(
        incident_case_file,
        records.case_file(case_file_folder(DRY_RUNS, claim.incident_id)),
        records.case_file(case_file_folder(CLAIMS, claim.claim_id)),
        policy,
        _confirm_or_error(claim, sources),
        read_workload_state(claim.workload, sources, records),
    )
    scc_record, scc_error = (None, answer) if isinstance(answer, GiveUp) else (answer, None)
    if scc_record:
        sources.reputations.prefetch(scc_record)
        sources.workloads.prefetch(scc_record)
    if scc_record and not same_workload(scc_record, claim):
        state = await read_workload_state(scc_record.workload, sources, records)
    if scc_record and (identified := _with_project_id(scc_record, state)):
        scc_record = replace(scc_record, workload=identified)
        sources.workloads.prefetch(scc_record)
        state = await read_workload_state(identified, sources, records)
    state = await with_action_needs(state, scc_record or claim, read_policy, sources.workloads)
    if scc_record:
        scc_record = await _with_proven_number(scc_record, state, sources)
    inputs = DecisionInputs(
        case_file,
        dry_run_case_file,
        unconfirmed_case_file,
        read_policy,
        scc_record,
        scc_error,
        state,
    )
    if case_file.done or case_file.concluded:
        return inputs
    return replace(
        inputs, reputation=await gating_reputation(scc_record, read_policy, sources.reputations)
    )


async def gating_reputation(
    scc_record: Finding | None, policy: Policy | InvalidPolicy, reputations: ReputationLookup
) -> Reputation | None:
    """What VirusTotal says of the file that SCC's own record names, where the policy gates on it.

    A hash that only the notification has decides nothing.
    """
    if scc_record is None or isinstance(policy, InvalidPolicy) or policy.virustotal is None:
        return None
    return await reputations.reputation_of(scc_record, policy.evidence.deadline)


def same_workload(one: Finding, other: Finding) -> bool:
    """Whether two findings name the same workload in the same way."""
    keys = [finding.workload.key if finding.workload else None for finding in (one, other)]
    return keys[0] == keys[1]


async def read_workload_state(
    workload: Workload | None, sources: EvidenceSources, records: Records
) -> WorkloadState:
    """What is known of a workload.

    Raises:
        Retry: Cloud Run or the store does not answer.
        GiveUp: A record cannot be read.
    """
    if workload is None:
        return WorkloadState(workload)
    containment_records, slots = records.containments(workload), records.hourly_slots(workload)
    answer, history, taken_slots = await gather_all(
        _configuration_or_error(workload, sources),
        containment_records.history(),
        slots.taken(),
    )
    configuration, read_error = (None, answer) if isinstance(answer, GiveUp) else (answer, None)
    history = history.for_workload(configuration)
    folder = containment_records.current_folder(history)
    taken_slots = await slots.resolved(taken_slots, folder)
    return WorkloadState(workload, configuration, read_error, history, taken_slots, folder)


async def with_action_needs(
    state: WorkloadState, finding: Finding, policy: Policy | InvalidPolicy, reader: WorkloadReader
) -> WorkloadState:
    """The same state, with all details that the policy's actions and our own writes need.

    Raises:
        Retry: Cloud Run does not answer.
    """
    if state.workload is None or state.configuration is None:
        return state
    current = state.history.current
    needs = {
        *(
            masked_changes.details_for_changes(current.effective_snapshot.changes)
            if current and current.effective_snapshot
            else ()
        )
    }
    if isinstance(policy, Policy):
        labels = state.configuration.labels
        subject = Subject(state.workload, finding.categories, finding.source_id, labels)
        steps = resolve(policy, subject).steps
        needs |= masked_changes.details_for_steps(steps, state.workload.kind)
    try:
        return replace(
            state,
            configuration=await add_needs(
                state.configuration, state.workload, needs, reader, names_in(finding)
            ),
        )
    except GiveUp as error:
        return replace(state, read_error=error)


async def reread_workload(
    state: WorkloadState,
    finding: Finding,
    policy: Callable[[], Awaitable[Policy | InvalidPolicy]],
    reader: WorkloadReader,
    containment_records: ContainmentRecords,
) -> tuple[WorkloadConfiguration, ContainmentHistory]:
    """The workload and its containments once more, with all that the policy needs by now.

    Raises:
        Retry: Something does not answer.
        GiveUp: The workload cannot be read any more.
    """
    workload = state.workload
    assert workload is not None  # noqa: S101 - only a workload is read
    current_policy, configuration, history = await gather_all(
        policy(), reader.configuration(workload), containment_records.history()
    )
    fresh = replace(
        state,
        configuration=configuration,
        history=history.for_workload(configuration),
        read_error=None,
    )
    filled = await with_action_needs(fresh, finding, current_policy, reader)
    if filled.read_error:
        raise filled.read_error
    return filled.configuration or configuration, filled.history


async def _confirm_or_error(claim: Finding, sources: EvidenceSources) -> Finding | GiveUp | None:
    try:
        return await confirm_finding(claim, sources.findings)
    except GiveUp as error:
        return error


async def _configuration_or_error(
    workload: Workload, sources: EvidenceSources
) -> WorkloadConfiguration | GiveUp:
    try:
        return await sources.workloads.configuration(workload)
    except GiveUp as error:
        return error


def _with_project_id(scc_record: Finding, state: WorkloadState) -> Workload | None:
    """The workload with its project's id, if only Cloud Run's answer has that."""
    if scc_record.workload is None or scc_record.workload.project_id or state.configuration is None:
        return None
    project = state.configuration.name.split("/")[1]
    return None if project.isdigit() else replace(scc_record.workload, project_id=project)


async def _with_proven_number(
    scc_record: Finding, state: WorkloadState, sources: EvidenceSources
) -> Finding:
    """The record with its project's number, if only its own name has that, once proven.

    A finding is filed under a number. Where its resource has the project's id alone, asking
    Cloud Run for the workload by that number shows whether both are one project.
    """
    workload, number = scc_record.workload, scc_record.filed_under.removeprefix("projects/")
    number_known = (
        workload is None
        or workload.project_number
        or scc_record.filed_under in scc_record.ancestors
    )
    if number_known or workload is None or state.configuration is None or not number.isdigit():
        return scc_record
    numbered = replace(workload, project_id=None, project_number=number)
    configuration = await _configuration_or_error(numbered, sources)
    if (
        isinstance(configuration, GiveUp)
        or not configuration.uid
        or configuration.uid != state.configuration.uid
    ):
        return scc_record
    return replace(
        scc_record,
        workload=replace(workload, project_number=number),
        ancestors=scc_record.ancestors | {scc_record.filed_under},
    )
