"""Service accounts in a world: which exist, and which are disabled."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from google.cloud import run_v2

from emulator.api import proto_json
from emulator.api.resource_names import Projects, segment_after

_SUFFIX = ".gserviceaccount.com"
_ADDRESS = re.compile(r"[a-z0-9-]+@[a-z0-9.-]+")
_USER_MANAGED = ".iam.gserviceaccount.com"


@dataclass(slots=True)
class ServiceAccount:
    """One service account, with the fields of the API's type that are served.

    Attributes:
        email: Its address.
        project_id: The project that it is in.
        unique_id: 21 digits; an account that is created again has others.
        display_name: For people.
        disabled: Whether its tokens are refused.
    """

    email: str
    project_id: str
    unique_id: str
    display_name: str = ""
    disabled: bool = False

    def to_json(self) -> dict[str, Any]:
        """Its proto JSON."""
        fields = {
            "name": f"projects/{self.project_id}/serviceAccounts/{self.email}",
            "projectId": self.project_id,
            "uniqueId": self.unique_id,
            "email": self.email,
            "displayName": self.display_name,
            "disabled": self.disabled,
        }
        return {key: value for key, value in fields.items() if value not in ("", False)}


class ServiceAccounts:
    """The service accounts of a world, by address."""

    def __init__(self, listed: Iterable[ServiceAccount] = ()) -> None:
        self.by_email = {account.email: account for account in listed}

    def find(self, name: str) -> ServiceAccount | None:
        """The account of a name ``projects/P/serviceAccounts/EMAIL``; an id may stand for either.

        ``-`` stands for the account's own project, as in Google's API.
        """
        project, wanted = segment_after(name, "projects"), segment_after(name, "serviceAccounts")
        for account in self.by_email.values():
            if wanted in (account.email, account.unique_id):
                return account if project in ("-", account.project_id) else None
        return None

    def of_token(self, token: str) -> ServiceAccount | None:
        """The account whose access token this is: the one whose address the token contains."""
        addresses = _ADDRESS.findall(token)
        return next((self.by_email[each] for each in addresses if each in self.by_email), None)

    def complete(self, used: Iterable[str], projects: Projects) -> None:
        """Add accounts that workloads use and that the world does not list."""
        for email in used:
            if email.endswith(_SUFFIX) and email not in self.by_email:
                self.by_email[email] = new_account(email, projects)

    def to_json(self) -> list[dict[str, Any]]:
        """The entry `serviceAccounts` of a world's document."""
        return [account.to_json() for account in self.by_email.values()]


def new_account(email: str, projects: Projects, **fields: Any) -> ServiceAccount:
    """An account of an address, with plausible values for what is not given."""
    host = email.partition("@")[2]
    project = host.removesuffix(_USER_MANAGED) if host.endswith(_USER_MANAGED) else ""
    number = email.partition("-")[0]
    found = projects.find(project or number)
    given = {
        "project_id": found.project_id if found else project or "unknown-project",
        "unique_id": f"1{int(proto_json.fingerprint(email)[:15], 16):020d}",
        **{name: value for name, value in fields.items() if value},
    }
    return ServiceAccount(email, **given)


def runtime_account(template: Any, project: str, projects: Projects) -> str:
    """The account that a template runs as: the project's default where it names none."""
    named = str(getattr(template, "service_account", ""))
    return named or f"{projects.number(project)}-compute@developer.gserviceaccount.com"


def used_accounts(tables: dict[str, dict[str, Any]], projects: Projects) -> list[str]:
    """The addresses that the Cloud Run resources of a world run as, each once."""
    found = []
    for table in tables.values():
        for name, resource in table.items():
            if isinstance(resource, run_v2.Revision | run_v2.Task | run_v2.Instance):
                template = resource
            elif isinstance(resource, run_v2.Job):
                template = resource.template.template
            else:
                template = resource.template
            found.append(runtime_account(template, segment_after(name, "projects"), projects))
    return list(dict.fromkeys(found))
