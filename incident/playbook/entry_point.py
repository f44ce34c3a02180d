"""The steps about the way in: closing it, finding it, and telling who owns what it led to. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import timedelta

from incident.actions.catalogue import CLOSED, INVOKER, PUBLIC
from incident.investigation.callers import CALLING, under
from incident.model import (
    AUDIT_WINDOW,
    Binding,
    Evidence,
    Finding,
    Kind,
    Part,
    Step,
    Workload,
)
from incident.playbook.gcloud import gcloud, on
from incident.playbook.links import finding_page, logs_page, workload_page
from incident.playbook.situation import Position

_MOST_NAMES = 20
#: What is shown as an address; the finding may call anything a contact.
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&*+/=?^_{|}~-]{1,64}@[A-Za-z0-9.-]{1,190}")
_LOGS = {
    Kind.SERVICE: ("cloud_run_revision", "service_name"),
    Kind.JOB: ("cloud_run_job", "job_name"),
    Kind.WORKER_POOL: ("cloud_run_worker_pool", "worker_pool_name"),
}
#: What gcloud calls an ingress that is not closed.
_INGRESS = {
    "INGRESS_TRAFFIC_ALL": "all",
    "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER": "internal-and-cloud-load-balancing",
}
_OWNER = "its owner decides"
#: Whoever changed the file came in before that: how far back to look.
_BEFORE = timedelta(days=7)


def close_entry(evidence: Evidence, position: Position) -> Iterator[Step]:
    """Closing the way in: what was restricted already is not asked for again."""
    if position.workload.kind is not Kind.WORKER_POOL:
        yield from _ingress(evidence, position)
        yield from _invokers(evidence, position)


def _ingress(evidence: Evidence, position: Position) -> Iterator[Step]:
    settings, workload = evidence.settings, position.workload
    if workload.kind is not Kind.SERVICE or "restrict-ingress" in position.done:
        return
    if settings is None:
        text = (
            "Find out from where it is reached, and whether callers are checked: that is"
            f" {evidence.unknown('settings')}. If this shows an ingress of all, and nothing needs"
            " it open, note what it is and close it with the next command"
        )
        yield Step(text, on("describe", workload), workload_page(workload) or "", Part.INGRESS)
        close = on("update", workload, ingress="internal")
        yield Step("…to close it to the internet", close, "", Part.INGRESS)
        back = on("update", workload, ingress="FORMER_INGRESS")
        text = "If it was closed to the internet by hand, open it again as it was noted before"
        yield Step(text, back, "", Part.OPEN)
    elif settings.fields.get("ingress") not in CLOSED:
        text = (
            "Close it to the internet until the clean version serves; Google's own services and the"
            " project's networks still reach it"
        )
        yield Step(text, on("update", workload, ingress="internal"), "", Part.INGRESS)
        former = _INGRESS.get(str(settings.fields.get("ingress")), "all")
        text = "If it was closed to the internet by hand, open it again as it was before"
        yield Step(text, on("update", workload, ingress=former), "", Part.OPEN)


def _invokers(evidence: Evidence, position: Position) -> Iterator[Step]:
    """Keeping out whoever is let in: the public, whatever its role; of a job all that start it."""
    settings, access, workload = evidence.settings, evidence.access, position.workload
    done = "require-authentication" in position.done
    off = settings is not None and settings.fields.get("invokerIamDisabled")
    if workload.kind is Kind.SERVICE and off and not done:
        text = "Require authentication until the clean version serves: the check of invokers is off"
        check = on("update", workload, invoker_iam_check=True)
        yield Step(text, check, "", Part.AUTHENTICATION)
        text = f"If that was done by hand: {_OWNER} whether callers go unchecked again"
        yield Step(text, on("update", workload, no_invoker_iam_check=True), "", Part.INVITE)
    if access is None:
        added = _let_in(evidence)
        yield _find_out(evidence, added, workload)
        bindings: tuple[Binding, ...] = (Binding(INVOKER, added, None),)
    else:
        bindings = access.bindings
    outs = {
        (binding.role, member, binding.condition): (binding, member)
        for binding in bindings
        for member in _shut_out(binding, workload.kind, done=done)
    }
    for key in sorted(outs, key=str)[:_MOST_NAMES]:
        yield from _take_out(*outs[key], workload)


def _find_out(evidence: Evidence, added: tuple[str, ...], workload: Workload) -> Step:
    """Seeing who is let in, where the policy could not be read."""
    seen = f"; the audit log shows that it was opened to {' and '.join(added)}" if added else ""
    text = (
        f"Find out who may {_verb(workload)} it: that is {evidence.unknown('access')}{seen}. Take"
        f" out whoever should not, above all allUsers and allAuthenticatedUsers, as {INVOKER}; and"
        " see the policies of the project and of what is above it"
    )
    shown = on("get-iam-policy", workload)
    return Step(text, shown, workload_page(workload) or "", Part.AUTHENTICATION)


def _shut_out(binding: Binding, kind: Kind, *, done: bool) -> Iterable[str]:
    """Whom a binding lets in that is to be kept out; what we took out ourselves is out."""
    if done and binding.role == INVOKER and not binding.condition:
        return ()
    everybody = kind is Kind.JOB and binding.role in CALLING[kind] and not binding.condition
    return binding.members if everybody else PUBLIC.intersection(binding.members)


def _take_out(binding: Binding, member: str, workload: Workload) -> Iterator[Step]:
    """One member out of one role, and in again. A condition must be named whole: in the console."""
    verb = _verb(workload)
    role, only = binding.role, under(binding.condition)
    who = f"those who may {verb} it" if role in CALLING[workload.kind] else "who may act on it"
    text = f"Take {member} out of {who} ({role}{only}), until the clean version is there"
    again = (
        f"If {member} was taken out of {role}{only} by hand: {_OWNER} whether it is let in again"
    )
    if binding.condition:
        page = workload_page(workload) or ""
        yield Step(text, "", page, Part.AUTHENTICATION)
        yield Step(again, "", page, Part.INVITE)
        return
    remove = on("remove-iam-policy-binding", workload, member=member, role=role)
    yield Step(text, remove, "", Part.AUTHENTICATION)
    back = on("add-iam-policy-binding", workload, member=member, role=role)
    yield Step(again, back, "", Part.INVITE)


def _verb(workload: Workload) -> str:
    return "start" if workload.kind is Kind.JOB else "call"


def _let_in(evidence: Evidence) -> tuple[str, ...]:
    """Of the public, whom the audit log shows to have been let in and not taken out since."""
    last: dict[str, str] = {}
    for event in evidence.audit or ():  # newest first
        for delta in event.bindings if not event.error else ():
            verb, _, rest = delta.partition(" ")
            role, _, member = rest.partition(" ")
            if role == INVOKER and member in PUBLIC:
                last.setdefault(member, verb)
    return tuple(sorted(member for member, verb in last.items() if verb == "ADD"))


def tell_owner(finding: Finding, workload: Workload) -> Iterator[Step]:
    """Who is to be told."""
    named = [contact for contact in finding.contacts if _ADDRESS.fullmatch(contact)]
    if named:
        more = len(named) - _MOST_NAMES
        text = f"Tell the owners what happened and what is down: {', '.join(named[:_MOST_NAMES])}"
        yield Step(f"{text} and {more} more" if more > 0 else text, part=Part.TELL)
        return
    text = (
        "Tell the owner what happened and what is down. The finding names no contact; these are the"
        " project's"
    )
    categories = "security,technical,all"
    command = gcloud(
        "essential-contacts compute", notification_categories=categories, project=workload.project
    )
    yield Step(text, command, part=Part.TELL)


def read_logs(finding: Finding, workload: Workload) -> Iterator[Step]:
    """Reading what it did."""
    kind, label = _LOGS[workload.kind]
    query = (
        f'resource.type="{kind}" resource.labels.{label}="{workload.name}"'
        f' resource.labels.location="{workload.location}"'
        f' timestamp>="{finding.event_time - _BEFORE:%Y-%m-%dT00:00:00Z}"'
    )
    text = "Read and export its logs of the week before: the way in is older than the finding"
    command = gcloud("logging read", query, project=workload.project)
    yield Step(text, command, logs_page(workload.project, query), Part.READ)


def find_way_in(evidence: Evidence, workload: Workload) -> Iterator[Step]:
    """What no command does, but who deployed it is to be seen."""
    if evidence.audit is None:
        since = f"{evidence.finding.event_time - AUDIT_WINDOW:%Y-%m-%dT00:00:00Z}"
        query = (
            f'logName:"cloudaudit.googleapis.com%2Factivity" timestamp>="{since}"'
            f' protoPayload.serviceName="run.googleapis.com"'
            f' protoPayload.resourceName:"{workload.name}"'
        )
        text = (
            "Find out who deployed it and who let whom in: that is"
            f" {evidence.unknown('audit-log')}. This shows it"
        )
        command = gcloud("logging read", query, project=workload.project)
        yield Step(text, command, logs_page(workload.project, query), Part.WAY_IN)
    if evidence.related is None:
        text = (
            "Find out what else was found on it about then: that is"
            f" {evidence.unknown('related-findings')}. The console lists it"
        )
        yield Step(text, "", finding_page(evidence.finding), Part.WAY_IN)
    text = "Find the way in and close it: its code has a hole, or its build, or who deploys it"
    yield Step(text, "", workload_page(workload) or "", Part.WAY_IN)
