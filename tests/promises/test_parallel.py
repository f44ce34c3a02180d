"""Deliveries side by side, in one process and across two: one containment, one outcome each."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support.findings import SampleFinding
from tests.support.function_process import (
    ENFORCING_POLICY,
    FIVE_SECONDS_LATER,
    RunningFunction,
    has_client_threads,
    is_scaled_to_zero,
    running_function,
    snapshot_of_last_write,
)
from tests.support.worlds import world_with_findings

pytestmark = pytest.mark.asyncio(loop_scope="module")

POLICY = (
    f"{ENFORCING_POLICY}guards: {{max_containments_per_hour: 100, max_per_project_per_hour: 3}}\n"
)
LONELY_FINDING = SampleFinding("1", "lonely", "example-one", "100000000001")
FINDINGS_ON_ONE_SERVICE = tuple(
    SampleFinding(str(n), "shared", "example-pair", "100000000002") for n in (2, 3)
)
BURST_FINDINGS = tuple(
    SampleFinding(str(n), f"burst-{n}", "example-burst", "100000000003") for n in range(4, 10)
)
WARM_UP_FINDING = SampleFinding("10", "warming", "example-warming", "100000000004")
# Slow enough that what runs side by side meets.
LATENCY = {"reconcile": "50ms", "UpdateService": "50ms"}
CAP = "the policy's cap of 3 containments an hour in this project is reached"
CONTAINING, ANNOTATING = ["scaling", "traffic"], ["annotations"]


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=[1, 2], ids="{} workers".format)
async def running_functions(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[RunningFunction]:
    """A function with one worker process, and one with two."""
    async with running_function(
        world_with_findings(
            WARM_UP_FINDING, LONELY_FINDING, *FINDINGS_ON_ONE_SERVICE, *BURST_FINDINGS
        )
        | {"latency": LATENCY},
        tmp_path_factory.mktemp("parallel"),
        policy=POLICY,
        settings=FIVE_SECONDS_LATER | {"WORKERS": str(request.param)},
    ) as ready:
        await warm_up_workers(ready, request.param)
        yield ready


async def warm_up_workers(running_functions: RunningFunction, workers: int) -> None:
    """Deliver something until every worker has answered, so that all are there to compete."""
    begun = [False]
    while len(begun) < workers or not all(begun):
        await running_functions.deliver(WARM_UP_FINDING, times=8)
        begun = [has_client_threads(worker) for worker in running_functions.function.worker_pids]


async def test_twenty_deliveries_of_one_event_contain_once(
    running_functions: RunningFunction,
) -> None:
    """One write, one outcome `contained` and nineteen `duplicate`; all are acknowledged."""
    deliveries = await running_functions.deliver(LONELY_FINDING, times=20)

    statuses = Counter(outcome["status"] for outcome in running_functions.outcomes(LONELY_FINDING))
    masks = [write.mask for write in running_functions.writes(LONELY_FINDING)]
    assert [delivery.acknowledged for delivery in deliveries] == [True] * 20
    assert statuses == {"contained": 1, "duplicate": 19}
    assert masks.count(CONTAINING) == 1
    assert masks in ([CONTAINING], [CONTAINING, ANNOTATING])
    assert is_scaled_to_zero(running_functions.service(LONELY_FINDING))
    assert done_records(running_functions, LONELY_FINDING) == ["contained"]
    assert snapshot_of_last_write(
        running_functions.read_records(LONELY_FINDING.containment_folder)
    ) == running_functions.restorable_fields(LONELY_FINDING)
    # The message's own time came through the framework: only the one that contained tells.
    named = [
        entry
        for entry in running_functions.function.outcome_entries
        if entry["finding"] == LONELY_FINDING.name
    ]
    waited = [entry["time_to_contain_s"] for entry in named]
    assert [seconds > 0 for seconds in waited if seconds is not None] == [True]


async def test_two_findings_on_one_service_share_its_containment(
    running_functions: RunningFunction,
) -> None:
    """Both are contained by one write, which took effect once and can be taken back."""
    deliveries = await running_functions.deliver(*FINDINGS_ON_ONE_SERVICE)

    outcomes = [
        outcome for one in FINDINGS_ON_ONE_SERVICE for outcome in running_functions.outcomes(one)
    ]
    image = snapshot_of_last_write(
        running_functions.read_records(FINDINGS_ON_ONE_SERVICE[0].containment_folder)
    )
    service = running_functions.service(FINDINGS_ON_ONE_SERVICE[0])
    annotated = "scc-responder-incident" in service.annotations
    assert [delivery.acknowledged for delivery in deliveries] == [True] * 2
    assert [outcome["status"] for outcome in outcomes] == ["contained"] * 2
    assert {outcome["containment"] for outcome in outcomes} == {
        FINDINGS_ON_ONE_SERVICE[0].containment_folder
    }
    assert is_scaled_to_zero(service)
    assert service.generation == 7 + 1 + annotated
    assert image == running_functions.restorable_fields(FINDINGS_ON_ONE_SERVICE[0])
    assert [done_records(running_functions, one) for one in FINDINGS_ON_ONE_SERVICE] == [
        ["contained"]
    ] * 2


async def test_a_burst_in_one_project_ends_at_its_cap(running_functions: RunningFunction) -> None:
    """Of six services three are contained; three are held, each with an ERROR that says why."""
    deliveries = await running_functions.deliver(*BURST_FINDINGS)

    outcomes = {one: running_functions.outcomes(one) for one in BURST_FINDINGS}
    held = [one for one in BURST_FINDINGS if [o["status"] for o in outcomes[one]] == ["held"]]
    stopped = [
        one for one in BURST_FINDINGS if [o["status"] for o in outcomes[one]] == ["contained"]
    ]
    assert [delivery.acknowledged for delivery in deliveries] == [True] * 6
    assert (len(held), len(stopped)) == (3, 3)
    assert [
        one for one in BURST_FINDINGS if is_scaled_to_zero(running_functions.service(one))
    ] == stopped
    assert [running_functions.service(one).generation for one in held] == [7] * 3
    for one in held:
        (outcome,) = outcomes[one]
        assert outcome["decision"]["verdict"] == "hold"
        assert outcome["decision"]["reasons"] == [CAP]
    assert sorted(severities(running_functions, *held)) == ["ERROR"] * 3
    assert "ERROR" not in severities(running_functions, *stopped)


def severities(running_functions: RunningFunction, *reported: SampleFinding) -> list[str]:
    """The severities of the lines about findings."""
    names = {one.name for one in reported}
    return [
        entry["severity"]
        for entry in running_functions.function.outcome_entries
        if entry["finding"] in names
    ]


def done_records(running_functions: RunningFunction, reported: SampleFinding) -> list[str]:
    """What the `done` records of a finding's incidents say."""
    incidents = {str(outcome["incident"]) for outcome in running_functions.outcomes(reported)}
    records = [
        running_functions.read_records(f"incidents/{incident}") for incident in sorted(incidents)
    ]
    return [found["1000-done"]["outcome"]["status"] for found in records if "1000-done" in found]
