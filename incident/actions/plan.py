"""From the policy's steps and a workload's settings to exact changes, and back. Pure.

How a change is applied, verified and taken back is written once, for changes, elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from incident.actions.catalogue import (
    ACTIONS,
    CLOSED,
    Action,
    Bindings,
    Misfit,
    Wanted,
    bindings_left,
)
from incident.actions.fields import in_full, in_snake_case, normal, targets
from incident.actions.traffic import isolated
from incident.model import Change, ChangeKind, Finding, Json, Kind, Need, Settings

__all__ = ["ACTIONS", "Plan", "Steps", "in_effect", "lacking", "needed_by", "needed_for", "plan"]

Steps = tuple[tuple[str, ...], ...]

RUNNING, CANCELLED = {"state": "RUNNING"}, {"state": "CANCELLED"}


@dataclass(frozen=True, slots=True)
class Plan:
    """What some steps come to for one workload.

    Attributes:
        changes: The writes that are needed, stopping ones first; empty when all is as wanted
            already.
        misfits: Why a step, or one of its alternatives, does not fit this workload.
        fits: Whether every step has an action that fits.
        stops: Whether any action that was chosen stops what runs, be it needed still or not.
    """

    changes: tuple[Change, ...]
    misfits: tuple[str, ...]
    fits: bool
    stops: bool = True


def plan(steps: Steps, settings: Settings, finding: Finding) -> Plan:
    """The changes that the policy's steps come to, for settings read a moment ago.

    Of a step's alternatives the first that fits is taken. All field changes of one workload
    become one write, since each write on its own would be a state that nobody asked for.
    """
    chosen: list[Action] = []
    misfits: list[str] = []
    fits = bool(steps)
    for step in steps:
        tried = [(name, _wanted(name, settings, finding)) for name in step]
        misfits += [f"{name}: {said.reason}" for name, said in tried if isinstance(said, Misfit)]
        fitting = [ACTIONS[name] for name, said in tried if isinstance(said, Wanted)]
        chosen += [action for action in fitting[:1] if action not in chosen]
        fits = fits and bool(fitting)
    order = list(ACTIONS)
    chosen.sort(key=lambda action: order.index(action.name))
    changes = _changes(chosen, settings, finding)
    return Plan(changes, tuple(misfits), fits, any(action.stops for action in chosen))


def needed_for(steps: Iterable[Sequence[str]], kind: Kind) -> frozenset[Need]:
    """What planning these steps needs to know besides a workload's settings."""
    actions = [ACTIONS[name] for step in steps for name in step if name in ACTIONS]
    return frozenset(need for each in actions if kind in each.wants for need in each.needs)


def needed_by(changes: Iterable[Change]) -> frozenset[Need]:
    """What judging these changes needs to know besides a workload's settings."""
    needs = {ChangeKind.IAM_POLICY: Need.ACCESS, ChangeKind.CANCELLATION: Need.EXECUTIONS}
    return frozenset(needs[change.kind] for change in changes if change.kind in needs)


def in_effect(change: Change, settings: Settings) -> bool:
    """Whether what the change was for holds, in settings with all that it needs.

    Judged by meaning, not by the message that was sent: with no instance and no tag a
    service is stopped, however its traffic is split by now.
    """
    match change.kind:
        case ChangeKind.CANCELLATION:
            running = {execution.name for execution in settings.running}
            return settings.executions is not None and change.target not in running
        case ChangeKind.IAM_POLICY:
            access = settings.access
            return access is not None and not _to_remove(access.raw, settings.kind)
        case ChangeKind.FIELDS:
            return all(_holds(name, change, settings) for name in change.after)


def lacking(change: Change, settings: Settings) -> str | None:
    """Why a change that was accepted is not in effect yet; None when it is.

    Judged by the generation that Cloud Run has observed and by the fields themselves. The
    terminal condition says nothing here: a broken template may have left it failed.
    """
    fields = change.kind is ChangeKind.FIELDS
    if fields and settings.observed_generation < settings.generation:
        return (
            f"Cloud Run has observed generation {settings.observed_generation} of"
            f" {settings.generation} and is still at work"
        )
    if not in_effect(change, settings):
        return _not_in_effect(change)
    return _still_reachable(change, settings) if "traffic" in change.after else None


def _not_in_effect(change: Change) -> str:
    if change.kind is ChangeKind.CANCELLATION:
        return "the execution is not over yet"
    return "the settings read back are not the ones written: another change came after it"


def _still_reachable(change: Change, settings: Settings) -> str | None:
    """What the serving state still leads to, although the settings do not any more."""
    if change.affected in settings.live_revisions:
        return f"the revision {change.affected} is still served"
    if _keeps_tags(change) or not settings.live_tags:
        return None
    return f"a revision is still reachable by its tag: {', '.join(settings.live_tags)}"


def _keeps_tags(change: Change) -> bool:
    """Whether tags may stay: isolating a revision strips only its own."""
    return bool(change.affected) and "scale-to-zero" not in change.action.split("+")


def _holds(name: str, change: Change, settings: Settings) -> bool:
    """Whether a field, as it is now, does what the change was for."""
    now = in_full(settings.fields, name)
    if name == "ingress":
        return now in CLOSED
    if name != "traffic":
        return normal(name, now, settings.kind) == normal(name, change.after[name], settings.kind)
    if change.affected and not isolated(now, settings, change.affected):
        return False
    return _keeps_tags(change) or not any(target.get("tag") for target in targets(now))


def _wanted(name: str, settings: Settings, finding: Finding) -> Wanted | Misfit:
    action = ACTIONS.get(name)
    if action is None or settings.kind not in action.wants:
        return Misfit(f"it does not fit a {settings.kind}")
    return action.wants[settings.kind](settings, finding)


def _changes(actions: Sequence[Action], settings: Settings, finding: Finding) -> tuple[Change, ...]:
    """What some actions come to together, each on top of what the ones before it want."""
    fields: dict[str, Json] = {}
    by_fields: list[Action] = []
    affected, others = "", []
    seen = settings
    for action in actions:
        wanted = action.wants[settings.kind](seen, finding)
        if isinstance(wanted, Misfit):
            continue
        if wanted.fields:
            by_fields.append(action)
            fields |= wanted.fields
            seen = replace(seen, fields={**seen.fields, **wanted.fields})
        affected = affected or wanted.affected
        others += _beyond_fields(action, wanted, settings)
    changes = [*_of_fields(by_fields, fields, affected, settings), *others]
    return tuple(sorted(changes, key=lambda change: not change.stops))


def _of_fields(
    actions: Sequence[Action], after: Mapping[str, Json], affected: str, settings: Settings
) -> tuple[Change, ...]:
    """One change of all fields; none where every field is as wanted."""
    change = Change(
        action="+".join(action.name for action in actions),
        target=settings.name,
        mask=tuple(in_snake_case(name) for name in after),
        before={name: in_full(settings.fields, name) for name in after},
        after=dict(after),
        stops=any(action.stops for action in actions),
        reversible=all(action.reversible for action in actions),
        affected=affected,
    )
    as_wanted = all(
        normal(name, value, settings.kind) == normal(name, change.before[name], settings.kind)
        for name, value in after.items()
    )
    return () if as_wanted else (change,)


def _beyond_fields(action: Action, wanted: Wanted, settings: Settings) -> list[Change]:
    """What an action wants of the IAM policy and of executions, where it is not so already."""
    stops, reversible = action.stops, action.reversible
    changes = [
        Change(
            action=action.name,
            target=name,
            mask=(),
            before=RUNNING,
            after=CANCELLED,
            stops=stops,
            reversible=reversible,
            kind=ChangeKind.CANCELLATION,
        )
        for name in wanted.cancel
    ]
    access = settings.access
    if wanted.bindings is not None and access and _to_remove(access.raw, settings.kind):
        # The version of the policy's form is not ours to change, so it goes along.
        form: dict[str, Json] = {"version": access.version} if access.version else {}
        edit = Change(
            action=action.name,
            target=settings.name,
            mask=("bindings",),
            before={"bindings": list(access.raw), **form},
            after={"bindings": list(wanted.bindings), **form},
            stops=stops,
            reversible=reversible,
            kind=ChangeKind.IAM_POLICY,
            etag=access.etag,
        )
        changes.append(edit)
    return changes


def _to_remove(bindings: Bindings, kind: Kind) -> bool:
    """Whether a policy lets in whom ``require-authentication`` keeps out."""
    return bindings_left(bindings, kind) != bindings
