"""Re-apply a reverted containment, within the policy's ``reapply_limit``.

It is decided and written as for a new finding, and bounded besides.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from incident.actions.snapshot import Snapshot
from incident.case_file.containments import Containment
from incident.case_file.index import CaseFileIndex
from incident.case_file.journal import Journal, ObjectStore, Record
from incident.case_file.paths import reapplications_folder
from incident.containment.contain import contain_workload
from incident.containment.request_and_result import ContainmentResult
from incident.containment.undo import undo_if_released
from incident.decision.assess import AssessedIncident
from incident.decision.context import ProcessContext
from incident.decision.guards import GuardBlock, Operator
from incident.model import (
    Finding,
    GiveUp,
    IncidentError,
    InvalidPolicy,
    Mode,
    Notification,
    Reason,
    Retry,
    Verdict,
    Workload,
)
from incident.redaction.redactor import redact_error
from incident.response.context import Ports
from incident.response.incident_session import IncidentSession
from incident.response.reopen import reopen_claim

#: The finding was young enough when it was contained; its age does not matter any more.
PATROL_OPERATOR = Operator(by="patrol", waived_guards=frozenset({"within_max_age"}))
#: No patrol round takes longer: a re-application claimed before that is over.
_PEER_TIMEOUT = timedelta(minutes=5)
_MAX_FINDINGS = 3


@dataclass(frozen=True, slots=True)
class ReapplyResult:
    """The result of a re-application.

    Attributes:
        result: What containing came to; None where it was not tried.
        text: The same, or why it was not tried, for people.
        undone_for_release: Whether our own write was undone because a release had begun.
    """

    result: ContainmentResult | None
    text: str
    undone_for_release: bool = False


@dataclass(frozen=True, slots=True)
class ReapplyLimit:
    """Counts re-applications of one containment, as create-only claims beside its records.

    Attributes:
        journal: The claims; its run is who claims.
    """

    journal: Journal

    async def refusal(self, limit: int) -> str | None:
        """Why it may not be applied again now; None when it may.

        Raises:
            Retry: The store does not answer.
        """
        return self._refusal(await self.journal.records(), limit)

    async def acquire(self, limit: int) -> str | None:
        """Take one of the re-applications that the limit allows, or say why there is none.

        A claim counts even if the process that made it dies right then: the bound
        holds whatever happens.

        Raises:
            Retry: The store does not answer.
        """
        reapplications = await self.journal.records()
        if any(reapplication.run_id == self.journal.run_id for reapplication in reapplications):
            return None
        refusal = self._refusal(reapplications, limit)
        if refusal is None and not await self.journal.create(
            len(reapplications) + 1, "reapplication", {}
        ):
            return "another patrol is applying it again at this moment"
        return refusal

    def _refusal(self, reapplications: tuple[Record, ...], limit: int) -> str | None:
        if limit == 0:
            return "the policy's reapply_limit is 0: the patrol only reports"
        if len(reapplications) >= limit:
            return f"it was applied again {len(reapplications)} times, the policy's reapply_limit"
        if reapplications and self.journal.clock() - reapplications[-1].recorded_at < _PEER_TIMEOUT:
            return "another patrol has applied it again a moment ago"
        return None


def reapply_journal(
    folder: str, store: ObjectStore, run_id: str, clock: Callable[[], datetime]
) -> Journal:
    """The journal of a containment's re-applications, beside its records."""
    return Journal(store, reapplications_folder(folder), run_id, clock)


class Reapplier:
    """Re-applies containments that were undone."""

    def __init__(self, process_context: ProcessContext, ports: Ports) -> None:
        self._process_context = replace(process_context, operator=PATROL_OPERATOR)
        self._ports = ports

    async def reapply(
        self, containment: Containment, snapshot: Snapshot, limit: int
    ) -> ReapplyResult:
        """Contain the workload of a reverted containment again, if policy and guards allow it.

        Args:
            containment: What was undone.
            snapshot: The snapshot of the write that was undone; its incident is reopened.
            limit: The policy's ``reapply_limit``, read a moment ago.

        Raises:
            Retry: Time may heal it.
            GiveUp: It will not.
        """
        journal = self._journal(containment.folder, "")
        refusal = await ReapplyLimit(journal).refusal(limit)
        if refusal:
            return ReapplyResult(None, refusal)
        others = sorted(containment.incidents - {snapshot.incident}, reverse=True)
        finding, why = await self._reopen_finding((snapshot.incident, *others)[:_MAX_FINDINGS])
        if finding is None:
            return ReapplyResult(None, why)
        notification = Notification(replace(finding, mute=""), deleted=False)
        route = self._process_context.route(notification)
        session = IncidentSession.create(finding, route, self._process_context, self._ports)
        try:
            assessed = session.assessor.assess(await session.decision_inputs())
            refusal = _reason_not_to_reapply(assessed, containment)
            if refusal:
                return ReapplyResult(None, refusal)
            return await self._contain(session, assessed, containment)
        except IncidentError as error:
            redact_error(error, session.redactor())
            raise
        finally:
            session.cloud_run_reader.close()

    def _journal(self, folder: str, run_id: str) -> Journal:
        return reapply_journal(folder, self._ports.store, run_id, self._process_context.clock)

    async def _reopen_finding(self, incidents: Iterable[str]) -> tuple[Finding | None, str]:
        """The finding of the first incident that can be reopened, or why none can."""
        why = "no incident refers to it"
        for incident in incidents:
            try:
                summary = await CaseFileIndex(self._ports.store).get(incident)
                return await reopen_claim(summary, self._ports.security_center), ""
            except Retry:
                raise
            except GiveUp as error:
                why = str(error)
        return None, why

    async def _contain(
        self, session: IncidentSession, assessed: AssessedIncident, containment: Containment
    ) -> ReapplyResult:
        """Contain within the limit; right after it check whether a release has begun meanwhile."""
        request, tools = session.containment_request(assessed), session.containment_tools(assessed)
        reapply_limit = ReapplyLimit(self._journal(containment.folder, session.records.run_id))
        limited = replace(
            tools, acquire_slot=_with_reapply_limit(tools.acquire_slot, reapply_limit, session)
        )
        try:
            result = await contain_workload(request, limited)
        except IncidentError:
            await self._undo_if_released(session, request.workload, containment)
            raise
        text = await self._undo_if_released(session, request.workload, containment)
        if text:
            return ReapplyResult(
                result, f"a person is releasing it: the patrol {text}", undone_for_release=True
            )
        return ReapplyResult(result, _result_text(result))

    async def _undo_if_released(
        self, session: IncidentSession, workload: Workload, containment: Containment
    ) -> str | None:
        """Undo our own write if a person has begun to release the containment."""
        containment_records = session.records.containments(workload)
        return await undo_if_released(
            containment.number, containment_records, self._ports.cloud_run
        )


def _with_reapply_limit(
    acquire_slot: Callable[[], Awaitable[GuardBlock | None]],
    reapply_limit: ReapplyLimit,
    session: IncidentSession,
) -> Callable[[], Awaitable[GuardBlock | None]]:
    """The hourly slots, and after them one of the re-applications that the policy allows now."""

    async def acquire() -> GuardBlock | None:
        block = await acquire_slot()
        if block:
            return block
        policy = await session.policy()
        if isinstance(policy, InvalidPolicy):
            return GuardBlock(Reason(str(policy), "policy"), alarm=True)
        refusal = await reapply_limit.acquire(policy.reapply_limit)
        return GuardBlock(Reason(refusal, "policy"), alarm=True) if refusal else None

    return acquire


def _reason_not_to_reapply(assessed: AssessedIncident, containment: Containment) -> str | None:
    """Why the current decision is not to contain it again; None if it is."""
    decision, state = assessed.decision, assessed.inputs.workload_state
    current = state.history.current
    if assessed.route.verdict is Verdict.IGNORE:
        return f"the finding is none to act on any more: {assessed.route.reason}"
    if current is None or current.folder != containment.folder or state.configuration is None:
        return "it is not what holds the workload any more"
    if decision.verdict is not Verdict.CONTAIN:
        return "; ".join(reason.text for reason in decision.reasons)
    if decision.mode is not Mode.ENFORCE:
        reasons = [r.text for r in decision.reasons if r.evidence == "environment"]
        return "; ".join([f"the mode that applies to it is {decision.mode.value}", *reasons])
    if not decision.changes:
        return "policy and guards want no more than what still holds"
    return None


def _result_text(result: ContainmentResult) -> str:
    if result.status.value == "held":
        return "; ".join(reason.text for reason in result.decision.reasons)
    return f"applied again: {result.status.value}"
