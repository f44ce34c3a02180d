"""The steps about the way in: closing it, finding it, and telling who owns what it led to. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import timedelta

from incident.actions import CLOSED, INVOKER, PUBLIC
from incident.callers import CALLING, under
from incident.links import logs_page, workload_page
from incident.model import Binding, Evidence, Finding, Kind, Part, Step, Workload
from incident.steps.gcloud import gcloud, on
from incident.steps.situation import Position

_MOST_NAMES = 20
#: What is shown as an address; the finding may call anything a contact.
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&*+/=?^_{|}~-]{1,64}@[A-Za-z0-9.-]{1,190}")
_LOGS = {
    Kind.SERVICE: ("cloud_run_revision", "service_name"),
    Kind.JOB: ("cloud_run_job", "job_name"),
    Kind.WORKER_POOL: ("cloud_run_worker_pool", "worker_pool_name"),
}
#: Whoever changed the file came in before that: how far back to look.
_BEFORE = timedelta(days=7)


def close_entry(evidence: Evidence, position: Position) -> Iterator[Step]:
    """Closing the way in: what was restricted already is not asked for again."""
    if position.workload.kind is not Kind.WORKER_POOL:
        yield from _ingress(evidence, position)
        yield from _invokers(evidence, position)


def _ingress(evidence: Evidence, position: Position) -> Iterator[Step]:
    settings, workload = evidence.settings, position.workload
    if workload.kind is not Kind.SERVICE or settings is None or "restrict-ingress" in position.done:
        return
    if settings.fields.get("ingress") not in CLOSED:
        text = (
            "Close it to the internet until the clean version serves; Google's own services and the"
            " project's networks still reach it"
        )
        yield Step(text, on("update", workload, ingress="internal"), "", Part.INGRESS)


def _invokers(evidence: Evidence, position: Position) -> Iterator[Step]:
    """Keeping out whoever is let in: the public, whatever its role; of a job all that start it."""
    settings, access, workload = evidence.settings, evidence.access, position.workload
    done = "require-authentication" in position.done
    off = settings is not None and settings.fields.get("invokerIamDisabled")
    if workload.kind is Kind.SERVICE and off and not done:
        text = "Require authentication until the clean version serves: the check of invokers is off"
        check = on("update", workload, invoker_iam_check=True)
        yield Step(text, check, "", Part.AUTHENTICATION)
    steps = {
        (binding.role, member, binding.condition): _take_out(binding, member, workload)
        for binding in (access.bindings if access else ())
        for member in _shut_out(binding, workload.kind, done=done)
    }
    yield from [steps[key] for key in sorted(steps, key=str)][:_MOST_NAMES]


def _shut_out(binding: Binding, kind: Kind, *, done: bool) -> Iterable[str]:
    """Whom a binding lets in that is to be kept out; what we took out ourselves is out."""
    if done and binding.role == INVOKER and not binding.condition:
        return ()
    everybody = kind is Kind.JOB and binding.role in CALLING[kind] and not binding.condition
    return binding.members if everybody else PUBLIC.intersection(binding.members)


def _take_out(binding: Binding, member: str, workload: Workload) -> Step:
    """One member out of one role. A condition must be named whole, so that is for the console."""
    verb = "start" if workload.kind is Kind.JOB else "call"
    role, only = binding.role, under(binding.condition)
    who = f"those who may {verb} it" if role in CALLING[workload.kind] else "who may act on it"
    text = f"Take {member} out of {who} ({role}{only}), until the clean version is there"
    if binding.condition:
        return Step(text, "", workload_page(workload) or "", Part.AUTHENTICATION)
    remove = on("remove-iam-policy-binding", workload, member=member, role=role)
    return Step(text, remove, "", Part.AUTHENTICATION)


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


def find_way_in(workload: Workload) -> Iterator[Step]:
    """What no command does."""
    text = "Find the way in and close it: its code has a hole, or its build, or who deploys it"
    yield Step(text, "", workload_page(workload) or "", Part.WAY_IN)
