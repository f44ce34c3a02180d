"""Playbook tasks for the entry point: ingress, callers, owners, logs, root cause. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import timedelta

from incident.actions.restrict_ingress import CLOSED_INGRESS
from incident.investigation.callers import condition_clause
from incident.model import (
    AUDIT_WINDOW,
    Binding,
    Evidence,
    Finding,
    Kind,
    PlaybookTask,
    TaskPurpose,
    Workload,
    found_in,
)
from incident.model.calling_roles import PUBLIC_MEMBERS, editable_roles
from incident.playbook.commands_and_links import (
    finding_page,
    gcloud,
    location_flags,
    logs_page,
    workload_command,
    workload_page,
)
from incident.playbook.inputs import PlaybookFacts
from incident.playbook.workload_facts import is_function

_MOST_NAMES = 20
#: A finding's contacts are untrusted: only email addresses are shown.
_EMAIL = re.compile(r"[A-Za-z0-9.!#$%&*+/=?^_{|}~-]{1,64}@[A-Za-z0-9.-]{1,190}")
_LOG_RESOURCES = {
    Kind.SERVICE: ("cloud_run_revision", "service_name"),
    Kind.JOB: ("cloud_run_job", "job_name"),
    Kind.WORKER_POOL: ("cloud_run_worker_pool", "worker_pool_name"),
}
#: gcloud's flag value by open ingress setting.
_INGRESS = {
    "INGRESS_TRAFFIC_ALL": "all",
    "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER": "internal-and-cloud-load-balancing",
}
_OWNER_DECIDES = "its owner decides"
#: The attacker came in before the finding: how far back to read logs.
_LOG_LOOKBACK = timedelta(days=7)


def close_entry_point(evidence: Evidence, facts: PlaybookFacts) -> Iterator[PlaybookTask]:
    """Tasks that restrict ingress and callers, unless a verified change did."""
    if facts.workload.kind is not Kind.WORKER_POOL:
        yield from _restrict_ingress(evidence, facts)
        yield from _restrict_invokers(evidence, facts)


def _restrict_ingress(evidence: Evidence, facts: PlaybookFacts) -> Iterator[PlaybookTask]:
    configuration, workload = evidence.configuration, facts.workload
    if workload.kind is not Kind.SERVICE or "restrict-ingress" in facts.verified_actions:
        return
    if configuration is None:
        text = (
            "Find out from where it is reached, and whether callers are checked: that is"
            f" {evidence.describe_gap('settings')}. If this shows an ingress of all, and"
            " nothing needs"
            " it open, note what it is and close it with the next command"
        )
        yield PlaybookTask(
            text,
            workload_command("describe", workload),
            workload_page(workload) or "",
            TaskPurpose.INGRESS,
        )
        close = workload_command("update", workload, ingress="internal")
        yield PlaybookTask("…to close it to the internet", close, "", TaskPurpose.INGRESS)
        undo = workload_command("update", workload, ingress="FORMER_INGRESS")
        text = "If it was closed to the internet manually, open it again as noted before"
        yield PlaybookTask(text, undo, "", TaskPurpose.RESTORE_INGRESS)
    elif configuration.fields.get("ingress") not in CLOSED_INGRESS:
        text = (
            "Close it to the internet until the clean version serves; Google's own services and the"
            " project's networks still reach it"
        )
        yield PlaybookTask(
            text, workload_command("update", workload, ingress="internal"), "", TaskPurpose.INGRESS
        )
        former = _INGRESS.get(str(configuration.fields.get("ingress")), "all")
        text = "If it was closed to the internet manually, open it again as it was before"
        yield PlaybookTask(
            text,
            workload_command("update", workload, ingress=former),
            "",
            TaskPurpose.RESTORE_INGRESS,
        )


def _restrict_invokers(evidence: Evidence, facts: PlaybookFacts) -> Iterator[PlaybookTask]:
    """Tasks that remove public members from any role; of a job, all who may start it."""
    configuration, access, workload = evidence.configuration, evidence.access, facts.workload
    done = "require-authentication" in facts.verified_actions
    off = configuration is not None and configuration.fields.get("invokerIamDisabled")
    if workload.kind is Kind.SERVICE and off and not done:
        text = "Require authentication until the clean version serves: the check of invokers is off"
        check = workload_command("update", workload, invoker_iam_check=True)
        yield PlaybookTask(text, check, "", TaskPurpose.AUTHENTICATION)
        text = f"If that was done manually: {_OWNER_DECIDES} whether callers go unchecked again"
        yield PlaybookTask(
            text,
            workload_command("update", workload, no_invoker_iam_check=True),
            "",
            TaskPurpose.RESTORE_CALLERS,
        )
    if configuration is not None and configuration.iap_enabled:
        yield _review_iap(workload)
    if access is None:
        bindings = _public_bindings_added(evidence, workload.kind)
        yield _review_access(evidence, bindings, workload)
    else:
        bindings = access.bindings
    removals = {
        (binding.role, member, binding.condition): (binding, member)
        for binding in bindings
        for member in _members_to_remove(binding, workload.kind, done=done)
    }
    for key in sorted(removals, key=str)[:_MOST_NAMES]:
        yield from _remove_member(*removals[key], workload)


def _review_access(
    evidence: Evidence, bindings: tuple[Binding, ...], workload: Workload
) -> PlaybookTask:
    """The task that reads the IAM policy where the responder could not."""
    added = sorted({member for binding in bindings for member in binding.members})
    audit_note = (
        f"; the audit log shows that it was opened to {' and '.join(added)}" if added else ""
    )
    text = (
        f"Find out who may {_verb(workload)} it: that is"
        f" {evidence.describe_gap('access')}{audit_note}. Remove"
        " members that should not, above all allUsers and allAuthenticatedUsers, from"
        f" {', '.join(sorted(editable_roles(workload.kind)))}; and"
        " see the policies of the project and of what is above it"
    )
    shown = workload_command("get-iam-policy", workload)
    return PlaybookTask(text, shown, workload_page(workload) or "", TaskPurpose.AUTHENTICATION)


def _members_to_remove(binding: Binding, kind: Kind, *, done: bool) -> Iterable[str]:
    """The members of a binding to remove; none where a verified change removed them."""
    edited = binding.role in editable_roles(kind) and not binding.condition
    if done and edited:
        return ()
    return (
        binding.members
        if edited and kind is Kind.JOB
        else PUBLIC_MEMBERS.intersection(binding.members)
    )


def _remove_member(binding: Binding, member: str, workload: Workload) -> Iterator[PlaybookTask]:
    """Tasks that remove a member from a role and add it again.

    gcloud needs the whole condition of a conditional binding, so that gets a console link instead.
    """
    verb = _verb(workload)
    role, only = binding.role, condition_clause(binding.condition)
    who = (
        f"those who may {verb} it" if role in editable_roles(workload.kind) else "who may act on it"
    )
    text = f"Take {member} out of {who} ({role}{only}), until the clean version is there"
    again = (
        f"If {member} was taken out of {role}{only} manually: {_OWNER_DECIDES} whether"
        " it is let in again"
    )
    if binding.condition:
        page = workload_page(workload) or ""
        yield PlaybookTask(text, "", page, TaskPurpose.AUTHENTICATION)
        yield PlaybookTask(again, "", page, TaskPurpose.RESTORE_CALLERS)
        return
    remove = workload_command("remove-iam-policy-binding", workload, member=member, role=role)
    yield PlaybookTask(text, remove, "", TaskPurpose.AUTHENTICATION)
    undo = workload_command("add-iam-policy-binding", workload, member=member, role=role)
    yield PlaybookTask(again, undo, "", TaskPurpose.RESTORE_CALLERS)


def _verb(workload: Workload) -> str:
    return "start" if workload.kind is Kind.JOB else "call"


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


def _review_iap(workload: Workload) -> PlaybookTask:
    """IAP has an IAM policy of its own, which the responder does not read."""
    text = (
        "Identity-Aware Proxy checks its callers: see who may pass, and take out who should not."
        " The responder neither reads nor changes that policy"
    )
    shown = gcloud(
        "beta iap web get-iam-policy",
        resource_type="cloud-run",
        service=workload.name,
        **location_flags(workload),
    )
    return PlaybookTask(text, shown, workload_page(workload) or "", TaskPurpose.AUTHENTICATION)


def notify_owner(evidence: Evidence, workload: Workload) -> Iterator[PlaybookTask]:
    """The task that informs the owners."""
    finding = evidence.finding
    ask = (
        ". Ask them to deploy the function only once its source is fixed: deploying it lifts the"
        " containment"
        if is_function(evidence)
        else ""
    )
    named = [contact for contact in finding.contacts if _EMAIL.fullmatch(contact)]
    if named:
        more = len(named) - _MOST_NAMES
        text = f"Tell the owners what happened and what is down: {', '.join(named[:_MOST_NAMES])}"
        yield PlaybookTask(
            f"{text} and {more} more{ask}" if more > 0 else f"{text}{ask}",
            purpose=TaskPurpose.NOTIFY,
        )
        return
    text = (
        "Tell the owner what happened and what is down. The finding names no contact; these are the"
        f" project's{ask}"
    )
    categories = "security,technical,all"
    command = gcloud(
        "essential-contacts compute", notification_categories=categories, project=workload.project
    )
    yield PlaybookTask(text, command, purpose=TaskPurpose.NOTIFY)


def review_logs(finding: Finding, workload: Workload) -> Iterator[PlaybookTask]:
    """The task that reads and exports the workload's logs."""
    kind, label = _LOG_RESOURCES[workload.kind]
    query = (
        f'resource.type="{kind}" resource.labels.{label}="{workload.name}"'
        f' resource.labels.location="{workload.location}"'
        f' timestamp>="{finding.event_time - _LOG_LOOKBACK:%Y-%m-%dT00:00:00Z}"'
    )
    text = "Read and export its logs of the week before: the attack began before the finding"
    command = gcloud("logging read", query, project=workload.project)
    yield PlaybookTask(
        text, command, logs_page(workload.project, query), TaskPurpose.REVIEW_ACTIVITY
    )


def find_entry_point(evidence: Evidence, workload: Workload) -> Iterator[PlaybookTask]:
    """Tasks that look for the root cause."""
    if evidence.audit is None:
        since = f"{evidence.finding.event_time - AUDIT_WINDOW:%Y-%m-%dT00:00:00Z}"
        query = (
            f'logName:"cloudaudit.googleapis.com%2Factivity" timestamp>="{since}"'
            f' protoPayload.serviceName="run.googleapis.com"'
            f' protoPayload.resourceName:"{workload.name}"'
        )
        text = (
            "Find out who deployed it and who let whom in: that is"
            f" {evidence.describe_gap('audit-log')}. This shows it"
        )
        command = gcloud("logging read", query, project=workload.project)
        yield PlaybookTask(
            text, command, logs_page(workload.project, query), TaskPurpose.ROOT_CAUSE
        )
    if evidence.related is None:
        text = (
            "Find out what else was found on it about then: that is"
            f" {evidence.describe_gap('related-findings')}. The console lists it"
        )
        yield PlaybookTask(text, "", finding_page(evidence.finding), TaskPurpose.ROOT_CAUSE)
    text = "Find the root cause and fix it: a hole in its code, its build or its deployment"
    yield PlaybookTask(text, "", workload_page(workload) or "", TaskPurpose.ROOT_CAUSE)
