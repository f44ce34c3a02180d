"""The steps about the identity that the workload had: its tokens, keys and roles. Pure.

No access token of a service account can be revoked by itself. Disabling the account refuses the
tokens that are out, and enabling it accepts them again until they expire (Google's documentation
of disabling service accounts).
"""

from __future__ import annotations

from collections.abc import Iterator

from incident.model import Evidence, Part, Step, Workload
from incident.playbook.gcloud import gcloud, on
from incident.playbook.links import account_page, logs_page
from incident.playbook.service_accounts import Account, Owner, account_of

_NO_SUCH_COMMAND = "No token can be revoked by itself; disabling the account is what refuses them"
_BACK_AGAIN = (
    "It takes minutes. Enable it again no sooner than an hour later: until they expire, old tokens"
    " would be good again"
)
#: What runs in Cloud Run: what lists it, and where the list has its account.
_RUNS_AS = {
    "services": ("run services", "spec.template.spec.serviceAccountName"),
    "jobs": ("run jobs", "spec.template.spec.template.spec.serviceAccountName"),
    "worker pools": ("beta run worker-pools", "spec.template.spec.serviceAccountName"),
}


def read_its_deeds(evidence: Evidence, workload: Workload) -> Iterator[Step]:
    """What was done with its identity."""
    for email in evidence.ran.accounts:
        account = account_of(email, workload)
        if account.owner is not Owner.UNKNOWN and account.email:
            yield _read(account, evidence, workload)


def _read(account: Account, evidence: Evidence, workload: Workload) -> Step:
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
    return Step(text, command, logs_page(workload.project, query), Part.READ)


def revoke(evidence: Evidence, workload: Workload) -> Iterator[Step]:
    """Making what was taken of the identity worthless, whatever kind of account it is."""
    if not evidence.ran.accounts:
        text = (
            f"Find out what it ran as: that is {evidence.unknown('settings')}. Revoke the tokens of"
            " that account"
        )
        yield Step(text, on("describe", workload), "", Part.REVOKE)
    for email in evidence.ran.accounts:
        yield from _revoke(account_of(email, workload), workload)


def _revoke(account: Account, workload: Workload) -> Iterator[Step]:
    if not account.email:
        yield _unnamed(workload)
    elif account.owner is Owner.UNKNOWN:
        text = (
            f"Revoke the tokens of {account.email}: it has not the form of a service account's"
            " name, so find out in the settings what it is"
        )
        yield Step(text, on("describe", workload), "", Part.REVOKE)
    elif account.owner is Owner.GOOGLE:
        yield from _roles(account, workload)
    else:
        yield from _shared(account, workload)
        yield _disable(account, workload)
        yield from _keys(account, workload)
        yield from _roles(account, workload)


def _unnamed(workload: Workload) -> Step:
    """The default account of a project whose number, of which its name is made, is not known."""
    text = (
        f"{_NO_SUCH_COMMAND}. It runs as the project's default account: see its name, and what else"
        " runs as it, then disable it, or take its roles away"
    )
    command = gcloud("iam service-accounts list", project=workload.project)
    return Step(text, command, "", Part.REVOKE)


def _shared(account: Account, workload: Workload) -> Iterator[Step]:
    """Who else would be hit: nobody has looked, so people have to."""
    email = account.email
    first = ". Nobody has looked yet whether it is shared: these lists tell"
    for what, (group, field) in _RUNS_AS.items():
        text = f"See which other {what} run as {email}: what disables it stops them too{first}"
        first = ""
        command = gcloud(f"{group} list", filter=f"{field}={email}", project=workload.project)
        yield Step(text, command, "", Part.REVOKE)
    if account.default:
        text = "…and which virtual machines; clusters and functions may run as it as well"
        running = f"serviceAccounts.email={email}"
        command = gcloud("compute instances list", filter=running, project=workload.project)
        yield Step(text, command, "", Part.REVOKE)


def _disable(account: Account, workload: Workload) -> Step:
    """The only command that refuses a token already taken, with all that it does besides."""
    email, project = account.email, account.project or workload.project
    whose = (
        f" It is in project {project}: whoever owns that must agree." if account.elsewhere else ""
    )
    if account.default:
        what = "all that runs as this default account, often most of the project"
        text = (
            f"{_NO_SUCH_COMMAND}. Disable {email} if the project can bear it: it stops {what}. If"
            f" it cannot, take its roles away (below).{whose} {_BACK_AGAIN}"
        )
    else:
        text = (
            f"{_NO_SUCH_COMMAND}. Disable {email}: it stops all that runs as it, this workload too,"
            f" and may blind threat detection on them.{whose} {_BACK_AGAIN}"
        )
    command = gcloud("iam service-accounts disable", email, project=project)
    return Step(text, command, account_page(project, email), Part.REVOKE)


def _keys(account: Account, workload: Workload) -> Iterator[Step]:
    """A key that an attacker made of the account is good until it is deleted."""
    email, project = account.email, account.project or workload.project
    keys = "iam service-accounts keys"
    listed = gcloud(f"{keys} list", iam_account=email, managed_by="user", project=project)
    yield Step(f"List the keys that people made for {email}", listed, "", Part.REVOKE)
    text = "…and delete each that you do not know, above all one made since the event"
    delete = gcloud(f"{keys} delete", "KEY_ID", iam_account=email, project=project)
    yield Step(text, delete, "", Part.REVOKE)


def _roles(account: Account, workload: Workload) -> Iterator[Step]:
    """What weakens a token without stopping what runs; of Google's own accounts all there is."""
    email, project = account.email, workload.project
    member = f"serviceAccount:{email}"
    only = (
        ". It is Google's own account and cannot be disabled"
        if account.owner is Owner.GOOGLE
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
    yield Step(text, listed, "", Part.REVOKE)
    role = "roles/editor" if account.default else "ROLE"
    text = (
        "…and take away each that it need not have, also from tokens that are out: what runs as it"
        " goes on running, and loses what the role allowed"
    )
    remove = gcloud("projects remove-iam-policy-binding", project, member=member, role=role)
    yield Step(text, remove, "", Part.REVOKE)
