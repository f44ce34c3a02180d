"""Who looks on is told of every call to the outside, while it lasts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from google.api_core.exceptions import Aborted

from clients import connect
from clients.errors import calling
from clients.underway import underway, watched_by
from incident.model import Conflict
from tests.support.environment import road


class Onlooker:
    """Notes what begins and what ends."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def __call__(self, what: str, on: str) -> Callable[[], None]:
        """A call begins."""
        self.seen.append(f"{what} {on}")
        return lambda: self.seen.append(f"/{what} {on}")


def test_a_call_that_fails_is_over_too() -> None:
    """Before its error is one of ours."""
    onlooker = Onlooker()
    with watched_by(onlooker), pytest.raises(Conflict), calling("change", "services/x"):
        raise Aborted("another one")  # type: ignore[no-untyped-call]
    assert onlooker.seen == ["change services/x", "/change services/x"]


async def test_tasks_are_seen_by_the_onlooker_that_they_were_begun_under() -> None:
    """And by no other; outside of it nobody looks on."""
    first, second = Onlooker(), Onlooker()

    async def call(name: str) -> None:
        with underway("read", name):
            await asyncio.sleep(0)

    async def both(onlooker: Onlooker, name: str) -> None:
        with watched_by(onlooker):
            await asyncio.gather(call(name), call(name))

    await asyncio.gather(both(first, "a"), both(second, "b"), call("c"))
    assert sorted(first.seen) == ["/read a", "/read a", "read a", "read a"]
    assert sorted(second.seen) == ["/read b", "/read b", "read b", "read b"]


async def test_a_whole_incident_is_seen_call_by_call(tmp_path: Path) -> None:
    """In the words of its errors: the store, Security Command Center, Cloud Run, the logs."""
    onlooker = Onlooker()
    async with road(tmp_path) as way:
        with watched_by(onlooker):
            assert (await way.deliver()).outcome["status"] == "contained"
            clients = await connect(way.settings)
            await clients.close()
    begun = [text for text in onlooker.seen if not text.startswith("/")]
    assert sorted(f"/{text}" for text in begun) == sorted(
        text for text in onlooker.seen if text.startswith("/")
    )
    service = "projects/example-shop-prod/locations/europe-west1/services/storefront"
    for text in (
        "connect to Google Cloud",
        "read the policy ",
        f"create {way.settings.store}/incidents/",
        f"list {way.settings.store}/containments/",
        "list the findings of ",
        f"read the settings of {service}",
        f"read the logs of {service}",
        f"change {service}",
        "mark the finding ",
    ):
        assert any(each.startswith(text) for each in begun), text
