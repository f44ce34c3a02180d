"""Containments folded from their records, and the snapshot that a release restores."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from incident.actions.changes import change_json, with_state
from incident.case_file.containments import (
    Containment,
    ContainmentHistory,
    containment_from_records,
)
from incident.case_file.journal import Record
from incident.model import Change, ChangeState, GiveUp, WorkloadConfiguration
from tests.support.constants import CONTAINMENTS_FOLDER
from tests.support.model import (
    NOW,
    configuration,
    configuration_after,
    containment_records,
    finding,
    folder_store,
    record,
    scale_to_zero_change,
    snapshot_record,
)

ORIGINAL = configuration({"minInstanceCount": 2, "maxInstanceCount": 20}, [{"percent": 100}])
CHANGE = scale_to_zero_change(ORIGINAL)
SCALED_BACK = replace(CHANGE, before={**CHANGE.before, "scaling": {"scalingMode": "AUTOMATIC"}})


def containment_from(*records: Record) -> Containment:
    """The containment of some records."""
    return containment_from_records(f"{CONTAINMENTS_FOLDER}/1", 1, records)


def test_an_empty_folder_is_no_containment() -> None:
    """There is no snapshot and no write."""
    nothing = containment_from()
    assert (nothing.snapshots, nothing.effective_snapshot, nothing.last_number) == ((), None, 0)
    assert not nothing.released


def test_a_snapshot_alone_is_an_open_attempt() -> None:
    """No record says how the attempt of that snapshot ended."""
    found = containment_from(snapshot_record(1, CHANGE))
    assert found.pending_snapshot is not None
    assert found.effective_snapshot == found.pending_snapshot
    assert found.pending_snapshot.restores == CHANGE.before
    assert (found.written_snapshot, found.verified) == (None, False)


def test_a_write_names_its_snapshot() -> None:
    """Of several snapshots, that of the write that took effect is restored."""
    found = containment_from(
        snapshot_record(1, CHANGE),
        snapshot_record(2, SCALED_BACK),
        record(3, "written", snapshot=2),
        record(4, "verified", snapshot=2),
    )
    assert found.effective_snapshot
    assert found.effective_snapshot.number == 2
    assert (found.pending_snapshot, found.verified) == (None, True)
    assert found.written_at == record(3, "written").recorded_at


def test_an_abandoned_attempt_does_not_count() -> None:
    """A snapshot whose write was never sent is not restored."""
    found = containment_from(
        snapshot_record(1, CHANGE),
        record(2, "written", snapshot=1),
        snapshot_record(3, SCALED_BACK),
        record(4, "abandoned", snapshot=3),
    )
    assert found.effective_snapshot
    assert (found.effective_snapshot.number, found.pending_snapshot) == (1, None)
    assert [image.number for image in found.snapshots] == [1]


def test_an_attempt_abandoned_alone_leaves_nothing() -> None:
    """Where nothing was written there is nothing to release."""
    found = containment_from(snapshot_record(1, CHANGE), record(2, "abandoned", snapshot=1))
    assert (found.effective_snapshot, found.pending_snapshot, found.snapshots) == (None, None, ())
    assert found.last_number == 2


def test_a_write_without_its_record_is_found_by_its_snapshot() -> None:
    """After a crash the snapshot is newer than the last recorded write."""
    found = containment_from(
        snapshot_record(1, CHANGE),
        record(2, "written", snapshot=1),
        record(3, "verified", snapshot=1),
        snapshot_record(4, SCALED_BACK),
    )
    assert found.effective_snapshot
    assert found.effective_snapshot.number == 4
    recovered = containment_from(
        snapshot_record(1, CHANGE),
        snapshot_record(2, CHANGE),
        record(3, "written", snapshot=2, recovered=True),
    )
    assert recovered.effective_snapshot
    assert (recovered.effective_snapshot.number, recovered.pending_snapshot) == (2, None)


def test_verification_is_of_the_last_write() -> None:
    """Verification of an earlier write does not count for a later one."""
    records = (
        snapshot_record(1, CHANGE),
        record(2, "written", snapshot=1),
        record(3, "verified", snapshot=1),
        snapshot_record(4, SCALED_BACK),
        record(5, "written", snapshot=4),
    )
    assert not containment_from(*records).verified
    assert containment_from(*records, record(6, "verified", snapshot=4)).verified


def test_a_containment_knows_its_incidents_and_findings() -> None:
    """Incidents that join count, and unknown kinds of records are ignored."""
    found = containment_from(
        snapshot_record(1, CHANGE),
        record(2, "joined", incident="i-2", finding="f-2"),
        record(3, "of-the-future"),
        record(4, "annotated"),
    )
    assert found.incidents == {"i-1", "i-2"}
    assert found.findings == {"f-1", "f-2"}
    assert (found.annotated, found.last_number) == (True, 4)


def test_a_cancelled_release_is_not_in_progress() -> None:
    """Of several releases, each is cancelled by itself."""
    begun = (record(3, "release-started"), record(4, "release-started"))
    image = (snapshot_record(1, CHANGE), record(2, "written", snapshot=1))
    assert containment_from(*image, *begun).releasing
    assert containment_from(
        *image, *begun, record(5, "release-cancelled", release_started=3)
    ).releasing
    withdrawn = [record(5 + n, "release-cancelled", release_started=3 + n) for n in range(2)]
    assert not containment_from(*image, *begun, *withdrawn).releasing


def test_after_a_release_the_next_containment_has_the_next_number() -> None:
    """The findings of the released one are remembered."""
    released = containment_from(
        snapshot_record(1, CHANGE), record(2, "written", snapshot=1), record(3, "released")
    )
    held = replace(
        containment_from(snapshot_record(1, CHANGE)), number=2, findings=frozenset({"f-9"})
    )
    assert ContainmentHistory((released,)).current is None
    assert ContainmentHistory((released,)).next_number == 2
    assert ContainmentHistory((released, held)).current == held
    assert ContainmentHistory((released, held)).next_number == 2
    assert ContainmentHistory((released, held)).released_findings == {"f-1"}
    assert (ContainmentHistory().next_number, ContainmentHistory().released_findings) == (
        1,
        frozenset(),
    )


def test_a_recorded_change_is_read_back() -> None:
    """All of its fields are recorded."""
    tried = with_state(CHANGE, ChangeState.UNVERIFIED, "not in time")
    (image,) = containment_from(snapshot_record(1, tried)).snapshots
    assert image.changes == (tried,)
    assert change_json(tried)["state"] == "unverified"


# In a store.


async def store_snapshot(
    run: str,
    history: ContainmentHistory,
    change: Change,
    found: WorkloadConfiguration,
    folder: Path,
) -> int | None:
    """Store a snapshot as one run; its number, or None."""
    there = containment_records(folder_store(folder), run)
    image = await there.store_snapshot(history, (change,), found, "i-1", finding())
    return image.number if image else None


async def test_a_snapshot_is_read_back_unchanged(tmp_path: Path) -> None:
    """The object has everything that a release needs."""
    there = containment_records(folder_store(tmp_path))
    kept = await there.store_snapshot(ContainmentHistory(), (CHANGE,), ORIGINAL, "i-1", finding())
    history = await there.history()
    assert history.current
    assert history.current.snapshots == (kept,)
    assert history.current.folder == there.current_folder(history) == f"{CONTAINMENTS_FOLDER}/1"
    assert history.current.findings == {finding().finding_id}
    assert kept
    assert (kept.recorded_at, kept.generation, kept.run_id) == (NOW, 7, "run-1")
    assert kept.uid == ORIGINAL.uid
    assert kept.restores == CHANGE.before


async def test_of_concurrent_snapshots_one_run_continues(tmp_path: Path) -> None:
    """The others learn that another run was first."""
    runs = [f"run-{number}" for number in range(8)]
    kept = await asyncio.gather(
        *(store_snapshot(run, ContainmentHistory(), CHANGE, ORIGINAL, tmp_path) for run in runs)
    )
    assert sorted(kept, key=str) == [1, *[None] * 7]
    history = await containment_records(folder_store(tmp_path)).history()
    assert history.current
    (image,) = history.current.snapshots
    assert image.run_id == runs[kept.index(1)]


async def test_a_containment_undone_in_part_restores_what_was_there_first(tmp_path: Path) -> None:
    """The original of an unchanged field is restored; a value that a person set is kept."""
    there = containment_records(folder_store(tmp_path))
    first = await there.store_snapshot(ContainmentHistory(), (CHANGE,), ORIGINAL, "i-1", finding())
    assert first
    await there.add_record(ContainmentHistory(), 1, "written", {"snapshot": first.number})
    stopped = configuration_after(CHANGE, ORIGINAL)
    by_hand = replace(stopped, fields={**stopped.fields, "scaling": {"minInstanceCount": 9}})
    again = scale_to_zero_change(by_hand)
    second = await there.store_snapshot(await there.history(), (again,), by_hand, "i-2", finding())
    assert second
    assert second.changes[0].before["traffic"] == CHANGE.after["traffic"]
    assert second.restores == {
        "scaling": {"minInstanceCount": 9},
        "traffic": CHANGE.before["traffic"],
    }


async def test_tags_are_restored_after_repeated_containment(
    tmp_path: Path,
) -> None:
    """After scaling was undone manually, twice, a release still restores the original tags."""
    there = containment_records(folder_store(tmp_path))
    found = configuration({"minInstanceCount": 1}, [{"percent": 100, "tag": "live"}])
    for _ in range(3):
        change = scale_to_zero_change(found)
        history = await there.history()
        image = await there.store_snapshot(history, (change,), found, "i-1", finding())
        assert image
        await there.add_record(history, image.number, "written", {"snapshot": image.number})
        stopped = configuration_after(change, found)
        found = replace(stopped, fields={**stopped.fields, "scaling": {"minInstanceCount": 5}})
    history = await there.history()
    assert history.current
    assert history.current.effective_snapshot
    restored = history.current.effective_snapshot.restores
    assert restored["scaling"] == {"minInstanceCount": 5}
    assert "live" in str(restored["traffic"])


async def test_numbers_of_containments_count_as_numbers(tmp_path: Path) -> None:
    """The tenth comes after the ninth; other objects are ignored."""
    store = folder_store(tmp_path)
    there = containment_records(store)
    await store.create(f"{CONTAINMENTS_FOLDER}/notes.txt", b"hello")
    await store.create(f"{CONTAINMENTS_FOLDER}-2/1/0001-snapshot.json", b"another service's")
    for _ in range(11):
        history = await there.history()
        await there.store_snapshot(history, (CHANGE,), ORIGINAL, "i-1", finding())
        await there.add_record(history, 1, "released", {})
    history = await there.history()
    assert [containment.number for containment in history.containments] == list(range(1, 12))
    assert history.next_number == 12


async def test_an_incomplete_record_is_refused_clearly(tmp_path: Path) -> None:
    """The error names the folder and what to do."""
    store = folder_store(tmp_path)
    foreign = b'{"recorded_at": "2026-10-02T08:14:12+00:00", "run": "x"}'
    await store.create(f"{CONTAINMENTS_FOLDER}/1/0001-snapshot.json", foreign)
    with pytest.raises(GiveUp, match=f"{CONTAINMENTS_FOLDER}/1: one is incomplete"):
        await containment_records(store).history()


def test_a_recreated_workload_is_not_the_contained_one() -> None:
    """A service that was deleted and recreated has another unique id."""
    held = containment_from(snapshot_record(1, CHANGE), record(2, "written", snapshot=1))
    same, other = configuration(), configuration(uid="another")
    assert ContainmentHistory((held,)).for_workload(same).current == held
    assert ContainmentHistory((held,)).for_workload(None).current == held
    assert ContainmentHistory((held,)).for_workload(other).current is None
    assert ContainmentHistory((held,)).for_workload(other).next_number == 2


STOPPED = configuration_after(CHANGE, ORIGINAL)


@pytest.mark.parametrize(
    ("records", "found", "number"),
    [
        ((snapshot_record(1, CHANGE), record(2, "written", snapshot=1)), STOPPED, 1),
        ((snapshot_record(1, CHANGE), record(2, "written", snapshot=1)), ORIGINAL, None),
        ((snapshot_record(1, CHANGE),), STOPPED, 1),
        ((snapshot_record(1, CHANGE),), replace(STOPPED, generation=7), None),
        ((snapshot_record(1, CHANGE), record(2, "abandoned", snapshot=1)), STOPPED, None),
        ((), STOPPED, None),
    ],
)
def test_a_write_is_in_effect_while_the_service_is_unchanged(
    records: tuple[Record, ...], found: WorkloadConfiguration, number: int | None
) -> None:
    """An attempt without a record of its end counts only if the service was changed since."""
    snapshot = containment_from(*records).snapshot_in_effect(found)
    assert (snapshot.number if snapshot else None) == number


def test_an_attempt_is_open_however_late_the_write_before_it_was_recorded() -> None:
    """The snapshot that the last write followed counts, not the time of its record."""
    for number in (2, 3):
        found = containment_from(
            snapshot_record(1, CHANGE),
            snapshot_record(2, SCALED_BACK),
            record(number, "written", snapshot=1),
        )
        assert found.pending_snapshot
        assert found.pending_snapshot.number == 2
        assert found.effective_snapshot == found.pending_snapshot
