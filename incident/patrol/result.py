"""One containment as a patrol found it: what a log line and the command tell of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from incident.model import Json
from incident.patrol.attribution import Attribution


class CheckState(StrEnum):
    """What a patrol finds at a containment."""

    IN_EFFECT = "in-effect"
    VERIFIED = "verified"
    PENDING = "pending"
    REVERTED = "reverted"
    REAPPLIED = "reapplied"
    DELETED = "deleted"
    UNDONE_FOR_RELEASE = "undone-for-release"
    RELEASING = "releasing"


@dataclass(frozen=True, slots=True)
class ContainmentCheck:
    """One containment as a patrol found it.

    Attributes:
        state: What it found.
        workload: Resource name of the workload.
        containment: The containment's folder.
        incidents: The incidents that refer to it.
        drift: What is not as we left it, a line each.
        attribution: Who undid it.
        note: What was done about it, or why nothing was.
        urgent: Whether a person must look now, whatever was found.
    """

    state: CheckState
    workload: str
    containment: str = ""
    incidents: tuple[str, ...] = ()
    drift: tuple[str, ...] = ()
    attribution: Attribution | None = None
    note: str = ""
    urgent: bool = False

    @property
    def alarm(self) -> bool:
        """Whether a person must look now."""
        return self.urgent or self.state in (
            CheckState.REVERTED,
            CheckState.REAPPLIED,
            CheckState.PENDING,
        )

    @property
    def json(self) -> dict[str, Json]:
        """The same for a log line."""
        return {
            "state": self.state.value,
            "workload": self.workload,
            "containment": self.containment or None,
            "incidents": [*self.incidents],
            "drift": [*self.drift],
            "by": self.attribution.json if self.attribution else None,
            "note": self.note,
        }
