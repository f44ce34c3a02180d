"""The steps about the identity that the workload had: its tokens, keys and roles. Pure.

No access token of a service account can be revoked by itself. Disabling the account refuses the
tokens that are out, and enabling it accepts them again until they expire (Google's documentation
of disabling service accounts).
"""

from __future__ import annotations

from collections.abc import Iterator

from incident.model import Evidence, PlaybookTask, TaskPurpose, Workload
from incident.playbook.commands_and_links import gcloud, workload_command
from incident.playbook.links import logs_page, service_account_page
from incident.playbook.service_accounts import AccountKind, ServiceAccount, runtime_account

_REVOCATION_LIMIT = "No token can be revoked by itself; disabling the account is what refuses them"
_REENABLE_WARNING = (
    "It takes minutes. Enable it again no sooner than an hour later: until they expire, old tokens"
    " would be good again"
)
#: What runs in Cloud Run: what lists it, and where the list has its account.
_RUNTIME_LISTS = {
    "services": ("run services", "spec.template.spec.serviceAccountName"),
    "jobs": ("run jobs", "spec.template.spec.template.spec.serviceAccountName"),
    "worker pools": ("beta run worker-pools", "spec.template.spec.serviceAccountName"),
}


def review_account_activity(evidence: Evidence, workload: Workload) -> Iterator[PlaybookTask]:
    """What was done with its identity."""
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
    """Making what was taken of the identity worthless, whatever kind of account it is."""
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
    """The default account of a project whose number, of which its name is made, is not known."""
    text = (
        f"{_REVOCATION_LIMIT}. It runs as the project's default account: see its name,"
        " and what else"
        " runs as it, then disable it, or take its roles away"
    )
    command = gcloud("iam service-accounts list", project=workload.project)
    return PlaybookTask(text, command, "", TaskPurpose.REVOKE)


def _check_shared_use(account: ServiceAccount, workload: Workload) -> Iterator[PlaybookTask]:
    """Who else would be hit: nobody has looked, so people have to."""
    email = account.email
    first = ". Nobody has looked yet whether it is shared: these lists tell"
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
    """The only command that refuses a token already taken, with all that it does besides."""
    email, project = account.email, account.project or workload.project
    whose = (
        f" It is in project {project}: whoever owns that must agree."
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
    """A key that an attacker made of the account is good until it is deleted."""
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
    """What weakens a token without stopping what runs; of Google's own accounts all there is."""
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
