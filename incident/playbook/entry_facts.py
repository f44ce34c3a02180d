"""Who reaches and calls a workload, as far as a person may have to close it. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from incident.actions.restrict_ingress import CLOSED_INGRESS
from incident.investigation.callers import condition_clause
from incident.model import Binding, Evidence, Kind, Workload, found_in
from incident.model.calling_roles import PUBLIC_MEMBERS, editable_roles

_MOST_NAMES = 20
#: gcloud's flag value by open ingress setting.
_INGRESS = {
    "INGRESS_TRAFFIC_ALL": "all",
    "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER": "internal-and-cloud-load-balancing",
}


@dataclass(frozen=True, slots=True)
class CallerFacts:
    """A member to remove: any public one; of a job, everybody who may start it.

    gcloud needs the whole condition of a binding, so that one with a condition has no command.
    ``edited`` says whether ``require-authentication`` removes it.
    """

    role: str
    member: str
    condition: str
    edited: bool


@dataclass(frozen=True, slots=True)
class EntryFacts:
    """Who reaches and calls it.

    ``ingress`` is gcloud's value of the open ingress, empty where closed or not known; ``opened``
    the public members that the audit log shows as added, where the IAM policy was not read.
    """

    ingress: str = ""
    unchecked: bool = False
    proxied: bool = False
    callers: tuple[CallerFacts, ...] = ()
    opened: tuple[str, ...] = ()


def entry_facts(evidence: Evidence, workload: Workload) -> EntryFacts:
    """What is open; nothing for a worker pool, which nobody can call."""
    configuration, access, kind = evidence.configuration, evidence.access, workload.kind
    if kind is Kind.WORKER_POOL:
        return EntryFacts()
    fields = configuration.fields if configuration is not None and kind is Kind.SERVICE else None
    ingress = str(fields.get("ingress")) if fields is not None else ""
    is_open = fields is not None and ingress not in CLOSED_INGRESS
    added = _public_bindings_added(evidence, kind) if access is None else ()
    return EntryFacts(
        ingress=_INGRESS.get(ingress, "all") if is_open else "",
        unchecked=bool(fields is not None and fields.get("invokerIamDisabled")),
        proxied=configuration is not None and configuration.iap_enabled,
        callers=_callers(access.bindings if access else added, kind),
        opened=tuple(sorted({member for binding in added for member in binding.members})),
    )


def _callers(bindings: tuple[Binding, ...], kind: Kind) -> tuple[CallerFacts, ...]:
    found = set()
    for binding in bindings:
        edited = binding.role in editable_roles(kind) and not binding.condition
        everybody = edited and kind is Kind.JOB
        members = set(binding.members) if everybody else PUBLIC_MEMBERS & set(binding.members)
        condition = condition_clause(binding.condition).strip()
        found |= {CallerFacts(binding.role, member, condition, edited) for member in members}
    return tuple(sorted(found, key=str)[:_MOST_NAMES])


def _public_bindings_added(evidence: Evidence, kind: Kind) -> tuple[Binding, ...]:
    """Public members that the audit log shows as added and not removed since, by role."""
    last: dict[tuple[str, str], str] = {}
    for event in found_in(evidence.audit):  # newest first
        for delta in event.bindings if not event.error else ():
            verb, _, rest = delta.partition(" ")
            role, _, member = rest.partition(" ")
            if role in editable_roles(kind) and member in PUBLIC_MEMBERS:
                last.setdefault((role, member), verb)
    added = sorted(grant for grant, verb in last.items() if verb == "ADD")
    return tuple(Binding(role, (member,), None) for role, member in added)
