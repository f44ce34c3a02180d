"""Assess a finding: select the authoritative record, call the responder, decide."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta

from incident.case_file.case_file import CaseFile
from incident.case_file.containments import ContainmentHistory
from incident.decision.context import ProcessContext
from incident.decision.decide import decide, decision_to_finish
from incident.decision.guards import CONFIRMATION_WINDOW, DecisionContext
from incident.decision.inputs import DecisionInputs, WorkloadState, gating_reputation
from incident.investigation.virustotal import ReputationLookup
from incident.model import (
    Decision,
    Evidence,
    Finding,
    Gap,
    InvalidPolicy,
    Notification,
    Reason,
    Retry,
    Route,
    Verdict,
    WorkloadConfiguration,
)
from incident.policy.resolve import Policy

# A clock may be a little behind the one that stamped the event.
_CLOCK_SKEW = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class AssessedIncident:
    """The inputs and the decision that was made of them.

    Attributes:
        inputs: What was read.
        route: Which responder answers, by SCC's own record where there is one.
        evidence: What the decision was made of.
        decision: What is to be done.
        only_finishes: Whether only what our own write began is to be finished.
    """

    inputs: DecisionInputs
    route: Route
    evidence: Evidence
    decision: Decision
    only_finishes: bool = False


@dataclass(frozen=True, slots=True)
class Assessor:
    """Assesses one claim.

    Attributes:
        claim: What the notification says.
        route: Which responder answers the claim.
        process_context: What holds for every incident.
        read_policy: Reads the policy as it is now.
        reputations: What VirusTotal says.
    """

    claim: Finding
    route: Route
    process_context: ProcessContext
    read_policy: Callable[[], Awaitable[Policy | InvalidPolicy]]
    reputations: ReputationLookup

    def assess(self, inputs: DecisionInputs) -> AssessedIncident:
        """Assess by SCC's own record, unless only our own write is to be finished.

        Raises:
            Retry: SCC does not list the finding, and the finding is young.
        """
        evidence = self._build_evidence(inputs)
        finishing_decision = self._finishing_decision(inputs.workload_state)
        if finishing_decision is None:
            self._retry_if_unconfirmed(inputs)
            self._retry_during_drill_release(inputs.workload_state)
        route = self._route_by_scc_record(inputs)
        decision = self._decide(inputs, evidence, route)
        if finishing_decision and not _has_changes_to_write(decision):
            decision, route = (
                _with_recorded_reasons(finishing_decision, inputs.incident_case_file),
                self.route,
            )
        return AssessedIncident(
            inputs, route, evidence, decision, only_finishes=finishing_decision is not None
        )

    def assess_drill(self, inputs: DecisionInputs) -> AssessedIncident:
        """Assess a workload that a person names for a drill, without a finding."""
        evidence = self._build_evidence(inputs)
        return AssessedIncident(
            inputs, self.route, evidence, self._decide(inputs, evidence, self.route)
        )

    async def reassess(
        self,
        assessed: AssessedIncident,
        configuration: WorkloadConfiguration,
        history: ContainmentHistory,
    ) -> Decision:
        """Apply policy and guards again, to settings and history read again.

        VirusTotal's answer is the one that there is already; only a policy that has come to gate
        on it in between is waited for.

        Raises:
            Retry: The policy cannot be read now, or a drill is being released.
        """
        state = assessed.inputs.workload_state
        policy = await self.read_policy()
        reputation = assessed.evidence.reputation
        reputation = reputation or await gating_reputation(
            assessed.inputs.scc_record, policy, self.reputations
        )
        evidence = replace(assessed.evidence, configuration=configuration, reputation=reputation)
        decision_context = self._decision_context(state, history)
        decision = decide(evidence, assessed.route, policy, decision_context)
        state = replace(state, configuration=configuration, history=history)
        finishing_decision = self._finishing_decision(state)
        if finishing_decision is None:
            self._retry_during_drill_release(state)
        if finishing_decision is None or _has_changes_to_write(decision):
            return decision
        earlier = assessed.decision
        return replace(
            finishing_decision,
            rule=earlier.rule,
            reasons=earlier.reasons + finishing_decision.reasons,
        )

    def _finishing_decision(self, state: WorkloadState) -> Decision | None:
        """The decision to finish, if an earlier delivery wrote and its write is in effect."""
        if state.workload is None:
            return None
        return decision_to_finish(self.claim.incident_id, state.configuration, state.history)

    def _retry_if_unconfirmed(self, inputs: DecisionInputs) -> None:
        """Raise Retry for a young finding that SCC does not list yet."""
        age = self.process_context.clock() - self.claim.event_time
        if (
            inputs.scc_record is None
            and inputs.scc_error is None
            and -_CLOCK_SKEW <= age < CONFIRMATION_WINDOW
        ):
            raise Retry(
                f"cannot confirm finding {self.claim.canonical_name}: Security Command Center"
                " does not list it yet; a redelivery looks again until it is five minutes old"
            )

    def _retry_during_drill_release(self, state: WorkloadState) -> None:
        """Raise Retry while a drill is being released: it is over in seconds."""
        current = state.history.current
        age = self.process_context.clock() - self.claim.event_time
        drill_ending = current is not None and current.releasing and current.is_drill
        if drill_ending and age < CONFIRMATION_WINDOW:
            raise Retry(
                f"cannot decide on {self.claim.canonical_name}: a drill on its workload is being"
                " taken back at this moment; a redelivery looks again until the finding is five"
                " minutes old"
            )

    def _route_by_scc_record(self, inputs: DecisionInputs) -> Route:
        """Route by SCC's own record; by the claim only if there is none."""
        if inputs.scc_record is None:
            return self.route
        return self.process_context.route(Notification(inputs.scc_record, deleted=False))

    def _build_evidence(self, inputs: DecisionInputs) -> Evidence:
        finding = (
            _with_notification_details(inputs.scc_record, self.claim)
            if inputs.scc_record
            else self.claim
        )
        state = inputs.workload_state
        gaps = []
        if inputs.scc_error:
            gaps.append(Gap("security-center", str(inputs.scc_error)))
        if state.read_error:
            gaps.append(Gap("settings", str(state.read_error)))
        if state.configuration and state.configuration.unknown_fields:
            names = ", ".join(state.configuration.unknown_fields)
            text = f"{names}: has fields that this version of the responder does not know"
            gaps.append(Gap("settings", text))
        confirmed = inputs.scc_record is not None
        claim = self.claim if confirmed else None
        return Evidence(
            finding,
            confirmed,
            state.configuration,
            reputation=inputs.reputation,
            gaps=tuple(gaps),
            claim=claim,
        )

    def _decide(self, inputs: DecisionInputs, evidence: Evidence, route: Route) -> Decision:
        """The decision, or a hold with the error that prevents one."""
        decision_context = self._decision_context(
            inputs.workload_state, inputs.workload_state.history
        )
        decision = decide(evidence, route, inputs.policy, decision_context)
        read_error = inputs.scc_error or (
            inputs.workload_state.read_error if evidence.confirmed else None
        )
        if read_error is None or route.verdict is Verdict.HOLD:
            return decision
        return replace(
            decision,
            verdict=Verdict.HOLD,
            reasons=(Reason(str(read_error), "outside"),),
            changes=(),
            failed=True,
            blockers=(),  # the error must be fixed first, and says how
        )

    def _decision_context(
        self, state: WorkloadState, history: ContainmentHistory
    ) -> DecisionContext:
        process_context = self.process_context
        return DecisionContext(
            now=process_context.clock(),
            ceiling=process_context.mode_ceiling,
            ceiling_reason=process_context.mode_ceiling_reason,
            responder=process_context.responder_identity,
            history=history,
            slots=state.taken_slots,
            containment_folder=state.containment_folder,
            operator=process_context.operator,
        )


def _has_changes_to_write(decision: Decision) -> bool:
    """Whether policy and guards still want what is missing of our own write.

    If not, what was done is only finished, whatever they say by now.
    """
    return decision.enforces and bool(decision.changes)


def _with_recorded_reasons(finishing_decision: Decision, case_file: CaseFile) -> Decision:
    """The decision to finish, with the rule and the reasons that the write was made for."""
    for record in reversed(case_file.known_records):
        reasons = record.body.get("reasons")
        if record.kind == "decided" and isinstance(reasons, list):
            before = tuple(Reason(str(text), "case-file") for text in reasons)
            rule = record.body.get("rule")
            recorded_rule = rule if isinstance(rule, str) else None
            return replace(
                finishing_decision, rule=recorded_rule, reasons=before + finishing_decision.reasons
            )
    return finishing_decision


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
