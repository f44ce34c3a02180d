"""One containment as a patrol found it: what a log line and the command tell of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from incident.investigation.attribution import Blame
from incident.model import Json


class Sight(StrEnum):
    """What a patrol finds at a containment."""

    STANDS = "stands"
    VERIFIED = "verified"
    PENDING = "pending"
    REVERTED = "reverted"
    REAPPLIED = "reapplied"
    GONE = "gone"
    WITHDRAWN = "withdrawn"
    LEFT_ALONE = "left-alone"


@dataclass(frozen=True, slots=True)
class Sighting:
    """One containment as a patrol found it.

    Attributes:
        sight: What it found.
        workload: Resource name of the workload.
        containment: The containment's folder.
        incidents: The incidents that refer to it.
        differs: What is not as we left it, a line each.
        by: Who undid it.
        note: What was done about it, or why nothing was.
        urgent: Whether a person must look now, whatever was found.
    """

    sight: Sight
    workload: str
    containment: str = ""
    incidents: tuple[str, ...] = ()
    differs: tuple[str, ...] = ()
    by: Blame | None = None
    note: str = ""
    urgent: bool = False

    @property
    def alarm(self) -> bool:
        """Whether a person must look now."""
        return self.urgent or self.sight in (Sight.REVERTED, Sight.REAPPLIED, Sight.PENDING)

    @property
    def json(self) -> dict[str, Json]:
        """The same for a log line."""
        return {
            "sight": self.sight.value,
            "workload": self.workload,
            "containment": self.containment or None,
            "incidents": [*self.incidents],
            "differs": [*self.differs],
            "by": self.by.json if self.by else None,
            "note": self.note,
        }
