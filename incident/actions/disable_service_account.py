"""``disable-service-account``: disable the account that the workload runs as. Pure.

Fits: a workload that ran as one user-managed account, which could be read. Whether the policy
    declares the account, who else uses it and whether it is the responder's own is decided in
    ``incident/decision/identity.py``.
Writes: the account, not the workload: it is disabled, after everything that stops.
Goal: tokens of the account are refused. Stopping the workload does not do that: an access token
    that was taken from the metadata server outlives its instance by up to an hour.
Undo: a release enables it again, last, and not before the containment's tokens have expired.
    After that, access tokens that were issued before it was disabled and have not expired are
    accepted again (reference of DisableServiceAccount).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from incident.actions.action import Action, DesiredState, NotApplicable
from incident.model import (
    Change,
    ChangeKind,
    Finding,
    GrantScope,
    Kind,
    Permission,
    WorkloadConfiguration,
    WorkloadDetail,
    is_default_service_account,
    is_user_managed,
)
from incident.model.affected_revision import RevisionEvidence, infer_affected_revision

NAME = "disable-service-account"
#: Longest lifetime of an access token of the metadata server: an hour at most, as Google's page on
#: service account credentials has it ("valid for 1 hour by default").
TOKEN_LIFETIME = timedelta(hours=1)
DISABLED, ENABLED = {"disabled": True}, {"disabled": False}
_PREFIX = "projects/-/serviceAccounts/"


def account_target(email: str) -> str:
    """The account's resource name, as a change names it."""
    return f"{_PREFIX}{email}"


def account_of(change: Change) -> str:
    """E-mail of the account that a change is made to."""
    return change.target.removeprefix(_PREFIX)


def runtime_account(configuration: WorkloadConfiguration, finding: Finding) -> str | NotApplicable:
    """E-mail of the one user-managed account that the affected revision ran as."""
    facts = RevisionEvidence(
        configuration, configuration.revisions, configuration.executions, "not known"
    )
    affected = infer_affected_revision(finding, facts)
    accounts = affected.service_accounts
    if not accounts:
        return NotApplicable(f"which service account it ran as is not known: {affected.reason}")
    if len(accounts) > 1:
        names = " or ".join(each or "the default account" for each in accounts)
        return NotApplicable(f"which service account it ran as is not known: {names}")
    (email,) = accounts
    if is_default_service_account(email):
        return NotApplicable(
            f"it runs as a default service account ({email or 'of its project'}), which everything"
            " else in the project may use"
        )
    if not is_user_managed(email):
        return NotApplicable(f"{email} is managed by Google")
    return email


def desired_state(
    configuration: WorkloadConfiguration, finding: Finding
) -> DesiredState | NotApplicable:
    """The account is to be disabled."""
    email = runtime_account(configuration, finding)
    if isinstance(email, NotApplicable):
        return email
    account = configuration.account(email)
    if account is None:
        return NotApplicable(f"whether {email} is disabled was not read")
    if account.unread:
        return NotApplicable(f"whether {email} is disabled could not be read: {account.unread}")
    return DesiredState(accounts_to_disable=(email,))


def in_effect(change: Change, configuration: WorkloadConfiguration) -> bool:
    """Whether the change's account reads back as disabled."""
    account = configuration.account(account_of(change))
    return account is not None and not account.unread and account.disabled


def why_not_disabled(change: Change, configuration: WorkloadConfiguration) -> str:
    """Why the account does not read back as disabled."""
    email = account_of(change)
    account = configuration.account(email)
    if account is None:
        return f"whether {email} is disabled was not read"
    if account.unread:
        return f"whether {email} is disabled could not be read: {account.unread}"
    return f"the service account {email} is enabled"


def enabling_change(
    change: Change, configuration: WorkloadConfiguration, action: str
) -> Change | None:
    """The write that enables the account of a change again; None if it is enabled or gone."""
    account = configuration.account(account_of(change))
    if account is None or account.unread or not account.disabled:
        return None
    return Change(
        action=action,
        target=change.target,
        mask=change.mask,
        before=DISABLED,
        after=ENABLED,
        stops=False,
        reversible=True,
        kind=ChangeKind.SERVICE_ACCOUNT,
    )


_PERMISSIONS = (
    Permission(
        "iam.serviceAccounts.get",
        GrantScope.DISABLED_ACCOUNT,
        "reads whether it is disabled, before and after the write",
    ),
    Permission(
        "iam.serviceAccounts.disable",
        GrantScope.DISABLED_ACCOUNT,
        "disables the runtime service account, so that its tokens are refused",
    ),
    Permission(
        "iam.serviceAccounts.enable",
        GrantScope.DISABLED_ACCOUNT,
        "enables it again: a release, and a write that lost against one",
    ),
)
_desired: Callable[[WorkloadConfiguration, Finding], DesiredState | NotApplicable] = desired_state

ACTION = Action(
    name=NAME,
    goal="tokens of its service account are refused",
    undo=(
        "A release enables the service account again, last, and not before the containment's"
        " tokens have expired unless --now is given: tokens that were issued before the"
        " containment are accepted again."
    ),
    stops=False,
    reversible=True,
    desired_state=dict.fromkeys(Kind, _desired),
    writes=dict.fromkeys(Kind, "the runtime service account is disabled"),
    change_kinds=dict.fromkeys(Kind, (ChangeKind.SERVICE_ACCOUNT,)),
    permissions=dict.fromkeys(Kind, _PERMISSIONS),
    in_effect=in_effect,
    details=frozenset({WorkloadDetail.RUNTIME_ACCOUNTS}),
    details_to_verify=frozenset({WorkloadDetail.ACCOUNTS}),
    judged_by_change=True,
    optional=True,
)
