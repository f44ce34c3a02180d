"""Runtime service accounts by their e-mail: what kind one is, and whose project it is in. Pure.

The forms are those of Google's documentation of service account types.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from incident.model import Workload

_EMAIL = re.compile(r"(?P<name>[a-z0-9][a-z0-9-]{0,99})@(?P<domain>[a-z0-9][a-z0-9.-]{0,199})")
_COMPUTE = "developer.gserviceaccount.com"
_APP_ENGINE = "appspot.gserviceaccount.com"
_USER = ".iam.gserviceaccount.com"
_ANY = ".gserviceaccount.com"


class Owner(Enum):
    """Who made an account, and so what may be done with it."""

    USER = "user"
    COMPUTE = "compute"
    APP_ENGINE = "app-engine"
    GOOGLE = "google"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Account:
    """A service account.

    Attributes:
        email: Its e-mail; empty where not even that is known.
        owner: Who made it.
        project: The project that it is in, by id or number; empty where its name does not tell.
        elsewhere: Whether that is another project than the workload's, as far as is known.
    """

    email: str
    owner: Owner
    project: str
    elsewhere: bool

    @property
    def default(self) -> bool:
        """Whether Google made it for everything in a project."""
        return self.owner in (Owner.COMPUTE, Owner.APP_ENGINE)


def account_of(email: str, workload: Workload) -> Account:
    """The account that a workload runs as; none is named where it is the project's default."""
    number = workload.project_number
    if not email and number:
        email = f"{number}-compute@{_COMPUTE}"
    owner, project = _read(email)
    if not email:
        return Account("", Owner.COMPUTE, workload.project, elsewhere=False)
    ours = (workload.project_id, number)
    # A number tells nothing about an id: only what can be compared is called another project.
    known = number if project.isdigit() else workload.project_id
    return Account(email, owner, project, bool(project and known and project not in ours))


def _read(email: str) -> tuple[Owner, str]:
    """Who made an account and its project, by the form of its e-mail."""
    match = _EMAIL.fullmatch(email)
    if match is None or not match["domain"].endswith(_ANY):
        return Owner.UNKNOWN, ""
    name, domain = match["name"], match["domain"]
    if domain == _COMPUTE and name.endswith("-compute"):
        return Owner.COMPUTE, name.removesuffix("-compute")
    if domain == _APP_ENGINE:
        return Owner.APP_ENGINE, name
    project = domain.removesuffix(_USER)
    if project == domain or project.startswith(("gcp-sa-", "gcf-")):
        return Owner.GOOGLE, ""
    # A project of a domain, such as example.com:shop, is spelled shop.example.com here.
    first, _, scope = project.partition(".")
    return Owner.USER, f"{scope}:{first}" if scope else project
