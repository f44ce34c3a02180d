"""Request: why the pipeline runs, for which finding, with whose authority and which limits."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from incident.decision.guards import Operator
from incident.model import Change, Finding, Route


class Trigger(StrEnum):
    """Why the pipeline runs."""

    DELIVERY = "delivery"
    #: A person applies a recorded plan, or the patrol finishes what a person began.
    APPROVAL = "approve"
    CONTAIN = "contain"
    #: The patrol applies a containment again that somebody has undone.
    DRIFT = "drift"
    DRILL = "drill"


@dataclass(frozen=True, slots=True)
class Request:
    """What the pipeline is asked to do.

    Attributes:
        trigger: Why it runs.
        finding: The finding as notified, or as rebuilt from SCC's record.
        route: Which responder answers it.
        operator: Whose authority it is, which guards that waives, and the plan beyond which
            nothing may be written; None for a delivery, which all guards and limits bind.
        confirmed: The changes that a person has seen; where others are planned by now, nothing is
            written. None where nobody was asked.
        reapplied: The containment that is applied again, by its folder, within the policy's
            ``reapply_limit``; empty for others.
    """

    trigger: Trigger
    finding: Finding
    route: Route
    operator: Operator | None = None
    confirmed: tuple[Change, ...] | None = None
    reapplied: str = ""

    @property
    def incident(self) -> str:
        """The incident's id."""
        return self.finding.incident_id

    @property
    def writes_or_fails(self) -> bool:
        """Whether somebody asks for a write: where it may not be made, the request is refused."""
        return self.trigger is not Trigger.DELIVERY

    @property
    def has_finding(self) -> bool:
        """Whether SCC lists its finding; a drill has none."""
        return self.trigger is not Trigger.DRILL

    @property
    def publishes(self) -> bool:
        """Whether it ends with an outcome of the incident that is recorded and published."""
        return self.trigger not in (Trigger.DRIFT, Trigger.DRILL)
