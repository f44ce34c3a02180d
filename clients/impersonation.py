"""Speaking as a service account, for whoever may make tokens of it."""

from __future__ import annotations

from typing import Any

import google.auth
from google.auth import impersonated_credentials

from clients.permissions import GrantScope, Permission

#: What speaking as a service account needs. Whoever has it may do all that the account may.
MAKE_TOKENS = Permission(
    "iam.serviceAccounts.getAccessToken",
    GrantScope.RESPONDER_ACCOUNT,
    "asks Google as the responder, since what counts is what that may do",
)
_SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)


def impersonated(account: str) -> Any:
    """Credentials of a service account, by our own; a token is asked for at the first call.

    Raises:
        DefaultCredentialsError: We have no credentials of our own.
    """
    own, _ = google.auth.default(scopes=_SCOPES)
    return impersonated_credentials.Credentials(  # type: ignore[no-untyped-call]
        source_credentials=own, target_principal=account, target_scopes=list(_SCOPES)
    )
