"""Attempts of which no record tells yet: who waits for them, and how long."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from incident.actions.before_image import Image
from incident.case_file.containments import Custody
from incident.containment.peers import FATE, Peers, await_fate
from incident.model import Retry
from tests.support.model import NOW, custody, finding, folder_store, scaled_to_zero, settings

SETTINGS = settings({"minInstanceCount": 2})
SHORTLY = timedelta(milliseconds=20)
LONG = timedelta(seconds=20)


@pytest.fixture
def mine(tmp_path: Path) -> Custody:
    """The workload's containments, as one process sees them."""
    return custody(folder_store(tmp_path), "mine")


@pytest.fixture
def theirs(mine: Custody) -> Custody:
    """The same, as another process sees them."""
    return custody(mine.store, "theirs")  # type: ignore[arg-type]


async def begin(run: Custody) -> Image:
    """Keep the image of what a process is about to write."""
    history, change = await run.history(), scaled_to_zero(SETTINGS)
    image = await run.keep_image(history, (change,), SETTINGS, "i-1", finding())
    assert image
    return image


async def waited(peers: Peers, run: Custody) -> bool:
    """Whether a process has waited, for what the records say by now."""
    return await peers.wait((await run.history()).current, SETTINGS)


async def test_nobody_waits_for_nobody(mine: Custody) -> None:
    """Without a containment, and for an attempt of its own, a process goes on at once."""
    peers = Peers(mine, LONG)
    assert not await waited(peers, mine)
    await begin(mine)
    async with asyncio.timeout(15):
        assert not await waited(peers, mine)


async def test_a_peer_is_waited_for_until_it_tells_what_became_of_its_write(
    mine: Custody, theirs: Custody
) -> None:
    """The wait ends with the record, long before the patience."""
    image = await begin(theirs)
    begun = (await mine.history()).current
    waiting = asyncio.create_task(Peers(mine, LONG).wait(begun, SETTINGS))
    await theirs.note(await theirs.history(), image.number, "written", {"image": image.number})
    async with asyncio.timeout(15):
        assert await waiting
    assert not await waited(Peers(mine, LONG), mine)


async def test_a_peer_that_died_is_waited_for_once(mine: Custody, theirs: Custody) -> None:
    """Then its work is carried on; another attempt of a peer's is another matter."""
    peers = Peers(mine, SHORTLY)
    await begin(theirs)
    assert await waited(peers, mine)
    assert not await waited(peers, mine)
    await begin(theirs)
    assert await waited(peers, mine)


async def test_a_peer_that_began_long_ago_is_not_waited_for(mine: Custody, theirs: Custody) -> None:
    """Who has been silent for three times what a peer may be is not at work any more."""
    await begin(theirs)
    late = Custody(mine.store, mine.workload, mine.run, lambda: NOW + 3 * LONG)
    async with asyncio.timeout(15):
        assert not await waited(Peers(late, LONG), late)


async def test_an_incident_has_no_end_while_its_write_may_still_come_into_effect(
    theirs: Custody,
) -> None:
    """Its own alone, and only for as long as a write may be under way at Google."""
    await begin(theirs)
    current = (await theirs.history()).current
    with pytest.raises(Retry, match="may still come into effect"):
        await_fate("i-1", current, lambda: NOW + FATE - timedelta(seconds=1))
    await_fate("i-1", current, lambda: NOW + FATE)
    await_fate("another", current, lambda: NOW)
    await_fate("i-1", None, lambda: NOW)
