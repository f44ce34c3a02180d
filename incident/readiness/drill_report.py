"""What a drill came to, for the person who drills and for its case file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from incident.actions.before_image import change_json
from incident.case_file.journal import SCHEMA_VERSION
from incident.containment.types import Result
from incident.model import Change, ChangeState, Json, JsonObject, Status, Verdict, Workload


@dataclass(slots=True)
class Report:
    """What a drill came to.

    Attributes:
        drill: Its id.
        workload: Resource name.
        by: Who drilled.
        status: What containing came to; None where that failed.
        changes: The writes that contained it, each with how far it came; as they may be told.
        released: The writes that gave it back; likewise.
        given_back: Whether nothing of ours holds it any more.
        differs: What is not as it was before, by name.
        steps: What was done, each with the milliseconds since the beginning.
        problems: What went wrong; empty after a good drill.
    """

    drill: str
    workload: str
    by: str
    status: Status | None = None
    changes: tuple[Change, ...] = ()
    released: tuple[Change, ...] = ()
    given_back: bool = False
    differs: tuple[str, ...] = ()
    steps: list[tuple[str, int]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Whether all of it was seen in effect, and all of it is as before."""
        held = self.status in (Status.CONTAINED, Status.RESTRICTED)
        return held and self.given_back and not self.differs and not self.problems

    @property
    def json(self) -> dict[str, Json]:
        """The same for scripts, and for the record."""
        return {
            "schema_version": SCHEMA_VERSION,
            "drill": self.drill,
            "workload": self.workload,
            "by": self.by,
            "result": "passed" if self.good else "failed",
            "contained": self.status.value if self.status else None,
            "changes": [change_json(change) for change in self.changes],
            "released": [change_json(change) for change in self.released],
            "given_back": self.given_back,
            "differs": [*self.differs],
            "steps": [{"step": name, "at_ms": at_ms} for name, at_ms in self.steps],
            "problems": [*self.problems],
        }

    def outcome(self, workload: Workload, reasons: Iterable[str]) -> JsonObject:
        """The same in the words of incidents, so that whoever reads case files understands.

        Args:
            workload: What was drilled on.
            reasons: Why these changes.
        """
        held = self.status.value if self.status else Status.FAILED.value
        given_back = self.given_back and bool(self.released)
        return {
            **self.json,
            "incident": self.drill,
            "status": Status.RELEASED.value if given_back else held,
            "workload": _place(workload),
            "decision": {"verdict": Verdict.CONTAIN.value, "reasons": [*reasons]},
        }


def _place(workload: Workload) -> JsonObject:
    return {
        "kind": workload.kind.value,
        "project": workload.project,
        "project_number": workload.project_number,
        "location": workload.location,
        "name": workload.name,
        "resource_name": workload.resource_name,
    }


def problems_of(result: Result) -> list[str]:
    """Why containing did not come to what was decided."""
    if not result.changes:
        return ["; ".join(reason.text for reason in result.decision.reasons)]
    return [
        f"{change.action} is {change.state.value}: {change.error}"
        for change in result.changes
        if change.state is not ChangeState.VERIFIED
    ]
