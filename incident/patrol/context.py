"""PatrolContext: what one patrol round works with."""

from __future__ import annotations

from dataclasses import dataclass, replace

from incident.case_file.manifest import RecordingStore
from incident.decision.process import Process
from incident.model import InvalidPolicy
from incident.policy.resolve import Policy


@dataclass(frozen=True, slots=True)
class PatrolContext:
    """What one round works with.

    Attributes:
        process: What holds for this process, as the run of this round.
        policy: The policy as it was when the round began, or why there is none to be had;
            None where it could not be read.
    """

    process: Process
    policy: Policy | InvalidPolicy | None

    def with_store(self, store: RecordingStore) -> PatrolContext:
        """The same with the store of one visit, which remembers what the visit creates."""
        return replace(self, process=replace(self.process, store=store))

    def redact(self, error: object) -> str:
        """Redact a text."""
        return self.process.redactor().text(str(error))
