"""The rules of traffic: targets, percents and tags."""

from __future__ import annotations

from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import run_v2

from tests.support.constants import LATEST, REVISION, SERVICE
from tests.support.google_clients import google_clients, world_with_services

OLD, NEW = "storefront-00041-old", "storefront-00042-new"
WORLD = {
    "name": SERVICE,
    "traffic": [
        {"type": REVISION, "revision": OLD, "percent": 0, "tag": "canary"},
        {"type": LATEST, "percent": 100, "tag": "live"},
    ],
}
REVISIONS = [{"name": f"{SERVICE}/revisions/{name}"} for name in (OLD, NEW)]


def target(kind: str = REVISION, **fields: Any) -> run_v2.TrafficTarget:
    """One traffic target."""
    return run_v2.TrafficTarget(type_=kind, **fields)


async def test_a_written_list_replaces_the_whole_list_tags_included() -> None:
    """Tags that are not sent are gone, and the statuses follow once it is reconciled."""
    async with google_clients(world_with_services(WORLD, revisions=REVISIONS)) as google:
        before = await google.service()
        assert [status.tag for status in before.traffic_statuses] == ["canary", "live"]
        assert before.traffic_statuses[0].uri.startswith("https://canary---")
        await google.update("traffic", traffic=[target(LATEST, percent=100)])
        after = await google.reconciled_service()
        assert [(t.percent, t.tag) for t in after.traffic] == [(100, "")]
        assert [(s.percent, s.tag, s.uri) for s in after.traffic_statuses] == [(100, "", "")]


async def test_no_targets_mean_everything_to_the_latest_revision() -> None:
    """An empty list is stored as sent, and its status is spelled out."""
    async with google_clients(world_with_services(WORLD, revisions=REVISIONS)) as google:
        await google.update("traffic", traffic=[])
        after = await google.reconciled_service()
        assert not after.traffic
        (status,) = after.traffic_statuses
        assert (status.type_.name, status.percent) == (LATEST, 100)


async def test_traffic_makes_no_revision() -> None:
    """Moving traffic does not touch the template."""
    async with google_clients(world_with_services(WORLD, revisions=REVISIONS)) as google:
        await google.update("traffic", traffic=[target(revision=OLD, percent=100)])
        assert len(google.emulator.world.revisions) == 2


async def test_a_target_that_names_a_revision_may_leave_out_its_type() -> None:
    """A revision's name says which type is meant."""
    async with google_clients(world_with_services(WORLD, revisions=REVISIONS)) as google:
        sent = run_v2.TrafficTarget(revision=OLD, percent=100)
        await google.update("traffic", traffic=[sent])
        assert (await google.service()).traffic[0].type_.name == REVISION


@pytest.mark.parametrize(
    ("traffic", "reason"),
    [
        ([target(LATEST, percent=90)], "sum to 100"),
        ([target(LATEST, percent=0)], "sum to 100"),
        ([target(LATEST, percent=60), target(revision=OLD, percent=60)], "sum to 100"),
        ([target(LATEST, percent=120), target(revision=OLD, percent=-20)], "from 0 to 100"),
        ([target(revision=f"{SERVICE}/revisions/{OLD}", percent=100)], "short name"),
        ([target(revision="storefront-00001-gone", percent=100)], "not found"),
        ([target(revision="", percent=100)], "short name"),
        ([target(LATEST, revision=OLD, percent=100)], "must be empty"),
        ([run_v2.TrafficTarget(percent=100)], "type"),
        (
            [target(LATEST, percent=100, tag="a"), target(revision=OLD, tag="a")],
            "more than once",
        ),
        ([target(LATEST, percent=100, tag="Not Valid")], "not a valid tag"),
    ],
)
async def test_traffic_that_cannot_be_routed_is_refused(
    traffic: list[run_v2.TrafficTarget], reason: str
) -> None:
    """Wrong sums, names that are not short, revisions that do not exist, tags given twice."""
    async with google_clients(world_with_services(WORLD, revisions=REVISIONS)) as google:
        before = await google.service()
        with pytest.raises(exceptions.InvalidArgument, match=reason):
            await google.update("traffic", traffic=traffic)
        assert await google.service() == before
