"""What the decision waits for, read side by side: records, policy, SCC's record, settings.

Says what was read; judging it is for others.
"""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass, replace
from datetime import datetime

from incident.actions import disable_service_account, masked_changes
from incident.actions.action import Steps
from incident.case_file.case_file import CaseFile
from incident.case_file.containments import ContainmentHistory
from incident.case_file.paths import CLAIMS, DRILLS, DRY_RUNS, INCIDENTS, case_file_folder
from incident.decision.guards import TakenSlots
from incident.decision.process import Process, read_policy
from incident.decision.request import Request
from incident.investigation.affected import InventorySearch
from incident.investigation.collect import EvidenceSources, confirm_finding
from incident.investigation.workload_reader import WorkloadReader, add_needs, names_in
from incident.model import (
    AffectedWorkloads,
    Evidence,
    Finding,
    Gap,
    GiveUp,
    InvalidPolicy,
    Mode,
    Notification,
    Reputation,
    Route,
    Workload,
    WorkloadConfiguration,
)
from incident.model.concurrency import gather_all
from incident.policy.resolve import Policy, Subject, resolve


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
class Inputs:
    """What was read.

    Attributes:
        request: What it was read for.
        incident_case_file: The incident's case file among those that may act.
        dry_run_case_file: Its case file among the dry runs.
        unconfirmed_case_file: Its case file among the unconfirmed claims.
        policy: The policy, or why every finding is held.
        scc_record: SCC's own record of the finding; None when SCC does not list it.
        scc_error: Why SCC does not let us ask, for good.
        workload_state: What is known of the workload.
        route: Which responder answers, by SCC's own record where there is one.
        evidence: What the decision is made of.
        began_at: When reading began.
        read_at: When everything was read.
    """

    request: Request
    incident_case_file: CaseFile
    dry_run_case_file: CaseFile
    unconfirmed_case_file: CaseFile
    policy: Policy | InvalidPolicy
    scc_record: Finding | None
    scc_error: GiveUp | None
    workload_state: WorkloadState
    route: Route
    evidence: Evidence
    began_at: datetime
    read_at: datetime

    @property
    def workload(self) -> Workload:
        """The workload; only where its settings were read."""
        assert self.workload_state.workload is not None  # noqa: S101 - only such are contained
        return self.workload_state.workload

    @property
    def configuration(self) -> WorkloadConfiguration:
        """The workload's settings, with all details that its changes need."""
        assert self.workload_state.configuration is not None  # noqa: S101 - only such are contained
        return self.workload_state.configuration

    @property
    def history(self) -> ContainmentHistory:
        """The workload's containments."""
        return self.workload_state.history

    def reread(self, configuration: WorkloadConfiguration, history: ContainmentHistory) -> Inputs:
        """The same with the workload's settings and containments as they are by now."""
        state = replace(self.workload_state, configuration=configuration, history=history)
        evidence = replace(self.evidence, configuration=configuration)
        return replace(self, workload_state=state, evidence=evidence)

    def case_file_for(self, mode: Mode, *, finishing: bool) -> CaseFile:
        """Where this run's records belong.

        A dry run's lie apart, so that they never make an enforcing delivery a duplicate, and
        so do those of an unconfirmed claim, which anybody might have made to block the genuine
        finding. A write of our own is finished in the case file where it began.
        """
        if finishing or self.request.operator:
            return self.incident_case_file
        if self.scc_record is None:
            return self.unconfirmed_case_file
        return self.dry_run_case_file if mode is Mode.DRY_RUN else self.incident_case_file


async def gather(
    process: Process, request: Request, policy: Awaitable[Policy | InvalidPolicy]
) -> Inputs:
    """Everything that the decision waits for, read side by side.

    Where SCC's record names the workload otherwise than the claim does, the record's is read.
    What the policy's actions need besides is asked for at once, and waited for only where they
    need it; so is what VirusTotal says, where the policy gates on it.

    Raises:
        Retry: Something does not answer; time may heal it.
        GiveUp: A record of the responder cannot be read.
    """
    began_at = process.clock()
    if not request.has_finding:
        return await _gather_for_drill(process, request, await policy)
    claim, sources = request.finding, process.sources
    sources.workloads.prefetch(claim)
    sources.reputations.prefetch(claim)
    case_file, dry_run, unconfirmed, current_policy, answer, state = await gather_all(
        process.case_file(case_file_folder(INCIDENTS, claim.incident_id)),
        process.case_file(case_file_folder(DRY_RUNS, claim.incident_id)),
        process.case_file(case_file_folder(CLAIMS, claim.claim_id)),
        policy,
        _confirm_or_error(claim, sources),
        read_workload_state(process, claim.workload),
    )
    scc_record, scc_error = (None, answer) if isinstance(answer, GiveUp) else (answer, None)
    if scc_record:
        sources.reputations.prefetch(scc_record)
        sources.workloads.prefetch(scc_record)
    if scc_record and not same_workload(scc_record, claim):
        state = await read_workload_state(process, scc_record.workload)
    if scc_record and (identified := _with_project_id(scc_record, state)):
        scc_record = replace(scc_record, workload=identified)
        sources.workloads.prefetch(scc_record)
        state = await read_workload_state(process, identified)
    state = await with_action_needs(state, scc_record or claim, current_policy, sources.workloads)
    state = await _with_named_actions(state, request, sources.workloads)
    if scc_record:
        scc_record = await _with_proven_number(scc_record, state, sources)
    reputation: Reputation | None = None
    if not (case_file.has_record("done") or case_file.has_record("concluded")):
        reputation = await gating_reputation(process, scc_record, current_policy)
    affected = await _account_users(
        state, scc_record or claim, current_policy, request, sources.inventory
    )
    return Inputs(
        request=request,
        incident_case_file=case_file,
        dry_run_case_file=dry_run,
        unconfirmed_case_file=unconfirmed,
        policy=current_policy,
        scc_record=scc_record,
        scc_error=scc_error,
        workload_state=state,
        route=process.route(Notification(scc_record, deleted=False))
        if scc_record
        else request.route,
        evidence=replace(
            _decision_evidence(claim, scc_record, scc_error, state, reputation), affected=affected
        ),
        began_at=began_at,
        read_at=process.clock(),
    )


async def _gather_for_drill(
    process: Process, request: Request, policy: Policy | InvalidPolicy
) -> Inputs:
    """What a drill's decision waits for: the workload alone, since there is no finding."""
    finding, began_at = request.finding, process.clock()
    state = await read_workload_state(process, finding.workload)
    state = await with_action_needs(state, finding, policy, process.sources.workloads)
    if state.read_error:
        raise state.read_error
    file = await process.case_file(case_file_folder(DRILLS, request.incident))
    inventory = process.sources.inventory
    affected = await _account_users(state, finding, policy, request, inventory)
    evidence = _decision_evidence(finding, None, None, state, None)
    evidence = replace(evidence, affected=affected)
    return Inputs(
        request=request,
        incident_case_file=file,
        dry_run_case_file=file,
        unconfirmed_case_file=file,
        policy=policy,
        scc_record=None,
        scc_error=None,
        workload_state=state,
        route=request.route,
        evidence=evidence,
        began_at=began_at,
        read_at=process.clock(),
    )


def _decision_evidence(
    claim: Finding,
    scc_record: Finding | None,
    scc_error: GiveUp | None,
    state: WorkloadState,
    reputation: Reputation | None,
) -> Evidence:
    gaps = []
    if scc_error:
        gaps.append(Gap("security-center", str(scc_error)))
    if state.read_error:
        gaps.append(Gap("settings", str(state.read_error)))
    if state.configuration and state.configuration.unknown_fields:
        names = ", ".join(state.configuration.unknown_fields)
        text = f"{names}: has fields that this version of the responder does not know"
        gaps.append(Gap("settings", text))
    return Evidence(
        _with_notification_details(scc_record, claim) if scc_record else claim,
        scc_record is not None,
        state.configuration,
        reputation=reputation,
        gaps=tuple(gaps),
        claim=claim if scc_record else None,
    )


def _with_notification_details(record: Finding, claim: Finding) -> Finding:
    """SCC's record, with details that only the notification has: nothing is decided by them."""
    return replace(
        record,
        processes=record.processes or claim.processes,
        virustotal_url=(record if record.processes else claim).virustotal_url,
        containers=record.containers or claim.containers,
        contacts=record.contacts or claim.contacts,
        description=record.description or claim.description,
        urls=record.urls or claim.urls,
        connection=record.connection or claim.connection,
    )


async def gating_reputation(
    process: Process, scc_record: Finding | None, policy: Policy | InvalidPolicy
) -> Reputation | None:
    """What VirusTotal says of the file that SCC's own record names, where the policy gates on it.

    A hash that only the notification has decides nothing.
    """
    if scc_record is None or isinstance(policy, InvalidPolicy) or policy.virustotal is None:
        return None
    return await process.sources.reputations.reputation_of(scc_record, policy.evidence.deadline)


def same_workload(one: Finding, other: Finding) -> bool:
    """Whether two findings name the same workload in the same way."""
    keys = [finding.workload.key if finding.workload else None for finding in (one, other)]
    return keys[0] == keys[1]


async def read_workload_state(process: Process, workload: Workload | None) -> WorkloadState:
    """What is known of a workload.

    Raises:
        Retry: Cloud Run or the store does not answer.
        GiveUp: A record cannot be read.
    """
    if workload is None:
        return WorkloadState(workload)
    containment_records, slots = process.containments(workload), process.hourly_slots(workload)
    answer, history, taken_slots = await gather_all(
        _configuration_or_error(workload, process.sources),
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
    changes = current.effective_snapshot.changes if current and current.effective_snapshot else ()
    needs = {*masked_changes.details_for_changes(changes)}
    named = names_in(finding) | masked_changes.names_in_changes(changes)
    steps = _policy_steps(state.configuration, state.workload, finding, policy)
    needs |= masked_changes.details_for_steps(steps, state.workload.kind)
    try:
        return replace(
            state,
            configuration=await add_needs(
                state.configuration, state.workload, needs, reader, named
            ),
        )
    except GiveUp as error:
        return replace(state, read_error=error)


def _policy_steps(
    configuration: WorkloadConfiguration,
    workload: Workload,
    finding: Finding,
    policy: Policy | InvalidPolicy,
) -> Steps:
    """The actions that the policy names for a workload."""
    if isinstance(policy, InvalidPolicy):
        return ()
    subject = Subject(workload, finding.categories, finding.source_id, configuration.labels)
    return resolve(policy, subject).steps


async def _account_users(
    state: WorkloadState,
    finding: Finding,
    policy: Policy | InvalidPolicy,
    request: Request,
    inventory: InventorySearch,
) -> AffectedWorkloads | None:
    """Who else runs as the service account; None where no action needs to know."""
    configuration, workload = state.configuration, state.workload
    if configuration is None or workload is None or isinstance(policy, InvalidPolicy):
        return None
    chosen = request.operator.steps if request.operator else ()
    steps = chosen or _policy_steps(configuration, workload, finding, policy)
    emails = tuple(account.email for account in configuration.accounts or ())
    if not emails or not any(disable_service_account.NAME in step for step in steps):
        return None
    account = configuration.template.service_account
    return await inventory.affected_workloads(
        workload, (), emails, policy.evidence.deadline, account_now=account
    )


async def reread(process: Process, inputs: Inputs) -> Inputs:
    """The workload and its containments once more, with all that the policy needs by now.

    Raises:
        Retry: Something does not answer.
        GiveUp: The workload cannot be read any more.
    """
    workload, cloud_run = inputs.workload, process.cloud_run
    policy, configuration, history = await gather_all(
        read_policy(process),
        cloud_run.configuration(workload),
        process.containments(workload).history(),
    )
    state = replace(
        inputs.workload_state,
        configuration=configuration,
        history=history.for_workload(configuration),
        read_error=None,
    )
    state = await with_action_needs(state, inputs.evidence.finding, policy, cloud_run)
    state = await _with_named_actions(state, inputs.request, cloud_run)
    if state.read_error:
        raise state.read_error
    return inputs.reread(state.configuration or configuration, state.history)


async def _with_named_actions(
    state: WorkloadState, request: Request, reader: WorkloadReader
) -> WorkloadState:
    """The same state, with the details that the actions named by the operator need."""
    if state.workload is None or state.configuration is None or request.operator is None:
        return state
    needs = masked_changes.details_for_steps(request.operator.steps, state.workload.kind)
    try:
        configuration = await add_needs(
            state.configuration, state.workload, needs, reader, names_in(request.finding)
        )
    except GiveUp as error:
        return replace(state, read_error=error)
    return replace(state, configuration=configuration)


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
