"""An observer is notified of every outgoing call while it lasts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from google.api_core.exceptions import Aborted

from clients import connect
from clients.call_progress import call_in_progress, observed_by
from clients.errors import google_call
from incident.model import Conflict
from tests.support.environment import responder_environment


class CallListener:
    """Notes what begins and what ends."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def __call__(self, what: str, on: str) -> Callable[[], None]:
        """A call begins."""
        self.seen.append(f"{what} {on}")
        return lambda: self.seen.append(f"/{what} {on}")


def test_a_failed_call_is_reported_as_ended() -> None:
    """Before its error is translated."""
    onlooker = CallListener()
    with observed_by(onlooker), pytest.raises(Conflict), google_call("change", "services/x"):
        raise Aborted("another one")  # type: ignore[no-untyped-call]
    assert onlooker.seen == ["change services/x", "/change services/x"]


async def test_calls_are_reported_to_the_listener_of_their_task() -> None:
    """And by no other; outside of it nobody looks on."""
    first, second = CallListener(), CallListener()

    async def call(name: str) -> None:
        with call_in_progress("read", name):
            await asyncio.sleep(0)

    async def both(onlooker: CallListener, name: str) -> None:
        with observed_by(onlooker):
            await asyncio.gather(call(name), call(name))

    await asyncio.gather(both(first, "a"), both(second, "b"), call("c"))
    assert sorted(first.seen) == ["/read a", "/read a", "read a", "read a"]
    assert sorted(second.seen) == ["/read b", "/read b", "read b", "read b"]


async def test_every_call_of_an_incident_is_reported(tmp_path: Path) -> None:
    """In the words of its errors: the store, Security Command Center, Cloud Run, the logs."""
    onlooker = CallListener()
    async with responder_environment(tmp_path) as env:
        with observed_by(onlooker):
            assert (await env.deliver()).outcome.status == "contained"
            clients = await connect(env.settings)
            await clients.close()
    begun = [text for text in onlooker.seen if not text.startswith("/")]
    assert sorted(f"/{text}" for text in begun) == sorted(
        text for text in onlooker.seen if text.startswith("/")
    )
    service = "projects/example-shop-prod/locations/europe-west1/services/storefront"
    for text in (
        "connect to Google Cloud",
        "read the policy ",
        f"create {env.settings.store}/incidents/",
        f"list {env.settings.store}/containments/",
        "list the findings of ",
        f"read the settings of {service}",
        f"read the logs of {service}",
        f"change {service}",
        "mark the finding ",
    ):
        assert any(each.startswith(text) for each in begun), text
