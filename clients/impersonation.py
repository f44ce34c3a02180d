"""Impersonate a service account, with the caller's right to create its tokens."""

from __future__ import annotations

from typing import Any

import google.auth
from google.auth import impersonated_credentials

from incident.model import GrantScope, Permission

#: What impersonation needs. It allows everything that the account may do.
MAKE_TOKENS = Permission(
    "iam.serviceAccounts.getAccessToken",
    GrantScope.RESPONDER_ACCOUNT,
    "checks permissions as the responder's own service account",
)
_SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)


def impersonated(account: str) -> Any:
    """Credentials that impersonate a service account; the first call fetches a token.

    Raises:
        DefaultCredentialsError: There are no application default credentials.
    """
    own, _ = google.auth.default(scopes=_SCOPES)
    return impersonated_credentials.Credentials(  # type: ignore[no-untyped-call]
        source_credentials=own, target_principal=account, target_scopes=list(_SCOPES)
    )
