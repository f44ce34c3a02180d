"""Attempt: what containing works with, read and decided again for each attempt."""

from __future__ import annotations

from dataclasses import dataclass, replace

from incident.actions.snapshot import Snapshot
from incident.case_file.containments import ContainmentHistory, ContainmentRecords
from incident.decision.assess import decide_again
from incident.decision.inputs import Inputs, reread
from incident.decision.process import Process
from incident.model import Decision, Finding, Json, Workload, WorkloadConfiguration


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to carry a decision out.

    Attributes:
        process: What holds for this process.
        inputs: What was read.
        decision: What is to be done.
    """

    process: Process
    inputs: Inputs
    decision: Decision

    @property
    def incident(self) -> str:
        """The incident's id."""
        return self.inputs.request.incident

    @property
    def finding(self) -> Finding:
        """The finding as SCC lists it."""
        return self.inputs.evidence.finding

    @property
    def workload(self) -> Workload:
        """What is to be contained."""
        return self.inputs.workload

    @property
    def configuration(self) -> WorkloadConfiguration:
        """Its settings as read, with all details that its changes need."""
        return self.inputs.configuration

    @property
    def history(self) -> ContainmentHistory:
        """Its containments."""
        return self.inputs.history

    @property
    def records(self) -> ContainmentRecords:
        """Its containments in the store."""
        return self.process.containments(self.workload)

    async def again(self) -> Attempt:
        """The next attempt: everything that the write depends on, read and decided again.

        Raises:
            Retry: Something does not answer.
            GiveUp: The workload cannot be read any more.
        """
        inputs = await reread(self.process, self.inputs)
        decision = await decide_again(self.process, inputs, self.decision)
        return replace(self, inputs=inputs, decision=decision)

    async def with_history(self) -> Attempt:
        """The same, with the containment's records as they are now: a release may have begun."""
        history = (await self.records.history()).for_workload(self.configuration)
        return replace(self, inputs=self.inputs.reread(self.configuration, history))

    async def add_record(self, after: int, kind: str, snapshot: Snapshot, **details: Json) -> int:
        """Add a record about a snapshot to the containment; returns the record's number.

        Raises:
            Retry: The store does not answer.
            GiveUp: The store refuses.
        """
        body = {
            "incident": self.incident,
            "finding": self.finding.finding_id,
            "snapshot": snapshot.number,
            **details,
        }
        return await self.records.add_record(self.history, after, kind, body)
