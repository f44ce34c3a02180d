"""PatrolContext: what one patrol round works with."""

from __future__ import annotations

from dataclasses import dataclass, replace

from incident.case_file.journal import Journal
from incident.case_file.manifest import RecordingStore
from incident.decision.context import ProcessContext
from incident.decision.inputs import Records
from incident.model import InvalidPolicy
from incident.policy.resolve import Policy
from incident.response.context import Ports


@dataclass(frozen=True, slots=True)
class PatrolContext:
    """What one round works with.

    Attributes:
        process_context: What holds for every incident.
        ports: The ports to the outside world.
        records: Where this round's records are kept.
        policy: The policy as it was when the round began, or why there is none to be had;
            None where it could not be read.
    """

    process_context: ProcessContext
    ports: Ports
    records: Records
    policy: Policy | InvalidPolicy | None

    def journal(self, folder: str) -> Journal:
        """The records of a folder, as this round writes them."""
        return Journal(self.records.store, folder, self.records.run_id, self.records.clock)

    def with_store(self, store: RecordingStore) -> PatrolContext:
        """The same with the store of one visit, which remembers what the visit creates."""
        records = replace(self.records, store=store)
        return replace(self, records=records, ports=replace(self.ports, store=store))

    def redact(self, error: object) -> str:
        """Redact a text."""
        return self.process_context.redactor().text(str(error))
