"""The goal of a containment: what its actions are to bring about, judged by one reading. Pure.

A change that is in effect shows that a write took effect. The goal shows that the workload is
stopped: an execution that began after the write is not one of the changes, and breaks the goal.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from incident.actions.action import Action, NotApplicable
from incident.actions.catalogue import ACTIONS
from incident.actions.masked_changes import changes_of_actions
from incident.model import (
    Change,
    ChangeKind,
    Finding,
    Kind,
    WorkloadConfiguration,
    WorkloadDetail,
)

_MAX_NAMES = 5
SCALE_TO_ZERO = "scale-to-zero"


@dataclass(frozen=True, slots=True)
class UnmetGoal:
    """Why the goal of one action is not reached.

    Attributes:
        action: The action's name.
        text: Why, for a person.
        stops: Whether the action stops what runs.
    """

    action: str
    text: str
    stops: bool


@dataclass(frozen=True, slots=True)
class Goal:
    """What the actions of a containment are to bring about.

    Attributes:
        actions: Their names, in the catalogue's order.
        finding: What they are about.
    """

    actions: tuple[str, ...]
    finding: Finding

    @classmethod
    def of(cls, names: Iterable[str], finding: Finding) -> Goal:
        """The goal of actions by their names, in any order; unknown names count for nothing."""
        wanted = frozenset(names)
        return cls(tuple(name for name in ACTIONS if name in wanted), finding)

    @property
    def stops(self) -> bool:
        """Whether any of the actions stops what runs."""
        return any(ACTIONS[name].stops for name in self.actions)

    def details(self, kind: Kind) -> frozenset[WorkloadDetail]:
        """What judging it needs to know besides a workload's settings."""
        return goal_details(self.actions, kind)

    def missing_changes(self, configuration: WorkloadConfiguration) -> tuple[Change, ...]:
        """The changes that would still have to be written to reach it."""
        return changes_of_actions(self._judged(configuration.kind), configuration, self.finding)

    def unmet(self, configuration: WorkloadConfiguration) -> tuple[UnmetGoal, ...]:
        """What of it is not reached, in settings with all its details; empty when all is."""
        found = (
            (action, self._why_unmet(action, configuration))
            for action in self._all_judged(configuration.kind)
        )
        return tuple(UnmetGoal(action.name, why, action.stops) for action, why in found if why)

    def _judged(self, kind: Kind) -> tuple[Action, ...]:
        return _judged_actions(self.actions, kind)

    def _all_judged(self, kind: Kind) -> tuple[Action, ...]:
        """Also those that are judged by a function of their own.

        An isolated revision needs no judging where the whole service is to be scaled to zero.
        """
        judged = self._judged(kind)
        if any(action.name == SCALE_TO_ZERO for action in judged):
            return judged
        own = (ACTIONS[name] for name in self.actions if ACTIONS[name].why_unmet)
        return (*judged, *(action for action in own if kind in action.desired_state))

    def _why_unmet(self, action: Action, configuration: WorkloadConfiguration) -> str | None:
        if action.why_unmet:
            return _behind(configuration) or action.why_unmet(configuration, self.finding)
        desired = action.desired_state[configuration.kind](configuration, self.finding)
        if isinstance(desired, NotApplicable):
            return desired.reason
        missing = changes_of_actions([action], configuration, self.finding)
        if missing:
            return _missing_text(action, missing)
        if ChangeKind.FIELDS not in action.change_kinds[configuration.kind]:
            return None
        if behind := _behind(configuration):
            return behind
        return action.still_served(_no_change(action, configuration), configuration)


def goal_details(names: Iterable[str], kind: Kind) -> frozenset[WorkloadDetail]:
    """What judging the goals of actions needs to know besides a workload's settings."""
    return frozenset(
        need for action in _judged_actions(names, kind) for need in action.details_to_verify
    )


def _judged_actions(names: Iterable[str], kind: Kind) -> tuple[Action, ...]:
    """The actions whose goal is that nothing is left to write, in settings read to verify it.

    What is left to write to isolate a revision, or to disable an account, shows only with details
    that are not read again.
    """
    actions = (ACTIONS[name] for name in names if name in ACTIONS)
    return tuple(
        action for action in actions if kind in action.desired_state and not action.judged_by_change
    )


def _behind(configuration: WorkloadConfiguration) -> str | None:
    """That Cloud Run does not serve the current settings yet; None where it does."""
    if configuration.observed_generation >= configuration.generation:
        return None
    return (
        f"Cloud Run has observed generation {configuration.observed_generation} of"
        f" {configuration.generation} and is still at work"
    )


def _missing_text(action: Action, missing: tuple[Change, ...]) -> str:
    """What stands against a goal, in words."""
    running = [c.target.rpartition("/")[2] for c in missing if c.kind is ChangeKind.CANCELLATION]
    if running:
        more = f" and {len(running) - _MAX_NAMES} more" if len(running) > _MAX_NAMES else ""
        verb = "still runs" if len(running) == 1 else "still run"
        return f"{', '.join(running[:_MAX_NAMES])}{more} {verb}"
    parts = [
        "the IAM policy" if c.kind is ChangeKind.IAM_POLICY else ", ".join(c.after) for c in missing
    ]
    return f"the goal of {action.name} is not reached ({action.goal}): see {', '.join(parts)}"


def _no_change(action: Action, configuration: WorkloadConfiguration) -> Change:
    """Stands for the change of an action that had nothing to write."""
    return Change(
        action=action.name,
        target=configuration.name,
        mask=(),
        before={},
        after={},
        stops=action.stops,
        reversible=action.reversible,
    )
