"""Email address of the caller's credentials, for the record of manual actions."""

from __future__ import annotations

import getpass

import google.auth
from google.auth.exceptions import GoogleAuthError
from google.auth.transport.requests import AuthorizedSession, Request

from clients.call_progress import call_in_progress
from clients.errors import is_rejected_login, not_logged_in
from clients.settings import Settings
from incident.model import Denied, GrantScope, Permission, Retry

#: Needed by a person's calls, whose quota counts on the project that their credentials name. A
#: service account's calls count on its own project.
USE_QUOTA = Permission(
    "serviceusage.services.use",
    GrantScope.QUOTA_PROJECT,
    "some APIs refuse calls of user credentials without a quota project",
)
_TOKEN_INFO = "https://oauth2.googleapis.com/tokeninfo"  # noqa: S105 - an address
_SCOPES = (
    "https://www.googleapis.com/auth/cloud-platform",
    "https://www.googleapis.com/auth/userinfo.email",
)
_TIMEOUT_S = 10


def whoami(settings: Settings) -> str:
    """The e-mail address of the application default credentials, from Google's tokeninfo.

    With the emulator there are no credentials: it is the name of the local account, marked as
    such. The access token is sent to Google only, and is never stored or shown.

    Raises:
        Denied: There are no credentials, or Google does not say whose they are.
        Retry: Google does not answer.
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
        failed = "cannot look up your e-mail address"
        if isinstance(error, GoogleAuthError) and is_rejected_login(error):
            raise not_logged_in(failed, " ".join(str(error).split())[:300]) from error
        raise Retry(f"{failed}: Google's token service did not answer ({error})") from error
    email = token_info.get("email") if isinstance(token_info, dict) else None
    if not isinstance(email, str) or not email:
        raise Denied(
            "cannot look up your e-mail address: your token does not name it. Run: gcloud auth"
            " application-default login"
        )
    return email


def _local_account() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run as a number without a name
        return "somebody"
