"""The rules of manual and automatic scaling."""

from __future__ import annotations

from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import run_v2

from tests.support.constants import SERVICE
from tests.support.google_clients import (
    MANUAL_ZERO,
    GoogleClients,
    google_clients,
    world_with_services,
)

Mode = run_v2.ServiceScaling.ScalingMode
AUTOMATIC = {"name": SERVICE, "scaling": {"minInstanceCount": 2, "maxInstanceCount": 9}}
MANUAL_THREE = {
    "name": SERVICE,
    "scaling": {"scalingMode": "MANUAL", "manualInstanceCount": 3},
}


def scaling(**fields: Any) -> run_v2.ServiceScaling:
    """A scaling with only these fields sent."""
    return run_v2.ServiceScaling(**fields)


async def test_an_automatic_service_shows_a_manual_count_of_zero(google: GoogleClients) -> None:
    """The count alone does not tell whether a service is stopped: only mode and count do."""
    shown = (await google.service()).scaling
    assert shown.scaling_mode == Mode.AUTOMATIC
    assert "manual_instance_count" in shown
    assert shown.manual_instance_count == 0


async def test_manual_zero_is_kept_apart_from_no_count_at_all() -> None:
    """The zero that stops a service is sent and read as a value."""
    async with google_clients(world_with_services(AUTOMATIC)) as google:
        await google.update("scaling", scaling=MANUAL_ZERO)
        shown = (await google.service()).scaling
        assert shown.scaling_mode == Mode.MANUAL
        assert "manual_instance_count" in shown
        assert shown.manual_instance_count == 0


async def test_going_manual_erases_minimum_and_maximum() -> None:
    """What Cloud Run forgets meanwhile has to be restored from a record."""
    async with google_clients(world_with_services(AUTOMATIC)) as google:
        await google.update("scaling", scaling=MANUAL_ZERO)
        shown = (await google.service()).scaling
        assert (shown.min_instance_count, shown.max_instance_count) == (0, 0)
        await google.update("scaling", scaling=scaling(min_instance_count=2, max_instance_count=9))
        shown = (await google.service()).scaling
        assert shown.scaling_mode == Mode.AUTOMATIC
        assert (shown.min_instance_count, shown.max_instance_count) == (2, 9)


async def test_going_manual_by_sub_paths_erases_them_too() -> None:
    """The stored minimum and maximum go, even where the mask does not name them."""
    async with google_clients(world_with_services(AUTOMATIC)) as google:
        paths = ("scaling.scaling_mode", "scaling.manual_instance_count")
        await google.update(*paths, scaling=MANUAL_ZERO)
        shown = (await google.service()).scaling
        assert (shown.min_instance_count, shown.max_instance_count) == (0, 0)


async def test_a_manual_count_alone_does_not_make_a_service_manual() -> None:
    """The count's sub-path means something only while the mode is manual."""
    async with google_clients(world_with_services(AUTOMATIC)) as google:
        await google.update(
            "scaling.manual_instance_count", scaling=scaling(manual_instance_count=0)
        )
        after = await google.service()
        assert after.scaling.scaling_mode == Mode.AUTOMATIC
        assert after.generation == 1


async def test_a_manual_count_is_changed_by_its_sub_path() -> None:
    """While the mode is manual, the sub-path of the count is enough."""
    async with google_clients(world_with_services(MANUAL_THREE)) as google:
        await google.update(
            "scaling.manual_instance_count", scaling=scaling(manual_instance_count=0)
        )
        shown = (await google.service()).scaling
        assert (shown.scaling_mode, shown.manual_instance_count) == (Mode.MANUAL, 0)


@pytest.mark.parametrize(
    "sent",
    [
        {"scaling_mode": "MANUAL", "manual_instance_count": 0, "max_instance_count": 9},
        {"scaling_mode": "MANUAL"},
        {"scaling_mode": "MANUAL", "manual_instance_count": -1},
        {"min_instance_count": -1},
    ],
)
async def test_scaling_that_contradicts_itself_is_refused(sent: dict[str, Any]) -> None:
    """A maximum with manual mode, a manual mode without a count, a negative count."""
    async with google_clients(world_with_services(AUTOMATIC)) as google:
        with pytest.raises(exceptions.InvalidArgument, match="scaling"):
            await google.update("scaling", scaling=scaling(**sent))
        assert (await google.service()).generation == 1


async def test_going_automatic_with_neither_limit_inherits_the_manual_count() -> None:
    """A careless release of a service at three instances pins it to three."""
    async with google_clients(world_with_services(MANUAL_THREE)) as google:
        await google.update("scaling", scaling=scaling(scaling_mode="AUTOMATIC"))
        shown = (await google.service()).scaling
        assert (shown.min_instance_count, shown.max_instance_count) == (3, 3)
        assert shown.manual_instance_count == 0


async def test_going_automatic_with_a_limit_inherits_nothing() -> None:
    """A release that sends either limit gets what it sent."""
    async with google_clients(world_with_services(MANUAL_THREE)) as google:
        await google.update("scaling", scaling=scaling(max_instance_count=9))
        shown = (await google.service()).scaling
        assert (shown.min_instance_count, shown.max_instance_count) == (0, 9)
