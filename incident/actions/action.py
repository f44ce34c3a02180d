"""What every containment action declares: fit, writes, goal, undo, permissions. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from incident.model import (
    Change,
    ChangeKind,
    Finding,
    Json,
    JsonObject,
    Kind,
    Permission,
    WorkloadConfiguration,
    WorkloadDetail,
)

#: The policy's actions for a workload. Of each step, a tuple of alternatives, the first that
#: fits is taken.
Steps = tuple[tuple[str, ...], ...]
#: The bindings of an IAM policy, in proto JSON.
Bindings = tuple[JsonObject, ...]


@dataclass(frozen=True, slots=True)
class DesiredState:
    """What a workload's settings are to be; what is so already is named as it is.

    Attributes:
        fields: Whole fields, in proto JSON.
        bindings: All bindings of its own IAM policy; None where they do not matter.
        executions_to_cancel: Resource names of the executions to cancel, the first ones first.
        accounts_to_disable: E-mails of the service accounts to disable.
        affected_revision: Short name of the revision that is to be isolated.
    """

    fields: Mapping[str, Json] = field(default_factory=dict)
    bindings: Bindings | None = None
    executions_to_cancel: tuple[str, ...] = ()
    accounts_to_disable: tuple[str, ...] = ()
    affected_revision: str = ""


@dataclass(frozen=True, slots=True)
class NotApplicable:
    """Why an action does not fit a workload."""

    reason: str


DesiredStateFunction = Callable[[WorkloadConfiguration, Finding], DesiredState | NotApplicable]


def _never_served(_: Change, __: WorkloadConfiguration) -> str | None:
    return None


def _nothing(_: WorkloadConfiguration) -> str | None:
    return None


GoalFunction = Callable[[WorkloadConfiguration, Finding], str | None]


@dataclass(frozen=True, slots=True)
class Action:
    """A named containment. The mappings have one entry for each kind of workload that it fits.

    Attributes:
        name: As the policy names it.
        goal: The state that it is to bring about, as the end of a sentence.
        undo: How a release takes it back, as a sentence; for one that cannot be taken back,
            what a person does instead.
        stops: Whether it stops running code, rather than only restricting access.
        reversible: Whether a release can take it back.
        desired_state: The settings that it wants, or why it does not fit.
        writes: What it writes, in words, as the README's table has it.
        change_kinds: The kinds of change that it may come to.
        permissions: What writing, verifying and releasing it needs, with the reasons.
        in_effect: Whether the settings are as one of its changes was to make them, judged by
            meaning. Only what the change holds is judged: a part of it may stand alone.
        still_served: What the serving state still leads to although the settings do not; None
            where that is nothing.
        unreached: What keeps the workload from the goal although every change is in effect, as a
            sentence; None where nothing does.
        remark: What else a person should know of what it leaves as it is; None for nothing.
        why_unmet: Why the settings do not show its goal, None where they do; for an action that
            is planned with details which its verification does not read. None for the others:
            their goal is that nothing is left to write.
        details: What planning it reads of a workload besides its settings.
        details_to_verify: What verifying it reads besides them.
        permissions_to_plan: What planning it needs besides.
        judged_by_change: Whether its goal is judged by its changes only: the workload's settings
            do not show what they are to be made to.
        optional: Whether the other actions are carried out where it does not fit.
    """

    name: str
    goal: str
    undo: str
    stops: bool
    reversible: bool
    desired_state: Mapping[Kind, DesiredStateFunction]
    writes: Mapping[Kind, str]
    change_kinds: Mapping[Kind, tuple[ChangeKind, ...]]
    permissions: Mapping[Kind, tuple[Permission, ...]]
    in_effect: Callable[[Change, WorkloadConfiguration], bool]
    still_served: Callable[[Change, WorkloadConfiguration], str | None] = _never_served
    unreached: Callable[[WorkloadConfiguration], str | None] = _nothing
    remark: Callable[[WorkloadConfiguration], str | None] = _nothing
    why_unmet: GoalFunction | None = None
    details: frozenset[WorkloadDetail] = frozenset()
    details_to_verify: frozenset[WorkloadDetail] = frozenset()
    permissions_to_plan: tuple[Permission, ...] = ()
    judged_by_change: bool = False
    optional: bool = False

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds of workload that it fits at all."""
        return tuple(kind for kind in Kind if kind in self.desired_state)
