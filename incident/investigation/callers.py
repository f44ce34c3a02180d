"""Describe who may invoke a service or job: public access and IAM bindings. Pure.

Which roles allow it is in ``incident/model/calling_roles.py``. What other roles allow is not known,
custom ones above all: the description says so, and does not claim that anybody is kept out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from incident.model import (
    Access,
    Binding,
    Evidence,
    ExposureFact,
    ExposureTopic,
    Kind,
    WorkloadConfiguration,
    found_in,
)
from incident.model.calling_roles import INVOKER_ROLE, PUBLIC_MEMBERS, broader_roles, calling_roles

_PUBLIC_MEMBERS = {
    "allUsers": "everybody",
    "allAuthenticatedUsers": "everybody with a Google account",
}
#: The verb for each kind; a worker pool cannot be invoked.
_INVOKE_VERBS = {Kind.SERVICE: "call", Kind.JOB: "start", Kind.INSTANCE: "call"}
_MAX_MEMBERS = 5


def describe_callers(evidence: Evidence, kind: Kind) -> tuple[ExposureFact, ...]:
    """Who may call a service or start a job."""
    configuration, access = evidence.configuration, evidence.access
    if kind not in _INVOKE_VERBS:
        return ()
    verb, points = _INVOKE_VERBS[kind], []
    if configuration is not None and configuration.fields.get("invokerIamDisabled"):
        text = f"everybody may {verb} it: the check of invokers is off"
        points.append(ExposureFact(ExposureTopic.CALLERS, text, "settings", serious=True))
    proxy = _describe_iap(configuration)
    if access is not None:
        points += dict.fromkeys(_describe_public_access(access, evidence, kind))
        return (
            *proxy,
            *points,
            *_describe_named_access(access, evidence, kind, public_excluded=not points),
        )
    if not points:
        text = f"who may {verb} it is {evidence.describe_gap('access')}"
        points.append(ExposureFact(ExposureTopic.CALLERS, text, "access", known=False))
    return (*proxy, *points)


def _describe_iap(configuration: WorkloadConfiguration | None) -> tuple[ExposureFact, ...]:
    if configuration is None or not configuration.iap_enabled:
        return ()
    text = (
        "Identity-Aware Proxy checks its callers first: who may pass is in the proxy's own"
        " policy, which is not read"
    )
    return (ExposureFact(ExposureTopic.CALLERS, text, "settings"),)


def condition_clause(condition: str | None) -> str:
    """The condition of a binding, for a sentence; it is named, not evaluated."""
    return f" under the condition “{condition}”" if condition else ""


def _describe_public_access(
    access: Access, evidence: Evidence, kind: Kind
) -> Iterator[ExposureFact]:
    """Each role of the public, invoking roles first."""
    invoking_roles = calling_roles(kind)
    for binding in sorted(access.bindings, key=lambda each: each.role not in invoking_roles):
        for member in (each for each in _PUBLIC_MEMBERS if each in binding.members):
            who, role, condition = (
                _PUBLIC_MEMBERS[member],
                binding.role,
                condition_clause(binding.condition),
            )
            if role in invoking_roles:
                more = ", which allows much else" if role in broader_roles(kind) else ""
                text = (
                    f"{who} may {_INVOKE_VERBS[kind]} it{condition}: its IAM policy"
                    f" gives {member} {role}{more}"
                )
            else:
                text = (
                    f"{who} may do what {role} allows{condition}: its IAM policy gives"
                    f" it to {member}"
                )
            yield ExposureFact(ExposureTopic.CALLERS, text, "access", (member,), serious=True)
            yield from _describe_opening(binding.role, member, evidence)


def _describe_opening(role: str, member: str, evidence: Evidence) -> Iterator[ExposureFact]:
    """Who granted the public access, if the audit log shows it."""
    for event in found_in(evidence.audit):
        if not event.error and f"ADD {role} {member}" in event.bindings:
            who = event.principal or "an account that is not named"
            when = f"{event.timestamp:%Y-%m-%d %H:%M:%S} UTC"
            text = f"it was opened to {member} by {who} on {when}"
            names = (event.principal,) if event.principal else ()
            yield ExposureFact(ExposureTopic.CALLERS, text, "audit-log", names, serious=True)
            return


def _describe_named_access(
    access: Access, evidence: Evidence, kind: Kind, *, public_excluded: bool
) -> Iterator[ExposureFact]:
    """The named members; they are the only ones where the public has no access."""
    invoking_roles = calling_roles(kind)
    bindings = [each for each in access.bindings if not PUBLIC_MEMBERS.issuperset(each.members)]
    invoker_bindings = _bindings_text(each for each in bindings if each.role in invoking_roles)
    other_bindings = _bindings_text(each for each in bindings if each.role not in invoking_roles)
    if public_excluded:
        text = _invoker_text(invoker_bindings, other_bindings, _INVOKE_VERBS[kind])
        if evidence.configuration is None and kind is Kind.SERVICE:
            text += f"; whether invokers are checked at all is {evidence.describe_gap('settings')}"
    elif bindings:
        bindings_text = "; ".join(filter(None, (invoker_bindings, other_bindings)))
        text = f"its IAM policy has these bindings as well: {bindings_text}"
    else:
        return
    yield ExposureFact(
        ExposureTopic.CALLERS, text, "access", tuple(dict.fromkeys(_named_members(bindings)))
    )


def _invoker_text(invoker_bindings: str, other_bindings: str, verb: str) -> str:
    if invoker_bindings:
        more = f"; these other roles may allow it: {other_bindings}" if other_bindings else ""
        return (
            f"only those with a grant may {verb} it, from its own IAM policy or one above it:"
            f" {invoker_bindings}{more}"
        )
    if other_bindings:
        return (
            f"its own IAM policy has no binding of {INVOKER_ROLE}; these other roles may allow it:"
            f" {other_bindings}; and a policy above it may let others {verb} it"
        )
    return f"its own IAM policy lets nobody {verb} it; a policy above it may"


def _bindings_text(bindings: Iterable[Binding]) -> str:
    """Roles, each with its members and condition."""
    return "; ".join(_binding_text(each) for each in bindings)


def _binding_text(binding: Binding) -> str:
    members = _named_members([binding])
    more = f" and {len(members) - _MAX_MEMBERS} more" if len(members) > _MAX_MEMBERS else ""
    return (
        f"{binding.role} for"
        f" {', '.join(members[:_MAX_MEMBERS])}{more}{condition_clause(binding.condition)}"
    )


def _named_members(bindings: Iterable[Binding]) -> list[str]:
    """The members without the public ones."""
    return [member for each in bindings for member in each.members if member not in PUBLIC_MEMBERS]
