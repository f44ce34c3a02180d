"""Worlds with jobs, executions, tasks and worker pools: what is filled in, what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.cloud import run_v2
from google.protobuf.field_mask_pb2 import FieldMask

from emulator.world.state import BadWorld, parse_world
from tests.support.constants import PROJECT_NUMBER
from tests.support.google_clients import EXECUTION, JOB, POOL, PROJECTS, google_clients

TASK = f"{EXECUTION}/tasks/nightly-abcde-task0"
RUNNING = "CONDITION_RECONCILING"
SUCCEEDED = "CONDITION_SUCCEEDED"
FAILED = "CONDITION_FAILED"
PENDING = "CONDITION_PENDING"


def completed(state: str, reason: str = "") -> dict[str, Any]:
    """The conditions of an execution or a task in a state."""
    condition = {"type": "Completed", "state": state}
    return {"conditions": [condition | ({"executionReason": reason} if reason else {})]}


def world(
    execution: dict[str, Any] | None = None,
    *tasks: dict[str, Any],
    job: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """A world with a job, an execution of it, and tasks of that, which need not say their names."""
    named = [{"name": TASK.replace("task0", f"task{n}")} | task for n, task in enumerate(tasks)]
    executions = [] if execution is None else [{"name": EXECUTION} | execution]
    return {
        "projects": PROJECTS,
        "jobs": [{"name": JOB} | (job or {})],
        "executions": executions,
        "tasks": named,
    }


def dumped(data: dict[str, Any]) -> dict[str, Any]:
    """A world after a round through the emulator's state; a second round changes nothing."""
    dump = dict(parse_world(data, source="w.json").dump())
    assert dict(parse_world(json.loads(json.dumps(dump)), source="again").dump()) == dump
    return dump


def states(dump: dict[str, Any]) -> list[str]:
    """The states of the tasks of a world, shortened."""
    found = [c for t in dump["tasks"] for c in t["conditions"] if c["type"] == "Completed"]
    return [c.get("executionReason", c["state"].removeprefix("CONDITION_")) for c in found]


def test_a_job_needs_only_a_name() -> None:
    """Everything else that Cloud Run would show gets a plausible value."""
    (job,) = dumped(world())["jobs"]
    assert job["uid"]
    assert job["etag"]
    assert job["createTime"] == job["updateTime"]
    assert job["generation"] == job["observedGeneration"] == "1"
    assert job["terminalCondition"]["state"] == SUCCEEDED
    assert job["template"]["taskCount"] == 1
    template = job["template"]["template"]
    assert (template["maxRetries"], template["timeout"]) == (3, "600s")
    assert template["serviceAccount"] == f"{PROJECT_NUMBER}-compute@developer.gserviceaccount.com"
    assert len(template["containers"]) == 1
    assert "executionCount" not in job


def test_an_execution_that_says_nothing_runs() -> None:
    """With as many tasks as the job says, as many at once as it allows."""
    dump = dumped(world({}, job={"template": {"taskCount": 3, "parallelism": 2}}))
    (execution,) = dump["executions"]
    assert execution["reconciling"]
    assert execution["runningCount"] == 2
    assert (execution["taskCount"], execution["parallelism"]) == (3, 2)
    assert execution["startTime"] == execution["createTime"]
    assert execution["job"] == "nightly"
    assert execution["template"]["containers"]
    assert states(dump) == ["RECONCILING", "RECONCILING", "PENDING"]
    task = dump["tasks"][0]
    assert (task["job"], task["execution"]) == ("nightly", "nightly-abcde")
    assert task["containers"] == execution["template"]["containers"]
    (job,) = dump["jobs"]
    assert job["executionCount"] == 1
    assert job["latestCreatedExecution"]["name"] == "nightly-abcde"
    assert job["latestCreatedExecution"]["completionStatus"] == "EXECUTION_RUNNING"


@pytest.mark.parametrize(
    ("execution", "counts", "expected"),
    [
        (completed(PENDING), {}, ["PENDING"]),
        (completed(SUCCEEDED), {"succeededCount": 1}, ["SUCCEEDED"]),
        ({"completionTime": "2026-10-02T08:00:00Z"}, {"succeededCount": 1}, ["SUCCEEDED"]),
        (completed(FAILED), {"failedCount": 1, "retriedCount": 1}, ["NON_ZERO_EXIT_CODE"]),
        (completed(FAILED, "CANCELLED"), {"cancelledCount": 1}, ["CANCELLED"]),
        (
            {"completionTime": "2026-10-02T08:00:00Z", "taskCount": 2}
            | {"cancelledCount": 1, "succeededCount": 1},
            {"succeededCount": 1, "cancelledCount": 1},
            ["SUCCEEDED", "CANCELLED"],
        ),
        (
            {"completionTime": "2026-10-02T08:00:00Z", "failedCount": 1},
            {"failedCount": 1, "retriedCount": 1},
            ["NON_ZERO_EXIT_CODE"],
        ),
        (completed(RUNNING, "CANCELLING"), {"runningCount": 1}, ["RECONCILING"]),
        (
            {"succeededCount": 2, "runningCount": 1},
            {"succeededCount": 2, "runningCount": 1},
            ["SUCCEEDED", "SUCCEEDED", "RECONCILING"],
        ),
    ],
)
def test_counts_and_tasks_follow_from_the_condition(
    execution: dict[str, Any], counts: dict[str, int], expected: list[str]
) -> None:
    """An execution that says how it stands gets the counts and the tasks that go with it."""
    dump = dumped(world(execution))
    (found,) = dump["executions"]
    assert {key: value for key, value in found.items() if key.endswith("dCount")} == {
        key: value for key, value in counts.items() if key.endswith("dCount")
    }
    assert found.get("runningCount", 0) == counts.get("runningCount", 0)
    assert states(dump) == expected
    assert ("completionTime" in found) == (not found.get("reconciling", False))


def test_listed_tasks_make_the_counts() -> None:
    """Tasks that are not listed are made; those that are keep what they say."""
    attempt = {"exitCode": 7}
    retried = {"retried": 1, "lastAttemptResult": attempt}
    dump = dumped(world({"taskCount": 4}, completed(SUCCEEDED), retried))
    (execution,) = dump["executions"]
    assert (execution["succeededCount"], execution["runningCount"]) == (1, 3)
    assert execution["retriedCount"] == 1
    assert states(dump) == ["SUCCEEDED", "RECONCILING", "RECONCILING", "RECONCILING"]
    assert dump["tasks"][1]["index"] == 1
    assert dump["tasks"][1]["lastAttemptResult"] == attempt
    assert dump["tasks"][1]["maxRetries"] == 3


def test_a_failed_task_has_used_up_its_retries() -> None:
    """Otherwise it would have been tried again, in a fresh container."""
    dump = dumped(world({"completionTime": "2026-10-02T09:00:00Z", "failedCount": 1}))
    (task,) = dump["tasks"]
    assert task["retried"] == task["maxRetries"] == 3
    assert task["lastAttemptResult"]["exitCode"] == 1
    assert task["completionTime"] == "2026-10-02T09:00:00Z"


def test_a_task_that_waited_when_it_was_cancelled_never_ran() -> None:
    """No start, no attempt; one that says when it started was sent a signal."""
    cancelled = completed(FAILED, "CANCELLED")
    started = cancelled | {"startTime": "2026-10-02T08:00:00Z"}
    dump = dumped(world(cancelled, cancelled, started))
    waited, ran = dump["tasks"]
    assert not {"startTime", "lastAttemptResult"} & set(waited)
    assert ran["lastAttemptResult"]["termSignal"] == 15


def test_the_latest_execution_is_the_newest() -> None:
    """By their times; without any, each listed one is newer than the one before."""
    data = world({})
    data["executions"].append({"name": f"{JOB}/executions/nightly-fffff"})
    dump = dumped(data)
    assert dump["jobs"][0]["latestCreatedExecution"]["name"] == "nightly-fffff"
    data["executions"][0]["createTime"] = "2026-10-02T08:00:00Z"
    assert dumped(data)["jobs"][0]["latestCreatedExecution"]["name"] == "nightly-abcde"


def test_a_job_may_have_had_more_executions_than_are_kept() -> None:
    """The count and the latest one are believed when nothing listed contradicts them."""
    latest = {"name": "nightly-00000", "completionStatus": "EXECUTION_SUCCEEDED"}
    (job,) = dumped(world(job={"executionCount": 9, "latestCreatedExecution": latest}))["jobs"]
    assert job["executionCount"] == 9
    assert job["latestCreatedExecution"] == latest


def test_a_pool_needs_only_a_name() -> None:
    """It has one instance, of a revision made from its template."""
    dump = dumped({"projects": PROJECTS, "workerPools": [{"name": POOL}]})
    (pool,), (revision,) = dump["workerPools"], dump["revisions"]
    assert pool["scaling"] == {"manualInstanceCount": 1}
    assert pool["latestReadyRevision"] == pool["latestCreatedRevision"] == revision["name"]
    assert revision["name"].startswith(f"{POOL}/revisions/crunch-00001-")
    assert pool["instanceSplitStatuses"] == [
        {"type": "INSTANCE_SPLIT_ALLOCATION_TYPE_LATEST", "percent": 100}
    ]
    assert pool["terminalCondition"]["state"] == SUCCEEDED
    assert pool["uid"]
    assert "service" not in revision
    assert "timeout" not in revision


def test_a_pool_whose_count_is_zero_keeps_it() -> None:
    """Zero is a value and not the absence of one."""
    pool = {"name": POOL, "scaling": {"manualInstanceCount": 0}}
    assert dumped({"workerPools": [pool]})["workerPools"][0]["scaling"] == pool["scaling"]


def test_a_failed_pool_has_a_revision_that_failed() -> None:
    """Its terminal condition says that its template is broken."""
    condition = {"type": "Ready", "state": FAILED, "message": "no such image"}
    dump = dumped({"workerPools": [{"name": POOL, "terminalCondition": condition}]})
    assert dump["revisions"][0]["conditions"][0]["state"] == FAILED
    assert "latestReadyRevision" not in dump["workerPools"][0]


async def test_a_state_in_the_middle_of_things_is_read_back() -> None:
    """What running, cancelling and changing leave behind is a world again."""
    template = {"taskCount": 3, "parallelism": 1}
    data = world(completed(PENDING), job={"template": template})
    slow = {"latency": {"reconcile": "10s"}}
    async with google_clients(data | {"workerPools": [{"name": POOL}]} | slow) as google:
        await google.jobs.run_job(name=JOB)
        dumped(google.emulator.world.dump())
        await google.executions.cancel_execution(name=EXECUTION)
        pool = run_v2.WorkerPool(name=POOL, labels={"a": "b"})
        await google.worker_pools.update_worker_pool(
            worker_pool=pool, update_mask=FieldMask(paths=["labels"])
        )
        printed = dumped(google.emulator.world.dump())
    async with google_clients(printed | {"latency": {"reconcile": 0}}) as google:
        for execution in tuple(google.emulator.world.executions.values()):
            if execution.reconciling:
                await google.executions.cancel_execution(name=execution.name)
        printed = dumped(google.emulator.world.dump())
        assert states(printed) == ["CANCELLED"] * 6


AN_HOUR = {"startTime": "2026-10-02T09:00:00Z", "completionTime": "2026-10-02T08:00:00Z"}
BAD: dict[str, tuple[dict[str, Any], list[str]]] = {
    "execution of no job": (
        {"executions": [{"name": EXECUTION}]},
        ["executions[0]", EXECUTION, f"list {JOB} in jobs"],
    ),
    "task of no execution": (
        {"jobs": [{"name": JOB}], "tasks": [{"name": TASK}]},
        ["tasks[0]", TASK, f"list {EXECUTION} in executions"],
    ),
    "another job": (world({"job": "other"}), ["executions[0].job", "other", "nightly"]),
    "another execution": (world({}, {"execution": "other"}), ["tasks[0].execution", "other"]),
    "ended and running": (
        world(completed(RUNNING) | {"completionTime": "2026-10-02T08:00:00Z"}),
        ["executions[0].completionTime", "running"],
    ),
    "ended before it began": (world(AN_HOUR), ["executions[0].completionTime", "before the start"]),
    "ended with running tasks": (
        world(completed(SUCCEEDED) | {"runningCount": 1}),
        ["executions[0]", "it has succeeded, and 1 of its tasks have not ended"],
    ),
    "succeeded with failures": (
        world(completed(SUCCEEDED) | {"taskCount": 2, "succeededCount": 1, "failedCount": 1}),
        ["executions[0]", "it has succeeded, and 1 of its tasks have not"],
    ),
    "pending with results": (
        world(completed(PENDING) | {"succeededCount": 1}),
        ["executions[0]", "pending"],
    ),
    "counts that leave tasks open": (
        world(completed(SUCCEEDED) | {"taskCount": 2, "succeededCount": 1}),
        ["executions[0]", "1 of its tasks have not ended"],
    ),
    "more than all tasks": (
        world({"taskCount": 1, "succeededCount": 1, "runningCount": 1}),
        ["executions[0].taskCount", "is 1", "at least 2"],
    ),
    "too many tasks": (world({"taskCount": 10_001}), ["executions[0].taskCount", "up to 10000"]),
    "negative count": (world({"runningCount": -1}), ["executions[0].taskCount", "negative"]),
    "a task beyond the count": (
        world({"taskCount": 1}, {}, {}),
        ["executions[0].taskCount", "at least 2"],
    ),
    "counts against tasks": (
        world({"succeededCount": 1}, completed(FAILED)),
        ["executions[0]", "1 of its tasks are listed as failed, and it counts 0"],
    ),
    "one index twice": (
        world({}, {"name": f"{EXECUTION}/tasks/a"}, {"name": f"{EXECUTION}/tasks/b"}),
        ["tasks[1].index", "another task"],
    ),
    "another index": (world({}, {"index": 1}), ["tasks[0].index", "is 1", "says 0"]),
    "too many retries": (
        world({}, {"retried": 4}),
        ["tasks[0].retried", "maxRetries is 3"],
    ),
    "retries left": (
        world({}, completed(FAILED) | {"retried": 1}),
        ["tasks[0].retried", "is 1 of 3", "tried again"],
    ),
    "exit code and signal": (
        world({}, {"lastAttemptResult": {"exitCode": 1, "termSignal": 9}}),
        ["tasks[0].lastAttemptResult", "leave one"],
    ),
    "succeeded with an exit code": (
        world({}, completed(SUCCEEDED) | {"lastAttemptResult": {"exitCode": 1}}),
        ["tasks[0].lastAttemptResult", "succeeded"],
    ),
    "fewer executions than listed": (
        world({}) | {"jobs": [{"name": JOB, "executionCount": 1}]}
        | {"executions": [{"name": EXECUTION}, {"name": f"{JOB}/executions/other"}]},
        ["jobs[0].executionCount", "2 are listed"],
    ),
    "latest not the newest": (
        world({}, job={"latestCreatedExecution": {"name": "other"}}),
        ["jobs[0].latestCreatedExecution", "other", "nightly-abcde"],
    ),
    "latest in another state": (
        world({}, job={"latestCreatedExecution": {"completionStatus": "EXECUTION_FAILED"}}),
        ["jobs[0].latestCreatedExecution", "state"],
    ),
    "negative retries": (
        world(job={"template": {"template": {"maxRetries": -1}}}),
        ["jobs[0]", "template.template.max_retries"],
    ),
    "negative instances": (
        {"workerPools": [{"name": POOL, "scaling": {"manualInstanceCount": -1}}]},
        ["workerPools[0]", "scaling.manual_instance_count"],
    ),
    "splits": (
        {"workerPools": [{"name": POOL, "instanceSplits": [{"type": 1, "percent": 50}]}]},
        ["workerPools[0].instanceSplits", "sum to 50"],
    ),
    "unlisted revision of a pool": (
        {
            "workerPools": [
                {"name": POOL, "instanceSplits": [{"revision": "crunch-x", "percent": 100}]}
            ],
            "revisions": [{"name": f"{POOL}/revisions/crunch-y"}],
        },
        ["workerPools[0]", "crunch-x", "none of this worker pool's revisions"],
    ),
    "wrong kind of name": (
        {"tasks": [{"name": f"{JOB}/tasks/x"}]},
        ["tasks[0].name", "jobs/*/executions/*/tasks/*"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("data", "words"), BAD.values(), ids=BAD)
def test_a_contradiction_is_refused_with_what_and_where(
    data: dict[str, Any], words: list[str]
) -> None:
    """The refusal names the file, the place, the resource, the reason and a remedy."""
    with pytest.raises(BadWorld) as refusal:
        parse_world(data, source="w.json")
    for word in ["w.json", *words]:
        assert word in str(refusal.value)
    assert "; " in str(refusal.value)
