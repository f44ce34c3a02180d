"""Order of playbook tasks by incident status, with reasons; sections with titles. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from incident.model import Json, JsonObject, PlaybookTask, Status, TaskPurpose
from incident.playbook.inputs import PlaybookFacts

#: Order of purposes while the workload may run, each with its reason.
ORDER_WHILE_RUNNING: Mapping[TaskPurpose, str] = {
    TaskPurpose.STOP: "first: what runs goes on reading secrets and calling out",
    TaskPurpose.REGIONS: "with it: the same code runs there",
    TaskPurpose.TRIAGE: "before anything else; if in doubt, stop it first",
    TaskPurpose.FALSE_POSITIVE: "as soon as that is known: what is cut off may be somebody's work",
    TaskPurpose.INGRESS: (
        "at once after, or instead if it must go on: it keeps others out, and stops nothing that"
        " is in"
    ),
    TaskPurpose.AUTHENTICATION: "with it: the attacker may come again",
    TaskPurpose.NOTIFY: "now: they see it go down, and know what is normal for it",
    TaskPurpose.ROTATE: (
        "not before it is stopped: what still runs would read the new version as well"
    ),
    TaskPurpose.REVOKE: "not before it is stopped: what still runs gets new tokens by itself",
    TaskPurpose.REVIEW_ACTIVITY: "while the logs are kept; the root cause shows in them",
    TaskPurpose.ROOT_CAUSE: "before the rebuild: a vulnerable build is compromised again",
    TaskPurpose.FILES: "before anything starts again: each instance would load a changed file",
    TaskPurpose.REBUILD: "once the root cause is known",
    TaskPurpose.RELEASE: "not before the clean version is there: it undoes what holds this one",
    TaskPurpose.RESUME: "when the clean version is there and may be started again",
    TaskPurpose.RESTORE_INGRESS: "not before the clean version serves",
    TaskPurpose.RESTORE_CALLERS: "not before the clean version is there",
    TaskPurpose.DELETE: "last but one: it cannot be undone, and takes evidence away",
    TaskPurpose.CLOSE: "last: while it is open it reminds of what is left to do",
}
#: The same for findings that are often benign.
ORDER_IF_OFTEN_BENIGN: Mapping[TaskPurpose, str] = {
    part: ORDER_WHILE_RUNNING[part] for part in (TaskPurpose.TRIAGE, *ORDER_WHILE_RUNNING)
} | {
    TaskPurpose.TRIAGE: "first: what may well be harmless is not stopped unseen",
    TaskPurpose.STOP: "if it is hostile: what runs goes on reading secrets and calling out",
}
#: The same once the workload is stopped.
ORDER_ONCE_STOPPED: Mapping[TaskPurpose, str] = {
    TaskPurpose.STOP: "first: who stopped it may start it again",
    TaskPurpose.REGIONS: "first: the same code runs there, and was not stopped",
    TaskPurpose.WAIT: "first: what still runs would read a new secret version as well",
    TaskPurpose.NOTIFY: "now: they see it down, and know what is normal for it",
    TaskPurpose.FALSE_POSITIVE: (
        "as soon as that is known: every minute more is an outage for nothing"
    ),
    TaskPurpose.ROTATE: "before all repairs: what was taken outlives the containment",
    TaskPurpose.REVOKE: "with it: a token that was taken is good for up to an hour, a key for ever",
    TaskPurpose.REVIEW_ACTIVITY: "while the logs are kept; the root cause shows in them",
    TaskPurpose.ROOT_CAUSE: "before the rebuild: a vulnerable build is compromised again",
    TaskPurpose.FILES: "before anything starts again: each instance would load a changed file",
    TaskPurpose.REBUILD: "once the root cause is known",
    TaskPurpose.INGRESS: "before it runs again: the attacker will try again",
    TaskPurpose.AUTHENTICATION: "before it runs again: the attacker will try again",
    TaskPurpose.RELEASE: "not before the clean version is there: it undoes what holds this one",
    TaskPurpose.RESUME: "when the clean version is there and may be started again",
    TaskPurpose.RESTORE_INGRESS: "not before the clean version serves",
    TaskPurpose.RESTORE_CALLERS: "not before the clean version is there",
    TaskPurpose.DELETE: "last but one: it cannot be undone, and takes evidence away",
    TaskPurpose.CLOSE: "last: while it is open it reminds of what is left to do",
}
#: The same once an operator has released it.
ORDER_ONCE_RELEASED: Mapping[TaskPurpose, str] = {
    **ORDER_ONCE_STOPPED,
    TaskPurpose.STOP: "first: it runs again, and the attacker will try again",
    TaskPurpose.ROTATE: "unless it is done: what was taken outlives the containment",
    TaskPurpose.REVOKE: "unless it is done: a key that was taken is good for ever",
    TaskPurpose.NOTIFY: "now: they see it up again",
    TaskPurpose.REBUILD: "unless what serves now is the clean version",
    TaskPurpose.INGRESS: "unless the root cause is fixed: it runs again",
    TaskPurpose.AUTHENTICATION: "unless the root cause is fixed: it runs again",
}
#: Section title by purpose.
PURPOSE_TITLES: Mapping[TaskPurpose, str] = {
    TaskPurpose.TRIAGE: "See whether it is an attack",
    TaskPurpose.STOP: "Stop it",
    TaskPurpose.REGIONS: "Stop it in its other regions",
    TaskPurpose.WAIT: "Wait for what still runs",
    TaskPurpose.INGRESS: "Close it to the internet",
    TaskPurpose.AUTHENTICATION: "Keep callers out",
    TaskPurpose.NOTIFY: "Inform the owners",
    TaskPurpose.ROTATE: "Rotate its secrets",
    TaskPurpose.REVOKE: "Revoke its identity",
    TaskPurpose.REVIEW_ACTIVITY: "Read what it did",
    TaskPurpose.FALSE_POSITIVE: "If it was no attack",
    TaskPurpose.ROOT_CAUSE: "Find the root cause",
    TaskPurpose.FILES: "Look for changed files",
    TaskPurpose.REBUILD: "Rebuild and redeploy",
    TaskPurpose.RELEASE: "Release it",
    TaskPurpose.RESUME: "Start it again",
    TaskPurpose.RESTORE_INGRESS: "Open it to the internet again",
    TaskPurpose.RESTORE_CALLERS: "Let callers in again",
    TaskPurpose.DELETE: "Delete what ran",
    TaskPurpose.CLOSE: "Close the finding",
}
_UNTITLED = "What is left to do"
#: Tasks that depend on the investigation's result.
_INVESTIGATION_PURPOSES = frozenset(
    {
        TaskPurpose.TRIAGE,
        TaskPurpose.REVIEW_ACTIVITY,
        TaskPurpose.FALSE_POSITIVE,
        TaskPurpose.ROOT_CAUSE,
    }
)

#: Statuses in which a person has to decide first.
_UNDECIDED_STATUSES = frozenset(
    {Status.HELD, Status.AWAITING_APPROVAL, Status.PLANNED, Status.EXPIRED}
)


def ordered_tasks(tasks: Iterable[PlaybookTask], facts: PlaybookFacts) -> tuple[PlaybookTask, ...]:
    """Tasks sorted by purpose; the first of each purpose has the reason for its position.

    Tasks without a known purpose come last.
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


@dataclass(frozen=True, slots=True)
class PlanSection:
    """Consecutive tasks of one purpose.

    Attributes:
        title: Title of the purpose.
        reason: Why they come at this position; may be empty.
        tasks: The tasks, each with its number in the whole playbook, from 1.
        after_triage: Whether they depend on the investigation's result.
    """

    title: str
    reason: str
    tasks: tuple[tuple[int, JsonObject], ...]
    after_triage: bool

    @property
    def first_number(self) -> int:
        """Number of the first task."""
        return self.tasks[0][0]

    @property
    def last_number(self) -> int:
        """Number of the last task."""
        return self.tasks[-1][0]


def plan_sections(people_tasks: Sequence[JsonObject]) -> tuple[PlanSection, ...]:
    """The outcome's tasks in sections, in their order.

    Args:
        people_tasks: Each has ``part`` and ``why``, and may have ``part_title``.
    """
    runs = groupby(enumerate(people_tasks, start=1), lambda numbered: _heading(numbered[1]))
    return tuple(_section(title, purpose, tuple(tasks)) for (title, purpose), tasks in runs)


def triage_index(status: str, sections: Sequence[PlanSection]) -> int:
    """Index of the section above which the investigation's checks are shown.

    That is the first one that depends on them, or 0 where a person has to decide.
    """
    following = [at for at, group in enumerate(sections) if group.after_triage]
    return following[0] if following and status not in _UNDECIDED_STATUSES else 0


def _section(title: str, purpose: Json, tasks: tuple[tuple[int, JsonObject], ...]) -> PlanSection:
    reason = tasks[0][1].get("why")
    after_triage = purpose in list(_INVESTIGATION_PURPOSES)
    return PlanSection(title, reason if isinstance(reason, str) else "", tasks, after_triage)


def _heading(task: JsonObject) -> tuple[str, Json]:
    """Title and purpose of a task; an unknown purpose gets a title too."""
    purpose, title = task.get("part"), task.get("part_title")
    known = PURPOSE_TITLES[TaskPurpose(str(purpose))] if purpose in list(TaskPurpose) else _UNTITLED
    return (title if isinstance(title, str) and title else known), purpose
