"""Executions and tasks: reading them, and cancelling executions."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import run_v2
from google.iam.v1 import iam_policy_pb2

from emulator.api.proto_json import timestamp_of
from emulator.world.state import parse_world
from tests.support.constants import LOCATION, PROJECT_ID, PROJECT_NUMBER
from tests.support.google_clients import (
    EXECUTION,
    JOB,
    GoogleClients,
    google_clients,
    world_with_services,
)

State = run_v2.Condition.State
Reason = run_v2.Condition.ExecutionReason
BEFORE = f"{JOB}/executions/nightly-aaaaa"
DONE = {"type": "Completed", "state": "CONDITION_SUCCEEDED"}
# Four tasks at most two at a time: one has succeeded, one is on its third attempt, two wait.
RUNNING: dict[str, Any] = {
    "name": EXECUTION,
    "createTime": "2026-10-02T08:00:00Z",
    "taskCount": 4,
    "parallelism": 2,
    "succeededCount": 1,
    "runningCount": 1,
}
TASKS: list[dict[str, Any]] = [
    {"name": f"{EXECUTION}/tasks/nightly-abcde-task0", "conditions": [DONE]},
    {
        "name": f"{EXECUTION}/tasks/nightly-abcde-task1",
        "retried": 2,
        "maxRetries": 3,
        "lastAttemptResult": {"exitCode": 137, "status": {"code": 2}},
    },
]
FINISHED = {"name": BEFORE, "createTime": "2026-10-01T08:00:00Z", "conditions": [DONE]}


def world(**others: Any) -> dict[str, Any]:
    """A world with a job, an execution that is over, and one that runs."""
    return world_with_services(
        jobs=[{"name": JOB}], executions=[FINISHED, RUNNING], tasks=TASKS, **others
    )


async def execution(google: GoogleClients, name: str = EXECUTION) -> run_v2.Execution:
    """An execution as it is now."""
    return await google.executions.get_execution(name=name)


async def cancel(google: GoogleClients, name: str = EXECUTION, **request: Any) -> Any:
    """Asks for a cancellation and returns its operation."""
    return await google.executions.cancel_execution(
        run_v2.CancelExecutionRequest(name=name, **request)
    )


async def over(google: GoogleClients, name: str = EXECUTION) -> run_v2.Execution:
    """An execution when it has ended."""
    async with asyncio.timeout(5):
        while (found := await execution(google, name)).reconciling:  # noqa: ASYNC110  seen from outside
            await asyncio.sleep(0.002)
    return found


async def tasks(google: GoogleClients, parent: str = EXECUTION) -> list[run_v2.Task]:
    """The tasks below a parent."""
    return [task async for task in await google.tasks.list_tasks(parent=parent)]


def completed(resource: run_v2.Execution | run_v2.Task) -> run_v2.Condition:
    """The condition that says how far an execution or a task has got."""
    (found,) = [c for c in resource.conditions if c.type_ == "Completed"]
    return found


async def test_an_execution_is_found_by_either_spelling_of_its_project() -> None:
    """Project id and number lead to the same one; a missing one is not found."""
    async with google_clients(world()) as google:
        found = await execution(google, EXECUTION.replace(PROJECT_ID, PROJECT_NUMBER))
        assert found == await execution(google)
        with pytest.raises(exceptions.NotFound, match="'x' of kind 'EXECUTION'"):
            await execution(google, f"{JOB}/executions/x")


async def test_executions_are_listed_newest_first() -> None:
    """Of one job, or of all jobs of a location."""
    other = f"{LOCATION}/jobs/other"
    data = world()
    data["jobs"].append({"name": other})
    data["executions"].append({"name": f"{other}/executions/other-1"})
    async with google_clients(data) as google:
        for parent, names in (
            (JOB, [EXECUTION, BEFORE]),
            (JOB.replace(PROJECT_ID, PROJECT_NUMBER), [EXECUTION, BEFORE]),
            (other, [f"{other}/executions/other-1"]),
            (f"{LOCATION}/jobs/-", [EXECUTION, BEFORE, f"{other}/executions/other-1"]),
        ):
            request = run_v2.ListExecutionsRequest(parent=parent, page_size=1)
            found = await google.executions.list_executions(request)
            assert [e.name async for e in found] == names


async def test_executions_of_what_is_no_job_are_refused() -> None:
    """A job that does not exist is not found, and a location is not a job."""
    async with google_clients(world()) as google:
        with pytest.raises(exceptions.NotFound, match="of kind 'JOB'"):
            await google.executions.list_executions(parent=f"{LOCATION}/jobs/x")
        with pytest.raises(exceptions.InvalidArgument, match="parent"):
            await google.executions.list_executions(parent=LOCATION)


async def test_tasks_are_listed_by_their_index() -> None:
    """Of one execution, of all of a job, of all jobs; a retried one says how it ended last."""
    async with google_clients(world()) as google:
        found = await tasks(google)
        assert [task.index for task in found] == [0, 1, 2, 3]
        assert found[1].retried == 2
        assert found[1].last_attempt_result.exit_code == 137
        assert completed(found[1]).state == State.CONDITION_RECONCILING
        assert (await execution(google)).retried_count == 1
        assert len(await tasks(google, f"{JOB}/executions/-")) == 5
        assert len(await tasks(google, f"{LOCATION}/jobs/-/executions/-")) == 5
        name = f"{EXECUTION}/tasks/nightly-abcde-task1"
        assert await google.tasks.get_task(name=name) == found[1]
        with pytest.raises(exceptions.NotFound, match="of kind 'TASK'"):
            await google.tasks.get_task(name=f"{EXECUTION}/tasks/x")


async def test_a_cancellation_takes_a_while() -> None:
    """First it is cancelling, then cancelled; the record stays."""
    async with google_clients(world(latency={"reconcile": "250ms"})) as google:
        operation = await cancel(google)
        assert not operation.operation.done
        during = await execution(google)
        assert completed(during).execution_reason == Reason.CANCELLING
        assert during.reconciling
        assert during.running_count == 1
        assert "completion_time" not in during
        after = await over(google)
        assert completed(after).execution_reason == Reason.CANCELLED
        assert completed(after).state == State.CONDITION_FAILED
        assert (after.succeeded_count, after.cancelled_count) == (1, 3)
        assert (after.running_count, after.failed_count) == (0, 0)
        assert timestamp_of(after, "completion_time") > timestamp_of(after, "start_time")
        assert after.etag != during.etag


async def test_a_cancelled_execution_leaves_its_tasks() -> None:
    """What had ended stays; what ran was sent a signal; what waited never ran."""
    async with google_clients(world()) as google:
        before = await tasks(google)
        await cancel(google)
        await over(google)
        done, ran, *waited = await tasks(google)
        assert done == before[0]
        assert ran.last_attempt_result.term_signal == 15
        assert not ran.last_attempt_result.exit_code
        assert ran.retried == 2
        assert completed(ran).execution_reason == Reason.CANCELLED
        assert not ran.reconciling
        for task in waited:
            assert completed(task).execution_reason == Reason.CANCELLED
            assert "last_attempt_result" not in task
            assert "start_time" not in task
            assert "completion_time" in task


async def test_the_job_shows_that_its_latest_execution_was_cancelled() -> None:
    """The reference follows; a cancelled execution that is not the latest does not show."""
    async with google_clients(world()) as google:
        await cancel(google)
        after = await over(google)
        reference = (await google.jobs.get_job(name=JOB)).latest_created_execution
        cancelled = run_v2.ExecutionReference.CompletionStatus.EXECUTION_CANCELLED
        assert reference.completion_status == cancelled
        assert reference.completion_time == after.completion_time
        assert reference.name == "nightly-abcde"


async def test_the_operation_of_a_cancellation_ends_with_it() -> None:
    """It has succeeded, with the cancelled execution."""
    async with google_clients(world()) as google:
        ended = await (await cancel(google, EXECUTION.replace(PROJECT_ID, PROJECT_NUMBER))).result(
            timeout=5
        )
        assert ended.name == EXECUTION
        assert ended.cancelled_count == 3


async def test_cancelling_twice_is_harmless() -> None:
    """The second call finds it cancelling and changes nothing."""
    async with google_clients(world(latency={"reconcile": "250ms"})) as google:
        first = await cancel(google)
        during = await execution(google)
        second = await cancel(google)
        assert await execution(google) == during
        assert (await second.result(timeout=5)).cancelled_count == 3
        assert (await first.result(timeout=5)).cancelled_count == 3


@pytest.mark.parametrize("name", [BEFORE, EXECUTION])
async def test_what_is_over_cannot_be_cancelled(name: str) -> None:
    """Whether it succeeded or was cancelled before."""
    async with google_clients(world()) as google:
        await cancel(google)
        await over(google)
        before = await execution(google, name)
        with pytest.raises(exceptions.FailedPrecondition, match="has completed"):
            await cancel(google, name)
        assert await execution(google, name) == before
        assert google.emulator.writes[-1].code == "FAILED_PRECONDITION"


async def test_validating_only_cancels_nothing() -> None:
    """It is refused like a real one, and otherwise changes nothing."""
    async with google_clients(world()) as google:
        before = await execution(google)
        operation = await cancel(google, validate_only=True)
        assert operation.operation.done
        assert await execution(google) == before
        with pytest.raises(exceptions.FailedPrecondition):
            await cancel(google, BEFORE, validate_only=True)
        assert [write.validate_only for write in google.emulator.writes] == [True, True]
        method = "/google.cloud.run.v2.Executions/CancelExecution"
        assert google.emulator.writes[0].method == method


async def test_a_cancellation_may_be_meant_for_one_version() -> None:
    """A stale etag is aborted, the current one accepted; a missing execution is not found."""
    async with google_clients(world()) as google:
        etag = (await execution(google)).etag
        with pytest.raises(exceptions.Aborted, match="Conflict for resource 'nightly-abcde'"):
            await cancel(google, etag="stale")
        await cancel(google, etag=etag)
        with pytest.raises(exceptions.NotFound):
            await cancel(google, f"{JOB}/executions/x")


async def test_of_two_cancellations_at_once_one_is_a_conflict() -> None:
    """The execution is cancelled nevertheless."""
    async with google_clients(world(latency={"CancelExecution": "50ms"})) as google:
        results = await asyncio.gather(cancel(google), cancel(google), return_exceptions=True)
        failed = [result for result in results if isinstance(result, Exception)]
        assert [type(error) for error in failed] == [exceptions.Aborted]
        assert (await over(google)).cancelled_count == 3


async def test_a_cancellation_may_never_end() -> None:
    """With DEADLINE_EXCEEDED for `reconcile`; until it is asked for again."""
    faults = [{"method": "reconcile", "code": "DEADLINE_EXCEEDED", "times": 1}]
    async with google_clients(world(faults=faults)) as google:
        await cancel(google)
        await asyncio.sleep(0.05)
        assert completed(await execution(google)).execution_reason == Reason.CANCELLING
        await cancel(google)
        assert (await over(google)).cancelled_count == 3


async def test_a_cancellation_may_fail() -> None:
    """The execution runs on, and the operation says why."""
    faults = [{"method": "reconcile", "code": "INTERNAL", "times": 1, "message": "stuck"}]
    async with google_clients(world(faults=faults)) as google:
        operation = await cancel(google)
        with pytest.raises(exceptions.GoogleAPICallError, match="stuck"):
            await operation.result(timeout=5)
        after = await execution(google)
        assert after.running_count == 1
        assert completed(after).message == "stuck"
        await cancel(google)
        assert (await over(google)).cancelled_count == 3


async def test_a_world_that_was_printed_while_cancelling_carries_on() -> None:
    """A running execution does not end by itself, a cancelling one does."""
    async with google_clients(world(latency={"reconcile": "10s"})) as google:
        await cancel(google)
        printed = google.emulator.world.dump()
    async with google_clients(dict(printed) | {"latency": {"reconcile": "5ms"}}) as google:
        assert (await over(google)).cancelled_count == 3
        assert dict(parse_world(google.emulator.world.dump(), source="dump").dump()) == (
            google.emulator.world.dump()
        )
    async with google_clients(world()) as google:
        await asyncio.sleep(0.03)
        assert (await execution(google)).running_count == 1


async def test_a_fault_takes_away_the_permission_to_cancel() -> None:
    """Asked of the job, which the permission is granted on."""
    asked = ["run.executions.cancel", "run.executions.list", "run.tasks.list", "run.jobs.run"]
    faults = [{"method": "CancelExecution", "code": "PERMISSION_DENIED"}]
    async with google_clients(world(faults=faults)) as google:
        answer = await google.jobs.test_iam_permissions(
            iam_policy_pb2.TestIamPermissionsRequest(resource=JOB, permissions=asked)
        )
        assert list(answer.permissions) == asked[1:]
        with pytest.raises(exceptions.PermissionDenied):
            await cancel(google)
