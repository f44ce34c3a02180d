"""Plan a drill for a named workload: same guards, no finding. Writes nothing."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from datetime import datetime

from incident.case_file.case_file import CaseFile
from incident.case_file.containments import ContainmentRecords
from incident.case_file.paths import DRILLS, case_file_folder
from incident.containment.release import ReleaseRefused
from incident.decision.assess import AssessedIncident
from incident.decision.context import ProcessContext
from incident.decision.guards import drilling_operator
from incident.decision.inputs import (
    DecisionInputs,
    WorkloadState,
    read_workload_state,
    with_action_needs,
)
from incident.model import (
    Change,
    Finding,
    InvalidPolicy,
    Mode,
    Notification,
    Verdict,
    Workload,
    WorkloadConfiguration,
)
from incident.notification.synthetic_finding import DRILL_ID_PREFIX, synthetic_finding
from incident.policy.resolve import DEFAULT_CATEGORY, Policy
from incident.redaction.redactor import Redactor
from incident.response.context import Ports
from incident.response.incident_session import IncidentSession, read_policy

_BYTES = 12


@dataclass(frozen=True, slots=True)
class DrillPlan:
    """A planned drill; nothing is written yet.

    Attributes:
        session: The drill's session; close it when done.
        assessed: What was read and decided.
        before: The workload's settings, with everything that the changes touch.
        case_file: The drill's case file.
        by: The operator.
    """

    session: IncidentSession
    assessed: AssessedIncident
    before: WorkloadConfiguration
    case_file: CaseFile
    by: str

    @property
    def id(self) -> str:
        """The drill's id; ``release`` takes it after an interruption."""
        return self.session.claim.incident_id

    @property
    def workload(self) -> Workload:
        """The workload that is contained and released."""
        workload = self.assessed.inputs.workload_state.workload
        assert workload is not None  # noqa: S101 - it was named
        return workload

    @property
    def changes(self) -> tuple[Change, ...]:
        """The changes that will be written."""
        return self.assessed.decision.changes

    @property
    def reasons(self) -> tuple[str, ...]:
        """Reasons of the decision, redacted."""
        return tuple(self.redactor.text(reason.text) for reason in self.assessed.decision.reasons)

    @property
    def redactor(self) -> Redactor:
        """Redacts with all secrets that were read for the plan."""
        return self.session.redactor(self.assessed.evidence)

    @property
    def containment_records(self) -> ContainmentRecords:
        """The workload's containments."""
        return self.session.records.containments(self.workload)

    async def close(self) -> None:
        """Stop reads that are still in progress."""
        await self.session.close()


async def prepare_drill(
    workload: Workload, context: ProcessContext, ports: Ports, by: str
) -> DrillPlan:
    """Plan a drill from the current settings and policy. Writes nothing.

    Raises:
        ReleaseRefused: No drill is possible on this workload; says why.
        Retry: A service does not answer; try again later.
        GiveUp: Something cannot be read.
    """
    policy = await read_policy(ports)
    if isinstance(policy, InvalidPolicy):
        raise _refused(workload, str(policy))
    configuration = await ports.cloud_run.configuration(workload)
    claim = _synthetic_claim(
        _with_project_id(workload, configuration), configuration, policy, context.clock()
    )
    context = replace(context, operator=drilling_operator(by))
    route = context.route(Notification(claim, deleted=False))
    session = IncidentSession.create(claim, route, context, ports)
    try:
        return await _plan(session, policy, by)
    except BaseException:
        await session.close()
        raise


def _synthetic_claim(
    workload: Workload, configuration: WorkloadConfiguration, policy: Policy, now: datetime
) -> Finding:
    """A synthetic finding, of the default category if the policy has it."""
    named = [each for each in (DEFAULT_CATEGORY, *policy.categories) if each in policy.categories]
    category = (*named, DEFAULT_CATEGORY)[0]
    identity = DRILL_ID_PREFIX + secrets.token_hex(_BYTES)
    claim = synthetic_finding(workload, identity, category, now, sources=tuple(policy.sources))
    return replace(claim, revision=configuration.latest_ready_revision or None)


async def _plan(session: IncidentSession, policy: Policy, by: str) -> DrillPlan:
    state = await read_workload_state(session.claim.workload, session.sources, session.records)
    state = await with_action_needs(state, session.claim, policy, session.ports.cloud_run)
    if state.read_error:
        raise state.read_error
    folder = case_file_folder(DRILLS, session.claim.incident_id)
    file = await session.records.case_file(folder)
    inputs = DecisionInputs(
        file, file, file, policy, scc_record=None, scc_error=None, workload_state=state
    )
    assessed = session.assessor.assess_drill(inputs)
    _require_drillable(assessed, state, session.context)
    assert state.configuration is not None  # noqa: S101 - it was read
    return DrillPlan(session, assessed, state.configuration, file, by)


def _require_drillable(
    assessed: AssessedIncident, state: WorkloadState, context: ProcessContext
) -> None:
    """Raise ReleaseRefused unless a drill on the workload is possible."""
    workload, decision = state.workload, assessed.decision
    assert workload is not None  # noqa: S101 - it was named
    if current := state.history.current:
        holding = ", ".join(sorted(current.incidents)) or current.folder
        raise _refused(workload, f"it is contained already, for {holding}. Release that first")
    if decision.verdict is not Verdict.CONTAIN:
        raise _refused(workload, "; ".join(reason.text for reason in decision.reasons))
    if decision.mode is not Mode.ENFORCE:
        raise _refused(workload, context.mode_ceiling_reason)
    if not decision.changes:
        raise _refused(
            workload, "it is already as the policy's actions would leave it: a drill proves nothing"
        )
    lost = [change.action for change in decision.changes if not change.reversible]
    if lost:
        raise _refused(workload, f"{lost[0]} cannot be undone")


def _with_project_id(workload: Workload, configuration: WorkloadConfiguration) -> Workload:
    """The workload with its project's id, as findings name it, if Cloud Run's answer has it."""
    answered = configuration.name.split("/")[1]
    if workload.project_id or answered.isdigit():
        return workload
    return replace(workload, project_id=answered)


def _refused(workload: Workload, why: str) -> ReleaseRefused:
    return ReleaseRefused(f"cannot drill on {workload.resource_name}: {why}")
