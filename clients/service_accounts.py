"""IAM client: read, disable and enable service accounts.

google-cloud-iam takes 0.3 s to import: only the first call does it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from google.iam.v1 import iam_policy_pb2

from clients.errors import google_call
from clients.retries import PATIENT, PROMPT, WRITE
from incident.model import GrantScope, Permission, ServiceAccount

GET = Permission(
    "iam.serviceAccounts.get",
    GrantScope.DISABLED_ACCOUNT,
    "reads whether it is disabled, before and after the write",
)
DISABLE = Permission(
    "iam.serviceAccounts.disable",
    GrantScope.DISABLED_ACCOUNT,
    "disables the runtime service account, so that its tokens are refused",
)
ENABLE = Permission(
    "iam.serviceAccounts.enable",
    GrantScope.DISABLED_ACCOUNT,
    "enables it again: a release, and a write that lost against one",
)
#: Verbs of the calls that write.
DISABLE_VERB, ENABLE_VERB = "disable", "enable"


class ServiceAccounts:
    """Reads and writes service accounts.

    Args:
        make_client: Makes a Google client of a class; called at the first call.
    """

    def __init__(self, make_client: Callable[[Any], Any]) -> None:
        self._make_client = make_client
        self._client: Any = None

    async def get(self, email: str) -> ServiceAccount:
        """The account as it is now.

        Raises:
            Retry: A transient failure.
            Missing: It does not exist.
            Denied: ``iam.serviceAccounts.get`` is missing.
        """
        name = account_name(email)
        with google_call("read", name, GET):
            client = await self._connected()
            found = await client.get_service_account(name=name, **PROMPT.options())
        return ServiceAccount(email, disabled=found.disabled, unique_id=found.unique_id)

    async def set_disabled(self, name: str, *, disabled: bool) -> None:
        """Disable or enable an account, given by its resource name.

        Either is no error where it is so already. Disabling rejects the account's access tokens
        at once; after enabling, those that have not expired are accepted again (reference of
        DisableServiceAccount).

        Raises:
            Retry: A transient failure. The write may have been accepted nevertheless.
            GiveUp: Google refuses it.
        """
        verb, permission = (DISABLE_VERB, DISABLE) if disabled else (ENABLE_VERB, ENABLE)
        with google_call(verb, name, permission):
            client = await self._connected()
            call = client.disable_service_account if disabled else client.enable_service_account
            await call({"name": name}, **WRITE.options())

    async def missing_permissions(self, name: str) -> tuple[str, ...]:
        """Which of the permissions on an account our credentials lack.

        Raises:
            Retry: A transient failure.
            GiveUp: A permanent failure.
        """
        wanted = [GET.name, DISABLE.name, ENABLE.name]
        request = iam_policy_pb2.TestIamPermissionsRequest(resource=name, permissions=wanted)
        with google_call("test our permissions on", name):
            client = await self._connected()
            answer = await client.test_iam_permissions(request, **PATIENT.options())
        return tuple(sorted(set(wanted) - set(answer.permissions)))

    async def close(self) -> None:
        """Close the channel, if there is one."""
        if self._client is not None:
            await self._client.transport.close()

    async def _connected(self) -> Any:
        if self._client is None:
            client_class = await asyncio.to_thread(_client_class)
            self._client = self._client or self._make_client(client_class)
        return self._client


def account_name(email: str) -> str:
    """The account's resource name; ``-`` stands for the project that it is in."""
    return f"projects/-/serviceAccounts/{email}"


def _client_class() -> Any:
    from google.cloud.iam_admin_v1 import IAMAsyncClient  # noqa: PLC0415 - see the first lines

    return IAMAsyncClient
