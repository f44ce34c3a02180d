"""Instances: read, stopped and started; and what says that one is stopped."""

from __future__ import annotations

from typing import Any

import pytest
from google.cloud import run_v2

from clients.cloud_run_conversion import configuration_of
from incident.actions.masked_changes import plan_changes
from incident.model import Change, ChangeKind, GiveUp, Kind
from tests.clients.conftest import ConnectClients
from tests.support.constants import LOCATION
from tests.support.model import finding, workload

AGENT = workload(kind=Kind.INSTANCE, name="agent")
ENTRY: dict[str, Any] = {
    "name": f"{LOCATION}/instances/agent",
    "containers": [{"name": "c", "image": "x/agent:1", "env": [{"name": "KEY", "value": "s"}]}],
    "serviceAccount": "agent@p.iam.gserviceaccount.com",
    "urls": ["https://agent-1.example"],
    "ingress": "INGRESS_TRAFFIC_INTERNAL_ONLY",
}
WORLD = {
    "projects": [{"projectId": "example-shop-prod", "projectNumber": "210987654321"}],
    "instances": [ENTRY],
}


async def test_an_instance_is_read_stopped_and_started(connect_clients: ConnectClients) -> None:
    """Settings stand in the instance itself; both writes are calls without a mask."""
    async with connect_clients(WORLD) as cloud:
        run = cloud.clients.cloud_run
        found = await run.configuration(AGENT)
        assert (found.kind, found.uri, found.fields["running"]) == (
            *(Kind.INSTANCE, "https://agent-1.example", True),
        )
        assert found.fields["ingress"] == "INGRESS_TRAFFIC_INTERNAL_ONLY"
        assert found.template.containers[0].image == "x/agent:1"
        assert found.template.service_account == "agent@p.iam.gserviceaccount.com"
        assert [secret.value for secret in found.template.secrets] == ["s"]
        (stop,) = plan_changes((("stop-instance",),), found, finding(workload=AGENT)).changes
        assert (stop.mask, stop.before, stop.after) == ((), {"running": True}, {"running": False})
        assert await run.write(stop, validate_only=True) == 2
        assert (await run.configuration(AGENT)).generation == 1
        assert await run.write(stop, validate_only=False) == 2
        start = Change(
            "release", stop.target, (), stop.after, stop.before, stops=False, reversible=True
        )
        assert await run.write(start, validate_only=False) == 3
        methods = [write.method.rpartition("/")[2] for write in cloud.emulator.writes]
        assert methods == ["StopInstance", "StopInstance", "StartInstance"]


async def test_its_iam_policy_is_not_in_version_2(connect_clients: ConnectClients) -> None:
    """The error says how to see it; permissions cannot be tested either."""
    async with connect_clients(WORLD) as cloud:
        run = cloud.clients.cloud_run
        with pytest.raises(GiveUp, match="gcloud beta run instances get-iam-policy agent"):
            await run.access(AGENT)
        assert await run.missing_permissions(AGENT, ChangeKind.FIELDS) == ()
        assert not cloud.emulator.calls


def instance(state: str, message: str = "", unknown: bytes = b"", **more: Any) -> run_v2.Instance:
    """An instance with such a condition."""
    found = run_v2.Instance(name=AGENT.resource_name, **more)
    condition = run_v2.Instance.pb(found).terminal_condition
    condition.MergeFromString(unknown)
    condition.state = getattr(run_v2.Condition.State, f"CONDITION_{state}")
    condition.message = message
    return found


#: Field 12 of a condition as a number: the newer API has Condition.InstanceReason in such a field.
STOPPED, STOPPING = b"\x60\x02", b"\x60\x03"


@pytest.mark.parametrize(
    ("found", "runs"),
    [
        (instance("SUCCEEDED"), True),
        (instance("FAILED", "the container exited"), True),
        (instance("RECONCILING", "Instance stopping."), True),
        (instance("SUCCEEDED", "Instance stopped."), False),
        (instance("SUCCEEDED", "Instance stopped.", reconciling=True), True),
        (instance("FAILED", unknown=STOPPED), False),
        (instance("FAILED", unknown=STOPPING), True),
    ],
)
def test_it_is_stopped_only_where_a_condition_says_so(
    found: run_v2.Instance, *, runs: bool
) -> None:
    """By the reason, which the locked client does not know, or by the message."""
    assert configuration_of(found).fields["running"] is runs
