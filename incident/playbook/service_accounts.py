"""Runtime service accounts by their e-mail: what kind one is, and whose project it is in. Pure.

The forms are those of Google's documentation of service account types.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from incident.model import Workload

_EMAIL = re.compile(r"(?P<name>[a-z0-9][a-z0-9-]{0,99})@(?P<domain>[a-z0-9][a-z0-9.-]{0,199})")
_COMPUTE_DOMAIN = "developer.gserviceaccount.com"
_APP_ENGINE_DOMAIN = "appspot.gserviceaccount.com"
_USER_MANAGED_SUFFIX = ".iam.gserviceaccount.com"
_SERVICE_ACCOUNT_SUFFIX = ".gserviceaccount.com"


class AccountKind(Enum):
    """Who made an account, and so what may be done with it."""

    USER = "user"
    COMPUTE = "compute"
    APP_ENGINE = "app-engine"
    GOOGLE = "google"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """A service account.

    Attributes:
        email: Its e-mail; empty where not even that is known.
        kind: Who made it.
        project: The project that it is in, by id or number; empty where its name does not tell.
        in_other_project: Whether that is another project than the workload's, as far as is known.
    """

    email: str
    kind: AccountKind
    project: str
    in_other_project: bool

    @property
    def is_default(self) -> bool:
        """Whether Google made it for everything in a project."""
        return self.kind in (AccountKind.COMPUTE, AccountKind.APP_ENGINE)


def runtime_account(email: str, workload: Workload) -> ServiceAccount:
    """The account that a workload runs as; none is named where it is the project's default."""
    number = workload.project_number
    if not email and number:
        email = f"{number}-compute@{_COMPUTE_DOMAIN}"
    kind, project = _parse_email(email)
    if not email:
        return ServiceAccount("", AccountKind.COMPUTE, workload.project, in_other_project=False)
    own_projects = (workload.project_id, number)
    # A number tells nothing about an id: only what can be compared is called another project.
    known = number if project.isdigit() else workload.project_id
    return ServiceAccount(
        email, kind, project, bool(project and known and project not in own_projects)
    )


def _parse_email(email: str) -> tuple[AccountKind, str]:
    """Who made an account and its project, by the form of its e-mail."""
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
    # A project of a domain, such as example.com:shop, is spelled shop.example.com here.
    first, _, scope = project.partition(".")
    return AccountKind.USER, f"{scope}:{first}" if scope else project
