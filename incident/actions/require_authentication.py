"""``require-authentication``: take the public, or a job's starters, out of the IAM policy. Pure.

Fits: a service or a job whose own IAM policy could be read.
Writes: the bindings without a condition, or with one that always holds, of the roles that only
    allow calling or starting (``incident/model/calling_roles.py``): of a service without the
    public, of a job without anybody. Of a service also ``invokerIamDisabled``, as false: otherwise
    Cloud Run does not check the policy. All other bindings stay as they are.
Goal: the policy is checked, and lets in neither the public nor, of a job, anybody by a role that
    only allows starting. It is not reached while a broader role lets the public in. Conditions,
    and a job's starters by broader roles, are reported. Inherited bindings are not read.
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
from incident.model.calling_roles import (
    PUBLIC_MEMBERS,
    calling_roles,
    editable_roles,
    is_restricted,
)

#: Name of the part of a policy that this action edits, where fields are named.
CALLER_BINDINGS_LABEL = "bindings of the roles that only allow calling or starting it"
_MAX_MEMBERS = 5

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
    """The policy that the action writes: of a service without the public, of a job without anybody.

    A binding under a condition stays: its reason is not known.
    """
    to_keep: list[JsonObject] = []
    for binding in bindings:
        if not _editable(binding, kind):
            to_keep.append(binding)
        elif members := _without_kept_out(_members_of(binding), kind):
            to_keep.append({**binding, "members": members})
    return tuple(to_keep)


def _without_kept_out(members: Iterable[str], kind: Kind) -> list[Json]:
    """The members whom the action does not keep out."""
    return [] if kind is Kind.JOB else [each for each in members if each not in PUBLIC_MEMBERS]


def public_left_in(configuration: WorkloadConfiguration) -> str | None:
    """The public, where a broader role lets it in whatever the action writes."""
    found = [
        (binding, public)
        for binding in _other_calling_bindings(configuration)
        if not is_restricted(binding) and (public := _public_members(binding))
    ]
    if not found:
        return None
    return (
        f"the public may still {_verb(configuration)} it: require-authentication does not edit"
        f" {_grants_text(found)}. Remove that manually"
    )


def others_left_in(configuration: WorkloadConfiguration) -> str | None:
    """Whom the action would keep out, but for a condition or, of a job, for a broader role.

    A condition is reported, not evaluated.
    """
    job = configuration.kind is Kind.JOB
    found = []
    for binding in _other_calling_bindings(configuration):
        conditional = is_restricted(binding)
        public = _public_members(binding)
        named = [each for each in _members_of(binding) if job and each not in public]
        members = [*(public if conditional else ()), *named]
        if members:
            found.append((binding, members))
    if not found:
        return None
    return (
        f"these may still {_verb(configuration)} it, as require-authentication edits neither"
        f" conditions nor broader roles: {_grants_text(found)}"
    )


def _other_calling_bindings(configuration: WorkloadConfiguration) -> Bindings:
    """Bindings that let somebody in, and that the action does not edit."""
    kind, access = configuration.kind, configuration.access
    return tuple(
        binding
        for binding in (access.raw if access else ())
        if binding.get("role") in calling_roles(kind) and not _editable(binding, kind)
    )


def _public_members(binding: JsonObject) -> list[str]:
    return [member for member in _members_of(binding) if member in PUBLIC_MEMBERS]


def _grants_text(grants: Iterable[tuple[JsonObject, list[str]]]) -> str:
    texts = []
    for binding, members in grants:
        more = f" and {len(members) - _MAX_MEMBERS} more" if members[_MAX_MEMBERS:] else ""
        condition = " under a condition" if is_restricted(binding) else ""
        named = ", ".join(members[:_MAX_MEMBERS])
        texts.append(f"{binding.get('role')} of {named}{more}{condition}")
    return "; ".join(texts)


def _verb(configuration: WorkloadConfiguration) -> str:
    return "start" if configuration.kind is Kind.JOB else "call"


def has_bindings_to_remove(bindings: Bindings, kind: Kind) -> bool:
    """Whether a policy lets in somebody whom the action keeps out."""
    return bindings_to_keep(bindings, kind) != bindings


def bindings_in(fields: JsonObject) -> Bindings:
    """The bindings in the fields of an edit of a policy."""
    value = fields.get("bindings")
    listed = value if isinstance(value, list | tuple) else ()
    return tuple(binding for binding in listed if isinstance(binding, dict))


def caller_bindings(bindings: Iterable[JsonObject], kind: Kind) -> Bindings:
    """The bindings that the action may edit."""
    return tuple(binding for binding in bindings if _editable(binding, kind))


def same_callers(some: Iterable[JsonObject], others: Iterable[JsonObject], kind: Kind) -> bool:
    """Whether two policies let the same callers in by each role, in whatever order."""
    return _normalized(some, kind) == _normalized(others, kind)


def restore_callers(current: Bindings, earlier: Bindings, kind: Kind) -> Bindings:
    """The current policy with the callers of an earlier one in their former positions.

    Other bindings stay as they are now. If nobody changed those, the result is the earlier policy,
    binding for binding and member for member.
    """
    others = dict(_keyed((each for each in current if not _editable(each, kind)), kind))
    first: list[JsonObject] = []
    following: dict[_BindingKey, list[JsonObject]] = {key: [] for key in others}
    group = first
    for key, binding in _keyed(earlier, kind):
        if _editable(binding, kind):
            group.append(binding)
        else:
            group = following.get(key, group)
    rest = [each for key, binding in others.items() for each in (binding, *following[key])]
    return (*first, *rest)


def add_missing_callers(
    current: Bindings, before: Bindings, after: Bindings, kind: Kind
) -> Bindings:
    """The current policy, and the callers that an earlier edit removed from it.

    Args:
        current: As it was read, after others had changed it.
        before: As it was before the earlier edit.
        after: As that edit left it.
        kind: The kind of workload.
    """
    if same_callers(current, after, kind):
        return restore_callers(current, before, kind)
    present = {*_grants(after, kind), *_grants(current, kind)}
    missing: dict[str, list[Json]] = {}
    bindings: dict[str, JsonObject] = {}
    for binding in caller_bindings(before, kind):
        key = _role_and_condition(binding)
        for member in _members_of(binding):
            if (key, member) not in present:
                bindings.setdefault(key, binding)
                missing.setdefault(key, []).append(member)
    joined: list[JsonObject] = []
    for binding in current:
        members = missing.pop(_role_and_condition(binding), [])
        whole: list[Json] = [*_members_of(binding), *dict.fromkeys(members)]
        joined.append({**binding, "members": whole} if members else binding)
    added: list[JsonObject] = [
        {**bindings[key], "members": list(dict.fromkeys(members))}
        for key, members in missing.items()
    ]
    return (*joined, *added)


def _editable(binding: JsonObject, kind: Kind) -> bool:
    return binding.get("role") in editable_roles(kind) and not is_restricted(binding)


def _members_of(binding: JsonObject) -> list[str]:
    members = binding.get("members")
    return [str(each) for each in members] if isinstance(members, list | tuple) else []


def _grants(bindings: Iterable[JsonObject], kind: Kind) -> list[tuple[str, str]]:
    """Role with condition, and member, of every binding that the action may edit."""
    return [
        (_role_and_condition(binding), member)
        for binding in caller_bindings(bindings, kind)
        for member in _members_of(binding)
    ]


def _role_and_condition(binding: JsonObject) -> str:
    return json.dumps([binding.get("role"), binding.get("condition")], sort_keys=True)


def _normalized(bindings: Iterable[JsonObject], kind: Kind) -> Json:
    return normalize_field("bindings", list(caller_bindings(bindings, kind)))


def _keyed(bindings: Iterable[JsonObject], kind: Kind) -> Iterator[tuple[_BindingKey, JsonObject]]:
    """Bindings by role and condition, and by how many of the same there were before."""
    counts: Counter[str] = Counter()
    for binding in bindings:
        same = _role_and_condition(binding)
        yield (same, counts[same]), binding
        if not _editable(binding, kind):
            counts[same] += 1


ACTION = Action(
    name="require-authentication",
    goal="its IAM policy is checked, and lets in neither the public nor, of a job, anybody",
    undo="A release puts the members back into the IAM policy, and the invoker check as it was.",
    stops=False,
    reversible=True,
    desired_state={Kind.SERVICE: desired_state, Kind.JOB: desired_state},
    writes={
        Kind.SERVICE: "invoker check on, the public out of every role that only allows calling it",
        Kind.JOB: "everybody out of every role of its own policy that only allows starting it",
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
    unreached=public_left_in,
    remark=others_left_in,
    details=frozenset({WorkloadDetail.ACCESS}),
    details_to_verify=frozenset({WorkloadDetail.ACCESS}),
)
