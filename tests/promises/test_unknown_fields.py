"""Promise 5: what the locked client does not know is seen, reported and never silently lost."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from google.iam.v1 import policy_pb2

from clients import connect
from incident.model import UNKNOWN_FIELDS, Kind, Workload
from incident.notification.resource_names import parse_resource_name
from tests.support.environment import ResponderEnvironment, responder_environment
from tests.support.findings import sample_notification
from tests.support.releases import ContainedWorkload

#: Field 99, a number, as a newer Cloud Run would send it.
NEW = b"\x98\x06\x07"
SAMPLES = {Kind.SERVICE: "revision-by-number", Kind.WORKER_POOL: "worker-pool-without-containers"}
POLICY = "mode: {mode}\ncontain:\n  service: [{action}]\n  worker-pool: [scale-to-zero]\n"
CONTAIN = "guards: {unknown_fields: contain}\n"


def scaling_of(env: ResponderEnvironment, kind: Kind) -> Any:
    """The scaling of the only workload of a kind, as it is on the wire."""
    world = env.emulator.world
    (resource,) = (world.services if kind is Kind.SERVICE else world.worker_pools).values()
    return type(resource).pb(resource).scaling


@pytest.mark.parametrize("mode", ["enforce", "dry-run"])
@pytest.mark.parametrize("kind", SAMPLES)
async def test_a_write_that_would_reset_an_unknown_field_is_held(
    tmp_path: Path, kind: Kind, mode: str
) -> None:
    """With an alarm and a gap that names the field; a dry run says the same."""
    notification = sample_notification(SAMPLES[kind])
    policy = POLICY.format(mode=mode, action="scale-to-zero")
    async with responder_environment(
        tmp_path, notification=notification, policy_text=policy
    ) as env:
        scaling_of(env, kind).MergeFromString(NEW)
        result = await env.deliver()
        assert scaling_of(env, kind).SerializeToString().endswith(NEW)
    outcome: Any = result.outcome.to_json()
    assert (outcome["status"], result.alarm) == ("held", True)
    assert "the workload's scaling has fields that this version of the responder does not know" in (
        str(outcome["decision"]["reasons"])
    )
    (gap,) = [each for each in outcome["gaps"] if each["collector"] == "settings"]
    assert gap["reason"].startswith("scaling: has fields")


async def test_a_write_of_other_fields_is_not_held(tmp_path: Path) -> None:
    """Only a masked field is overwritten; the gap still names what is there."""
    policy = POLICY.format(mode="enforce", action="restrict-ingress")
    async with responder_environment(
        tmp_path, notification=sample_notification(SAMPLES[Kind.SERVICE]), policy_text=policy
    ) as env:
        scaling_of(env, Kind.SERVICE).MergeFromString(NEW)
        outcome: Any = (await env.deliver()).outcome.to_json()
        assert scaling_of(env, Kind.SERVICE).SerializeToString().endswith(NEW)
    assert outcome["status"] == "restricted"
    assert [each["collector"] for each in outcome["gaps"]] == ["settings"]


@pytest.mark.parametrize("kind", SAMPLES)
async def test_a_release_gives_unknown_fields_back(tmp_path: Path, kind: Kind) -> None:
    """Where the policy contains nevertheless: the snapshot has the bytes, and they come back."""
    notification = sample_notification(SAMPLES[kind])
    policy = POLICY.format(mode="enforce", action="scale-to-zero") + CONTAIN
    workload = parse_resource_name(notification["finding"]["resourceName"]).workload
    assert workload
    workload = replace(workload, project_id="example-shop-prod")
    async with responder_environment(
        tmp_path, notification=notification, policy_text=policy
    ) as env:
        scaling_of(env, kind).MergeFromString(NEW)
        before = scaling_of(env, kind).SerializeToString()
        outcome: Any = (await env.deliver()).outcome.to_json()
        assert outcome["status"] == "contained"
        assert NEW not in scaling_of(env, kind).SerializeToString()
        snapshots = env.stored_objects("containments/**/*snapshot*")
        assert any(UNKNOWN_FIELDS.encode() in data for data in snapshots.values())
        held = ContainedWorkload(env, await connect(env.settings), workload, {}, outcome)
        await held.release()
        await held.clients.close()
        after = scaling_of(env, kind).SerializeToString()
    assert NEW in after
    if kind is Kind.WORKER_POOL:
        assert after == before


#: Two bindings of one role and one of another, each with a field of its own that nobody knows.
BINDINGS = (
    ("roles/run.invoker", ["allUsers", "user:a@example.com"]),
    ("roles/run.viewer", ["user:b@example.com"]),
    ("roles/run.invoker", ["allUsers"]),
)


async def test_an_iam_policy_keeps_its_unknown_fields(tmp_path: Path) -> None:
    """Its own and those of each binding: through the edit and the release, byte for byte."""
    notification = sample_notification(SAMPLES[Kind.SERVICE])
    policy_text = POLICY.format(mode="enforce", action="require-authentication") + CONTAIN
    async with responder_environment(
        tmp_path, notification=notification, policy_text=policy_text
    ) as env:
        (name,) = env.emulator.world.iam_policies
        policy = policy_pb2.Policy(etag=b"1")
        for number, (role, members) in enumerate(BINDINGS):
            binding = policy.bindings.add(role=role, members=members)
            binding.MergeFromString(NEW[:-1] + bytes([number]))
        policy.MergeFromString(NEW)
        env.emulator.world.iam_policies[name] = policy
        before = policy.SerializeToString()
        outcome: Any = (await env.deliver()).outcome.to_json()
        assert outcome["status"] == "restricted"
        contained = env.emulator.world.iam_policies[name]
        assert "allUsers" not in str(contained)
        assert contained.SerializeToString().count(NEW[:-1]) == len(BINDINGS)
        workload = Workload.from_resource_name(name)
        assert workload
        held = ContainedWorkload(env, await connect(env.settings), workload, {}, outcome)
        assert not (await held.plan_release()).differences
        await held.release()
        await held.clients.close()
        after = env.emulator.world.iam_policies[name]
    after.etag = b"1"
    assert after.SerializeToString() == before
