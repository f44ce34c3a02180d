"""What a drill came to, for the person who drills and for its case file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from incident.actions.changes import change_json
from incident.case_file.journal import SCHEMA_VERSION
from incident.containment.types import ContainmentResult
from incident.model import Change, ChangeState, Json, JsonObject, Status, Verdict, Workload


@dataclass(slots=True)
class DrillReport:
    """What a drill came to.

    Attributes:
        drill: Its id.
        workload: Resource name.
        by: Who drilled.
        status: What containing came to; None where that failed.
        changes: The writes that contained it, each with how far it came; as they may be told.
        release_changes: The writes that gave it back; likewise.
        fully_released: Whether nothing of ours holds it any more.
        differences: What is not as it was before, by name.
        steps: What was done, each with the milliseconds since the beginning.
        problems: What went wrong; empty after a good drill.
    """

    drill: str
    workload: str
    by: str
    status: Status | None = None
    changes: tuple[Change, ...] = ()
    release_changes: tuple[Change, ...] = ()
    fully_released: bool = False
    differences: tuple[str, ...] = ()
    steps: list[tuple[str, int]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether all of it was seen in effect, and all of it is as before."""
        contained = self.status in (Status.CONTAINED, Status.RESTRICTED)
        return contained and self.fully_released and not self.differences and not self.problems

    @property
    def json(self) -> dict[str, Json]:
        """The same for scripts, and for the record."""
        return {
            "schema_version": SCHEMA_VERSION,
            "drill": self.drill,
            "workload": self.workload,
            "by": self.by,
            "result": "passed" if self.passed else "failed",
            "contained": self.status.value if self.status else None,
            "changes": [change_json(change) for change in self.changes],
            "released": [change_json(change) for change in self.release_changes],
            "given_back": self.fully_released,
            "differences": [*self.differences],
            "steps": [{"step": name, "at_ms": at_ms} for name, at_ms in self.steps],
            "problems": [*self.problems],
        }

    def outcome(self, workload: Workload, reasons: Iterable[str]) -> JsonObject:
        """The same in the words of incidents, so that whoever reads case files understands.

        Args:
            workload: What was drilled on.
            reasons: Why these changes.
        """
        contained = self.status.value if self.status else Status.FAILED.value
        fully_released = self.fully_released and bool(self.release_changes)
        return {
            **self.json,
            "incident": self.drill,
            "status": Status.RELEASED.value if fully_released else contained,
            "workload": _workload_json(workload),
            "decision": {"verdict": Verdict.CONTAIN.value, "reasons": [*reasons]},
        }


def _workload_json(workload: Workload) -> JsonObject:
    return {
        "kind": workload.kind.value,
        "project": workload.project,
        "project_number": workload.project_number,
        "location": workload.location,
        "name": workload.name,
        "resource_name": workload.resource_name,
    }


def containment_problems(result: ContainmentResult) -> list[str]:
    """Why containing did not come to what was decided."""
    if not result.changes:
        return ["; ".join(reason.text for reason in result.decision.reasons)]
    return [
        f"{change.action} is {change.state.value}: {change.error}"
        for change in result.changes
        if change.state is not ChangeState.VERIFIED
    ]
