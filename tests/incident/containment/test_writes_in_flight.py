"""Writes of other processes that are in flight: who waits for them, and how long."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from incident.actions.snapshot import Snapshot
from incident.case_file.containments import ContainmentRecords
from incident.containment.writes_in_flight import (
    WRITE_SETTLE_TIME,
    WritePeers,
    retry_if_write_pending,
)
from incident.model import Retry
from tests.support.model import (
    NOW,
    configuration,
    containment_records,
    finding,
    folder_store,
    scale_to_zero_change,
)

SETTINGS = configuration({"minInstanceCount": 2})
SHORT_WAIT = timedelta(milliseconds=20)
LONG_WAIT = timedelta(seconds=20)


@pytest.fixture
def own_records(tmp_path: Path) -> ContainmentRecords:
    """The workload's containments, as one process sees them."""
    return containment_records(folder_store(tmp_path), "mine")


@pytest.fixture
def peer_records(own_records: ContainmentRecords) -> ContainmentRecords:
    """The same, as another process sees them."""
    return containment_records(own_records.store, "theirs")  # type: ignore[arg-type]


async def store_snapshot(run: ContainmentRecords) -> Snapshot:
    """Store the snapshot of what a process is about to write."""
    history, change = await run.history(), scale_to_zero_change(SETTINGS)
    snapshot = await run.store_snapshot(history, (change,), SETTINGS, "i-1", finding())
    assert snapshot
    return snapshot


async def wait_for_peers(peers: WritePeers, run: ContainmentRecords) -> bool:
    """Whether a process has waited, for what the records say by now."""
    return await peers.wait_for_peer((await run.history()).current, SETTINGS)


async def test_a_process_without_peers_does_not_wait(own_records: ContainmentRecords) -> None:
    """Without a containment, and for an attempt of its own, a process continues at once."""
    peers = WritePeers(own_records, LONG_WAIT)
    assert not await wait_for_peers(peers, own_records)
    await store_snapshot(own_records)
    async with asyncio.timeout(15):
        assert not await wait_for_peers(peers, own_records)


async def test_a_peer_is_waited_for_until_it_records_its_result(
    own_records: ContainmentRecords, peer_records: ContainmentRecords
) -> None:
    """The wait ends with the record, long before the patience."""
    snapshot = await store_snapshot(peer_records)
    begun = (await own_records.history()).current
    waiting = asyncio.create_task(WritePeers(own_records, LONG_WAIT).wait_for_peer(begun, SETTINGS))
    await peer_records.add_record(
        await peer_records.history(), snapshot.number, "written", {"snapshot": snapshot.number}
    )
    async with asyncio.timeout(15):
        assert await waiting
    assert not await wait_for_peers(WritePeers(own_records, LONG_WAIT), own_records)


async def test_a_peer_that_died_is_waited_for_once(
    own_records: ContainmentRecords, peer_records: ContainmentRecords
) -> None:
    """Then its work is carried on; another attempt of a peer's is another matter."""
    peers = WritePeers(own_records, SHORT_WAIT)
    await store_snapshot(peer_records)
    assert await wait_for_peers(peers, own_records)
    assert not await wait_for_peers(peers, own_records)
    await store_snapshot(peer_records)
    assert await wait_for_peers(peers, own_records)


async def test_a_peer_that_began_long_ago_is_not_waited_for(
    own_records: ContainmentRecords, peer_records: ContainmentRecords
) -> None:
    """Who has been silent for three times what a peer may be is not at work any more."""
    await store_snapshot(peer_records)
    late = ContainmentRecords(
        own_records.store, own_records.workload, own_records.run_id, lambda: NOW + 3 * LONG_WAIT
    )
    async with asyncio.timeout(15):
        assert not await wait_for_peers(WritePeers(late, LONG_WAIT), late)


async def test_an_incident_has_no_end_while_its_write_may_still_come_into_effect(
    peer_records: ContainmentRecords,
) -> None:
    """Its own alone, and only for as long as a write may be under way at Google."""
    await store_snapshot(peer_records)
    current = (await peer_records.history()).current
    with pytest.raises(Retry, match="may still come into effect"):
        retry_if_write_pending(
            "i-1", current, lambda: NOW + WRITE_SETTLE_TIME - timedelta(seconds=1)
        )
    retry_if_write_pending("i-1", current, lambda: NOW + WRITE_SETTLE_TIME)
    retry_if_write_pending("another", current, lambda: NOW)
    retry_if_write_pending("i-1", None, lambda: NOW)
