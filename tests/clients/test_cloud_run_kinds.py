"""Cloud Run: jobs and worker pools, and the writes that are no update of a service."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from incident.actions.masked_changes import plan_changes
from incident.investigation.workload_reader import read_workload
from incident.model import (
    Change,
    ChangeKind,
    Conflict,
    Denied,
    GiveUp,
    Kind,
    Missing,
    Retry,
    WorkloadConfiguration,
    WorkloadDetail,
)
from tests.clients.conftest import ConnectClients
from tests.support.model import finding, whole, workload

PROJECT = "projects/example-shop-prod/locations/europe-west1"
JOB, POOL = f"{PROJECT}/jobs/storefront", f"{PROJECT}/workerPools/storefront"
OVER, RUNS = f"{JOB}/executions/storefront-over", f"{JOB}/executions/storefront-runs"
PLANTED = "planted-environment-value"
CONTAINER = {
    "name": "c",
    "image": "registry.example/report:3",
    "env": [{"name": "MODE", "value": PLANTED}],
}
INVOKER, ALONE = "serviceAccount:scheduler@example.com", "user:a@example.com"
CONDITION = {"title": "office hours", "expression": "request.time.getHours() > 7"}
BINDINGS: list[dict[str, Any]] = [
    {"role": "roles/run.invoker", "members": [INVOKER]},
    {"role": "roles/run.invoker", "members": [ALONE], "condition": CONDITION},
    {"role": "roles/viewer", "members": [ALONE]},
]


def world(**changes: Any) -> dict[str, Any]:
    """A world with a job and a pool in it."""
    return {
        "projects": [{"projectId": "example-shop-prod", "projectNumber": "210987654321"}],
        "jobs": [{"name": JOB, "template": {"template": {"containers": [CONTAINER]}}}],
        "executions": [
            {"name": OVER, "conditions": [{"type": "Completed", "state": "CONDITION_SUCCEEDED"}]},
            {"name": RUNS, "taskCount": 2},
        ],
        "workerPools": [{"name": POOL, "scaling": {"manualInstanceCount": 3}}],
        "iamPolicies": {JOB: {"version": 3, "bindings": BINDINGS}},
        "latency": {"reconcile": "5ms"},
        **changes,
    }


def changes_of(settings: WorkloadConfiguration, *actions: str) -> tuple[Change, ...]:
    """The changes of some actions."""
    return plan_changes(tuple((action,) for action in actions), settings, finding()).changes


JOB_NEEDS = (WorkloadDetail.ACCESS, WorkloadDetail.EXECUTIONS)


async def test_a_job_is_read_with_its_executions_and_its_policy(
    connect_clients: ConnectClients,
) -> None:
    """What runs and what is over, who may start it, and no environment value in print."""
    job = workload(kind=Kind.JOB)
    async with connect_clients(world()) as cloud:
        found = await read_workload(job, JOB_NEEDS, cloud.clients.cloud_run)
        tasks = await cloud.clients.cloud_run.tasks(RUNS)
    assert (found.kind, found.name, found.fields) == (Kind.JOB, JOB, {})
    assert found.executions is not None
    assert [(each.short_name, each.running) for each in whole(found.executions)] == [
        ("storefront-runs", True),
        ("storefront-over", False),
    ]
    assert whole(found.executions)[0].tasks["total"] == 2
    assert found.access
    assert [binding.condition for binding in found.access.bindings] == [None, "office hours", None]
    assert found.template.containers[0].image == CONTAINER["image"]
    assert [(task.execution, task.index) for task in whole(tasks)] == [
        ("storefront-runs", 0),
        ("storefront-runs", 1),
    ]
    assert PLANTED not in repr(found) + repr(found.executions)
    assert found.template.secrets[0].value == PLANTED


async def test_a_pool_is_read_with_its_count(connect_clients: ConnectClients) -> None:
    """A pool has neither address nor traffic; its revisions are listed like a service's."""
    pool = workload(kind=Kind.WORKER_POOL)
    async with connect_clients(world()) as cloud:
        found = await cloud.clients.cloud_run.configuration(pool)
        revisions = whole(await cloud.clients.cloud_run.revisions(pool))
    assert (found.kind, found.uri, found.live_tags) == (Kind.WORKER_POOL, "", ())
    assert found.fields["scaling"] == {"manualInstanceCount": 3}
    assert [each.revision for each in revisions] == [found.latest_ready_revision]


async def test_a_pool_is_stopped_by_its_count_alone(connect_clients: ConnectClients) -> None:
    """One masked update, whose answer tells the generation; never a template."""
    pool = workload(kind=Kind.WORKER_POOL)
    async with connect_clients(world()) as cloud:
        run = cloud.clients.cloud_run
        (change,) = changes_of(await run.configuration(pool), "scale-to-zero")
        assert await run.write(change, validate_only=True) is not None
        assert (await run.configuration(pool)).fields["scaling"] == {"manualInstanceCount": 3}
        assert await run.write(change, validate_only=False) == 2
        assert (await run.configuration(pool)).fields["scaling"] == {"manualInstanceCount": 0}
        (_, written) = cloud.emulator.writes
    assert (written.mask, set(written.request["workerPool"])) == (["scaling"], {"name", "scaling"})


async def test_an_execution_is_cancelled_and_its_record_stays(
    connect_clients: ConnectClients,
) -> None:
    """Validating leaves it running; afterwards it is over, and says how."""
    job = workload(kind=Kind.JOB)
    async with connect_clients(world()) as cloud:
        run = cloud.clients.cloud_run
        found = await read_workload(job, JOB_NEEDS, run)
        (change,) = changes_of(found, "cancel-executions")
        assert (change.target, change.kind) == (RUNS, ChangeKind.CANCELLATION)
        await run.write(change, validate_only=True)
        assert whole(await run.executions(job))[0].running
        await run.write(change, validate_only=False)
        while (execution := whole(await run.executions(job))[0]).running:
            pass
    assert (execution.reason, execution.tasks["cancelled"]) == ("CANCELLED", 2)


async def test_a_policy_is_edited_in_exactly_the_version_that_was_read(
    connect_clients: ConnectClients,
) -> None:
    """Conditions survive; an edit of an older version conflicts and changes nothing."""
    job = workload(kind=Kind.JOB)
    async with connect_clients(world()) as cloud:
        run = cloud.clients.cloud_run
        found = await read_workload(job, JOB_NEEDS, run)
        (edit,) = changes_of(found, "require-authentication")
        with pytest.raises(ValueError, match="no such write"):
            await run.write(edit, validate_only=True)
        await run.write(edit, validate_only=False)
        access = await run.access(job)
        assert [binding["role"] for binding in access.raw] == ["roles/run.invoker", "roles/viewer"]
        assert access.raw[0]["condition"] == CONDITION
        with pytest.raises(Conflict):
            await run.write(edit, validate_only=False)
        undone = replace(edit, after=edit.before, etag=access.etag)
        await run.write(undone, validate_only=False)
        restored = (await run.access(job)).raw
    assert list(restored) == BINDINGS


async def test_a_job_is_never_updated(connect_clients: ConnectClients) -> None:
    """Its update has no mask: a mask is refused as a programming error before any call."""
    change = Change("x", JOB, ("annotations",), {}, {}, stops=False, reversible=True)
    async with connect_clients(world()) as cloud:
        with pytest.raises(ValueError, match="no such write"):
            await cloud.clients.cloud_run.write(change, validate_only=False)
        assert cloud.emulator.calls == []


READS = {
    ("configuration", Kind.JOB): ("GetJob", "run.jobs.get"),
    ("configuration", Kind.WORKER_POOL): ("GetWorkerPool", "run.workerpools.get"),
    ("access", Kind.JOB): ("GetIamPolicy", "run.jobs.getIamPolicy"),
    ("access", Kind.WORKER_POOL): ("GetIamPolicy", "run.workerpools.getIamPolicy"),
    ("executions", Kind.JOB): ("ListExecutions", "run.executions.list"),
}


@pytest.mark.parametrize(("read", "kind"), READS)
async def test_a_read_that_is_refused_names_its_permission(
    connect_clients: ConnectClients, read: str, kind: Kind
) -> None:
    """A write that finds nothing and one without an answer raise different errors."""
    method, permission = READS[read, kind]
    for code, error in (("PERMISSION_DENIED", Denied), ("NOT_FOUND", Missing)):
        async with connect_clients(world(faults=[{"method": method, "code": code}])) as cloud:
            with pytest.raises(error) as raised:
                await getattr(cloud.clients.cloud_run, read)(workload(kind=kind))
        assert (permission in str(raised.value)) is (error is Denied)


@pytest.mark.parametrize(
    ("code", "error"),
    [("ABORTED", Conflict), ("UNAVAILABLE", Retry), ("FAILED_PRECONDITION", GiveUp)],
)
@pytest.mark.parametrize(
    ("action", "method"),
    [("cancel-executions", "CancelExecution"), ("require-authentication", "SetIamPolicy")],
)
async def test_a_write_that_fails_says_what_to_do_about_it(
    connect_clients: ConnectClients, action: str, method: str, code: str, error: type[Exception]
) -> None:
    """Another writer, no answer, or a refusal: three different things to the containment."""
    async with connect_clients(world(faults=[{"method": method, "code": code}])) as cloud:
        found = await read_workload(workload(kind=Kind.JOB), JOB_NEEDS, cloud.clients.cloud_run)
        (change,) = changes_of(found, action)
        with pytest.raises(error):
            await cloud.clients.cloud_run.write(change, validate_only=False)


async def test_permissions_are_asked_for_on_the_resource_of_its_kind(
    connect_clients: ConnectClients,
) -> None:
    """A pool's are called workerpools, in lower case."""
    faults = [{"method": "UpdateWorkerPool", "code": "PERMISSION_DENIED"}]
    async with connect_clients(world(faults=faults)) as cloud:
        lacking = await cloud.clients.cloud_run.missing_permissions(
            workload(kind=Kind.WORKER_POOL), ChangeKind.FIELDS
        )
    assert lacking == ("run.workerpools.update",)
