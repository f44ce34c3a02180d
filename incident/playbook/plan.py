"""Build the playbook: automatic tasks and ordered tasks for people; update a stored one. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from incident.model import ChangeState, Json, JsonObject, PlaybookTask, Status, TaskPurpose
from incident.model.calling_roles import editable_roles
from incident.model.json_text import json_objects
from incident.playbook.close import close_finding, delete_affected, triage
from incident.playbook.commands_and_links import finding_page
from incident.playbook.credentials import review_account_activity, revoke_credentials
from incident.playbook.entry_point import (
    close_entry_point,
    find_entry_point,
    notify_owner,
    review_logs,
)
from incident.playbook.inputs import (
    PlaybookFacts,
    PlaybookInputs,
    facts_from_inputs,
    facts_from_outcome,
)
from incident.playbook.rebuild import check_volumes, rebuild_and_redeploy
from incident.playbook.secrets import rotate_secrets
from incident.playbook.stop import CONTAINMENT_PURPOSES, containment_tasks
from incident.playbook.task_order import PURPOSE_TITLES, ordered_tasks

__all__ = ["PlaybookInputs", "automatic_tasks", "people_tasks", "task_json", "with_updated_plan"]

_STATE_TEXTS = {
    ChangeState.VERIFIED: "done, and read back in effect",
    ChangeState.UNVERIFIED: "written, but not seen in effect",
    ChangeState.FAILED: "failed",
    ChangeState.APPLIED: "written",
}
#: The action that makes a manual task unnecessary; its release makes the manual restore so too.
_ACTION_FOR_PURPOSE = {
    TaskPurpose.INGRESS: "restrict-ingress",
    TaskPurpose.RESTORE_INGRESS: "restrict-ingress",
    TaskPurpose.AUTHENTICATION: "require-authentication",
    TaskPurpose.RESTORE_CALLERS: "require-authentication",
}


def automatic_tasks(inputs: PlaybookInputs) -> tuple[PlaybookTask, ...]:
    """What the responder did, or in a dry run would do."""
    tasks = [PlaybookTask(_evidence_task_text(inputs))]
    for change in inputs.changes:
        state = _STATE_TEXTS.get(change.state, "planned; nothing was written")
        undone = "" if change.reversible else "; this cannot be taken back"
        tasks.append(PlaybookTask(f"{change.action} on {change.target}: {state}{undone}"))
    return tuple(tasks)


def _evidence_task_text(inputs: PlaybookInputs) -> str:
    missing = list(dict.fromkeys(gap.collector for gap in inputs.evidence.gaps))
    kept = "Gathered and kept what evidence could be read: it stands in the case file"
    if not missing:
        return kept
    return f"{kept}; {len(missing)} could not be ({', '.join(missing)})"


def people_tasks(inputs: PlaybookInputs) -> tuple[PlaybookTask, ...]:
    """The tasks left to people, in order, with reasons."""
    evidence = inputs.evidence
    finding, workload = evidence.finding, evidence.finding.workload
    if workload is None:
        link = finding_page(finding)
        return (PlaybookTask("Look at the finding: it names no workload of Cloud Run", link=link),)
    facts = facts_from_inputs(inputs, workload)
    tasks = (
        *containment_tasks(facts),
        *triage(inputs, facts),
        *close_entry_point(evidence, facts),
        *notify_owner(evidence, workload),
        *rotate_secrets(evidence, workload),
        *revoke_credentials(evidence, workload),
        *review_logs(finding, workload),
        *review_account_activity(evidence, workload),
        *find_entry_point(evidence, workload),
        *check_volumes(evidence, workload),
        *rebuild_and_redeploy(evidence, workload),
        *delete_affected(evidence, facts),
        *close_finding(finding),
    )
    return ordered_tasks(tasks, facts)


def task_json(task: PlaybookTask) -> JsonObject:
    """A task as JSON of the outcome."""
    return {
        "part": task.purpose.value if task.purpose else None,
        "part_title": PURPOSE_TITLES[task.purpose] if task.purpose else None,
        "text": task.text,
        "why": task.reason or None,
        "command": task.command or None,
        "link": task.link or None,
    }


def with_updated_plan(outcome: JsonObject) -> JsonObject:
    """The outcome with its playbook updated to its current status and changes.

    Tasks from evidence stay; containment tasks are computed again; all are sorted again.
    """
    assessment, facts = outcome.get("assessment"), facts_from_outcome(outcome)
    plan = assessment.get("plan") if isinstance(assessment, Mapping) else None
    if not isinstance(plan, Mapping) or facts is None:
        return outcome
    assert isinstance(assessment, Mapping)  # noqa: S101 - it has a plan
    kept = map(_task_from_json, json_objects(plan.get("people")))
    left = (
        task
        for task in kept
        if task.purpose not in CONTAINMENT_PURPOSES and not _is_obsolete(task, facts)
    )
    people = ordered_tasks((*containment_tasks(facts), *left), facts)
    changes = json_objects(outcome.get("changes"))
    done = (
        f"{c.get('action')} on {c.get('target')}: {_change_progress(c, facts.status)}"
        for c in changes
    )
    done_tasks: list[Json] = [*json_objects(plan.get("automatic"))[:1]]
    done_tasks += [task_json(PlaybookTask(text)) for text in done]
    renewed = {**plan, "automatic": done_tasks, "people": [task_json(step) for step in people]}
    return {**outcome, "assessment": {**assessment, "plan": renewed}}


def _is_obsolete(task: PlaybookTask, facts: PlaybookFacts) -> bool:
    """Whether a verified change or a decision made a task unnecessary."""
    if task.purpose is TaskPurpose.TRIAGE:
        return not facts.undecided
    callers = task.purpose in (TaskPurpose.AUTHENTICATION, TaskPurpose.RESTORE_CALLERS)
    if callers and "invoker-iam-check" not in task.command:
        # The action edits these roles only; a binding of another role is left to people.
        return "require-authentication" in facts.verified_actions and any(
            f"--role={role}" in task.command.split() for role in editable_roles(facts.workload.kind)
        )
    return (
        task.purpose is not None and _ACTION_FOR_PURPOSE.get(task.purpose) in facts.verified_actions
    )


def _task_from_json(value: JsonObject) -> PlaybookTask:
    purpose = value.get("part")
    text, command, link = (str(value.get(key) or "") for key in ("text", "command", "link"))
    return PlaybookTask(
        text, command, link, TaskPurpose(str(purpose)) if purpose in list(TaskPurpose) else None
    )


def _change_progress(change: JsonObject, status: Status) -> str:
    if status is Status.RELEASED and change.get("reversible"):
        return "taken back since"
    return _STATE_TEXTS.get(ChangeState(str(change.get("state"))), "planned; nothing was written")
