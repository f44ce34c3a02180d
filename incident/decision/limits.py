"""Limits that are claimed right before a write: hourly slots, and re-applications."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from incident.case_file.journal import Journal, Record
from incident.case_file.paths import reapplications_folder
from incident.decision.guards import GuardBlock
from incident.decision.inputs import Inputs
from incident.decision.process import Process, read_policy
from incident.model import InvalidPolicy, Reason

#: No patrol round takes longer: a re-application claimed before that is over.
_PEER_TIMEOUT = timedelta(minutes=5)


async def acquire_slot(process: Process, inputs: Inputs) -> GuardBlock | None:
    """Take what the limits of the request allow; returns which limit is reached, if one is.

    Raises:
        Retry: The store does not answer, or the policy cannot be read now.
    """
    request, state = inputs.request, inputs.workload_state
    if request.operator and request.operator.exempt_from_caps:
        return None
    policy = await read_policy(process)
    if isinstance(policy, InvalidPolicy):
        return GuardBlock(Reason(str(policy), "policy"), alarm=True)
    slots = process.hourly_slots(inputs.workload)
    block = await slots.acquire(state.containment_folder, policy.guards, state.taken_slots)
    if block or not request.reapplied:
        return block
    limit = ReapplyLimit(process.journal(reapplications_folder(request.reapplied)))
    refusal = await limit.acquire(policy.reapply_limit)
    return GuardBlock(Reason(refusal, "policy"), alarm=True) if refusal else None


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
