"""Deliveries side by side, in one process and across two: one containment, one outcome each."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support.function_process import (
    AFTERWARDS,
    ENFORCE,
    Reported,
    Stage,
    has_begun,
    kept_image,
    running,
    scaled_to_zero,
    world_around,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

POLICY = f"{ENFORCE}guards: {{max_containments_per_hour: 100, max_per_project_per_hour: 3}}\n"
ONE = Reported("1", "lonely", "example-one", "100000000001")
PAIR = tuple(Reported(str(n), "shared", "example-pair", "100000000002") for n in (2, 3))
BURST = tuple(Reported(str(n), f"burst-{n}", "example-burst", "100000000003") for n in range(4, 10))
WARMING = Reported("10", "warming", "example-warming", "100000000004")
# Slow enough that what runs side by side meets.
LATENCY = {"reconcile": "50ms", "UpdateService": "50ms"}
CAP = "the policy's cap of 3 containments an hour in this project is reached"
CONTAINING, ANNOTATING = ["scaling", "traffic"], ["annotations"]


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=[1, 2], ids="{} workers".format)
async def stage(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stage]:
    """A function with one worker process, and one with two."""
    async with running(
        world_around(WARMING, ONE, *PAIR, *BURST) | {"latency": LATENCY},
        tmp_path_factory.mktemp("parallel"),
        policy=POLICY,
        settings=AFTERWARDS | {"WORKERS": str(request.param)},
    ) as ready:
        await warm(ready, request.param)
        yield ready


async def warm(stage: Stage, workers: int) -> None:
    """Deliver something until every worker has answered, so that all are there to compete."""
    begun = [False]
    while len(begun) < workers or not all(begun):
        await stage.deliver(WARMING, times=8)
        begun = [has_begun(worker) for worker in stage.function.workers]


async def test_twenty_deliveries_of_one_event_contain_once(stage: Stage) -> None:
    """One write, one outcome `contained` and nineteen `duplicate`; all are acknowledged."""
    deliveries = await stage.deliver(ONE, times=20)

    statuses = Counter(outcome["status"] for outcome in stage.outcomes(ONE))
    masks = [write.mask for write in stage.writes(ONE)]
    assert [delivery.acknowledged for delivery in deliveries] == [True] * 20
    assert statuses == {"contained": 1, "duplicate": 19}
    assert masks.count(CONTAINING) == 1
    assert masks in ([CONTAINING], [CONTAINING, ANNOTATING])
    assert scaled_to_zero(stage.service(ONE))
    assert done(stage, ONE) == ["contained"]
    assert kept_image(stage.records(ONE.custody)) == stage.original(ONE)
    # The message's own time came through the framework: only the one that contained tells.
    named = [entry for entry in stage.function.answers if entry["finding"] == ONE.name]
    waited = [entry["time_to_contain_s"] for entry in named]
    assert [seconds > 0 for seconds in waited if seconds is not None] == [True]


async def test_two_findings_on_one_service_share_its_containment(stage: Stage) -> None:
    """Both are contained by one write, which took effect once and can be taken back."""
    deliveries = await stage.deliver(*PAIR)

    outcomes = [outcome for one in PAIR for outcome in stage.outcomes(one)]
    image = kept_image(stage.records(PAIR[0].custody))
    service = stage.service(PAIR[0])
    annotated = "scc-responder-incident" in service.annotations
    assert [delivery.acknowledged for delivery in deliveries] == [True] * 2
    assert [outcome["status"] for outcome in outcomes] == ["contained"] * 2
    assert {outcome["containment"] for outcome in outcomes} == {PAIR[0].custody}
    assert scaled_to_zero(service)
    assert service.generation == 7 + 1 + annotated
    assert image == stage.original(PAIR[0])
    assert [done(stage, one) for one in PAIR] == [["contained"]] * 2


async def test_a_burst_in_one_project_ends_at_its_cap(stage: Stage) -> None:
    """Of six services three are contained; three are held, each with an ERROR that says why."""
    deliveries = await stage.deliver(*BURST)

    outcomes = {one: stage.outcomes(one) for one in BURST}
    held = [one for one in BURST if [o["status"] for o in outcomes[one]] == ["held"]]
    stopped = [one for one in BURST if [o["status"] for o in outcomes[one]] == ["contained"]]
    assert [delivery.acknowledged for delivery in deliveries] == [True] * 6
    assert (len(held), len(stopped)) == (3, 3)
    assert [one for one in BURST if scaled_to_zero(stage.service(one))] == stopped
    assert [stage.service(one).generation for one in held] == [7] * 3
    for one in held:
        (outcome,) = outcomes[one]
        assert outcome["decision"]["verdict"] == "hold"
        assert outcome["decision"]["reasons"] == [CAP]
    assert sorted(severities(stage, *held)) == ["ERROR"] * 3
    assert "ERROR" not in severities(stage, *stopped)


def severities(stage: Stage, *reported: Reported) -> list[str]:
    """The severities of the lines about findings."""
    names = {one.name for one in reported}
    return [entry["severity"] for entry in stage.function.answers if entry["finding"] in names]


def done(stage: Stage, reported: Reported) -> list[str]:
    """What the `done` records of a finding's incidents say."""
    incidents = {str(outcome["incident"]) for outcome in stage.outcomes(reported)}
    records = [stage.records(f"incidents/{incident}") for incident in sorted(incidents)]
    return [found["1000-done"]["outcome"]["status"] for found in records if "1000-done" in found]
