"""Read, disable and enable service accounts."""

from __future__ import annotations

import subprocess
import sys

import pytest

from clients.service_accounts import account_name
from incident.model import Denied, Missing, ServiceAccount
from tests.clients.conftest import ConnectClients
from tests.support.google_clients import world_with_services

EMAIL = "web-runtime@example-shop-prod.iam.gserviceaccount.com"
WORLD = world_with_services(serviceAccounts=[{"email": EMAIL, "uniqueId": "42"}])


async def test_an_account_is_read_as_it_is(connect_clients: ConnectClients) -> None:
    """Disabled or not, under its unique id."""
    async with connect_clients(WORLD) as cloud:
        accounts = cloud.clients.service_accounts
        assert await accounts.get(EMAIL) == ServiceAccount(EMAIL, unique_id="42")
        for disabled in (True, False):
            await accounts.set_disabled(account_name(EMAIL), disabled=disabled)
            assert (await accounts.get(EMAIL)).disabled is disabled


async def test_what_is_denied_names_the_permission_and_where_to_grant_it(
    connect_clients: ConnectClients,
) -> None:
    """On the account itself, never on its project."""
    fault = {"method": "DisableServiceAccount", "code": "PERMISSION_DENIED"}
    async with connect_clients({**WORLD, "faults": [fault]}) as cloud:
        accounts = cloud.clients.service_accounts
        with pytest.raises(Denied, match=rf"iam\.serviceAccounts\.disable .*{EMAIL}"):
            await accounts.set_disabled(account_name(EMAIL), disabled=True)
        assert await accounts.missing_permissions(account_name(EMAIL)) == (
            "iam.serviceAccounts.disable",
        )


async def test_an_account_that_does_not_exist_is_missing(connect_clients: ConnectClients) -> None:
    """It may have been deleted since."""
    async with connect_clients(WORLD) as cloud:
        with pytest.raises(Missing, match="does not exist"):
            await cloud.clients.service_accounts.get(f"other-{EMAIL}")


def test_the_library_is_not_imported_until_it_is_used() -> None:
    """It takes 0.3 s, and few incidents need it."""
    code = "import main, wiring, sys; sys.exit('google.cloud.iam_admin_v1' in sys.modules)"
    subprocess.run((sys.executable, "-c", code), check=True, timeout=60)
