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
from incident.response.deliveries import Inbox
from tests.support.environment import Road, World, encode, printed_by, road, sample, standard_output
from tests.support.environment import world_around as around
from tests.support.patrol import Killed, patrol
from wiring import outside_of, standing_of

#: Refused for good: an ERROR that must not be lost.
FAILING: World = around(
    sample(), faults=[{"method": "UpdateService", "code": "PERMISSION_DENIED", "times": 9}]
)


def told(printed: str) -> list[tuple[str, str]]:
    """Outcomes with their severities, as the log has them."""
    lines = [json.loads(line) for line in printed.splitlines()]
    return [(line["severity"], line["outcome"]["status"]) for line in lines if "outcome" in line]


class DyingAt(Store):
    """A store whose process ends before or after it puts an object of some name."""

    def __init__(self, store: Store, name: str, when: str) -> None:
        super().__init__(store._store, store.url)  # noqa: SLF001 - the same store
        self._name, self._when = name, when

    async def create(self, path: str, data: bytes) -> bool:
        """Put an object, unless the end comes first."""
        here = path.endswith(self._name)
        if here and self._when == "before":
            raise Killed
        created = await super().create(path, data)
        if here:
            raise Killed
        return created


async def killed(way: Road, name: str, when: str) -> str:
    """One delivery to a process that is killed at an object; what it printed by then."""
    clients = await connect(way.settings)
    store = DyingAt(clients.store, name, when)
    inbox = Inbox(standing_of(way.settings), replace(outside_of(clients), store=store))
    with standard_output() as output, pytest.raises(Killed):
        await inbox.receive(encode(way.notification), lambda answer: log.answered(answer, None))
    await clients.close()
    return output.getvalue()


async def test_an_outcome_that_nobody_heard_of_is_told_by_the_redelivery(tmp_path: Path) -> None:
    """As loud as it would have been, and once: the delivery after that is a duplicate."""
    async with road(tmp_path, world=FAILING) as way:
        assert told(await killed(way, "/1000-done.json", "after")) == []
        later = way.later(60)
        _, printed = await printed_by(later)
        assert told(printed) == [("ERROR", "failed")]
        _, printed = await printed_by(later)
        assert told(printed) == [("INFO", "duplicate")]


async def test_an_outcome_that_nobody_heard_of_is_told_by_the_patrol(tmp_path: Path) -> None:
    """Where no delivery comes any more; once as well."""
    async with road(tmp_path, world=FAILING) as way:
        await killed(way, "/1000-done.json", "after")
        with standard_output() as output:
            for later in (900, 1200):
                patrol_log.patrolled(await patrol(way.later(later)), None)
        assert told(output.getvalue()) == [("ERROR", "failed")]


@pytest.mark.parametrize("when", ["before", "after"])
async def test_an_outcome_is_in_the_log_before_it_is_listed(tmp_path: Path, when: str) -> None:
    """So a record that is listed was heard of; one that is not may be told twice, never never."""
    async with road(tmp_path, world=FAILING) as way:
        assert told(await killed(way, "/manifest-2.json", when)) == [("ERROR", "failed")]
        _, printed = await printed_by(way.later(60))
        again = ("ERROR", "failed") if when == "before" else ("INFO", "duplicate")
        assert told(printed) == [again]


class Late(Store):
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


async def test_whoever_is_about_to_tell_an_outcome_is_waited_for(tmp_path: Path) -> None:
    """A delivery that comes between the record and the log line does not tell it as well."""
    async with road(tmp_path) as way:
        folder = f"incidents/{(await way.deliver()).outcome['incident']}"
        there, late = tmp_path / "store" / folder / "manifest-2.json", tmp_path / "late"
        there.rename(late)
        clients = await connect(way.settings)
        outside = replace(outside_of(clients), store=Late(clients.store, late, there))
        heard: list[str] = []
        answer = await Inbox(standing_of(way.settings), outside).receive(
            encode(way.notification), lambda each: heard.append(str(each.outcome["status"]))
        )
        await clients.close()
        assert there.exists()
        assert (answer.outcome["status"], heard) == ("duplicate", [])
