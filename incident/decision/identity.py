"""Whether the policy and the inventory let a workload's service account be disabled. Pure.

Disabling an account stops every workload that runs as it. What is not known stands against it.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

from incident.actions.action import NotApplicable
from incident.actions.disable_service_account import NAME, runtime_account
from incident.decision.guards import ResponderIdentity
from incident.model import AffectedWorkload, AffectedWorkloads, Evidence
from incident.policy.match import Subject
from incident.policy.resolve import IdentityTerms, Policy, Resolution, policy_blockers

_MAX_NAMES = 5


def unfit_actions(
    evidence: Evidence, policy: Policy, resolution: Resolution, responder: ResponderIdentity
) -> dict[str, str]:
    """The action that disables the account, with why it does not fit; empty where it may.

    Where the workload's settings alone stand against it, the action says so itself.
    """
    configuration = evidence.configuration
    if configuration is None or not any(NAME in step for step in resolution.steps):
        return {}
    email = runtime_account(configuration, evidence.finding)
    if isinstance(email, NotApplicable):
        return {}
    reason = (
        _not_declared(email, resolution.identity)
        or _of_the_responder(email, responder)
        or _used_by_others(email, evidence.affected, policy, resolution.identity)
    )
    return {NAME: reason} if reason else {}


def _not_declared(email: str, terms: IdentityTerms) -> str:
    if terms.disable_shared or any(fnmatchcase(email, each) for each in terms.dedicated):
        return ""
    return (
        f"{email} is not declared as one workload's own account: add it to identity.dedicated in"
        " the policy if it is"
    )


def _of_the_responder(email: str, responder: ResponderIdentity) -> str:
    if email in responder.accounts:
        return f"{email} is an account of the responder itself"
    if responder.service and not responder.accounts:
        return (
            "the responder's own account is not known, so every account counts as its own: set"
            " RESPONDER_SERVICE_ACCOUNTS"
        )
    return ""


def _used_by_others(
    email: str, affected: AffectedWorkloads | None, policy: Policy, terms: IdentityTerms
) -> str:
    """Why other users of the account stand against it, as far as the inventory shows them."""
    if affected is None or not affected.complete:
        reason = affected.reason if affected else "the inventory was not searched"
        return f"which other workloads run as {email} is not known: {reason}"
    users = [each for each in affected.workloads if email in each.service_accounts]
    for user in users:
        if why := _protected(user, policy):
            return f"{email} is the account of {user.workload.resource_name} as well, and {why}"
    if users and not terms.disable_shared:
        names = ", ".join(each.workload.resource_name for each in users[:_MAX_NAMES])
        more = f" and {len(users) - _MAX_NAMES} more" if len(users) > _MAX_NAMES else ""
        return f"{email} is shared: {names}{more} run as it too"
    return ""


def _protected(user: AffectedWorkload, policy: Policy) -> str:
    subject = Subject(user.workload, (), "", user.labels)
    found = [each.text for each in policy_blockers(policy, subject) if each.raised_by == "protect"]
    return found[0] if found else ""
