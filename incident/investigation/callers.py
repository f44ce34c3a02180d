"""Who may call a service or start a job, by its own IAM policy and what guards it. Pure.

Which roles allow it is from Google's page of Cloud Run's IAM roles. Of any other role, a custom one
above all, it is not known what it allows: that is said, and nobody is told to be kept out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from incident.actions.catalogue import INVOKER, PUBLIC
from incident.model import Access, Binding, Evidence, Kind, Point, Topic

#: Roles that are for calling or starting and for nothing else.
CALLING: Mapping[Kind, frozenset[str]] = {
    Kind.SERVICE: frozenset({INVOKER, "roles/run.servicesInvoker"}),
    Kind.JOB: frozenset(
        {INVOKER, "roles/run.jobsExecutor", "roles/run.jobsExecutorWithOverrides"},
    ),
}
#: Roles that allow it beside much else.
_ABLE: Mapping[Kind, frozenset[str]] = {
    Kind.SERVICE: frozenset({"roles/run.admin"}),
    Kind.JOB: frozenset({"roles/run.admin", "roles/run.developer"}),
}
_WHO = {"allUsers": "everybody", "allAuthenticatedUsers": "everybody with a Google account"}
#: What calling comes to for each kind; nobody calls a worker pool.
_CALL = {Kind.SERVICE: "call", Kind.JOB: "start"}
_MOST = 5


def callers(evidence: Evidence, kind: Kind) -> tuple[Point, ...]:
    """Who may invoke it: of a service to reach its code, of a job to start it."""
    settings, access = evidence.settings, evidence.access
    if kind not in _CALL:
        return ()
    call, points = _CALL[kind], []
    if settings is not None and settings.fields.get("invokerIamDisabled"):
        text = f"everybody may {call} it: the check of invokers is off"
        points.append(Point(Topic.CALLERS, text, "settings", serious=True))
    if access is not None:
        points += dict.fromkeys(_public(access, evidence, kind))
        return (*points, *_private(access, evidence, kind, alone=not points))
    if not points:
        text = f"who may {call} it is {evidence.unknown('access')}"
        points.append(Point(Topic.CALLERS, text, "access", known=False))
    return tuple(points)


def under(condition: str | None) -> str:
    """The condition of a binding, for a sentence; it is named, not weighed."""
    return f" under the condition “{condition}”" if condition else ""


def _public(access: Access, evidence: Evidence, kind: Kind) -> Iterator[Point]:
    """Each role that the public has, whatever it allows, the ones that let it in first."""
    able = CALLING[kind] | _ABLE[kind]
    for binding in sorted(access.bindings, key=lambda each: each.role not in able):
        for member in (each for each in _WHO if each in binding.members):
            who, role, only = _WHO[member], binding.role, under(binding.condition)
            if role in able:
                more = ", which allows much else" if role in _ABLE[kind] else ""
                text = (
                    f"{who} may {_CALL[kind]} it{only}: its IAM policy gives {member} {role}{more}"
                )
            else:
                text = f"{who} may do what {role} allows{only}: its IAM policy gives it to {member}"
            yield Point(Topic.CALLERS, text, "access", (member,), serious=True)
            yield from _opened(binding.role, member, evidence)


def _opened(role: str, member: str, evidence: Evidence) -> Iterator[Point]:
    """Who let the public in, where the audit log shows it."""
    for event in evidence.audit or ():
        if not event.error and f"ADD {role} {member}" in event.bindings:
            who = event.principal or "an account that is not named"
            when = f"{event.timestamp:%Y-%m-%d %H:%M:%S} UTC"
            text = f"it was opened to {member} by {who} on {when}"
            names = (event.principal,) if event.principal else ()
            yield Point(Topic.CALLERS, text, "audit-log", names, serious=True)
            return


def _private(access: Access, evidence: Evidence, kind: Kind, *, alone: bool) -> Iterator[Point]:
    """Whom the policy lets in by name; that is all only where the public is not let in."""
    able = CALLING[kind] | _ABLE[kind]
    bindings = [each for each in access.bindings if not PUBLIC.issuperset(each.members)]
    let_in = _told(each for each in bindings if each.role in able)
    others = _told(each for each in bindings if each.role not in able)
    if alone:
        text = _granted(let_in, others, _CALL[kind])
        if evidence.settings is None and kind is Kind.SERVICE:
            text += f"; whether invokers are checked at all is {evidence.unknown('settings')}"
    elif bindings:
        told = "; ".join(filter(None, (let_in, others)))
        text = f"its IAM policy has these bindings as well: {told}"
    else:
        return
    yield Point(Topic.CALLERS, text, "access", tuple(dict.fromkeys(_members(bindings))))


def _granted(let_in: str, others: str, call: str) -> str:
    if let_in:
        more = f"; these other roles may allow it: {others}" if others else ""
        return (
            f"only those with a grant may {call} it, from its own IAM policy or one above it:"
            f" {let_in}{more}"
        )
    if others:
        return (
            f"its own IAM policy has no binding of {INVOKER}; these other roles may allow it:"
            f" {others}; and a policy above it may let others {call} it"
        )
    return f"its own IAM policy lets nobody {call} it; a policy above it may"


def _told(bindings: Iterable[Binding]) -> str:
    """Roles, each with whom it is given to and on what condition."""
    return "; ".join(_binding(each) for each in bindings)


def _binding(binding: Binding) -> str:
    members = _members([binding])
    more = f" and {len(members) - _MOST} more" if len(members) > _MOST else ""
    return f"{binding.role} for {', '.join(members[:_MOST])}{more}{under(binding.condition)}"


def _members(bindings: Iterable[Binding]) -> list[str]:
    """Whoever is named; the public is told apart."""
    return [member for each in bindings for member in each.members if member not in PUBLIC]
