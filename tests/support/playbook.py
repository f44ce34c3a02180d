"""Plans of the shipped playbook for a status and evidence."""

from __future__ import annotations

import json
from typing import Any

from incident.actions.changes import with_state
from incident.model import Change, ChangeState, Evidence, PlaybookTask, Status, Suspect
from incident.model.outcome import Outcome, ReportedBlocker, ReportedDecision, ReportedWorkload
from incident.playbook.facts import evidence_facts
from incident.playbook.plan import playbook_plan
from tests.support.constants import INCIDENT_ID
from tests.support.model import evidence, scale_to_zero_change

PLACE = "--region=europe-west1 --project=example-shop-prod"


def outcome_of(
    status: Status,
    of: Evidence | None = None,
    changes: tuple[Change, ...] | None = None,
    blockers: tuple[ReportedBlocker, ...] = (),
    **more: Any,
) -> Outcome:
    """An outcome with a status; its change is verified where that status is CONTAINED."""
    workload = (of or evidence()).finding.workload
    state = ChangeState.VERIFIED if status is Status.CONTAINED else ChangeState.PLANNED
    return Outcome(
        status,
        INCIDENT_ID,
        workload=ReportedWorkload.of(workload) if workload else None,
        decision=ReportedDecision(blockers=blockers),
        changes=(with_state(scale_to_zero_change(), state),) if changes is None else changes,
        **more,
    )


def facts_of(
    of: Evidence | None = None,
    checks: tuple[str, ...] = (),
    suspect: Suspect | None = None,
    **more: Any,
) -> dict[str, Any]:
    """The facts of evidence as a stored outcome has them."""
    facts = evidence_facts(of or evidence(), checks, suspect, **more).to_json()
    stored: dict[str, Any] = json.loads(json.dumps(facts))
    return stored


def plan(status: Status, of: Evidence | None = None, **outcome: Any) -> dict[str, PlaybookTask]:
    """The tasks of a plan by id, in order."""
    tasks = playbook_plan(outcome_of(status, of, **outcome), facts_of(of)).people
    return {task.id: task for task in tasks}


def task_commands(task: PlaybookTask) -> list[str]:
    """The commands of a task, one a line, those of its details included."""
    blocks = (task.command, *(detail.command for detail in task.details))
    return [line for block in blocks for line in (block or "").splitlines()]


def plan_commands(tasks: dict[str, PlaybookTask]) -> list[str]:
    """The commands of a plan."""
    return [line for task in tasks.values() for line in task_commands(task)]


def task_text(task: PlaybookTask) -> str:
    """The texts of a task, those of its details included."""
    return " ".join((task.title, task.text, task.why, *(each.text for each in task.details)))
