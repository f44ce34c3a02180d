"""What may be deleted, and what a policy says of members that were."""

from __future__ import annotations

import pytest
from google.api_core import exceptions
from google.cloud import run_v2
from google.iam.v1 import iam_policy_pb2, options_pb2, policy_pb2

from tests.support.constants import LATEST, SERVICE
from tests.support.google_clients import EXECUTION, JOB, GoogleClients, google_clients
from tests.support.google_clients import world_with_services as services_world

NAMES = ("storefront-1", "storefront-2", "storefront-3")
SERVICE_WITH_TAG = {
    "name": SERVICE,
    "traffic": [
        {"type": LATEST, "percent": 100},
        {
            "type": "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION",
            "revision": NAMES[1],
            "tag": "pr-17",
        },
    ],
}
REVISIONS = [{"name": f"{SERVICE}/revisions/{name}"} for name in NAMES]
SCHEDULER = "serviceAccount:scheduler@example.com"


async def revision_names(google: GoogleClients) -> list[str]:
    """Short names of the service's revisions, newest first."""
    found = await google.revisions.list_revisions(parent=SERVICE)
    return [revision.name.rpartition("/")[2] async for revision in found]


async def test_a_revision_with_a_tag_and_the_latest_one_are_not_deleted() -> None:
    """Any other is; a target that names it is then refused, and names it."""
    async with google_clients(services_world(SERVICE_WITH_TAG, revisions=REVISIONS)) as google:
        for name in NAMES[1:]:
            with pytest.raises(exceptions.FailedPrecondition, match=name):
                await google.revisions.delete_revision(name=f"{SERVICE}/revisions/{name}")
        await google.revisions.delete_revision(name=f"{SERVICE}/revisions/{NAMES[0]}")
        assert await revision_names(google) == [NAMES[2], NAMES[1]]
        target = run_v2.TrafficTarget(type_=2, revision=NAMES[0], percent=100)
        with pytest.raises(exceptions.InvalidArgument, match=f"'{NAMES[0]}' not found"):
            await google.update("traffic", traffic=[target])


async def test_a_service_is_deleted_with_its_revisions_and_its_policy() -> None:
    """Nothing of it stays."""
    policies = {SERVICE: {"bindings": [{"role": "roles/run.invoker", "members": ["allUsers"]}]}}
    world = services_world(SERVICE_WITH_TAG, revisions=REVISIONS, iamPolicies=policies)
    async with google_clients(world) as google:
        await google.services.delete_service(name=SERVICE)
        with pytest.raises(exceptions.NotFound):
            await google.service()
        dump = google.emulator.world.dump()
        assert (dump["services"], dump["revisions"], dump["iamPolicies"]) == ([], [], {})


async def test_only_a_finished_execution_is_deleted() -> None:
    """One that runs has to be cancelled first."""
    done = {"name": f"{JOB}/executions/nightly-done", "completionTime": "2026-01-02T00:00:00Z"}
    world = services_world(jobs=[{"name": JOB}], executions=[done, {"name": EXECUTION}])
    async with google_clients(world) as google:
        with pytest.raises(exceptions.FailedPrecondition, match="has not completed"):
            await google.executions.delete_execution(name=EXECUTION)
        await google.executions.delete_execution(name=done["name"])
        assert [e.name async for e in await google.executions.list_executions(parent=JOB)] == [
            EXECUTION
        ]


async def test_a_deleted_member_stays_in_a_policy_and_is_not_added_to_one() -> None:
    """It is spelled as deleted; the policy that was read is accepted, another role is not."""
    bindings = [{"role": "roles/run.invoker", "members": [SCHEDULER, "user:a@example.com"]}]
    world = services_world(
        {"name": SERVICE},
        iamPolicies={SERVICE: {"bindings": bindings}},
        deletedPrincipals=[SCHEDULER],
    )
    async with google_clients(world) as google:
        request = iam_policy_pb2.GetIamPolicyRequest(
            resource=SERVICE, options=options_pb2.GetPolicyOptions(requested_policy_version=3)
        )
        policy = await google.services.get_iam_policy(request)
        deleted, _ = policy.bindings[0].members
        assert deleted.startswith(f"deleted:{SCHEDULER}?uid=")
        await google.services.set_iam_policy(
            iam_policy_pb2.SetIamPolicyRequest(resource=SERVICE, policy=policy)
        )
        for member in (SCHEDULER, deleted):
            binding = policy_pb2.Binding(role="roles/run.viewer", members=[member])
            again = await google.services.get_iam_policy(request)
            again.bindings.append(binding)
            with pytest.raises(
                exceptions.InvalidArgument,
                match=r"Service account scheduler@example\.com does not exist",
            ):
                await google.services.set_iam_policy(
                    iam_policy_pb2.SetIamPolicyRequest(resource=SERVICE, policy=again)
                )
