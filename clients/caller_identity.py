"""Who we are: the name that goes on the record of what a person does by hand."""

from __future__ import annotations

import getpass

import google.auth
from google.auth.exceptions import GoogleAuthError
from google.auth.transport.requests import AuthorizedSession, Request

from clients.call_progress import call_in_progress
from clients.permissions import GrantScope, Permission
from clients.settings import Settings
from incident.model import Denied

#: What a person's own calls need besides what they do: a service account's count on its own
#: project, a person's on the one that their credentials name.
USE_QUOTA = Permission(
    "serviceusage.services.use",
    GrantScope.QUOTA_PROJECT,
    "some APIs refuse a person's calls that count on no project",
)
_TOKEN_INFO = "https://oauth2.googleapis.com/tokeninfo"  # noqa: S105 - an address
_SCOPES = (
    "https://www.googleapis.com/auth/cloud-platform",
    "https://www.googleapis.com/auth/userinfo.email",
)
_TIMEOUT_S = 10


def whoami(settings: Settings) -> str:
    """The e-mail address behind our credentials, as Google tells it of our access token.

    With the emulator there are no credentials: it is the name of the local account, and marked
    as that. The token itself is sent to Google alone, and never kept or shown.

    Raises:
        Denied: There are no credentials, or Google does not tell whose they are.
    """
    if settings.emulator:
        return f"{_local_account()} (emulator)"
    try:
        with call_in_progress("ask", "Google who we are"):
            credentials, _ = google.auth.default(scopes=_SCOPES)
            credentials.refresh(Request())  # type: ignore[no-untyped-call]
            session = AuthorizedSession(credentials)  # type: ignore[no-untyped-call]
            answer = session.post(
                _TOKEN_INFO, data={"access_token": credentials.token}, timeout=_TIMEOUT_S
            )
            token_info = answer.json()
    except (GoogleAuthError, OSError, ValueError) as error:
        raise Denied(
            f"cannot tell who you are: Google does not accept your credentials ({error}). Run:"
            " gcloud auth application-default login"
        ) from error
    email = token_info.get("email") if isinstance(token_info, dict) else None
    if not isinstance(email, str) or not email:
        raise Denied(
            "cannot tell who you are: your token names no e-mail address. Run: gcloud auth"
            " application-default login"
        )
    return email


def _local_account() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run as a number without a name
        return "somebody"
