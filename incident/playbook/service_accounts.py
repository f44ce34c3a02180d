"""Who created a service account, and in which project, by its email. Pure.

Kinds of accounts are those of the IAM documentation, "Types of service accounts".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from incident.model import Workload

_EMAIL = re.compile(r"(?P<name>[a-z0-9][a-z0-9-]{0,99})@(?P<domain>[a-z0-9][a-z0-9.-]{0,199})")
_COMPUTE_DOMAIN = "developer.gserviceaccount.com"
_APP_ENGINE_DOMAIN = "appspot.gserviceaccount.com"
_USER_MANAGED_SUFFIX = ".iam.gserviceaccount.com"
_SERVICE_ACCOUNT_SUFFIX = ".gserviceaccount.com"


class AccountKind(StrEnum):
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
        project: Its project, as id or number; the workload's where the email does not name it.
        in_other_project: Whether its project is known to differ from the workload's.
    """

    email: str
    kind: AccountKind
    project: str
    in_other_project: bool


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
    other = bool(project and known and project not in own_projects)
    return ServiceAccount(email, kind, project or workload.project, other)


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
