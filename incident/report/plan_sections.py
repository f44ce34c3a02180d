"""The steps of a response plan in groups with a heading each, for whoever shows a plan. Pure.

Which steps there are and in which order is the plan's to say; here is only how they are read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from incident.model import Json, JsonObject, Part, Status
from incident.playbook.order import TITLES

_UNTITLED = "What is left to do"
#: What an investigation leads to: whoever takes these steps has looked at the evidence before.
_FOLLOWING = frozenset({Part.LOOK, Part.READ, Part.NO_ATTACK, Part.WAY_IN})

#: In these nothing is done until a person has decided.
_TO_JUDGE = frozenset({Status.HELD, Status.AWAITING_APPROVAL, Status.PLANNED, Status.EXPIRED})


@dataclass(frozen=True, slots=True)
class StepGroup:
    """Steps that follow one another and are for the same.

    Attributes:
        title: What they are for.
        why: Why they stand where they stand, as half a sentence; may be empty.
        steps: The steps, each with its number in the whole plan, from 1.
        follows: Whether they follow from what is to be looked at.
    """

    title: str
    why: str
    steps: tuple[tuple[int, JsonObject], ...]
    follows: bool

    @property
    def first(self) -> int:
        """The number of the first step."""
        return self.steps[0][0]

    @property
    def last(self) -> int:
        """The number of the last step."""
        return self.steps[-1][0]


def grouped(people: Sequence[JsonObject]) -> tuple[StepGroup, ...]:
    """The steps left to people, as an outcome tells them, by runs of equal parts.

    Args:
        people: Each has ``part`` and ``why``, and may have ``part_title``.
    """
    runs = groupby(enumerate(people, start=1), lambda numbered: _heading(numbered[1]))
    return tuple(_group(title, part, tuple(steps)) for (title, part), steps in runs)


def look_before(status: str, groups: Sequence[StepGroup]) -> int:
    """Above which group stands what to look at: those that follow from it, or all of them.

    A person who has to decide looks before anything else.
    """
    following = [at for at, group in enumerate(groups) if group.follows]
    return following[0] if following and status not in _TO_JUDGE else 0


def _group(title: str, part: Json, steps: tuple[tuple[int, JsonObject], ...]) -> StepGroup:
    why = steps[0][1].get("why")
    follows = part in list(_FOLLOWING)
    return StepGroup(title, why if isinstance(why, str) else "", steps, follows)


def _heading(step: JsonObject) -> tuple[str, Json]:
    """The title and the part of a step; one that nobody knows has a title all the same."""
    part, title = step.get("part"), step.get("part_title")
    known = TITLES[Part(str(part))] if part in list(Part) else _UNTITLED
    return (title if isinstance(title, str) and title else known), part
