"""An outcome is heard of: who dies right after recording it leaves that to whoever comes next."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from clients import connect
from clients.store import Store
from incident.patrol import log as patrol_log
from incident.response import log
from incident.response.deliveries import DeliveryHandler
from tests.support.environment import (
    JsonDict,
    ResponderEnvironment,
    captured_output,
    deliver_and_log,
    encode,
    responder_environment,
    sample_notification,
)
from tests.support.environment import world_around as around
from tests.support.patrol import ProcessKilled, run_patrol
from wiring import build_context, build_ports

#: Refused for good: an ERROR that must not be lost.
FAILING: JsonDict = around(
    sample_notification(),
    faults=[{"method": "UpdateService", "code": "PERMISSION_DENIED", "times": 9}],
)


def logged_outcomes(printed: str) -> list[tuple[str, str]]:
    """Outcomes with their severities, as the log has them."""
    lines = [json.loads(line) for line in printed.splitlines()]
    return [(line["severity"], line["outcome"]["status"]) for line in lines if "outcome" in line]


class StoreKilledAt(Store):
    """A store whose process ends before or after it puts an object of some name."""

    def __init__(self, store: Store, name: str, when: str) -> None:
        super().__init__(store._store, store.url)  # noqa: SLF001 - the same store
        self._name, self._when = name, when

    async def create(self, path: str, data: bytes) -> bool:
        """Put an object, unless the end comes first."""
        here = path.endswith(self._name)
        if here and self._when == "before":
            raise ProcessKilled
        created = await super().create(path, data)
        if here:
            raise ProcessKilled
        return created


async def deliver_and_kill(env: ResponderEnvironment, name: str, when: str) -> str:
    """One delivery to a process that is killed at an object; what it printed by then."""
    clients = await connect(env.settings)
    store = StoreKilledAt(clients.store, name, when)
    inbox = DeliveryHandler(build_context(env.settings), replace(build_ports(clients), store=store))
    with captured_output() as output, pytest.raises(ProcessKilled):
        await inbox.receive(
            encode(env.notification), lambda answer: log.delivery_answered(answer, None)
        )
    await clients.close()
    return output.getvalue()


async def test_an_unlogged_outcome_is_logged_by_the_redelivery(tmp_path: Path) -> None:
    """As loud as it would have been, and once: the delivery after that is a duplicate."""
    async with responder_environment(tmp_path, world=FAILING) as env:
        assert logged_outcomes(await deliver_and_kill(env, "/1000-done.json", "after")) == []
        later = env.later(60)
        _, printed = await deliver_and_log(later)
        assert logged_outcomes(printed) == [("ERROR", "failed")]
        _, printed = await deliver_and_log(later)
        assert logged_outcomes(printed) == [("INFO", "duplicate")]


async def test_an_unlogged_outcome_is_logged_by_the_patrol(tmp_path: Path) -> None:
    """Where no delivery comes any more; once as well."""
    async with responder_environment(tmp_path, world=FAILING) as env:
        await deliver_and_kill(env, "/1000-done.json", "after")
        with captured_output() as output:
            for later in (900, 1200):
                patrol_log.log_round(await run_patrol(env.later(later)), None)
        assert logged_outcomes(output.getvalue()) == [("ERROR", "failed")]


@pytest.mark.parametrize("when", ["before", "after"])
async def test_an_outcome_is_logged_before_it_is_in_a_manifest(tmp_path: Path, when: str) -> None:
    """So a record that is listed was heard of; one that is not may be told twice, never never."""
    async with responder_environment(tmp_path, world=FAILING) as env:
        assert logged_outcomes(await deliver_and_kill(env, "/manifest-2.json", when)) == [
            ("ERROR", "failed")
        ]
        _, printed = await deliver_and_log(env.later(60))
        again = ("ERROR", "failed") if when == "before" else ("INFO", "duplicate")
        assert logged_outcomes(printed) == [again]


class LateListingStore(Store):
    """A store in which what another process puts appears at the second listing of a case file."""

    def __init__(self, store: Store, late: Path, there: Path) -> None:
        super().__init__(store._store, store.url)  # noqa: SLF001 - the same store
        self._late, self._there, self._listed = late, there, 0

    async def list(self, prefix: str) -> tuple[str, ...]:
        """What is there; of the case file, after its manifest had been looked for in vain."""
        if prefix.startswith("incidents/"):
            self._listed += 1
            if self._listed > 2 and self._late.exists():
                self._late.rename(self._there)
        return await super().list(prefix)


async def test_a_redelivery_waits_for_the_run_that_is_about_to_log(tmp_path: Path) -> None:
    """A delivery that comes between the record and the log line does not tell it as well."""
    async with responder_environment(tmp_path) as env:
        folder = f"incidents/{(await env.deliver()).outcome['incident']}"
        there, late = tmp_path / "store" / folder / "manifest-2.json", tmp_path / "late"
        there.rename(late)
        clients = await connect(env.settings)
        outside = replace(build_ports(clients), store=LateListingStore(clients.store, late, there))
        heard: list[str] = []
        answer = await DeliveryHandler(build_context(env.settings), outside).receive(
            encode(env.notification), lambda each: heard.append(str(each.outcome["status"]))
        )
        await clients.close()
        assert there.exists()
        assert (answer.outcome["status"], heard) == ("duplicate", [])
