"""Containments as the store tells of them, and what a release of each would restore."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from incident.actions.before_image import change_json, stated
from incident.case_file.containments import Containment, History, fold
from incident.case_file.journal import Record
from incident.model import Change, ChangeState, GiveUp, Settings
from tests.support.model import (
    CONTAINMENTS,
    NOW,
    applied,
    before,
    custody,
    finding,
    folder_store,
    record,
    scaled_to_zero,
    settings,
)

ORIGINAL = settings({"minInstanceCount": 2, "maxInstanceCount": 20}, [{"percent": 100}])
CHANGE = scaled_to_zero(ORIGINAL)
UNDONE = replace(CHANGE, before={**CHANGE.before, "scaling": {"scalingMode": "AUTOMATIC"}})


def folded(*records: Record) -> Containment:
    """The containment that some records tell of."""
    return fold(f"{CONTAINMENTS}/1", 1, records)


def test_no_records_are_nothing_at_all() -> None:
    """An empty folder holds no image and no write."""
    nothing = folded()
    assert (nothing.images, nothing.effective, nothing.last) == ((), None, 0)
    assert not nothing.released


def test_an_image_alone_is_an_open_attempt() -> None:
    """A process that was about to write has left its image, and nothing says what became of it."""
    found = folded(before(1, CHANGE))
    assert found.open_attempt is not None
    assert found.effective == found.open_attempt
    assert found.open_attempt.restores == CHANGE.before
    assert (found.written, found.verified) == (None, False)


def test_a_write_names_the_image_that_it_followed() -> None:
    """Of several images the one of the write that took effect is restored."""
    found = folded(
        before(1, CHANGE),
        before(2, UNDONE),
        record(3, "written", image=2),
        record(4, "verified", image=2),
    )
    assert found.effective
    assert found.effective.number == 2
    assert (found.open_attempt, found.verified) == (None, True)
    assert found.written_at == record(3, "written").recorded_at


def test_an_abandoned_attempt_is_forgotten() -> None:
    """An image whose write was never sent is not restored."""
    found = folded(
        before(1, CHANGE),
        record(2, "written", image=1),
        before(3, UNDONE),
        record(4, "abandoned", image=3),
    )
    assert found.effective
    assert (found.effective.number, found.open_attempt) == (1, None)
    assert [image.number for image in found.images] == [1]


def test_an_attempt_abandoned_alone_leaves_nothing() -> None:
    """Where nothing was ever written there is nothing to release."""
    found = folded(before(1, CHANGE), record(2, "abandoned", image=1))
    assert (found.effective, found.open_attempt, found.images) == (None, None, ())
    assert found.last == 2


def test_a_write_without_its_record_is_found_by_its_image() -> None:
    """A crash after the write leaves an image newer than the last known write: it tells."""
    found = folded(
        before(1, CHANGE),
        record(2, "written", image=1),
        record(3, "verified", image=1),
        before(4, UNDONE),
    )
    assert found.effective
    assert found.effective.number == 4
    recovered = folded(
        before(1, CHANGE), before(2, CHANGE), record(3, "written", image=2, recovered=True)
    )
    assert recovered.effective
    assert (recovered.effective.number, recovered.open_attempt) == (2, None)


def test_verification_is_of_the_last_write() -> None:
    """An earlier write that was seen in effect says nothing of a later one."""
    records = (
        before(1, CHANGE),
        record(2, "written", image=1),
        record(3, "verified", image=1),
        before(4, UNDONE),
        record(5, "written", image=4),
    )
    assert not folded(*records).verified
    assert folded(*records, record(6, "verified", image=4)).verified


def test_a_containment_knows_its_incidents_and_findings() -> None:
    """Whoever joins is counted in, and unknown kinds of records are no harm."""
    found = folded(
        before(1, CHANGE),
        record(2, "joined", incident="i-2", finding="f-2"),
        record(3, "of-the-future"),
        record(4, "annotated"),
    )
    assert found.incidents == {"i-1", "i-2"}
    assert found.findings == {"f-1", "f-2"}
    assert (found.annotated, found.last) == (True, 4)


def test_a_release_that_gave_up_before_it_wrote_is_not_under_way() -> None:
    """Of several that were begun, each is withdrawn by itself."""
    begun = (record(3, "release-intended"), record(4, "release-intended"))
    image = (before(1, CHANGE), record(2, "written", image=1))
    assert folded(*image, *begun).releasing
    assert folded(*image, *begun, record(5, "release-withdrawn", intent=3)).releasing
    withdrawn = [record(5 + n, "release-withdrawn", intent=3 + n) for n in range(2)]
    assert not folded(*image, *begun, *withdrawn).releasing


def test_after_a_release_the_next_containment_has_the_next_number() -> None:
    """What is released is over, and its findings are remembered."""
    released = folded(before(1, CHANGE), record(2, "written", image=1), record(3, "released"))
    held = replace(folded(before(1, CHANGE)), number=2, findings=frozenset({"f-9"}))
    assert History((released,)).current is None
    assert History((released,)).next_number == 2
    assert History((released, held)).current == held
    assert History((released, held)).next_number == 2
    assert History((released, held)).released_findings == {"f-1"}
    assert (History().next_number, History().released_findings) == (1, frozenset())


def test_a_change_survives_being_recorded() -> None:
    """What is written down about a change is all of it."""
    tried = stated(CHANGE, ChangeState.UNVERIFIED, "not in time")
    (image,) = folded(before(1, tried)).images
    assert image.changes == (tried,)
    assert change_json(tried)["state"] == "unverified"


# In a store.


async def keep(
    run: str, history: History, change: Change, found: Settings, folder: Path
) -> int | None:
    """Keep an image as one run; its number, or None."""
    there = custody(folder_store(folder), run)
    image = await there.keep_image(history, (change,), found, "i-1", finding())
    return image.number if image else None


async def test_an_image_is_read_back_as_it_was_kept(tmp_path: Path) -> None:
    """Everything that a release needs is in the object."""
    there = custody(folder_store(tmp_path))
    kept = await there.keep_image(History(), (CHANGE,), ORIGINAL, "i-1", finding())
    history = await there.history()
    assert history.current
    assert history.current.images == (kept,)
    assert history.current.folder == there.folder(history) == f"{CONTAINMENTS}/1"
    assert history.current.findings == {finding().finding_id}
    assert kept
    assert (kept.recorded_at, kept.generation, kept.run) == (NOW, 7, "run-1")
    assert kept.uid == ORIGINAL.uid
    assert kept.restores == CHANGE.before


async def test_of_runs_that_keep_an_image_at_once_one_goes_on(tmp_path: Path) -> None:
    """Those that come second know that another run is at it, and its image stands."""
    runs = [f"run-{number}" for number in range(8)]
    kept = await asyncio.gather(*(keep(run, History(), CHANGE, ORIGINAL, tmp_path) for run in runs))
    assert sorted(kept, key=str) == [1, *[None] * 7]
    history = await custody(folder_store(tmp_path)).history()
    assert history.current
    (image,) = history.current.images
    assert image.run == runs[kept.index(1)]


async def test_a_containment_undone_in_part_restores_what_was_there_first(tmp_path: Path) -> None:
    """Where a field is as we left it, the original is restored; what a person set, is kept."""
    there = custody(folder_store(tmp_path))
    first = await there.keep_image(History(), (CHANGE,), ORIGINAL, "i-1", finding())
    assert first
    await there.note(History(), 1, "written", {"image": first.number})
    stopped = applied(CHANGE, ORIGINAL)
    by_hand = replace(stopped, fields={**stopped.fields, "scaling": {"minInstanceCount": 9}})
    again = scaled_to_zero(by_hand)
    second = await there.keep_image(await there.history(), (again,), by_hand, "i-2", finding())
    assert second
    assert second.changes[0].before["traffic"] == CHANGE.after["traffic"]
    assert second.restores == {
        "scaling": {"minInstanceCount": 9},
        "traffic": CHANGE.before["traffic"],
    }


async def test_tags_lost_to_a_containment_come_back_however_often_it_is_made_again(
    tmp_path: Path,
) -> None:
    """Scaling undone by hand, twice: the original's tags are still what a release restores."""
    there = custody(folder_store(tmp_path))
    found = settings({"minInstanceCount": 1}, [{"percent": 100, "tag": "live"}])
    for _ in range(3):
        change = scaled_to_zero(found)
        history = await there.history()
        image = await there.keep_image(history, (change,), found, "i-1", finding())
        assert image
        await there.note(history, image.number, "written", {"image": image.number})
        stopped = applied(change, found)
        found = replace(stopped, fields={**stopped.fields, "scaling": {"minInstanceCount": 5}})
    history = await there.history()
    assert history.current
    assert history.current.effective
    restored = history.current.effective.restores
    assert restored["scaling"] == {"minInstanceCount": 5}
    assert "live" in str(restored["traffic"])


async def test_numbers_of_containments_count_as_numbers(tmp_path: Path) -> None:
    """The tenth comes after the ninth, and what lies beside them is nothing."""
    store = folder_store(tmp_path)
    there = custody(store)
    await store.create(f"{CONTAINMENTS}/notes.txt", b"hello")
    await store.create(f"{CONTAINMENTS}-2/1/0001-before.json", b"another service's")
    for _ in range(11):
        history = await there.history()
        await there.keep_image(history, (CHANGE,), ORIGINAL, "i-1", finding())
        await there.note(history, 1, "released", {})
    history = await there.history()
    assert [containment.number for containment in history.containments] == list(range(1, 12))
    assert history.next_number == 12


async def test_a_record_that_lacks_what_it_must_say_is_refused_clearly(tmp_path: Path) -> None:
    """Somebody else wrote it: the folder is named, and what to do."""
    store = folder_store(tmp_path)
    foreign = b'{"recorded_at": "2026-10-02T08:14:12+00:00", "run": "x"}'
    await store.create(f"{CONTAINMENTS}/1/0001-before.json", foreign)
    with pytest.raises(GiveUp, match=f"{CONTAINMENTS}/1: one lacks what it must say"):
        await custody(store).history()


def test_a_namesake_made_anew_is_not_what_we_hold() -> None:
    """A service deleted and made again under its name has another unique id."""
    held = folded(before(1, CHANGE), record(2, "written", image=1))
    same, other = settings(), settings(uid="another")
    assert History((held,)).of(same).current == held
    assert History((held,)).of(None).current == held
    assert History((held,)).of(other).current is None
    assert History((held,)).of(other).next_number == 2


STOPPED = applied(CHANGE, ORIGINAL)


@pytest.mark.parametrize(
    ("records", "found", "image"),
    [
        ((before(1, CHANGE), record(2, "written", image=1)), STOPPED, 1),
        ((before(1, CHANGE), record(2, "written", image=1)), ORIGINAL, None),
        ((before(1, CHANGE),), STOPPED, 1),
        ((before(1, CHANGE),), replace(STOPPED, generation=7), None),
        ((before(1, CHANGE), record(2, "abandoned", image=1)), STOPPED, None),
        ((), STOPPED, None),
    ],
)
def test_our_write_stands_while_the_service_is_as_it_left_it(
    records: tuple[Record, ...], found: Settings, image: int | None
) -> None:
    """An attempt that nothing is known of counts only if the service was changed since."""
    standing = folded(*records).stands(found)
    assert (standing.number if standing else None) == image


def test_an_attempt_is_open_however_late_the_write_before_it_was_recorded() -> None:
    """What counts is which image the last write followed, not when that was written down."""
    for number in (2, 3):
        found = folded(before(1, CHANGE), before(2, UNDONE), record(number, "written", image=1))
        assert found.open_attempt
        assert found.open_attempt.number == 2
        assert found.effective == found.open_attempt
