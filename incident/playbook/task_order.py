"""The steps of a response plan in groups with a heading each, for whoever shows a plan. Pure.

Which steps there are and in which order is the plan's to say; here is only how they are read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from incident.model import Json, JsonObject, Status, TaskPurpose
from incident.playbook.plan import PURPOSE_TITLES

_UNTITLED = "What is left to do"
#: What an investigation leads to: whoever takes these steps has looked at the evidence before.
_INVESTIGATION_PURPOSES = frozenset(
    {
        TaskPurpose.TRIAGE,
        TaskPurpose.REVIEW_ACTIVITY,
        TaskPurpose.FALSE_POSITIVE,
        TaskPurpose.ROOT_CAUSE,
    }
)

#: In these nothing is done until a person has decided.
_UNDECIDED_STATUSES = frozenset(
    {Status.HELD, Status.AWAITING_APPROVAL, Status.PLANNED, Status.EXPIRED}
)


@dataclass(frozen=True, slots=True)
class PlanSection:
    """Steps that follow one another and are for the same.

    Attributes:
        title: What they are for.
        reason: Why they stand where they stand, as half a sentence; may be empty.
        tasks: The steps, each with its number in the whole plan, from 1.
        after_triage: Whether they follow from what is to be looked at.
    """

    title: str
    reason: str
    tasks: tuple[tuple[int, JsonObject], ...]
    after_triage: bool

    @property
    def first_number(self) -> int:
        """The number of the first step."""
        return self.tasks[0][0]

    @property
    def last_number(self) -> int:
        """The number of the last step."""
        return self.tasks[-1][0]


def plan_sections(people_tasks: Sequence[JsonObject]) -> tuple[PlanSection, ...]:
    """The steps left to people, as an outcome tells them, by runs of equal parts.

    Args:
        people_tasks: Each has ``part`` and ``why``, and may have ``part_title``.
    """
    runs = groupby(enumerate(people_tasks, start=1), lambda numbered: _heading(numbered[1]))
    return tuple(_section(title, purpose, tuple(tasks)) for (title, purpose), tasks in runs)


def triage_index(status: str, sections: Sequence[PlanSection]) -> int:
    """Above which group stands what to look at: those that follow from it, or all of them.

    A person who has to decide looks before anything else.
    """
    following = [at for at, group in enumerate(sections) if group.after_triage]
    return following[0] if following and status not in _UNDECIDED_STATUSES else 0


def _section(title: str, purpose: Json, tasks: tuple[tuple[int, JsonObject], ...]) -> PlanSection:
    reason = tasks[0][1].get("why")
    after_triage = purpose in list(_INVESTIGATION_PURPOSES)
    return PlanSection(title, reason if isinstance(reason, str) else "", tasks, after_triage)


def _heading(task: JsonObject) -> tuple[str, Json]:
    """The title and the part of a step; one that nobody knows has a title all the same."""
    purpose, title = task.get("part"), task.get("part_title")
    known = PURPOSE_TITLES[TaskPurpose(str(purpose))] if purpose in list(TaskPurpose) else _UNTITLED
    return (title if isinstance(title, str) and title else known), purpose
