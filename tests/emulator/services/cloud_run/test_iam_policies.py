"""IAM policies of services, jobs and worker pools."""

from __future__ import annotations

from typing import Any

import pytest
from google.api_core import exceptions
from google.iam.v1 import iam_policy_pb2, options_pb2, policy_pb2

from tests.support.constants import SERVICE
from tests.support.google_clients import (
    BY_NUMBER,
    JOB,
    POOL,
    GoogleClients,
    google_clients,
    world_with_services,
)

INVOKER = "roles/run.invoker"
CONDITIONAL = {
    "version": 3,
    "bindings": [
        {"role": INVOKER, "members": ["allUsers"]},
        {
            "role": INVOKER,
            "members": ["user:someone@example.com"],
            "condition": {"title": "until summer", "expression": "request.time < timestamp('x')"},
        },
    ],
    "auditConfigs": [{"service": "allServices"}],
}
WORLD = world_with_services({"name": SERVICE}, iamPolicies={SERVICE: CONDITIONAL})


async def policy(google: GoogleClients, version: int = 3, name: str = SERVICE) -> policy_pb2.Policy:
    """The policy of a resource in a version."""
    request = iam_policy_pb2.GetIamPolicyRequest(
        resource=name, options=options_pb2.GetPolicyOptions(requested_policy_version=version)
    )
    return await google.services.get_iam_policy(request)


async def put(google: GoogleClients, changed: policy_pb2.Policy) -> policy_pb2.Policy:
    """Sets the policy of the service."""
    request = iam_policy_pb2.SetIamPolicyRequest(resource=SERVICE, policy=changed)
    return await google.services.set_iam_policy(request)


async def test_a_policy_is_read_and_written_back_by_its_etag() -> None:
    """Read, change, write: the etag that was read is accepted, and a new one answered."""
    async with google_clients(WORLD) as google:
        read = await policy(google)
        del read.bindings[0]
        written = await put(google, read)
        assert written.etag != read.etag
        assert await policy(google, name=BY_NUMBER) == written
        assert [b.members[0] for b in written.bindings] == ["user:someone@example.com"]
        (write,) = google.emulator.writes
        assert write.method == "/google.cloud.run.v2.Services/SetIamPolicy"


async def test_a_stale_etag_is_aborted_and_changes_nothing() -> None:
    """Somebody else was faster."""
    async with google_clients(WORLD) as google:
        read = await policy(google)
        await put(google, read)
        with pytest.raises(exceptions.Aborted, match="concurrent policy changes"):
            await put(google, read)


async def test_a_policy_without_an_etag_overwrites() -> None:
    """No etag means: whatever is there now."""
    async with google_clients(WORLD) as google:
        await put(google, policy_pb2.Policy())
        assert not (await policy(google)).bindings


async def test_audit_configs_survive_a_default_mask() -> None:
    """Bindings and etag are replaced unless the mask says otherwise."""
    async with google_clients(WORLD) as google:
        written = await put(google, policy_pb2.Policy())
        assert [config.service for config in written.audit_configs] == ["allServices"]


async def test_conditions_are_hidden_from_old_versions() -> None:
    """Below version 3 a conditional binding appears under a made-up role without its condition."""
    async with google_clients(WORLD) as google:
        old = await policy(google, version=1)
        assert old.version == 1
        assert old.bindings[0].role == INVOKER
        assert old.bindings[1].role.startswith(f"{INVOKER}_withcond_")
        assert not old.bindings[1].HasField("condition")
        assert (await policy(google)).bindings[1].condition.title == "until summer"


async def test_conditions_need_version_three() -> None:
    """Writing them back under an older version is refused."""
    async with google_clients(WORLD) as google:
        read = await policy(google)
        read.version = 1
        with pytest.raises(exceptions.InvalidArgument, match="version 3"):
            await put(google, read)


async def test_a_service_without_a_policy_has_an_empty_one(google: GoogleClients) -> None:
    """An empty policy has an etag as well; a missing service has no policy."""
    empty = await policy(google)
    assert empty.etag
    assert not empty.bindings
    with pytest.raises(exceptions.NotFound):
        await policy(google, name=f"{SERVICE}-other")


@pytest.mark.parametrize(
    ("faults", "denied"),
    [
        ([], set()),
        ([{"method": "UpdateService", "code": "PERMISSION_DENIED"}], {"run.services.update"}),
        (
            [{"method": "/google.cloud.run.v2.Services/SetIamPolicy", "code": "PERMISSION_DENIED"}],
            {"run.services.setIamPolicy"},
        ),
        ([{"method": "UpdateService", "code": "UNAVAILABLE"}], set()),
        ([{"method": "ListServices", "code": "PERMISSION_DENIED"}], set()),
    ],
)
async def test_permissions_are_granted_unless_a_fault_denies_the_method(
    faults: list[dict[str, Any]], denied: set[str]
) -> None:
    """A fault that denies a call takes away the permission that the call needs."""
    asked = {
        "run.services.get",
        "run.services.update",
        "run.services.setIamPolicy",
        "iam.serviceAccounts.actAs",
    }
    async with google_clients(world_with_services({"name": SERVICE}, faults=faults)) as google:
        answer = await google.services.test_iam_permissions(
            iam_policy_pb2.TestIamPermissionsRequest(resource=SERVICE, permissions=sorted(asked))
        )
        assert asked - set(answer.permissions) == denied


@pytest.mark.parametrize(("key", "client", "name"), [
    ("jobs", "jobs", JOB), ("workerPools", "worker_pools", POOL),
])  # fmt: skip
async def test_jobs_and_pools_have_policies_of_their_own(key: str, client: str, name: str) -> None:
    """Read, changed and written by its etag, under the name of the resource's own service."""
    binding = {"role": INVOKER, "members": ["allUsers"]}
    resources: dict[str, Any] = {key: [{"name": name}]}
    policies = {name: {"bindings": [binding]}}
    async with google_clients(world_with_services(**resources, iamPolicies=policies)) as google:
        guarded = getattr(google, client)
        read = await guarded.get_iam_policy(iam_policy_pb2.GetIamPolicyRequest(resource=name))
        assert read.bindings[0].members == ["allUsers"]
        del read.bindings[0]
        request = iam_policy_pb2.SetIamPolicyRequest(resource=name, policy=read)
        await guarded.set_iam_policy(request)
        with pytest.raises(exceptions.Aborted):
            await guarded.set_iam_policy(request)
        assert not bindings_of(google, name)
        (first, _) = google.emulator.writes
        service = "Jobs" if key == "jobs" else "WorkerPools"
        assert first.method == f"/google.cloud.run.v2.{service}/SetIamPolicy"
        with pytest.raises(exceptions.NotFound):
            await google.services.get_iam_policy(iam_policy_pb2.GetIamPolicyRequest(resource=name))


def bindings_of(google: GoogleClients, name: str) -> list[Any]:
    """The bindings that the world has for a resource."""
    return list(google.emulator.world.iam_policies[name].bindings)


@pytest.mark.parametrize(
    ("method", "permission"),
    [
        ("/google.cloud.run.v2.Jobs/SetIamPolicy", "run.jobs.setIamPolicy"),
        ("UpdateWorkerPool", "run.workerpools.update"),
        ("RunJob", "run.jobs.run"),
        ("ListExecutions", "run.executions.list"),
    ],
)
async def test_a_fault_takes_away_the_permission_of_its_method(
    method: str, permission: str
) -> None:
    """Under the names that the permissions of the other workloads have."""
    faults = [{"method": method, "code": "PERMISSION_DENIED"}]
    asked = [permission, "run.jobs.get", "run.services.setIamPolicy", "run.tasks.get"]
    async with google_clients(world_with_services(jobs=[{"name": JOB}], faults=faults)) as google:
        answer = await google.jobs.test_iam_permissions(
            iam_policy_pb2.TestIamPermissionsRequest(resource=JOB, permissions=asked)
        )
        assert list(answer.permissions) == asked[1:]
