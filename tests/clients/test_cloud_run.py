"""Cloud Run: what is read of a service, what is written to it, and that no value leaves it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from clients import connect
from incident.model import ChangeKind, Conflict, Denied, GiveUp, Missing, Retry, SecretUse
from incident.model.json_text import json_value
from tests.clients.conftest import ConnectClients, ConnectedClients
from tests.support.constants import LATEST, REVISION, SERVICE
from tests.support.model import scale_to_zero_change, whole, workload

PLANTED = "planted-environment-value"
CONTAINER = {
    "name": "storefront-1",
    "image": "registry.example/storefront:1",
    "env": [
        {"name": "MODE", "value": PLANTED},
        {"name": "EMPTY", "value": ""},
        {
            "name": "DB_PASSWORD",
            "valueSource": {"secretKeyRef": {"secret": "db-password", "version": "latest"}},
        },
        {
            "name": "AGAIN",
            "valueSource": {"secretKeyRef": {"secret": "db-password", "version": "3"}},
        },
    ],
    "volumeMounts": [{"name": "certs", "mountPath": "/etc/tls"}],
}
VOLUMES = [
    {"name": "uploads", "gcs": {"bucket": "shop-uploads"}},
    {"name": "assets", "gcs": {"bucket": "shop-assets", "readOnly": True}},
    {"name": "share", "nfs": {"server": "10.0.0.2", "path": "/export"}},
    {"name": "certs", "secret": {"secret": "tls-cert"}},
    {"name": "db", "cloudSqlInstance": {"instances": ["p:r:i"]}},
    {"name": "tmp", "emptyDir": {"medium": "MEMORY"}},
]
TEMPLATE: dict[str, Any] = {
    "containers": [CONTAINER],
    "volumes": VOLUMES,
    "serviceAccount": "storefront@example-shop-prod.iam.gserviceaccount.com",
    "timeout": "900s",
    "sessionAffinity": True,
}
SCALING = {"scalingMode": "AUTOMATIC", "minInstanceCount": 2, "maxInstanceCount": 20}
TRAFFIC = [
    {"type": LATEST, "percent": 100},
    {"type": REVISION, "revision": "storefront-00041", "tag": "known-good"},
]
REVISIONS = [
    {
        "name": f"{SERVICE}/revisions/storefront-{number:05d}",
        "createTime": f"2026-09-{number - 20:02d}T10:00:00Z",
        "creator": f"ci-{number}@example.com",
        "containers": [CONTAINER],
        "conditions": [{"type": "Ready", "state": state}],
    }
    for number, state in ((41, "CONDITION_FAILED"), (42, "CONDITION_SUCCEEDED"))
]


def world(**changes: Any) -> dict[str, Any]:
    """A world with the service in it."""
    service = {
        "name": SERVICE,
        "labels": {"env": "prod"},
        "annotations": {"owner": "shop"},
        "scaling": SCALING,
        "traffic": TRAFFIC,
        "template": TEMPLATE,
    }
    return {
        "projects": [{"projectId": "example-shop-prod", "projectNumber": "210987654321"}],
        "services": [service],
        "revisions": REVISIONS,
        "latency": {"reconcile": "5ms"},
        **changes,
    }


def failing(method: str, code: str) -> dict[str, Any]:
    """The world, in which one method fails."""
    return world(faults=[{"method": method, "code": code}])


async def test_settings_are_read_in_full(connect_clients: ConnectClients) -> None:
    """What changes are made of is there, losslessly, and what decides besides."""
    async with connect_clients(world()) as cloud:
        found = await cloud.clients.cloud_run.configuration(workload())
    assert (found.name, found.labels, found.annotations) == (
        SERVICE,
        {"env": "prod"},
        {"owner": "shop"},
    )
    scaling: Any = found.fields["scaling"]
    assert scaling.items() >= SCALING.items()
    assert found.fields["traffic"] == TRAFFIC
    assert found.fields["ingress"] == "INGRESS_TRAFFIC_ALL"
    assert (found.generation, found.observed_generation, found.reconciling) == (1, 1, False)
    assert found.live_tags == ("known-good",)
    assert found.latest_ready_revision == "storefront-00042"
    assert found.condition == "CONDITION_SUCCEEDED"
    assert found.uri.startswith("https://")
    assert found.update_time == datetime(2026, 1, 1, tzinfo=UTC)
    assert "template" not in found.fields


async def test_a_template_has_secret_names_and_no_values(connect_clients: ConnectClients) -> None:
    """Secrets are named for the rotation; a literal value is wrapped, for the redaction alone."""
    async with connect_clients(world()) as cloud:
        template = (await cloud.clients.cloud_run.configuration(workload())).template
    assert template.containers[0].environment_names == ("MODE", "EMPTY", "DB_PASSWORD", "AGAIN")
    assert template.secret_names == ("db-password", "tls-cert")
    assert template.secret_uses == (
        SecretUse("db-password", "latest", "DB_PASSWORD", mounted=False, container="storefront-1"),
        SecretUse("db-password", "3", "AGAIN", mounted=False, container="storefront-1"),
        SecretUse(
            "tls-cert", "latest", "/etc/tls/tls-cert", mounted=True, container="storefront-1"
        ),
    )
    assert [(secret.name, secret.value) for secret in template.secrets] == [("MODE", PLANTED)]
    assert (template.timeout_s, template.session_affinity) == (900, True)
    assert template.service_account == TEMPLATE["serviceAccount"]


async def test_what_probes_send_and_what_a_build_is_given_may_be_secret(
    connect_clients: ConnectClients,
) -> None:
    """Headers of probes and variables of a build are for the redaction, like the environment."""
    header = {"name": "X-Probe", "value": "fake-header"}
    probe = {"httpGet": {"path": "/", "httpHeaders": [header]}}
    template = {**TEMPLATE, "containers": [{**CONTAINER, "livenessProbe": probe}]}
    build = {"environmentVariables": {"B": "fake-b", "A": "fake-a"}}
    service = {"name": SERVICE, "template": template, "buildConfig": build}
    async with connect_clients(world(services=[service])) as cloud:
        found = (await cloud.clients.cloud_run.configuration(workload())).template.secrets
    assert [(secret.name, secret.value) for secret in found] == [
        ("MODE", PLANTED),
        ("X-Probe", "fake-header"),
        ("A", "fake-a"),
        ("B", "fake-b"),
    ]


async def test_no_environment_value_is_printed(connect_clients: ConnectClients) -> None:
    """Neither a representation nor the JSON of anything that is read shows one."""
    async with connect_clients(world()) as cloud:
        settings = await cloud.clients.cloud_run.configuration(workload())
        revisions = await cloud.clients.cloud_run.revisions(workload())
    for shown in (repr(settings), str(settings), repr(revisions), repr(settings.template)):
        assert PLANTED not in shown
    stored = json.dumps(json_value(settings)) + json.dumps(json_value(revisions))
    assert PLANTED not in stored
    assert "db-password" in stored


async def test_volumes_say_whether_a_file_survives(connect_clients: ConnectClients) -> None:
    """A bucket or a file server that can be written keeps a modified file."""
    async with connect_clients(world()) as cloud:
        volumes = (await cloud.clients.cloud_run.configuration(workload())).template.volumes
    assert [(volume.name, volume.source, volume.persists) for volume in volumes] == [
        ("uploads", "gcs shop-uploads", True),
        ("assets", "gcs shop-assets", False),
        ("share", "nfs 10.0.0.2:/export", True),
        ("certs", "secret tls-cert", False),
        ("db", "cloud-sql p:r:i", False),
        ("tmp", "empty_dir", False),
    ]


async def test_a_bare_service_has_the_defaults(connect_clients: ConnectClients) -> None:
    """What nobody set is what Cloud Run takes it for."""
    async with connect_clients(world(services=[{"name": SERVICE}], revisions=[])) as cloud:
        found = await cloud.clients.cloud_run.configuration(workload())
    assert (found.template.timeout_s, found.template.session_affinity) == (300, False)
    assert (found.template.secrets, found.template.volumes, found.live_tags) == ((), (), ())
    assert not found.fields.get("traffic")


async def test_revisions_come_newest_first(connect_clients: ConnectClients) -> None:
    """Each with its containers, its maker, and whether it is ready."""
    async with connect_clients(world()) as cloud:
        found = whole(await cloud.clients.cloud_run.revisions(workload()))
    assert [(each.revision, each.ready, each.creator) for each in found] == [
        ("storefront-00042", True, "ci-42@example.com"),
        ("storefront-00041", False, "ci-41@example.com"),
    ]
    assert found[0].create_time == datetime(2026, 9, 22, 10, tzinfo=UTC)
    assert found[0].secret_names == ("db-password",)


async def test_access_keeps_conditions(connect_clients: ConnectClients) -> None:
    """A conditional binding is shown with its condition, and anybody is anybody."""
    policy = {
        "version": 3,
        "bindings": [
            {"role": "roles/run.invoker", "members": ["allUsers"]},
            {
                "role": "roles/run.admin",
                "members": ["user:x@example.com"],
                "condition": {"title": "office hours", "expression": "request.time.getHours() > 7"},
            },
            {
                "role": "roles/viewer",
                "members": ["user:y@example.com"],
                "condition": {"expression": "request.time < x"},
            },
        ],
    }
    async with connect_clients(world(iamPolicies={SERVICE: policy})) as cloud:
        access = await cloud.clients.cloud_run.access(workload())
    assert [binding.condition for binding in access.bindings] == [
        None,
        "office hours",
        "request.time < x",
    ]


# Writing.


async def stopped(cloud: ConnectedClients, **changes: Any) -> tuple[int | None, Any]:
    """Stop the service; return the reported generation and the write as it arrived."""
    change = scale_to_zero_change(await cloud.clients.cloud_run.configuration(workload()))
    generation = await cloud.clients.cloud_run.write(change, **{"validate_only": False, **changes})
    (write,) = cloud.emulator.writes
    return generation, write


async def test_a_write_sends_its_fields_by_its_mask_and_an_explicit_zero(
    connect_clients: ConnectClients,
) -> None:
    """A zero that is not sent would be no count at all; a template is never sent."""
    async with connect_clients(world()) as cloud:
        generation, write = await stopped(cloud)
        dumped: Any = cloud.emulator.world.dump()
        (service,) = dumped["services"]
    assert write.mask == ["scaling", "traffic"]
    assert set(write.request) == {"service", "updateMask"}
    assert write.request["service"] == {
        "name": SERVICE,
        "scaling": {"scalingMode": "MANUAL", "manualInstanceCount": 0},
        "traffic": [{"type": LATEST, "percent": 100}],
    }
    assert generation == 2
    assert service["scaling"] == {"scalingMode": "MANUAL", "manualInstanceCount": 0}
    assert service["template"]["timeout"] == "900s"


async def test_a_validated_write_changes_nothing(connect_clients: ConnectClients) -> None:
    """Google says whether it would do it, and keeps nothing."""
    async with connect_clients(world()) as cloud:
        before = cloud.emulator.world.dump()
        _, write = await stopped(cloud, validate_only=True)
        assert write.validate_only
        assert cloud.emulator.world.dump() == before


async def test_what_was_read_can_be_written_back(connect_clients: ConnectClients) -> None:
    """The before-image of a change restores the service, tags and limits included."""
    async with connect_clients(world()) as cloud:
        run = cloud.clients.cloud_run
        before = await run.configuration(workload())
        change = scale_to_zero_change(before)
        await run.write(change, validate_only=False)
        await run.write(replace(change, after=change.before), validate_only=False)
        after = await run.configuration(workload())
    assert after.fields == before.fields


async def test_a_write_is_sent_once(connect_clients: ConnectClients) -> None:
    """Whether it was accepted is read before it is sent again."""
    async with connect_clients(failing("UpdateService", "UNAVAILABLE")) as cloud:
        with pytest.raises(Retry):
            await stopped(cloud)
        assert len(cloud.emulator.writes) == 1


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("ABORTED", Conflict),
        ("PERMISSION_DENIED", Denied),
        ("NOT_FOUND", Missing),
        ("INVALID_ARGUMENT", GiveUp),
        ("ALREADY_EXISTS", GiveUp),
        ("RESOURCE_EXHAUSTED", Retry),
        ("INTERNAL", Retry),
    ],
)
@pytest.mark.parametrize("validate_only", [True, False])
async def test_a_failed_write_raises_its_error_class_with_the_service(
    connect_clients: ConnectClients, code: str, error: type[Exception], *, validate_only: bool
) -> None:
    """The class says what to do; the message names the service and what was tried."""
    async with connect_clients(failing("UpdateService", code)) as cloud:
        with pytest.raises(error) as raised:
            await stopped(cloud, validate_only=validate_only)
    assert type(raised.value) is error
    tried = "validate a change of" if validate_only else "change"
    assert str(raised.value).startswith(f"cannot {tried} {SERVICE}: ")
    if error is Denied:
        assert "permission run.services.update is missing" in str(raised.value)


READS = [
    ("GetService", "configuration", "run.services.get"),
    ("ListRevisions", "revisions", "run.revisions.list"),
    ("GetIamPolicy", "access", "run.services.getIamPolicy"),
]


@pytest.mark.parametrize(("method", "read", "permission"), READS)
async def test_a_read_that_is_denied_names_the_permission(
    connect_clients: ConnectClients, method: str, read: str, permission: str
) -> None:
    """Each read says which permission it needs, and on what."""
    async with connect_clients(failing(method, "PERMISSION_DENIED")) as cloud:
        with pytest.raises(Denied, match=f"{SERVICE}: permission {permission} is missing"):
            await getattr(cloud.clients.cloud_run, read)(workload())


@pytest.mark.parametrize(("method", "read", "_permission"), READS)
async def test_a_read_is_tried_again(
    connect_clients: ConnectClients, method: str, read: str, _permission: str
) -> None:
    """A short outage does not reach the caller."""
    fault = {"method": method, "code": "UNAVAILABLE", "times": 2}
    async with connect_clients(world(faults=[fault])) as cloud:
        assert await getattr(cloud.clients.cloud_run, read)(workload())
        assert len(cloud.emulator.calls) == 3


async def test_a_service_that_does_not_exist_is_missing(connect_clients: ConnectClients) -> None:
    """It may have been deleted since the finding."""
    async with connect_clients(world(services=[], revisions=[])) as cloud:
        with pytest.raises(Missing, match=f"cannot read the settings of {SERVICE}"):
            await cloud.clients.cloud_run.configuration(workload())


async def test_a_dry_run_client_only_validates(connect_clients: ConnectClients) -> None:
    """Whatever asks for it: validating is all that such a client sends."""
    async with connect_clients(world()) as cloud:
        clients = await connect(cloud.settings, dry_run=True)
        change = scale_to_zero_change(await clients.cloud_run.configuration(workload()))
        with pytest.raises(GiveUp, match="this is a dry run"):
            await clients.cloud_run.write(change, validate_only=False)
        assert await clients.cloud_run.write(change, validate_only=True) is not None
        assert [write.validate_only for write in cloud.emulator.writes] == [True]


async def test_missing_permissions_are_listed(connect_clients: ConnectClients) -> None:
    """Of some permissions those that we lack, in order."""
    async with connect_clients(world()) as cloud:
        assert (
            await cloud.clients.cloud_run.missing_permissions(workload(), ChangeKind.FIELDS) == ()
        )
    async with connect_clients(failing("UpdateService", "PERMISSION_DENIED")) as cloud:
        lacking = await cloud.clients.cloud_run.missing_permissions(workload(), ChangeKind.FIELDS)
    assert lacking == ("run.services.update",)
