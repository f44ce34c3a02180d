"""The actions: from a workload's settings to exact changes. Pure.

How a change is applied, verified and taken back is written once, for changes, elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from incident.fields import DEFAULTS, normal, targets
from incident.model import Change, Json, Kind, Settings

Steps = tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Action:
    """A named containment.

    Attributes:
        name: As the policy names it.
        stops: Whether it stops running code, rather than only restricting access.
        reversible: Whether a release can take it back.
        fields: Per kind of workload, from the settings to the masked fields as wanted. For
            settings that are as wanted already it wants what is there.
    """

    name: str
    stops: bool
    reversible: bool
    fields: Mapping[Kind, Callable[[Settings], dict[str, Json]]]


@dataclass(frozen=True, slots=True)
class Plan:
    """What some steps come to for one workload.

    Attributes:
        changes: The writes that are needed; empty when all is as wanted already.
        misfits: Why a step, or one of its alternatives, does not fit this workload.
        fits: Whether every step has an action that fits.
    """

    changes: tuple[Change, ...]
    misfits: tuple[str, ...]
    fits: bool


def plan(steps: Steps, kind: Kind, settings: Settings) -> Plan:
    """The changes that the policy's steps come to, for settings read a moment ago.

    Of a step's alternatives the first that fits is taken. All field changes of one workload
    become one write, since each write on its own would be a state that nobody asked for.
    """
    chosen: list[Action] = []
    misfits: list[str] = []
    fits = bool(steps)
    for step in steps:
        fitting = [ACTIONS[name] for name in step if _fits(name, kind)]
        misfits += [f"{name} does not fit a {kind}" for name in step if not _fits(name, kind)]
        chosen += fitting[:1]
        fits = fits and bool(fitting)
    change = _merge(chosen, kind, settings)
    changes = (change,) if change and not _nothing_to_do(change) else ()
    return Plan(changes, tuple(misfits), fits)


def in_effect(change: Change, kind: Kind, settings: Settings) -> bool:
    """Whether what the change was for holds: its actions would change nothing any more.

    Judged by meaning, not by the message that was sent: with no instance and no tag a
    service is stopped, however its traffic is split by now.
    """
    actions = [ACTIONS[name] for name in change.action.split("+") if _fits(name, kind)]
    again = _merge(actions, kind, settings)
    return again is not None and _nothing_to_do(again)


def lacking(change: Change, kind: Kind, settings: Settings) -> str | None:
    """Why a change that was accepted is not in effect yet; None when it is.

    Judged by the generation that Cloud Run has observed and by the fields themselves. The
    terminal condition says nothing here: a broken template may have left it failed.
    """
    if settings.observed_generation < settings.generation:
        return (
            f"Cloud Run has observed generation {settings.observed_generation} of"
            f" {settings.generation} and is still at work"
        )
    if not in_effect(change, kind, settings):
        return "the settings read back are not the ones written: another change came after it"
    if "traffic" in change.after and settings.live_tags:
        return f"a revision is still reachable by its tag: {', '.join(settings.live_tags)}"
    return None


def _fits(name: str, kind: Kind) -> bool:
    return name in ACTIONS and kind in ACTIONS[name].fields


def _nothing_to_do(change: Change) -> bool:
    return all(
        normal(name, value) == normal(name, change.before[name])
        for name, value in change.after.items()
    )


def _merge(actions: Sequence[Action], kind: Kind, settings: Settings) -> Change | None:
    if not actions:
        return None
    stopping_first = sorted(actions, key=lambda action: not action.stops)
    after: dict[str, Json] = {}
    for action in stopping_first:
        for name, value in action.fields[kind](settings).items():
            after.setdefault(name, value)
    return Change(
        action="+".join(action.name for action in stopping_first),
        target=settings.name,
        mask=tuple(after),
        before={name: _field(settings, name) for name in after},
        after=after,
        stops=any(action.stops for action in actions),
        reversible=all(action.reversible for action in actions),
    )


def _scale_service_to_zero(settings: Settings) -> dict[str, Json]:
    """Manual scaling with no instances, and no tag by which a revision could still start.

    In manual mode with no instances nothing of a service runs, unless a tag keeps a revision
    reachable: that revision would still start (Cloud Run's documentation of manual scaling).
    The traffic split stays as it is: it must sum to 100 and cannot lead nowhere.
    """
    shares: dict[tuple[str, str], int] = {}
    for target in targets(_field(settings, "traffic")):
        key = (str(target["type"]), str(target.get("revision", "")))
        shares[key] = shares.get(key, 0) + int(str(target.get("percent", 0)))
    traffic: Json = [
        {"type": kind, **({"revision": revision} if revision else {}), "percent": percent}
        for (kind, revision), percent in shares.items()
        if percent
    ]
    return {
        "scaling": {"scalingMode": "MANUAL", "manualInstanceCount": 0},
        "traffic": traffic or DEFAULTS["traffic"],
    }


def _field(settings: Settings, name: str) -> Json:
    """A field in full: what the API leaves out is spelled out."""
    value = settings.fields.get(name) or DEFAULTS.get(name)
    return [dict(target) for target in targets(value)] if name == "traffic" else value


#: What can be done to a workload, by name.
ACTIONS: Mapping[str, Action] = {
    action.name: action
    for action in (
        Action(
            name="scale-to-zero",
            stops=True,
            reversible=True,
            fields={Kind.SERVICE: _scale_service_to_zero},
        ),
    )
}
