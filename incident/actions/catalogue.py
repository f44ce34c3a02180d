"""The catalogue of actions: what each of them wants of a workload, or why it does not fit. Pure.

How what they want becomes changes, and when a change is in effect, does not belong here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from incident.actions.fields import DEFAULTS, INTERNAL_ONLY, in_full, targets
from incident.actions.traffic import affected_by, isolated, known_good, moved
from incident.model import ChangeKind, Finding, Json, JsonObject, Kind, Need, Settings

INVOKER = "roles/run.invoker"
PUBLIC = frozenset({"allUsers", "allAuthenticatedUsers"})
#: What nothing from outside gets through; both are at least as strict as what we write.
CLOSED = (INTERNAL_ONLY, "INGRESS_TRAFFIC_NONE")

Bindings = tuple[JsonObject, ...]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an action wants of a workload. For one that is so already it wants what is there.

    Attributes:
        fields: Whole fields, in proto JSON.
        bindings: All bindings of its own IAM policy; None where they do not matter.
        cancel: Resource names of the executions to cancel, the first ones first.
        affected: Short name of the revision that is to be isolated.
    """

    fields: Mapping[str, Json] = field(default_factory=dict)
    bindings: Bindings | None = None
    cancel: tuple[str, ...] = ()
    affected: str = ""


@dataclass(frozen=True, slots=True)
class Misfit:
    """Why an action does not fit a workload."""

    reason: str


Want = Callable[[Settings, Finding], Wanted | Misfit]


@dataclass(frozen=True, slots=True)
class Action:
    """A named containment.

    Attributes:
        name: As the policy names it.
        stops: Whether it stops running code, rather than only restricting access.
        reversible: Whether a release can take it back.
        wants: What it wants, for each kind of workload that it is for at all.
        makes: The kinds of change that this may come to, for each of these kinds of workload;
            what it has to be permitted follows from that.
        needs: What it needs to know besides the settings.
    """

    name: str
    stops: bool
    reversible: bool
    wants: Mapping[Kind, Want]
    makes: Mapping[Kind, tuple[ChangeKind, ...]]
    needs: frozenset[Need] = frozenset()


def bindings_left(bindings: Bindings, kind: Kind) -> Bindings:
    """A policy without what ``require-authentication`` takes out of it.

    Of a service the public, of a job everybody: nothing else starts a job than an invoker.
    A condition may be there for a reason that we cannot weigh, so it is left alone.
    """
    left: list[JsonObject] = []
    for binding in bindings:
        if binding.get("role") != INVOKER or binding.get("condition"):
            left.append(binding)
        elif kind is not Kind.JOB and (members := _private(binding)):
            left.append({**binding, "members": members})
    return tuple(left)


def _private(binding: JsonObject) -> list[Json]:
    members = binding.get("members")
    return [m for m in members if m not in PUBLIC] if isinstance(members, list | tuple) else []


def _service_to_zero(settings: Settings, _: Finding) -> Wanted:
    """Manual scaling with no instances, and no tag by which a revision could still start.

    In manual mode with no instances nothing of a service runs, unless a tag keeps a revision
    reachable: that revision would still start (Cloud Run's documentation of manual scaling).
    The traffic split stays as it is: it must sum to 100 and cannot lead nowhere.
    """
    shares: dict[tuple[str, str], int] = {}
    for target in targets(in_full(settings.fields, "traffic")):
        key = (str(target["type"]), str(target.get("revision", "")))
        shares[key] = shares.get(key, 0) + int(str(target.get("percent", 0)))
    traffic: Json = [
        {"type": kind, **({"revision": revision} if revision else {}), "percent": percent}
        for (kind, revision), percent in shares.items()
        if percent
    ]
    scaling: Json = {"scalingMode": "MANUAL", "manualInstanceCount": 0}
    return Wanted({"scaling": scaling, "traffic": traffic or DEFAULTS["traffic"]})


def _pool_to_zero(_: Settings, __: Finding) -> Wanted:
    """A pool has neither traffic nor tags nor a mode: its count says it all."""
    return Wanted({"scaling": {"manualInstanceCount": 0}})


def _isolate(settings: Settings, finding: Finding) -> Wanted | Misfit:
    """The affected revision loses its traffic and its tags, so that it scales to zero."""
    affected = affected_by(settings, finding)
    if isinstance(affected, str):
        return Misfit(affected)
    traffic = in_full(settings.fields, "traffic")
    if not isolated(traffic, settings, affected.revision):
        good = known_good(settings, affected, finding)
        if isinstance(good, str):
            return Misfit(good)
        traffic = moved(settings, affected.revision, good.revision)
    return Wanted({"traffic": traffic}, affected=affected.revision)


def _close_ingress(settings: Settings, _: Finding) -> Wanted:
    ingress = settings.fields.get("ingress")
    return Wanted({"ingress": ingress if ingress in CLOSED else INTERNAL_ONLY})


def _authenticate(settings: Settings, _: Finding) -> Wanted | Misfit:
    """Of a service also the invoker check: without it, the policy is not even asked."""
    if settings.access is None:
        return Misfit("its IAM policy is not known")
    fields: dict[str, Json] = {}
    if settings.kind is Kind.SERVICE:
        fields["invokerIamDisabled"] = False
    return Wanted(fields, bindings_left(settings.access.raw, settings.kind))


def _cancel(settings: Settings, finding: Finding) -> Wanted | Misfit:
    """Every running execution, the finding's own first: a task that dies is tried again."""
    if settings.executions is None:
        return Misfit("its executions are not known")
    own_first = sorted(settings.running, key=lambda each: each.short_name != finding.execution)
    return Wanted(cancel=tuple(execution.name for execution in own_first))


_FIELDS: tuple[ChangeKind, ...] = (ChangeKind.FIELDS,)

#: What can be done to a workload, by name, in the order in which it is done: what stops
#: comes first, and moving traffic off a revision before everything is stopped.
ACTIONS: Mapping[str, Action] = {
    action.name: action
    for action in (
        Action(
            name="isolate-revision",
            stops=True,
            reversible=True,
            wants={Kind.SERVICE: _isolate},
            makes={Kind.SERVICE: _FIELDS},
            needs=frozenset({Need.REVISIONS}),
        ),
        Action(
            name="scale-to-zero",
            stops=True,
            reversible=True,
            wants={Kind.SERVICE: _service_to_zero, Kind.WORKER_POOL: _pool_to_zero},
            makes={Kind.SERVICE: _FIELDS, Kind.WORKER_POOL: _FIELDS},
        ),
        Action(
            name="cancel-executions",
            stops=True,
            reversible=False,
            wants={Kind.JOB: _cancel},
            makes={Kind.JOB: (ChangeKind.CANCELLATION,)},
            needs=frozenset({Need.EXECUTIONS}),
        ),
        Action(
            name="restrict-ingress",
            stops=False,
            reversible=True,
            wants={Kind.SERVICE: _close_ingress},
            makes={Kind.SERVICE: _FIELDS},
        ),
        Action(
            name="require-authentication",
            stops=False,
            reversible=True,
            wants={Kind.SERVICE: _authenticate, Kind.JOB: _authenticate},
            makes={
                Kind.SERVICE: (ChangeKind.FIELDS, ChangeKind.IAM_POLICY),
                Kind.JOB: (ChangeKind.IAM_POLICY,),
            },
            needs=frozenset({Need.ACCESS}),
        ),
    )
}
