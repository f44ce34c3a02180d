"""Playbook tasks for the runtime service account: activity, tokens, keys, roles. Pure.

A single access token cannot be revoked. Disabling the account rejects all its tokens; enabling
it accepts them again until they expire (IAM documentation, "Disable service accounts"). Kinds of
accounts are those of the IAM documentation, "Types of service accounts".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from incident.model import Evidence, PlaybookTask, TaskPurpose, Workload
from incident.playbook.commands_and_links import (
    gcloud,
    logs_page,
    service_account_page,
    workload_command,
)

_EMAIL = re.compile(r"(?P<name>[a-z0-9][a-z0-9-]{0,99})@(?P<domain>[a-z0-9][a-z0-9.-]{0,199})")
_COMPUTE_DOMAIN = "developer.gserviceaccount.com"
_APP_ENGINE_DOMAIN = "appspot.gserviceaccount.com"
_USER_MANAGED_SUFFIX = ".iam.gserviceaccount.com"
_SERVICE_ACCOUNT_SUFFIX = ".gserviceaccount.com"


class AccountKind(Enum):
    """Who created a service account."""

    USER = "user"
    COMPUTE = "compute"
    APP_ENGINE = "app-engine"
    GOOGLE = "google"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """A service account.

    Attributes:
        email: Its email; empty where unknown.
        kind: Who created it.
        project: Its project, as id or number; empty where the email does not name it.
        in_other_project: Whether its project is known to differ from the workload's.
    """

    email: str
    kind: AccountKind
    project: str
    in_other_project: bool

    @property
    def is_default(self) -> bool:
        """Whether it is a default account, which many resources of a project share."""
        return self.kind in (AccountKind.COMPUTE, AccountKind.APP_ENGINE)


def runtime_account(email: str, workload: Workload) -> ServiceAccount:
    """The account that a workload runs as; an empty email means the project's default account."""
    number = workload.project_number
    if not email and number:
        email = f"{number}-compute@{_COMPUTE_DOMAIN}"
    kind, project = _parse_email(email)
    if not email:
        return ServiceAccount("", AccountKind.COMPUTE, workload.project, in_other_project=False)
    own_projects = (workload.project_id, number)
    # A project number and a project id cannot be compared.
    known = number if project.isdigit() else workload.project_id
    return ServiceAccount(
        email, kind, project, bool(project and known and project not in own_projects)
    )


def _parse_email(email: str) -> tuple[AccountKind, str]:
    """Kind and project of an account, by its email."""
    match = _EMAIL.fullmatch(email)
    if match is None or not match["domain"].endswith(_SERVICE_ACCOUNT_SUFFIX):
        return AccountKind.UNKNOWN, ""
    name, domain = match["name"], match["domain"]
    if domain == _COMPUTE_DOMAIN and name.endswith("-compute"):
        return AccountKind.COMPUTE, name.removesuffix("-compute")
    if domain == _APP_ENGINE_DOMAIN:
        return AccountKind.APP_ENGINE, name
    project = domain.removesuffix(_USER_MANAGED_SUFFIX)
    if project == domain or project.startswith(("gcp-sa-", "gcf-")):
        return AccountKind.GOOGLE, ""
    # In emails, the domain-scoped project example.com:shop is spelled shop.example.com.
    first, _, scope = project.partition(".")
    return AccountKind.USER, f"{scope}:{first}" if scope else project


_REVOCATION_LIMIT = "No token can be revoked by itself; disabling the account is what refuses them"
_REENABLE_WARNING = (
    "It takes minutes. Enable it again no sooner than an hour later: until they expire, old tokens"
    " would be good again"
)
#: gcloud list command by workload kind, and the path of the service account in its output.
_RUNTIME_LISTS = {
    "services": ("run services", "spec.template.spec.serviceAccountName"),
    "jobs": ("run jobs", "spec.template.spec.template.spec.serviceAccountName"),
    "worker pools": ("beta run worker-pools", "spec.template.spec.serviceAccountName"),
}


def review_account_activity(evidence: Evidence, workload: Workload) -> Iterator[PlaybookTask]:
    """Tasks that review what was done as the account."""
    for email in evidence.affected_revision.service_accounts:
        account = runtime_account(email, workload)
        if account.kind is not AccountKind.UNKNOWN and account.email:
            yield _review_account(account, evidence, workload)


def _review_account(
    account: ServiceAccount, evidence: Evidence, workload: Workload
) -> PlaybookTask:
    query = (
        f'protoPayload.authenticationInfo.principalEmail="{account.email}"'
        f' timestamp>="{evidence.finding.event_time:%Y-%m-%dT00:00:00Z}"'
    )
    text = (
        f"See what was done as {account.email} since the day of the event, here and in every other"
        " project that trusts it. Reads appear only where Data Access logs are on, so that to find"
        " none proves nothing"
    )
    command = gcloud("logging read", query, project=workload.project)
    return PlaybookTask(
        text, command, logs_page(workload.project, query), TaskPurpose.REVIEW_ACTIVITY
    )


def revoke_credentials(evidence: Evidence, workload: Workload) -> Iterator[PlaybookTask]:
    """Tasks that revoke the account's tokens, keys and roles."""
    if not evidence.affected_revision.service_accounts:
        text = (
            f"Find out what it ran as: that is {evidence.describe_gap('settings')}. Revoke"
            " the tokens of"
            " that account"
        )
        yield PlaybookTask(text, workload_command("describe", workload), "", TaskPurpose.REVOKE)
    for email in evidence.affected_revision.service_accounts:
        yield from _revoke_account(runtime_account(email, workload), workload)


def _revoke_account(account: ServiceAccount, workload: Workload) -> Iterator[PlaybookTask]:
    if not account.email:
        yield _unnamed_account(workload)
    elif account.kind is AccountKind.UNKNOWN:
        text = (
            f"Revoke the tokens of {account.email}: it has not the form of a service account's"
            " name, so find out in the settings what it is"
        )
        yield PlaybookTask(text, workload_command("describe", workload), "", TaskPurpose.REVOKE)
    elif account.kind is AccountKind.GOOGLE:
        yield from _remove_roles(account, workload)
    else:
        yield from _check_shared_use(account, workload)
        yield _disable_account(account, workload)
        yield from _delete_keys(account, workload)
        yield from _remove_roles(account, workload)


def _unnamed_account(workload: Workload) -> PlaybookTask:
    """The task for the default account of a project whose number is unknown."""
    text = (
        f"{_REVOCATION_LIMIT}. It runs as the project's default account: see its name,"
        " and what else"
        " runs as it, then disable it, or take its roles away"
    )
    command = gcloud("iam service-accounts list", project=workload.project)
    return PlaybookTask(text, command, "", TaskPurpose.REVOKE)


def _check_shared_use(account: ServiceAccount, workload: Workload) -> Iterator[PlaybookTask]:
    """Tasks that list what else runs as the account; the responder does not check that."""
    email = account.email
    first = ". The responder does not check whether it is shared: these lists show it"
    for what, (group, field) in _RUNTIME_LISTS.items():
        text = f"See which other {what} run as {email}: what disables it stops them too{first}"
        first = ""
        command = gcloud(f"{group} list", filter=f"{field}={email}", project=workload.project)
        yield PlaybookTask(text, command, "", TaskPurpose.REVOKE)
    if account.is_default:
        text = "…and which virtual machines; clusters and functions may run as it as well"
        running = f"serviceAccounts.email={email}"
        command = gcloud("compute instances list", filter=running, project=workload.project)
        yield PlaybookTask(text, command, "", TaskPurpose.REVOKE)


def _disable_account(account: ServiceAccount, workload: Workload) -> PlaybookTask:
    """Disabling is the only command that rejects tokens already issued."""
    email, project = account.email, account.project or workload.project
    whose = (
        f" It is in project {project}: the owner of that project must agree."
        if account.in_other_project
        else ""
    )
    if account.is_default:
        what = "all that runs as this default account, often most of the project"
        text = (
            f"{_REVOCATION_LIMIT}. Disable {email} if the project can bear it: it stops"
            f" {what}. If"
            f" it cannot, take its roles away (below).{whose} {_REENABLE_WARNING}"
        )
    else:
        text = (
            f"{_REVOCATION_LIMIT}. Disable {email}: it stops all that runs as it, this"
            " workload too,"
            f" and may blind threat detection on them.{whose} {_REENABLE_WARNING}"
        )
    command = gcloud("iam service-accounts disable", email, project=project)
    return PlaybookTask(text, command, service_account_page(project, email), TaskPurpose.REVOKE)


def _delete_keys(account: ServiceAccount, workload: Workload) -> Iterator[PlaybookTask]:
    """A key that an attacker created is valid until it is deleted."""
    email, project = account.email, account.project or workload.project
    keys = "iam service-accounts keys"
    listed = gcloud(f"{keys} list", iam_account=email, managed_by="user", project=project)
    yield PlaybookTask(
        f"List the keys that people made for {email}", listed, "", TaskPurpose.REVOKE
    )
    text = "…and delete each that you do not know, above all one made since the event"
    delete = gcloud(f"{keys} delete", "KEY_ID", iam_account=email, project=project)
    yield PlaybookTask(text, delete, "", TaskPurpose.REVOKE)


def _remove_roles(account: ServiceAccount, workload: Workload) -> Iterator[PlaybookTask]:
    """Tasks that remove roles from the account; Google's own accounts allow nothing else."""
    email, project = account.email, workload.project
    member = f"serviceAccount:{email}"
    only = (
        ". It is Google's own account and cannot be disabled"
        if account.kind is AccountKind.GOOGLE
        else ""
    )
    text = f"See which roles {email} has in the project; folders and others may grant more{only}"
    listed = gcloud(
        "projects get-iam-policy",
        project,
        flatten="bindings[].members",
        filter=f"bindings.members={member}",
        format="value(bindings.role)",
    )
    yield PlaybookTask(text, listed, "", TaskPurpose.REVOKE)
    role = "roles/editor" if account.is_default else "ROLE"
    text = (
        "…and take away each that it need not have, also from tokens that are out: what runs as it"
        " goes on running, and loses what the role allowed"
    )
    remove = gcloud("projects remove-iam-policy-binding", project, member=member, role=role)
    yield PlaybookTask(text, remove, "", TaskPurpose.REVOKE)
