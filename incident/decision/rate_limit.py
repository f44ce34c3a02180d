"""Hourly slots: a containment is begun only with one of each cap, and there are no more.

Numbers are claimed by creating objects, so that processes which know nothing of one another
never exceed a cap. A slot belongs to a containment: whoever begins it shares it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from incident.case_file.journal import Journal, ObjectStore, Record
from incident.decision.guards import GuardBlock, TakenSlots, cap_reached
from incident.model import Workload
from incident.model.concurrency import gather_all
from incident.policy.schema import Guards


@dataclass(frozen=True, slots=True)
class HourlySlots:
    """The slots of one workload's containment, in the hour that it is now."""

    store: ObjectStore
    workload: Workload
    run_id: str
    clock: Callable[[], datetime]

    def _overall_journal(self) -> Journal:
        return self._journal("all")

    def _project_journal(self) -> Journal:
        return self._journal(f"projects/{self.workload.project}")

    def _journal(self, part: str) -> Journal:
        hour = self.clock().astimezone(UTC).strftime("%Y-%m-%dT%H")
        return Journal(self.store, f"slots/{hour}/{part}", self.run_id, self.clock)

    async def taken(self) -> TakenSlots:
        """The slots of this hour that are taken.

        Raises:
            Retry: The store does not answer.
        """
        overall, in_project = await gather_all(
            self._overall_journal().records(), self._project_journal().records()
        )
        return TakenSlots(_holders(overall), _holders(in_project))

    async def acquire(self, holder: str, guards: Guards, taken: TakenSlots) -> GuardBlock | None:
        """Take one slot of each cap for a containment, or say which cap stands against it.

        The project's is taken first, so that a burst in one project leaves the others theirs.

        Args:
            holder: The containment's folder.
            guards: The caps.
            taken: What was taken a moment ago; saves looking again.

        Raises:
            Retry: The store does not answer.
        """
        in_project, overall = guards.max_per_project_per_hour, guards.max_containments_per_hour
        if not await _acquire_slot(self._project_journal(), holder, in_project, taken.in_project):
            return cap_reached("in this project", in_project)
        if not await _acquire_slot(self._overall_journal(), holder, overall, taken.overall):
            return cap_reached("in all", overall)
        return None


def _holders(records: Sequence[Record]) -> tuple[str, ...]:
    return tuple(str(record.body.get("containment")) for record in records)


async def _acquire_slot(journal: Journal, holder: str, cap: int, taken: Sequence[str]) -> bool:
    if holder in taken[:cap]:
        return True
    for number in range(len(taken) + 1, cap + 1):
        if await journal.create(number, "slot", {"containment": holder}):
            return True
        for record in await journal.records():
            if record.body.get("containment") == holder:
                return True
    return False
