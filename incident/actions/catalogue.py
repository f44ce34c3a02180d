"""The catalogue of actions: what each of them wants of a workload, or why it does not fit. Pure.

How what they want becomes changes, and when a change is in effect, does not belong here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from incident.actions.fields import (
    FIELD_DEFAULTS,
    INGRESS_INTERNAL_ONLY,
    field_with_default,
    traffic_targets,
)
from incident.actions.traffic import (
    find_affected_revision,
    find_known_good_revision,
    is_isolated,
    shift_traffic,
)
from incident.model import (
    ChangeKind,
    Finding,
    Json,
    JsonObject,
    Kind,
    WorkloadConfiguration,
    WorkloadDetail,
)

INVOKER_ROLE = "roles/run.invoker"
PUBLIC_MEMBERS = frozenset({"allUsers", "allAuthenticatedUsers"})
#: What nothing from outside gets through; both are at least as strict as what we write.
CLOSED_INGRESS = (INGRESS_INTERNAL_ONLY, "INGRESS_TRAFFIC_NONE")

Bindings = tuple[JsonObject, ...]


@dataclass(frozen=True, slots=True)
class DesiredState:
    """What an action wants of a workload. For one that is so already it wants what is there.

    Attributes:
        fields: Whole fields, in proto JSON.
        bindings: All bindings of its own IAM policy; None where they do not matter.
        executions_to_cancel: Resource names of the executions to cancel, the first ones first.
        affected_revision: Short name of the revision that is to be isolated.
    """

    fields: Mapping[str, Json] = field(default_factory=dict)
    bindings: Bindings | None = None
    executions_to_cancel: tuple[str, ...] = ()
    affected_revision: str = ""


@dataclass(frozen=True, slots=True)
class NotApplicable:
    """Why an action does not fit a workload."""

    reason: str


DesiredStateFunction = Callable[[WorkloadConfiguration, Finding], DesiredState | NotApplicable]


@dataclass(frozen=True, slots=True)
class Action:
    """A named containment.

    Attributes:
        name: As the policy names it.
        stops: Whether it stops running code, rather than only restricting access.
        reversible: Whether a release can take it back.
        desired_state: What it wants, for each kind of workload that it is for at all.
        change_kinds: The kinds of change that this may come to, for each of these kinds of
            workload;
            what it has to be permitted follows from that.
        details: What it needs to know besides the settings.
    """

    name: str
    stops: bool
    reversible: bool
    desired_state: Mapping[Kind, DesiredStateFunction]
    change_kinds: Mapping[Kind, tuple[ChangeKind, ...]]
    details: frozenset[WorkloadDetail] = frozenset()


def bindings_to_keep(bindings: Bindings, kind: Kind) -> Bindings:
    """A policy without what ``require-authentication`` takes out of it.

    Of a service the public, of a job everybody: nothing else starts a job than an invoker.
    A condition may be there for a reason that we cannot weigh, so it is left alone.
    """
    to_keep: list[JsonObject] = []
    for binding in bindings:
        if binding.get("role") != INVOKER_ROLE or binding.get("condition"):
            to_keep.append(binding)
        elif kind is not Kind.JOB and (members := _private_members(binding)):
            to_keep.append({**binding, "members": members})
    return tuple(to_keep)


def _private_members(binding: JsonObject) -> list[Json]:
    members = binding.get("members")
    return (
        [m for m in members if m not in PUBLIC_MEMBERS] if isinstance(members, list | tuple) else []
    )


def _service_to_zero(configuration: WorkloadConfiguration, _: Finding) -> DesiredState:
    """Manual scaling with no instances, and no tag by which a revision could still start.

    In manual mode with no instances nothing of a service runs, unless a tag keeps a revision
    reachable: that revision would still start (Cloud Run's documentation of manual scaling).
    The traffic split stays as it is: it must sum to 100 and cannot lead nowhere.
    """
    shares: dict[tuple[str, str], int] = {}
    for target in traffic_targets(field_with_default(configuration.fields, "traffic")):
        key = (str(target["type"]), str(target.get("revision", "")))
        shares[key] = shares.get(key, 0) + int(str(target.get("percent", 0)))
    traffic: Json = [
        {"type": kind, **({"revision": revision} if revision else {}), "percent": percent}
        for (kind, revision), percent in shares.items()
        if percent
    ]
    scaling: Json = {"scalingMode": "MANUAL", "manualInstanceCount": 0}
    return DesiredState({"scaling": scaling, "traffic": traffic or FIELD_DEFAULTS["traffic"]})


def _pool_to_zero(_: WorkloadConfiguration, __: Finding) -> DesiredState:
    """A pool has neither traffic nor tags nor a mode: its count says it all."""
    return DesiredState({"scaling": {"manualInstanceCount": 0}})


def _isolate_revision(
    configuration: WorkloadConfiguration, finding: Finding
) -> DesiredState | NotApplicable:
    """The affected revision loses its traffic and its tags, so that it scales to zero."""
    affected = find_affected_revision(configuration, finding)
    if isinstance(affected, str):
        return NotApplicable(affected)
    traffic = field_with_default(configuration.fields, "traffic")
    if not is_isolated(traffic, configuration, affected.revision):
        good = find_known_good_revision(configuration, affected, finding)
        if isinstance(good, str):
            return NotApplicable(good)
        traffic = shift_traffic(configuration, affected.revision, good.revision)
    return DesiredState({"traffic": traffic}, affected_revision=affected.revision)


def _restrict_ingress(configuration: WorkloadConfiguration, _: Finding) -> DesiredState:
    ingress = configuration.fields.get("ingress")
    return DesiredState(
        {"ingress": ingress if ingress in CLOSED_INGRESS else INGRESS_INTERNAL_ONLY}
    )


def _require_authentication(
    configuration: WorkloadConfiguration, _: Finding
) -> DesiredState | NotApplicable:
    """Of a service also the invoker check: without it, the policy is not even asked."""
    if configuration.access is None:
        return NotApplicable("its IAM policy is not known")
    fields: dict[str, Json] = {}
    if configuration.kind is Kind.SERVICE:
        fields["invokerIamDisabled"] = False
    return DesiredState(fields, bindings_to_keep(configuration.access.raw, configuration.kind))


def _cancel_executions(
    configuration: WorkloadConfiguration, finding: Finding
) -> DesiredState | NotApplicable:
    """Every running execution, the finding's own first: a task that dies is tried again."""
    if configuration.executions is None:
        return NotApplicable("its executions are not known")
    own_first = sorted(configuration.running, key=lambda each: each.short_name != finding.execution)
    return DesiredState(executions_to_cancel=tuple(execution.name for execution in own_first))


_FIELDS_ONLY: tuple[ChangeKind, ...] = (ChangeKind.FIELDS,)

#: What can be done to a workload, by name, in the order in which it is done: what stops
#: comes first, and moving traffic off a revision before everything is stopped.
ACTIONS: Mapping[str, Action] = {
    action.name: action
    for action in (
        Action(
            name="isolate-revision",
            stops=True,
            reversible=True,
            desired_state={Kind.SERVICE: _isolate_revision},
            change_kinds={Kind.SERVICE: _FIELDS_ONLY},
            details=frozenset({WorkloadDetail.REVISIONS}),
        ),
        Action(
            name="scale-to-zero",
            stops=True,
            reversible=True,
            desired_state={Kind.SERVICE: _service_to_zero, Kind.WORKER_POOL: _pool_to_zero},
            change_kinds={Kind.SERVICE: _FIELDS_ONLY, Kind.WORKER_POOL: _FIELDS_ONLY},
        ),
        Action(
            name="cancel-executions",
            stops=True,
            reversible=False,
            desired_state={Kind.JOB: _cancel_executions},
            change_kinds={Kind.JOB: (ChangeKind.CANCELLATION,)},
            details=frozenset({WorkloadDetail.EXECUTIONS}),
        ),
        Action(
            name="restrict-ingress",
            stops=False,
            reversible=True,
            desired_state={Kind.SERVICE: _restrict_ingress},
            change_kinds={Kind.SERVICE: _FIELDS_ONLY},
        ),
        Action(
            name="require-authentication",
            stops=False,
            reversible=True,
            desired_state={
                Kind.SERVICE: _require_authentication,
                Kind.JOB: _require_authentication,
            },
            change_kinds={
                Kind.SERVICE: (ChangeKind.FIELDS, ChangeKind.IAM_POLICY),
                Kind.JOB: (ChangeKind.IAM_POLICY,),
            },
            details=frozenset({WorkloadDetail.ACCESS}),
        ),
    )
}
