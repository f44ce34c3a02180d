"""``require-authentication``: take the public, or a job's starters, out of the IAM policy. Pure.

Fits: a service or a job whose own IAM policy could be read.
Writes: the bindings of ``roles/run.invoker`` without a condition in that policy: of a service
    without the public, of a job without anybody. Of a service also ``invokerIamDisabled``, as
    false: otherwise Cloud Run does not check the policy. All other bindings stay as they are.
Goal: the policy lets in nobody whom the action keeps out, and is checked.
Undo: a release puts the members back where they were; what others did to other bindings since
    stays.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator

from incident.actions.action import Action, Bindings, DesiredState, NotApplicable
from incident.actions.fields import normalize_field
from incident.model import (
    DEPLOY_PERMISSIONS,
    Change,
    ChangeKind,
    Finding,
    GrantScope,
    Json,
    JsonObject,
    Kind,
    Permission,
    WorkloadConfiguration,
    WorkloadDetail,
)
from incident.model.calling_roles import INVOKER_ROLE, PUBLIC_MEMBERS

#: How the part of a policy that a containment edits is called where fields are named.
INVOKER_BINDINGS_LABEL = f"bindings of {INVOKER_ROLE}"

_BindingKey = tuple[str, int]


def desired_state(configuration: WorkloadConfiguration, _: Finding) -> DesiredState | NotApplicable:
    """Of a service also the invoker check: without it, the policy is not even asked."""
    if configuration.access is None:
        return NotApplicable("its IAM policy is not known")
    fields: dict[str, Json] = {}
    if configuration.kind is Kind.SERVICE:
        fields["invokerIamDisabled"] = False
    return DesiredState(fields, bindings_to_keep(configuration.access.raw, configuration.kind))


def in_effect(change: Change, configuration: WorkloadConfiguration) -> bool:
    """Whether the IAM policy lets in nobody whom the action keeps out, or is checked again."""
    if change.kind is ChangeKind.IAM_POLICY:
        access = configuration.access
        return access is not None and not has_bindings_to_remove(access.raw, configuration.kind)
    return "invokerIamDisabled" not in change.after or not configuration.fields.get(
        "invokerIamDisabled"
    )


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


def has_bindings_to_remove(bindings: Bindings, kind: Kind) -> bool:
    """Whether a policy lets in somebody whom the action keeps out."""
    return bindings_to_keep(bindings, kind) != bindings


def bindings_in(fields: JsonObject) -> Bindings:
    """The bindings in the fields of an edit of a policy."""
    value = fields.get("bindings")
    listed = value if isinstance(value, list | tuple) else ()
    return tuple(binding for binding in listed if isinstance(binding, dict))


def invoker_bindings(bindings: Iterable[JsonObject]) -> Bindings:
    """The bindings that a containment may edit."""
    return tuple(binding for binding in bindings if _editable(binding))


def same_invokers(some: Iterable[JsonObject], others: Iterable[JsonObject]) -> bool:
    """Whether two policies let the same invokers in, in whatever order they are listed."""
    return _normalized(some) == _normalized(others)


def restore_invokers(current: Bindings, earlier: Bindings) -> Bindings:
    """A policy as it is now, with the invokers of an earlier one in their places.

    What others did to other bindings since stays. Where they did nothing, what comes out is the
    earlier policy, binding for binding and member for member.
    """
    others = dict(_keyed(binding for binding in current if not _editable(binding)))
    first: list[JsonObject] = []
    following: dict[_BindingKey, list[JsonObject]] = {key: [] for key in others}
    group = first
    for key, binding in _keyed(earlier):
        if _editable(binding):
            group.append(binding)
        else:
            group = following.get(key, group)
    rest = [each for key, binding in others.items() for each in (binding, *following[key])]
    return (*first, *rest)


def add_missing_invokers(current: Bindings, before: Bindings, after: Bindings) -> Bindings:
    """A policy with the invokers besides its own that an earlier edit took out of it.

    Args:
        current: As it was read, after others had changed it.
        before: As it was before the earlier edit.
        after: As that edit left it.
    """
    if same_invokers(current, after):
        return restore_invokers(current, before)
    present = {*_members(after), *_members(current)}
    missing = [member for member in dict.fromkeys(_members(before)) if member not in present]
    if not missing:
        return current
    joined: list[JsonObject] = []
    for binding in current:
        if missing and _editable(binding):
            joined.append({**binding, "members": [*_members([binding]), *missing]})
            missing = []
        else:
            joined.append(binding)
    return (*joined, *([{"role": INVOKER_ROLE, "members": [*missing]}] if missing else ()))


def _editable(binding: JsonObject) -> bool:
    return binding.get("role") == INVOKER_ROLE and not binding.get("condition")


def _members(bindings: Iterable[JsonObject]) -> list[str]:
    found: list[str] = []
    for binding in invoker_bindings(bindings):
        members = binding.get("members")
        found += map(str, members if isinstance(members, list | tuple) else ())
    return found


def _normalized(bindings: Iterable[JsonObject]) -> Json:
    return normalize_field("bindings", list(invoker_bindings(bindings)))


def _keyed(bindings: Iterable[JsonObject]) -> Iterator[tuple[_BindingKey, JsonObject]]:
    """Bindings by role and condition, and by how many of the same there were before."""
    counts: Counter[str] = Counter()
    for binding in bindings:
        same = json.dumps([binding.get("role"), binding.get("condition")], sort_keys=True)
        yield (same, counts[same]), binding
        if not _editable(binding):
            counts[same] += 1


ACTION = Action(
    name="require-authentication",
    goal="its IAM policy is checked, and lets in neither the public nor, of a job, anybody",
    undo="A release puts the members back into the IAM policy, and the invoker check as it was.",
    stops=False,
    reversible=True,
    desired_state={Kind.SERVICE: desired_state, Kind.JOB: desired_state},
    writes={
        Kind.SERVICE: f"invoker check on, the public out of `{INVOKER_ROLE}`",
        Kind.JOB: "every direct invoker out of the job's own policy",
    },
    change_kinds={
        Kind.SERVICE: (ChangeKind.FIELDS, ChangeKind.IAM_POLICY),
        Kind.JOB: (ChangeKind.IAM_POLICY,),
    },
    permissions={
        Kind.SERVICE: (
            Permission(
                "run.services.get",
                GrantScope.WORKLOAD,
                "reads the invoker check before and after the write",
            ),
            Permission(
                "run.services.getIamPolicy",
                GrantScope.WORKLOAD,
                "reads the policy before and after the edit",
            ),
            Permission("run.services.update", GrantScope.WORKLOAD, "writes the invoker check"),
            *DEPLOY_PERMISSIONS,
            Permission(
                "run.services.setIamPolicy",
                GrantScope.WORKLOAD,
                "takes the public out of the policy",
            ),
        ),
        Kind.JOB: (
            Permission("run.jobs.get", GrantScope.WORKLOAD, "reads the job before its policy"),
            Permission(
                "run.jobs.getIamPolicy",
                GrantScope.WORKLOAD,
                "reads the policy before and after the edit",
            ),
            Permission(
                "run.jobs.setIamPolicy",
                GrantScope.WORKLOAD,
                "takes those who may start the job out of the policy",
            ),
        ),
    },
    in_effect=in_effect,
    details=frozenset({WorkloadDetail.ACCESS}),
)
