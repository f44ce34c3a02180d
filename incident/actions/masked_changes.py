"""Plan the exact changes of a policy's actions; check whether they are in effect. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from incident.actions import disable_service_account
from incident.actions.action import Action, DesiredState, NotApplicable, Steps
from incident.actions.catalogue import ACTIONS
from incident.actions.fields import (
    field_mask,
    field_with_default,
    normalize_field,
)
from incident.actions.require_authentication import has_bindings_to_remove
from incident.model import (
    Change,
    ChangeKind,
    CutList,
    Finding,
    Json,
    Kind,
    WorkloadConfiguration,
    WorkloadDetail,
)

EXECUTION_RUNNING, EXECUTION_CANCELLED = {"state": "RUNNING"}, {"state": "CANCELLED"}


@dataclass(frozen=True, slots=True)
class ContainmentPlan:
    """The changes that the policy's steps need on one workload.

    Attributes:
        changes: The writes, stopping ones first; empty when the workload is in the desired state
            already.
        not_applicable: Why a step, or one of its alternatives, does not fit this workload.
        applicable: Whether every step has an action that fits.
        stops: Whether any chosen action stops running code, whether or not it needs a write.
        unreached: What keeps the workload from the goal of a chosen action, whatever is written.
        remarks: What else a person should know of what the chosen actions leave as it is.
        actions: The names of the chosen actions.
        left_out: Why an optional step does not fit, although the others are carried out.
    """

    changes: tuple[Change, ...]
    not_applicable: tuple[str, ...]
    applicable: bool
    stops: bool = True
    unreached: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


def plan_changes(
    steps: Steps,
    configuration: WorkloadConfiguration,
    finding: Finding,
    unfit: Mapping[str, str] = MappingProxyType({}),
) -> ContainmentPlan:
    """Plan the changes that the policy's steps need, for settings read a moment ago.

    Of a step's alternatives the first that fits is taken. All field changes of a workload become
    one write: after only some of them it would be in a state that nobody asked for. A step whose
    actions are optional keeps the other steps from nothing where it does not fit.

    Args:
        steps: The policy's steps.
        configuration: The workload's settings, with the details that the steps need.
        finding: The finding.
        unfit: Actions that do not fit for a reason that the settings do not show, and why.
    """
    chosen: list[Action] = []
    reasons: list[str] = []
    left_out: list[str] = []
    applicable = bool(steps)
    for step in steps:
        tried = [
            (
                name,
                NotApplicable(unfit[name])
                if name in unfit
                else _desired_state(name, configuration, finding),
            )
            for name in step
        ]
        found = [
            f"{name}: {result.reason}"
            for name, result in tried
            if isinstance(result, NotApplicable)
        ]
        reasons += found
        fitting = [ACTIONS[name] for name, result in tried if isinstance(result, DesiredState)]
        chosen += [action for action in fitting[:1] if action not in chosen]
        if not fitting and _all_optional(step):
            left_out += found
        else:
            applicable = applicable and bool(fitting)
    applicable = applicable and bool(chosen)
    order = list(ACTIONS)
    chosen.sort(key=lambda action: order.index(action.name))
    return ContainmentPlan(
        changes_of_actions(chosen, configuration, finding),
        tuple(reasons),
        applicable,
        stops=any(action.stops for action in chosen),
        unreached=unreached_goals((action.name for action in chosen), configuration),
        remarks=tuple(text for each in chosen if (text := each.remark(configuration))),
        left_out=tuple(f"does not fit: {text}" for text in left_out),
        actions=tuple(action.name for action in chosen),
    )


def _all_optional(step: Sequence[str]) -> bool:
    return all(name in ACTIONS and ACTIONS[name].optional for name in step)


def details_for_steps(steps: Iterable[Sequence[str]], kind: Kind) -> frozenset[WorkloadDetail]:
    """What has to be read to plan these steps, besides the workload's settings."""
    actions = [ACTIONS[name] for step in steps for name in step if name in ACTIONS]
    return frozenset(
        need for each in actions if kind in each.desired_state for need in each.details
    )


def details_for_changes(changes: Iterable[Change]) -> frozenset[WorkloadDetail]:
    """What has to be read to judge these changes, besides the workload's settings."""
    return frozenset(
        need
        for change in changes
        for action in _actions_of(change)
        for need in action.details_to_verify
    )


def unreached_goals(
    actions: Iterable[str], configuration: WorkloadConfiguration
) -> tuple[str, ...]:
    """What keeps a workload from the goals of some actions, whatever they write, as sentences."""
    names = frozenset(actions)
    found = (each.unreached(configuration) for name, each in ACTIONS.items() if name in names)
    return tuple(text for text in found if text)


def actions_behind(changes: Iterable[Change]) -> frozenset[str]:
    """The names of the actions that made some changes."""
    return frozenset(action.name for change in changes for action in _actions_of(change))


def names_in_changes(changes: Iterable[Change]) -> frozenset[str]:
    """What is to be read by name: executions by their short names, accounts by their e-mails."""
    named = (ChangeKind.CANCELLATION, ChangeKind.SERVICE_ACCOUNT)
    return frozenset(c.target.rpartition("/")[2] for c in changes if c.kind in named)


def in_effect(change: Change, configuration: WorkloadConfiguration) -> bool:
    """Whether the settings are what the change was to make them, as its actions judge.

    Judged by meaning rather than by equality with what was sent: with no instance and no tag a
    service is stopped, however its traffic is split. A change of an unknown action never is.
    """
    actions = _actions_of(change)
    return bool(actions) and all(each.in_effect(change, configuration) for each in actions)


def why_not_in_effect(change: Change, configuration: WorkloadConfiguration) -> str | None:
    """Why a change that was accepted is not in effect yet; None when it is.

    Judged by the generation that Cloud Run has observed, by the settings, and by what the
    serving state still leads to. The terminal condition says nothing here: a broken template may
    have left it failed.
    """
    fields = change.kind is ChangeKind.FIELDS
    if fields and configuration.observed_generation < configuration.generation:
        return (
            f"Cloud Run has observed generation {configuration.observed_generation} of"
            f" {configuration.generation} and is still at work"
        )
    if not in_effect(change, configuration):
        return _mismatch_text(change, configuration)
    if change.kind is ChangeKind.CANCELLATION and isinstance(configuration.executions, CutList):
        return f"whether another execution runs is not known: {configuration.executions.reason}"
    if "traffic" not in change.after:
        return None
    served = (each.still_served(change, configuration) for each in _actions_of(change))
    return next((text for text in served if text), None)


def _mismatch_text(change: Change, configuration: WorkloadConfiguration) -> str:
    if change.kind is ChangeKind.SERVICE_ACCOUNT:
        return disable_service_account.why_not_disabled(change, configuration)
    if change.kind is ChangeKind.CANCELLATION:
        return "the execution is not over yet"
    return "the settings read back are not the ones written: another change came after it"


def _actions_of(change: Change) -> list[Action]:
    """The actions behind a change, in the catalogue's order."""
    names = change.action.split("+")
    return [action for name, action in ACTIONS.items() if name in names]


def _desired_state(
    name: str, configuration: WorkloadConfiguration, finding: Finding
) -> DesiredState | NotApplicable:
    action = ACTIONS.get(name)
    if action is None or configuration.kind not in action.desired_state:
        return NotApplicable(f"it does not fit {configuration.kind.with_article}")
    return action.desired_state[configuration.kind](configuration, finding)


def changes_of_actions(
    actions: Sequence[Action], configuration: WorkloadConfiguration, finding: Finding
) -> tuple[Change, ...]:
    """The changes of several actions; each starts from the state that those before it want."""
    fields: dict[str, Json] = {}
    field_actions: list[Action] = []
    affected, others = "", []
    projected = configuration
    for action in actions:
        desired = action.desired_state[configuration.kind](projected, finding)
        if isinstance(desired, NotApplicable):
            continue
        if desired.fields:
            field_actions.append(action)
            fields |= desired.fields
            projected = replace(projected, fields={**projected.fields, **desired.fields})
        affected = affected or desired.affected_revision
        others += _other_changes(action, desired, configuration)
    changes = [*_field_changes(field_actions, fields, affected, configuration), *others]
    return tuple(sorted(changes, key=lambda change: not change.stops))


def _field_changes(
    actions: Sequence[Action],
    after: Mapping[str, Json],
    affected: str,
    configuration: WorkloadConfiguration,
) -> tuple[Change, ...]:
    """One change of all fields; none where every field has the desired value."""
    change = Change(
        action="+".join(action.name for action in actions),
        target=configuration.name,
        mask=field_mask(after),
        before={name: field_with_default(configuration.fields, name) for name in after},
        after=dict(after),
        stops=any(action.stops for action in actions),
        reversible=all(action.reversible for action in actions),
        affected_revision=affected,
    )
    unchanged = all(
        normalize_field(name, value, configuration.kind)
        == normalize_field(name, change.before[name], configuration.kind)
        for name, value in after.items()
    )
    return () if unchanged else (change,)


def _other_changes(
    action: Action, desired: DesiredState, configuration: WorkloadConfiguration
) -> list[Change]:
    """The changes of the IAM policy and of executions that an action still needs."""
    stops, reversible = action.stops, action.reversible
    changes = [
        Change(
            action=action.name,
            target=name,
            mask=(),
            before=EXECUTION_RUNNING,
            after=EXECUTION_CANCELLED,
            stops=stops,
            reversible=reversible,
            kind=ChangeKind.CANCELLATION,
        )
        for name in desired.executions_to_cancel
    ]
    changes += [
        Change(
            action=action.name,
            target=disable_service_account.account_target(email),
            mask=("disabled",),
            before=disable_service_account.ENABLED,
            after=disable_service_account.DISABLED,
            stops=stops,
            reversible=reversible,
            kind=ChangeKind.SERVICE_ACCOUNT,
        )
        for email in desired.accounts_to_disable
        if (account := configuration.account(email)) and not account.disabled
    ]
    access = configuration.access
    if (
        desired.bindings is not None
        and access
        and has_bindings_to_remove(access.raw, configuration.kind)
    ):
        edit = Change(
            action=action.name,
            target=configuration.name,
            mask=("bindings",),
            before={"bindings": list(access.raw), **access.form},
            after={"bindings": list(desired.bindings), **access.form},
            stops=stops,
            reversible=reversible,
            kind=ChangeKind.IAM_POLICY,
            etag=access.etag,
        )
        changes.append(edit)
    return changes
