"""The response plan: what the responder did by itself, and what is left to people, in order. Pure.

What the steps are is for ``incident.playbook``; here is in which order they stand, and why.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from incident.actions.catalogue import INVOKER_ROLE
from incident.model import ChangeState, Json, JsonObject, PlaybookTask, Status, TaskPurpose
from incident.playbook.close import close_finding, delete_affected, triage
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
    json_objects,
)
from incident.playbook.links import finding_page
from incident.playbook.rebuild import check_volumes, rebuild_and_redeploy
from incident.playbook.secrets import rotate_secrets
from incident.playbook.stop import CONTAINMENT_PURPOSES, containment_tasks

__all__ = ["PlaybookInputs", "automatic_tasks", "people_tasks", "task_json", "with_updated_plan"]

_STATE_TEXTS = {
    ChangeState.VERIFIED: "done, and read back in effect",
    ChangeState.UNVERIFIED: "written, but not seen in effect",
    ChangeState.FAILED: "failed",
    ChangeState.APPLIED: "written",
}
#: In which order the parts stand while what was found may run on, and why there.
ORDER_WHILE_RUNNING: Mapping[TaskPurpose, str] = {
    TaskPurpose.STOP: "first: what runs goes on reading secrets and calling out",
    TaskPurpose.TRIAGE: "before anything else is done; whoever doubts stops it first",
    TaskPurpose.FALSE_POSITIVE: "as soon as that is known: what is cut off may be somebody's work",
    TaskPurpose.INGRESS: (
        "at once after, or instead if it must go on: it keeps others out, and stops nothing that"
        " is in"
    ),
    TaskPurpose.AUTHENTICATION: "with it: whoever came in may come again",
    TaskPurpose.NOTIFY: "now: they see it go down, and know what is normal for it",
    TaskPurpose.ROTATE: (
        "not before it is stopped: what still runs would read the new version as well"
    ),
    TaskPurpose.REVOKE: "not before it is stopped: what still runs gets new tokens by itself",
    TaskPurpose.REVIEW_ACTIVITY: "while the logs are kept, and before the way in is looked for",
    TaskPurpose.ROOT_CAUSE: "before the rebuild: what is built with the hole is taken again",
    TaskPurpose.FILES: "before anything starts anew: a changed file comes back with each instance",
    TaskPurpose.REBUILD: "once the way in is known",
    TaskPurpose.RELEASE: "not before the clean version is there: it undoes what holds this one",
    TaskPurpose.RESUME: "when the clean version is there and may be started again",
    TaskPurpose.RESTORE_INGRESS: "not before the clean version serves",
    TaskPurpose.RESTORE_CALLERS: "not before the clean version is there",
    TaskPurpose.DELETE: "last but one: it cannot be undone, and takes evidence away",
    TaskPurpose.CLOSE: "last: while it is open it reminds of what is left to do",
}
#: The same where the responder itself leaves it to a person, since it may well be harmless.
ORDER_IF_OFTEN_BENIGN: Mapping[TaskPurpose, str] = {
    part: ORDER_WHILE_RUNNING[part] for part in (TaskPurpose.TRIAGE, *ORDER_WHILE_RUNNING)
} | {
    TaskPurpose.TRIAGE: "first: what may well be harmless is not stopped unseen",
    TaskPurpose.STOP: "if it is hostile: what runs goes on reading secrets and calling out",
}
#: The same once it is stopped.
ORDER_ONCE_STOPPED: Mapping[TaskPurpose, str] = {
    TaskPurpose.STOP: "first: whoever stopped it may start it again",
    TaskPurpose.WAIT: "first: what still runs would read a new secret version as well",
    TaskPurpose.NOTIFY: "now: they see it down, and know what is normal for it",
    TaskPurpose.FALSE_POSITIVE: (
        "as soon as that is known: every minute more is an outage for nothing"
    ),
    TaskPurpose.ROTATE: "before all repairs: what was taken outlives the containment",
    TaskPurpose.REVOKE: "with it: a token that was taken is good for up to an hour, a key for ever",
    TaskPurpose.REVIEW_ACTIVITY: "while the logs are kept, and before the way in is looked for",
    TaskPurpose.ROOT_CAUSE: "before the rebuild: what is built with the hole is taken again",
    TaskPurpose.FILES: "before anything starts anew: a changed file comes back with each instance",
    TaskPurpose.REBUILD: "once the way in is known",
    TaskPurpose.INGRESS: "before it runs again: whoever came in will try again",
    TaskPurpose.AUTHENTICATION: "before it runs again: whoever came in will try again",
    TaskPurpose.RELEASE: "not before the clean version is there: it undoes what holds this one",
    TaskPurpose.RESUME: "when the clean version is there and may be started again",
    TaskPurpose.RESTORE_INGRESS: "not before the clean version serves",
    TaskPurpose.RESTORE_CALLERS: "not before the clean version is there",
    TaskPurpose.DELETE: "last but one: it cannot be undone, and takes evidence away",
    TaskPurpose.CLOSE: "last: while it is open it reminds of what is left to do",
}
#: The same once a person has given it back: it serves, and should be clean.
ORDER_ONCE_RELEASED: Mapping[TaskPurpose, str] = {
    **ORDER_ONCE_STOPPED,
    TaskPurpose.STOP: "first: it runs again, and whoever came in will try again",
    TaskPurpose.ROTATE: "unless it is done: what was taken outlives the containment",
    TaskPurpose.REVOKE: "unless it is done: a key that was taken is good for ever",
    TaskPurpose.NOTIFY: "now: they see it up again",
    TaskPurpose.REBUILD: "unless what serves now is the clean version",
    TaskPurpose.INGRESS: "unless the way in is closed: it runs again",
    TaskPurpose.AUTHENTICATION: "unless the way in is closed: it runs again",
}
#: What each part is called where steps stand under headings.
PURPOSE_TITLES: Mapping[TaskPurpose, str] = {
    TaskPurpose.TRIAGE: "See whether it is an attack",
    TaskPurpose.STOP: "Stop it",
    TaskPurpose.WAIT: "Wait for what still runs",
    TaskPurpose.INGRESS: "Close it to the internet",
    TaskPurpose.AUTHENTICATION: "Keep callers out",
    TaskPurpose.NOTIFY: "Tell the owners",
    TaskPurpose.ROTATE: "Rotate its secrets",
    TaskPurpose.REVOKE: "Revoke its identity",
    TaskPurpose.REVIEW_ACTIVITY: "Read what it did",
    TaskPurpose.FALSE_POSITIVE: "If it was no attack",
    TaskPurpose.ROOT_CAUSE: "Find the way in",
    TaskPurpose.FILES: "Look for changed files",
    TaskPurpose.REBUILD: "Build it anew",
    TaskPurpose.RELEASE: "Release it",
    TaskPurpose.RESUME: "Start it again",
    TaskPurpose.RESTORE_INGRESS: "Open it to the internet again",
    TaskPurpose.RESTORE_CALLERS: "Let callers in again",
    TaskPurpose.DELETE: "Delete what ran",
    TaskPurpose.CLOSE: "Close the finding",
}
#: What a person is asked to close by hand, and to open again, unless we did: a release opens that.
_ACTION_FOR_PURPOSE = {
    TaskPurpose.INGRESS: "restrict-ingress",
    TaskPurpose.RESTORE_INGRESS: "restrict-ingress",
    TaskPurpose.AUTHENTICATION: "require-authentication",
    TaskPurpose.RESTORE_CALLERS: "require-authentication",
}


def automatic_tasks(inputs: PlaybookInputs) -> tuple[PlaybookTask, ...]:
    """What the responder did, or what it would do if it were let."""
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
    """What is left to people, in the order in which it should be done, each with its why."""
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
        *notify_owner(finding, workload),
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
    return _ordered(tasks, facts)


def task_json(task: PlaybookTask) -> JsonObject:
    """A step as the outcome has it."""
    return {
        "part": task.purpose.value if task.purpose else None,
        "part_title": PURPOSE_TITLES[task.purpose] if task.purpose else None,
        "text": task.text,
        "why": task.reason or None,
        "command": task.command or None,
        "link": task.link or None,
    }


def with_updated_plan(outcome: JsonObject) -> JsonObject:
    """An outcome that was carried on, with its plan as it is by now.

    What the evidence came to stays; what the containment comes to is made anew, and all of it is
    put in the order of how things stand now.
    """
    assessment, facts = outcome.get("assessment"), facts_from_outcome(outcome)
    plan = assessment.get("plan") if isinstance(assessment, Mapping) else None
    if not isinstance(plan, Mapping) or facts is None:
        return outcome
    assert isinstance(assessment, Mapping)  # noqa: S101 - it has a plan
    kept = (
        _task_from_json(value)
        for value in json_objects(plan.get("people"))
        if not _is_legacy_command(value)
    )
    left = (
        task
        for task in kept
        if task.purpose not in CONTAINMENT_PURPOSES and not _is_obsolete(task, facts)
    )
    people = _ordered((*containment_tasks(facts), *left), facts)
    changes = json_objects(outcome.get("changes"))
    done = (
        f"{c.get('action')} on {c.get('target')}: {_change_progress(c, facts.status)}"
        for c in changes
    )
    done_tasks: list[Json] = [*json_objects(plan.get("automatic"))[:1]]
    done_tasks += [task_json(PlaybookTask(text)) for text in done]
    renewed = {**plan, "automatic": done_tasks, "people": [task_json(step) for step in people]}
    return {**outcome, "assessment": {**assessment, "plan": renewed}}


def _ordered(tasks: Iterable[PlaybookTask], facts: PlaybookFacts) -> tuple[PlaybookTask, ...]:
    """Steps by their parts; the first of each part says why it stands there.

    What has no part that we know stands where a person finds it: at the end.
    """
    order = ORDER_WHILE_RUNNING if facts.may_be_running else ORDER_ONCE_STOPPED
    order = ORDER_ONCE_RELEASED if facts.status is Status.RELEASED else order
    order = ORDER_IF_OFTEN_BENIGN if facts.often_benign and facts.undecided else order
    ranks = {purpose: rank for rank, purpose in enumerate(order)}
    ordered, explained = [], set[TaskPurpose]()
    for task in sorted(
        tasks, key=lambda step: ranks.get(step.purpose or TaskPurpose.CLOSE, len(ranks))
    ):
        new = task.purpose is not None and task.purpose not in explained
        ordered.append(
            replace(task, reason=order.get(task.purpose, "") if task.purpose and new else "")
        )
        explained |= {task.purpose} if task.purpose else set()
    return tuple(ordered)


def _is_obsolete(task: PlaybookTask, facts: PlaybookFacts) -> bool:
    """Whether we have done since what a step asks of people, or it has no place any more."""
    if task.purpose is TaskPurpose.TRIAGE:
        return not facts.undecided
    callers = task.purpose in (TaskPurpose.AUTHENTICATION, TaskPurpose.RESTORE_CALLERS)
    if callers and "invoker-iam-check" not in task.command:
        # Ours took the public out of one role; any other role is left to people.
        return (
            f"--role={INVOKER_ROLE}" in task.command
            and "require-authentication" in facts.verified_actions
        )
    return (
        task.purpose is not None and _ACTION_FOR_PURPOSE.get(task.purpose) in facts.verified_actions
    )


def _is_legacy_command(value: JsonObject) -> bool:
    """Whether a step is a command of ours in a plan that did not tell its parts yet."""
    return not value.get("part") and str(value.get("command") or "").startswith("python cli.py ")


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
