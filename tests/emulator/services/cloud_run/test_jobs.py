"""Jobs: reading them, replacing them, running them."""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import run_v2

from emulator.api.proto_json import timestamp_of
from tests.support.constants import LOCATION, PROJECT_ID, PROJECT_NUMBER, SERVICE
from tests.support.google_clients import (
    JOB,
    MANUAL_ZERO,
    POOL,
    GoogleClients,
    google_clients,
    world_with_services,
)

State = run_v2.Condition.State
RICH: dict[str, Any] = {
    "name": JOB,
    "labels": {"env": "prod"},
    "annotations": {"note": "kept"},
    "template": {
        "labels": {"team": "data"},
        "taskCount": 3,
        "parallelism": 2,
        "template": {
            "maxRetries": 1,
            "timeout": "60s",
            "containers": [
                {
                    "name": "main",
                    "image": "example/nightly:1",
                    "args": ["--all"],
                    "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
                }
            ],
        },
    },
}


def jobs(*entries: dict[str, Any], **others: Any) -> dict[str, Any]:
    """A world with these jobs."""
    return world_with_services(jobs=list(entries), **others)


async def job(google: GoogleClients, name: str = JOB) -> run_v2.Job:
    """A job as it is now."""
    return await google.jobs.get_job(name=name)


async def update(google: GoogleClients, changed: run_v2.Job, **request: Any) -> Any:
    """Sends a replacement of a job and returns its operation."""
    return await google.jobs.update_job(run_v2.UpdateJobRequest(job=changed, **request))


async def run(google: GoogleClients, **request: Any) -> Any:
    """Runs the job and returns the operation of that."""
    return await google.jobs.run_job(run_v2.RunJobRequest(name=JOB, **request))


async def tasks(google: GoogleClients, execution: str) -> list[run_v2.Task]:
    """The tasks of an execution."""
    return [task async for task in await google.tasks.list_tasks(parent=execution)]


async def test_a_job_is_found_by_either_spelling_of_its_project() -> None:
    """Project id and number lead to the same job; a missing one is not found."""
    async with google_clients(jobs(RICH)) as google:
        assert await job(google) == await job(google, JOB.replace(PROJECT_ID, PROJECT_NUMBER))
        with pytest.raises(exceptions.NotFound, match="'other' of kind 'JOB' in region"):
            await job(google, f"{LOCATION}/jobs/other")


async def test_jobs_are_listed_by_location_in_pages() -> None:
    """Pages continue where the one before ended."""
    names = [f"{LOCATION}/jobs/j{n}" for n in range(3)]
    async with google_clients(jobs(*({"name": name} for name in names))) as google:
        request = run_v2.ListJobsRequest(parent=LOCATION, page_size=2)
        assert [found.name async for found in await google.jobs.list_jobs(request)] == names
        with pytest.raises(exceptions.InvalidArgument):
            await google.jobs.list_jobs(parent=JOB)


async def test_an_update_replaces_every_field_that_callers_decide() -> None:
    """There is no mask: what is not sent falls to its default, what is only output stays."""
    async with google_clients(jobs(RICH)) as google:
        before = await job(google)
        containers = before.template.template.containers
        template = run_v2.ExecutionTemplate(template=run_v2.TaskTemplate(containers=containers))
        sent = run_v2.Job(name=JOB, template=template, generation=9, creator="x", execution_count=5)
        after = await (await update(google, sent)).result(timeout=5)
        assert not after.labels
        assert not after.annotations
        assert after.template.task_count == 1
        assert after.template.template.max_retries == 3
        assert after.template.template.timeout == dt.timedelta(seconds=600)
        assert (after.generation, after.observed_generation) == (2, 2)
        assert (after.creator, after.execution_count) == (before.creator, before.execution_count)
        assert after.terminal_condition.state == State.CONDITION_SUCCEEDED
        assert after.etag != before.etag


async def test_what_is_sent_back_as_it_was_read_changes_nothing() -> None:
    """Read, and write the same."""
    async with google_clients(jobs(RICH)) as google:
        before = await job(google)
        operation = await update(google, before)
        assert operation.operation.done
        assert await job(google) == before


async def test_a_replacement_of_another_version_is_a_conflict() -> None:
    """An etag has to be the current one; none replaces whatever is there."""
    async with google_clients(jobs(RICH)) as google:
        read = await job(google)
        read.labels = {"env": "test"}
        await update(google, read)
        with pytest.raises(exceptions.Aborted, match="Conflict for resource 'nightly'"):
            await update(google, read)
        read.etag, read.labels = "", {}
        await update(google, read)
        assert not (await job(google)).labels


async def test_a_missing_job_is_created_only_where_that_is_allowed() -> None:
    """NOT_FOUND, unless the request allows the job to be missing."""
    async with google_clients(jobs()) as google:
        task = run_v2.TaskTemplate(containers=[run_v2.Container(image="i")])
        sent = run_v2.Job(name=JOB, template=run_v2.ExecutionTemplate(template=task))
        with pytest.raises(exceptions.NotFound):
            await update(google, sent)
        await update(google, sent, allow_missing=True)
        created = await job(google)
        assert created.uid
        assert not created.execution_count
        sent.name = f"{LOCATION}/jobs/Not A Job"
        with pytest.raises(exceptions.InvalidArgument):
            await update(google, sent, allow_missing=True)


async def test_validating_only_keeps_nothing() -> None:
    """The answer is done and shows defaults; the job is as before."""
    async with google_clients(jobs(RICH)) as google:
        before = await job(google)
        sent = run_v2.Job(name=JOB, template=before.template)
        planned = await (await update(google, sent, validate_only=True)).result()
        assert not planned.labels
        assert await job(google) == before
        (write,) = google.emulator.writes
        assert (write.validate_only, write.mask) == (True, [])
        assert write.method == "/google.cloud.run.v2.Jobs/UpdateJob"


async def test_jobs_that_cannot_run_are_refused() -> None:
    """No container, negative counts, reserved namespaces; starting by token is not built."""
    async with google_clients(jobs(RICH)) as google:
        good = await job(google)
        empty = run_v2.Job(name=JOB)
        with pytest.raises(exceptions.InvalidArgument, match=r"job\.template\.template"):
            await update(google, empty)
        negative = run_v2.Job(name=JOB, template=good.template)
        negative.template.task_count = -1
        with pytest.raises(exceptions.InvalidArgument, match="must be from 1 to 10000"):
            await update(google, negative)
        reserved = run_v2.Job(name=JOB, template=good.template, labels={"run.googleapis.com/a": ""})
        with pytest.raises(exceptions.InvalidArgument, match=r"job\.labels"):
            await update(google, reserved)
        token = run_v2.Job(name=JOB, template=good.template, start_execution_token="now")
        with pytest.raises(exceptions.MethodNotImplemented, match="RunJob"):
            await update(google, token)
        assert (await job(google)).generation == 1


async def test_of_two_replacements_at_once_one_is_a_conflict() -> None:
    """The second write to a job that is being written is aborted."""
    async with google_clients(jobs(RICH, latency={"UpdateJob": "50ms"})) as google:
        read = await job(google)
        read.etag = ""
        results = await asyncio.gather(
            update(google, read), update(google, read), return_exceptions=True
        )
        assert [type(r) for r in results if isinstance(r, Exception)] == [exceptions.Aborted]


async def test_running_makes_an_execution_with_its_tasks() -> None:
    """As many tasks run as may at once; the others wait; the job counts it."""
    async with google_clients(jobs(RICH)) as google:
        operation = await run(google)
        assert not operation.operation.done
        assert operation.operation.name.startswith(f"{LOCATION}/operations/")
        (execution,) = [e async for e in await google.executions.list_executions(parent=JOB)]
        assert execution.name.startswith(f"{JOB}/executions/nightly-")
        assert (execution.job, execution.task_count, execution.running_count) == ("nightly", 3, 2)
        assert execution.labels == {"team": "data"}
        assert execution.reconciling
        assert timestamp_of(execution, "start_time").year > 2000
        found = await tasks(google, execution.name)
        assert [task.index for task in found] == [0, 1, 2]
        states = [task.conditions[0].state for task in found]
        assert states == [State.CONDITION_RECONCILING] * 2 + [State.CONDITION_PENDING]
        assert found[0].containers[0].image == "example/nightly:1"
        assert found[0].max_retries == 1
        after = await job(google)
        assert after.execution_count == 1
        assert after.latest_created_execution.name == execution.name.rpartition("/")[2]
        running = run_v2.ExecutionReference.CompletionStatus.EXECUTION_RUNNING
        assert after.latest_created_execution.completion_status == running
        assert after.generation == 1


async def test_runs_of_a_job_do_not_disturb_one_another() -> None:
    """Each is an execution of its own, also at once."""
    async with google_clients(jobs(RICH, latency={"RunJob": "20ms"})) as google:
        await asyncio.gather(*(run(google) for _ in range(5)))
        assert (await job(google)).execution_count == 5
        assert len({w.request["name"] for w in google.emulator.writes}) == 1
        assert len(google.emulator.world.executions) == 5
        assert len(google.emulator.world.tasks) == 15


async def test_a_run_may_override_its_job() -> None:
    """Arguments are replaced, the environment is merged, counts and timeout are its own."""
    async with google_clients(jobs(RICH)) as google:
        overrides = run_v2.RunJobRequest.Overrides(
            task_count=1,
            timeout=dt.timedelta(seconds=5),
            container_overrides=[
                run_v2.RunJobRequest.Overrides.ContainerOverride(
                    name="main", args=["--one"], env=[run_v2.EnvVar(name="B", value="3")]
                )
            ],
        )
        await run(google, overrides=overrides)
        (execution,) = google.emulator.world.executions.values()
        container = execution.template.containers[0]
        assert (execution.task_count, execution.parallelism) == (1, 1)
        assert execution.template.timeout == dt.timedelta(seconds=5)
        assert list(container.args) == ["--one"]
        assert {v.name: v.value for v in container.env} == {"A": "1", "B": "3"}
        assert (await job(google)).template.template.containers[0].args == ["--all"]
        many = run_v2.RunJobRequest.Overrides(task_count=10_001)
        with pytest.raises(exceptions.InvalidArgument, match="task_count"):
            await run(google, overrides=many)
        overrides.container_overrides[0].name = "other"
        with pytest.raises(exceptions.InvalidArgument, match="container_overrides"):
            await run(google, overrides=overrides)


async def test_a_run_that_only_validates_or_is_refused_leaves_nothing() -> None:
    """Nothing for `validate_only`, a stale etag, a missing job."""
    async with google_clients(jobs(RICH)) as google:
        before = await job(google)
        planned = await (await run(google, validate_only=True)).result()
        assert planned.running_count == 2
        with pytest.raises(exceptions.Aborted):
            await run(google, etag="stale")
        with pytest.raises(exceptions.NotFound):
            await google.jobs.run_job(name=f"{LOCATION}/jobs/other")
        assert await job(google) == before
        assert not google.emulator.world.executions
        assert [write.code for write in google.emulator.writes] == ["OK", "ABORTED", "NOT_FOUND"]


async def test_a_run_that_was_cancelled_ends_without_an_error() -> None:
    """A caller that waits for it has to read the counts."""
    async with google_clients(jobs(RICH)) as google:
        started = await run(google)
        execution = started.metadata.name
        await google.executions.cancel_execution(name=execution)
        ended = await started.result(timeout=5)
        assert (ended.cancelled_count, ended.succeeded_count) == (3, 0)


async def test_all_kinds_of_writes_in_a_region_share_one_quota() -> None:
    """The sixty-first write is refused, whatever it is about."""
    world = world_with_services({"name": SERVICE}, jobs=[RICH], workerPools=[{"name": POOL}])
    async with google_clients(world) as google:
        for _ in range(20):
            await google.update("scaling", scaling=MANUAL_ZERO, validate_only=True)
            await run(google, validate_only=True)
            await google.worker_pools.update_worker_pool(
                run_v2.UpdateWorkerPoolRequest(
                    worker_pool=run_v2.WorkerPool(name=POOL),
                    update_mask={"paths": ["labels"]},
                    validate_only=True,
                )
            )
        with pytest.raises(exceptions.ResourceExhausted):
            await google.executions.cancel_execution(name=f"{JOB}/executions/any")
