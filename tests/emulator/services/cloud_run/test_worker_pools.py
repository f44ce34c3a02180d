"""Worker pools: reading them, and what an update replaces."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import run_v2
from google.protobuf import field_mask_pb2

from tests.support.constants import LOCATION, PROJECT_ID, PROJECT_NUMBER
from tests.support.google_clients import POOL, GoogleClients, google_clients, world_with_services

State = run_v2.Condition.State
COUNT = "scaling.manual_instance_count"
ZERO = run_v2.WorkerPoolScaling(manual_instance_count=0)
LATEST = run_v2.InstanceSplitAllocationType.INSTANCE_SPLIT_ALLOCATION_TYPE_LATEST
REVISION = run_v2.InstanceSplitAllocationType.INSTANCE_SPLIT_ALLOCATION_TYPE_REVISION
RICH: dict[str, Any] = {
    "name": POOL,
    "description": "crunches",
    "labels": {"env": "prod"},
    "annotations": {"note": "kept"},
    "scaling": {"manualInstanceCount": 3},
    "template": {"containers": [{"image": "example/crunch:1"}], "revision": "crunch-v1"},
}


def pools(*entries: dict[str, Any], **others: Any) -> dict[str, Any]:
    """A world with these worker pools."""
    return world_with_services(workerPools=list(entries), **others)


async def pool(google: GoogleClients, name: str = POOL) -> run_v2.WorkerPool:
    """A worker pool as it is now."""
    return await google.worker_pools.get_worker_pool(name=name)


async def settled(google: GoogleClients) -> run_v2.WorkerPool:
    """The worker pool when its reconciliation is over."""
    async with asyncio.timeout(5):
        while (found := await pool(google)).reconciling:  # noqa: ASYNC110  seen from outside
            await asyncio.sleep(0.002)
    return found


async def update(
    google: GoogleClients, *paths: str, name: str = POOL, etag: str = "", **fields: Any
) -> Any:
    """Sends an update with a mask of these paths and returns its operation."""
    flags = ("validate_only", "allow_missing", "force_new_revision")
    given = {flag: fields.pop(flag) for flag in flags if flag in fields}
    request = run_v2.UpdateWorkerPoolRequest(
        worker_pool=run_v2.WorkerPool(name=name, etag=etag, **fields),
        update_mask=field_mask_pb2.FieldMask(paths=paths) if paths else None,
        **given,
    )
    return await google.worker_pools.update_worker_pool(request)


async def images(google: GoogleClients) -> list[str]:
    """The images of the pool's revisions, newest first."""
    found = await google.revisions.list_revisions(parent=POOL)
    return [revision.containers[0].image async for revision in found]


async def test_a_pool_is_found_by_either_spelling_of_its_project() -> None:
    """Project id and number lead to the same pool; a missing one is not found."""
    async with google_clients(pools(RICH)) as google:
        assert await pool(google) == await pool(google, POOL.replace(PROJECT_ID, PROJECT_NUMBER))
        with pytest.raises(exceptions.NotFound, match="'other' of kind 'WORKER_POOL'"):
            await pool(google, f"{LOCATION}/workerPools/other")


async def test_pools_are_listed_by_location() -> None:
    """Those of one location, or of all; services are not among them."""
    elsewhere = POOL.replace("west1", "north1")
    world = pools(RICH, {"name": elsewhere})
    world["services"] = [{"name": f"{LOCATION}/services/s"}]
    async with google_clients(world) as google:
        for parent, names in (
            (LOCATION, [POOL]),
            (LOCATION.replace("europe-west1", "-"), [POOL, elsewhere]),
        ):
            listed = await google.worker_pools.list_worker_pools(parent=parent)
            assert [found.name async for found in listed] == names


async def test_a_pool_stops_by_the_sub_path_of_its_count() -> None:
    """The count of zero is sent and read as a value; nothing else changes."""
    async with google_clients(pools(RICH)) as google:
        before = await pool(google)
        await update(google, COUNT, scaling=ZERO, description="ignored")
        after = await settled(google)
        assert "manual_instance_count" in after.scaling
        assert after.scaling.manual_instance_count == 0
        assert after.description == before.description
        assert after.labels == before.labels
        assert (after.generation, after.observed_generation) == (2, 2)
        assert await images(google) == ["example/crunch:1"]
        (write,) = google.emulator.writes
        assert write.method == "/google.cloud.run.v2.WorkerPools/UpdateWorkerPool"
        assert write.mask == [COUNT]
        assert write.request["workerPool"]["scaling"] == {"manualInstanceCount": 0}


async def test_the_whole_scaling_is_replaced_by_its_path() -> None:
    """A count that is not sent falls to the default of one instance."""
    async with google_clients(pools(RICH)) as google:
        await update(google, "scaling", scaling=ZERO)
        assert (await pool(google)).scaling.manual_instance_count == 0
        await update(google, "scaling")
        assert (await pool(google)).scaling.manual_instance_count == 1


@pytest.mark.parametrize("field", ["labels", "annotations"])
async def test_a_masked_map_is_replaced_as_a_whole(field: str) -> None:
    """What is not sent is gone, and no revision is made; reserved namespaces are refused."""
    async with google_clients(pools(RICH)) as google:
        fresh: dict[str, Any] = {field: {"incident": "x"}}
        await update(google, field, **fresh)
        assert getattr(await settled(google), field) == {"incident": "x"}
        assert len(await images(google)) == 1
        reserved: dict[str, Any] = {field: {"run.googleapis.com/x": "y"}}
        with pytest.raises(exceptions.InvalidArgument, match=rf"worker_pool\.{field}"):
            await update(google, field, **reserved)


@pytest.mark.parametrize(
    "path", ["ingress", "traffic", "scaling.manualInstanceCount", "scaling.scaling_mode", "tags"]
)
async def test_a_path_that_a_pool_does_not_have_is_refused(path: str) -> None:
    """There is no ingress, no traffic and no mode; names are snake_case."""
    async with google_clients(pools(RICH)) as google:
        with pytest.raises(exceptions.InvalidArgument, match="update_mask"):
            await update(google, path, COUNT, scaling=ZERO)
        assert (await pool(google)).generation == 1


async def test_without_a_mask_every_field_falls_to_its_default() -> None:
    """A full replacement takes away labels and count, and an old etag is a conflict."""
    async with google_clients(pools(RICH)) as google:
        before = await pool(google)
        with pytest.raises(exceptions.Aborted):
            await update(google, template=before.template, etag="stale")
        await update(google, template=before.template, etag=before.etag)
        after = await settled(google)
        assert not after.labels
        assert after.scaling.manual_instance_count == 1
        assert await images(google) == ["example/crunch:1"]


async def test_a_changed_template_mints_a_revision() -> None:
    """Created at once, ready when it is reconciled."""
    world = pools(RICH, latency={"reconcile": "250ms"})
    async with google_clients(world) as google:
        containers = [run_v2.Container(image="example/crunch:2")]
        template = run_v2.WorkerPoolRevisionTemplate(containers=containers)
        await update(google, "template.containers", "template.revision", template=template)
        during = await pool(google)
        assert during.latest_ready_revision == f"{POOL}/revisions/crunch-v1"
        assert during.terminal_condition.state == State.CONDITION_RECONCILING
        after = await settled(google)
        assert after.latest_ready_revision == after.latest_created_revision
        assert after.terminal_condition.state == State.CONDITION_SUCCEEDED
        assert await images(google) == ["example/crunch:2", "example/crunch:1"]
        revision = await google.revisions.get_revision(name=after.latest_ready_revision)
        assert revision.name.startswith(f"{POOL}/revisions/crunch-00002-")
        assert not revision.service


async def test_a_template_under_the_name_of_another_revision_is_refused() -> None:
    """The name that was read belongs to what it was read with."""
    async with google_clients(pools(RICH)) as google:
        template = run_v2.WorkerPoolRevisionTemplate(
            revision="crunch-v1", containers=[run_v2.Container(image="example/crunch:2")]
        )
        with pytest.raises(exceptions.AlreadyExists, match="crunch-v1"):
            await update(google, "template", template=template)


async def test_a_revision_can_be_forced() -> None:
    """The same template makes another revision, unless its name is taken."""
    unnamed = RICH | {"template": {"containers": [{"image": "example/crunch:1"}]}}
    async with google_clients(pools(unnamed)) as google:
        await update(google, "labels", labels={"env": "prod"}, force_new_revision=True)
        assert (await settled(google)).generation == 2
        assert await images(google) == ["example/crunch:1"] * 2
    async with google_clients(pools(RICH)) as google:
        with pytest.raises(exceptions.AlreadyExists):
            await update(google, "labels", labels={"env": "prod"}, force_new_revision=True)


async def test_instances_are_split_between_revisions_that_exist() -> None:
    """The statuses follow when the reconciliation is over."""
    world = pools(RICH, latency={"reconcile": "1s"})
    async with google_clients(world) as google:
        splits = [
            run_v2.InstanceSplit(type_=REVISION, revision="crunch-v1", percent=40),
            run_v2.InstanceSplit(type_=LATEST, percent=60),
        ]
        await update(google, "instance_splits", instance_splits=splits)
        assert [s.percent for s in (await pool(google)).instance_split_statuses] == [100]
        after = await settled(google)
        assert [s.percent for s in after.instance_split_statuses] == [40, 60]
        assert after.instance_split_statuses[0].revision == "crunch-v1"


@pytest.mark.parametrize(
    "splits",
    [
        [run_v2.InstanceSplit(type_=LATEST, percent=99)],
        [run_v2.InstanceSplit(type_=REVISION, revision="crunch-v9", percent=100)],
        [run_v2.InstanceSplit(type_=REVISION, revision=f"{POOL}/revisions/crunch-v1", percent=100)],
        [run_v2.InstanceSplit(percent=100)],
    ],
)
async def test_splits_that_go_nowhere_are_refused(splits: list[run_v2.InstanceSplit]) -> None:
    """Percents sum to 100, revisions are short names that exist, and types are needed."""
    async with google_clients(pools(RICH)) as google:
        with pytest.raises(exceptions.InvalidArgument, match="instance_splits"):
            await update(google, "instance_splits", instance_splits=splits)


async def test_a_negative_count_and_a_missing_container_are_refused() -> None:
    """What no pool may say."""
    async with google_clients(pools(RICH)) as google:
        negative = run_v2.WorkerPoolScaling(manual_instance_count=-1)
        with pytest.raises(exceptions.InvalidArgument, match="must not be negative"):
            await update(google, COUNT, scaling=negative)
        with pytest.raises(exceptions.InvalidArgument, match=r"template\.containers"):
            await update(google)


async def test_validating_only_answers_the_outcome_and_keeps_nothing() -> None:
    """The operation is done at once."""
    async with google_clients(pools(RICH)) as google:
        before = await pool(google)
        operation = await update(google, COUNT, scaling=ZERO, validate_only=True)
        assert (await operation.result()).scaling.manual_instance_count == 0
        assert await pool(google) == before
        assert google.emulator.writes[0].validate_only


async def test_an_identical_write_changes_nothing() -> None:
    """It is answered at once and leaves no trace."""
    async with google_clients(pools(RICH)) as google:
        operation = await update(google, COUNT, scaling={"manual_instance_count": 3})
        assert operation.operation.done
        assert (await pool(google)).generation == 1


async def test_a_missing_pool_is_created_only_where_that_is_allowed() -> None:
    """A new pool has what a listed one has."""
    async with google_clients(pools()) as google:
        with pytest.raises(exceptions.NotFound):
            await update(google, COUNT, scaling=ZERO)
        template = run_v2.WorkerPoolRevisionTemplate(containers=[run_v2.Container(image="i")])
        await update(google, template=template, allow_missing=True)
        created = await settled(google)
        assert created.latest_ready_revision.startswith(f"{POOL}/revisions/crunch-00001-")
        assert created.scaling.manual_instance_count == 1
        assert created.uid


async def test_of_two_writes_at_once_one_is_a_conflict() -> None:
    """In the words of services, with the generation of the pool."""
    async with google_clients(pools(RICH, latency={"UpdateWorkerPool": "50ms"})) as google:
        results = await asyncio.gather(
            update(google, COUNT, scaling=ZERO),
            update(google, "labels", labels={}),
            return_exceptions=True,
        )
        (conflict,) = [result for result in results if isinstance(result, Exception)]
        assert isinstance(conflict, exceptions.Aborted)
        assert "'crunch': version '1'" in conflict.message


async def test_an_operation_of_a_pool_ends_with_the_pool() -> None:
    """Done after the reconciliation; failed when that failed."""
    fault = {"method": "reconcile", "code": "INTERNAL", "times": 1, "after": 1, "message": "stuck"}
    async with google_clients(pools(RICH, faults=[fault])) as google:
        done = await (await update(google, COUNT, scaling=ZERO)).result(timeout=5)
        assert done.observed_generation == 2
        failed = await update(google, "labels", labels={})
        with pytest.raises(exceptions.GoogleAPICallError, match="stuck"):
            await failed.result(timeout=5)
        assert (await pool(google)).terminal_condition.message == "stuck"
