"""Hourly slots: a containment is begun only with one of each cap, and there are no more.

Numbers are claimed by creating objects, so that processes which know nothing of one another
never exceed a cap. A slot belongs to a containment: whoever begins it shares it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from incident.case_file.journal import Journal, Record, Store
from incident.decision.guards import Objection, Slots, cap_reached
from incident.model import Workload
from incident.model.concurrency import together
from incident.policy.schema import Guards


@dataclass(frozen=True, slots=True)
class SlotBook:
    """The slots of one workload's containment, in the hour that it is now."""

    store: Store
    workload: Workload
    run: str
    clock: Callable[[], datetime]

    def _overall(self) -> Journal:
        return self._journal("all")

    def _project(self) -> Journal:
        return self._journal(f"projects/{self.workload.project}")

    def _journal(self, part: str) -> Journal:
        hour = self.clock().astimezone(UTC).strftime("%Y-%m-%dT%H")
        return Journal(self.store, f"slots/{hour}/{part}", self.run, self.clock)

    async def taken(self) -> Slots:
        """The slots of this hour that are taken.

        Raises:
            Retry: The store does not answer.
        """
        overall, in_project = await together(self._overall().records(), self._project().records())
        return Slots(_holders(overall), _holders(in_project))

    async def claim(self, holder: str, guards: Guards, seen: Slots) -> Objection | None:
        """Take one slot of each cap for a containment, or say which cap stands against it.

        The project's is taken first, so that a burst in one project leaves the others theirs.

        Args:
            holder: The containment's folder.
            guards: The caps.
            seen: What was taken a moment ago; saves looking again.

        Raises:
            Retry: The store does not answer.
        """
        in_project, overall = guards.max_per_project_per_hour, guards.max_containments_per_hour
        if not await _claim(self._project(), holder, in_project, seen.in_project):
            return cap_reached("in this project", in_project)
        if not await _claim(self._overall(), holder, overall, seen.overall):
            return cap_reached("in all", overall)
        return None


def _holders(records: Sequence[Record]) -> tuple[str, ...]:
    return tuple(str(record.body.get("containment")) for record in records)


async def _claim(journal: Journal, holder: str, cap: int, taken: Sequence[str]) -> bool:
    if holder in taken[:cap]:
        return True
    for number in range(len(taken) + 1, cap + 1):
        if await journal.claim(number, "slot", {"containment": holder}):
            return True
        for record in await journal.records():
            if record.body.get("containment") == holder:
                return True
    return False
