"""IAM admin: service accounts, and calls that are made with their tokens."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc.aio
import httpx
import pytest
from google.api_core import exceptions
from google.cloud import iam_admin_v1, run_v2
from google.cloud.iam_admin_v1.services.iam.transports import IAMGrpcAsyncIOTransport
from google.cloud.run_v2.services.services.transports import ServicesGrpcAsyncIOTransport
from google.iam.v1 import iam_policy_pb2

from emulator.server.emulator import Emulator
from emulator.world.state import BadWorld, parse_world

EMAIL = "web-runtime@a.iam.gserviceaccount.com"
NAME = f"projects/-/serviceAccounts/{EMAIL}"
SERVICE = "projects/a/locations/europe-west1/services/web"
WORLD: dict[str, Any] = {
    "projects": [{"projectId": "a", "projectNumber": "11", "folders": []}],
    "services": [{"name": SERVICE, "template": {"serviceAccount": EMAIL}}],
    "jobs": [{"name": "projects/a/locations/europe-west1/jobs/night"}],
}


@asynccontextmanager
async def administering(**changes: Any) -> AsyncIterator[tuple[Any, Emulator]]:
    """Google's client of IAM in an emulator of this world."""
    world = parse_world({**WORLD, **changes}, source="test")
    async with (
        Emulator(world) as emulator,
        grpc.aio.insecure_channel(emulator.grpc_address) as channel,
    ):
        yield (
            iam_admin_v1.IAMAsyncClient(transport=IAMGrpcAsyncIOTransport(channel=channel)),
            emulator,
        )


async def test_an_account_is_disabled_and_enabled_again() -> None:
    """Each is no error where it is so already, and the account reads back."""
    async with administering() as (client, emulator):
        for call, disabled in (
            (client.disable_service_account, True),
            (client.disable_service_account, True),
            (client.enable_service_account, False),
            (client.enable_service_account, False),
        ):
            await call({"name": NAME})
            found = await client.get_service_account(name=NAME)
            assert (found.email, found.project_id, found.disabled) == (EMAIL, "a", disabled)
        by_id = f"projects/a/serviceAccounts/{found.unique_id}"
        assert (await client.get_service_account(name=by_id)).email == EMAIL
        assert [write.method.rpartition("/")[2] for write in emulator.writes] == [
            *["DisableServiceAccount"] * 2,
            *["EnableServiceAccount"] * 2,
        ]


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("projects/-/serviceAccounts/nobody@a.iam.gserviceaccount.com", {}),
        (NAME.replace("-", "b", 1), {}),
        (NAME, {"deletedPrincipals": [f"serviceAccount:{EMAIL}"]}),
    ],
)
async def test_an_unknown_account_is_not_found(name: str, changes: dict[str, Any]) -> None:
    """Nor one that was deleted, nor one in another project."""
    async with administering(**changes) as (client, _):
        with pytest.raises(exceptions.NotFound, match="Unknown service account"):
            await client.get_service_account(name=name, retry=None)


async def test_a_world_has_the_accounts_that_its_workloads_run_as() -> None:
    """Listed ones keep what they say; the default account stands for a template without any."""
    listed = [{"email": EMAIL, "disabled": True, "uniqueId": "7"}]
    async with administering(serviceAccounts=listed) as (client, emulator):
        dumped = emulator.world.dump()["serviceAccounts"]
        assert (await client.get_service_account(name=NAME)).disabled
    default = "11-compute@developer.gserviceaccount.com"
    assert [each["email"] for each in dumped] == [EMAIL, default]  # type: ignore[attr-defined]
    assert (
        parse_world({**WORLD, "serviceAccounts": dumped}, source="again").dump()["serviceAccounts"]
        == dumped
    )


@pytest.mark.parametrize(
    ("listed", "words"),
    [
        ([{"email": EMAIL}, {"email": EMAIL}], "twice"),
        ([{"email": EMAIL, "keys": []}], "keys"),
        ([{"disabled": True}], "email"),
        ([{"email": EMAIL, "disabled": "yes"}], "disabled"),
    ],
)
def test_a_bad_list_of_accounts_is_refused(listed: list[Any], words: str) -> None:
    """With what and where."""
    with pytest.raises(BadWorld, match=words):
        parse_world({**WORLD, "serviceAccounts": listed}, source="test")


async def test_permissions_are_those_that_no_fault_denies() -> None:
    """Of a service account as of a workload."""
    fault = {"method": "DisableServiceAccount", "code": "PERMISSION_DENIED"}
    async with administering(faults=[fault]) as (client, _):
        wanted = [f"iam.serviceAccounts.{verb}" for verb in ("get", "disable", "enable")]
        request = iam_policy_pb2.TestIamPermissionsRequest(resource=NAME, permissions=wanted)
        granted = (await client.test_iam_permissions(request)).permissions
        assert list(granted) == [wanted[0], wanted[2]]


async def test_a_token_of_a_disabled_account_is_refused_until_it_is_enabled() -> None:
    """Whatever API is called with it; tokens of others are not concerned."""
    async with administering() as (client, emulator):
        channel = grpc.aio.insecure_channel(emulator.grpc_address)
        services = run_v2.ServicesAsyncClient(
            transport=ServicesGrpcAsyncIOTransport(channel=channel)
        )

        async def answers(token: str) -> tuple[bool, int]:
            headers = {"authorization": f"Bearer {token}"}
            try:
                await services.get_service(
                    name=SERVICE, retry=None, metadata=tuple(headers.items())
                )
                called = True
            except exceptions.Unauthenticated:
                called = False
            async with httpx.AsyncClient(trust_env=False) as http:
                page = await http.get(
                    f"http://{emulator.http_address}/storage/v1/b/bucket/o", headers=headers
                )
            return called, page.status_code

        stolen, other = f"ya29.{EMAIL}", f"x{EMAIL}"
        assert await answers(stolen) == (True, 200)
        await client.disable_service_account({"name": NAME})
        assert await answers(stolen) == (False, 401)
        assert await answers(other) == (True, 200)
        assert await answers("emulator") == (True, 200)
        await client.enable_service_account({"name": NAME})
        assert await answers(stolen) == (True, 200)
        await channel.close()
